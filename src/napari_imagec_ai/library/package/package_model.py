"""Makes a model folder of bare weights: a description with tests, picture and readme.

What the file does not tell is found out by running it; what that does not tell, a
person says. The folder is made whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.opening_files import SUFFIXES as IMAGES
from napari_imagec_ai.library.package.description import describe
from napari_imagec_ai.library.package.facts import Facts, Scaling
from napari_imagec_ai.library.package.model_folder import Packaged, make_folder
from napari_imagec_ai.library.undescribed import SUFFIXES
from napari_imagec_ai.model.rdf import find_rdf


def package_model(
    weights: str | Path | Sequence[str | Path],
    folder: str | Path | None = None,
    *,
    decoder: str = "",
    classes: Sequence[str] = (),
    name: str = "",
    description: str = "",
    license: str = "",
    authors: Sequence[str] = (),
    axes: str = "",
    input_shape: Sequence[int] = (),
    output_channels: Sequence[str] = (),
    scaling: Scaling | Literal[""] = "",
    pixel_size: float | Sequence[float] = (),
    settings: Mapping[str, Any] | None = None,
    image: ImageInput | None = None,
    replace: bool = False,
) -> Packaged:
    """Make a model folder of bare weights.

    Parameters
    ----------
    weights : path or sequence of path
        An ``.onnx`` file or a TorchScript archive, or both of one network. They are
        copied.
    folder : path, optional
        The new model folder; by default one of the weights' name in ``./models``.
    decoder : str
        Such as ``unet``, ``stardist`` or ``cellpose``; not needed for YOLO exports.
    classes : sequence of str
        Names of the classes of objects.
    name, description, license, authors
        For the description; ``license`` is an SPDX identifier.
    axes : str
        Of the network's input, ``bcyx`` or ``bczyx`` by default.
    input_shape : sequence of int
        One that the network takes, where it cannot be read from the file.
    output_channels : sequence of str
        What the channels of the main output mean, such as ``foreground``, ``boundary``,
        ``background``, ``distance``.
    scaling : str
        What the network was trained with: ``none``, ``percentiles`` (1 and 99.8 %),
        ``range``, ``zero-mean``, ``bytes`` (divided by 255).
    pixel_size : float or sequence of float
        Of the images that it was trained on, in micrometres.
    settings : mapping, optional
        Of the decoder, such as ``{"mask_threshold": 0.4}``.
    image : ImageInput, optional
        An example; a bundled image by default.
    replace : bool
        Whether a model folder that is there already may be replaced.

    Raises
    ------
    ImagecAIError
        If the weights cannot be run, what was told does not fit them, or the folder is
        there already.
    """
    paths = _by_format([weights] if isinstance(weights, (str, Path)) else weights)
    first = next(iter(paths.values()))
    sizes = (pixel_size,) if isinstance(pixel_size, (int, float)) else pixel_size
    facts = Facts(
        decoder=decoder,
        classes=tuple(classes),
        name=name or first.stem,
        description=description,
        license=license,
        authors=tuple(authors),
        axes=axes,
        input_shape=tuple(input_shape),
        output_channels=tuple(output_channels),
        scaling=scaling,
        pixel_size=tuple(sizes),
        settings=settings or {},
    )
    target = Path(folder) if folder is not None else Path("models") / first.stem
    return make_folder(
        target,
        paths,
        lambda path, engine: describe(path, engine, facts),
        image,
        replace=replace,
    )


def _instead(path: Path) -> str:
    """What was given in the place of weights, and what to do."""
    named = path.suffix.lower() in (".yaml", ".yml")
    folder = path.parent if named else path
    if find_rdf(folder) is not None:
        return (
            f"'{path}', which has its description already; run it as it is, as in "
            f"'imagec-ai predict {folder} image.tif -o results'"
        )
    if path.is_dir():
        return f"the folder '{path}'; name the file of weights in it"
    if not path.exists():
        return f"no file '{path}'; check the name"
    if path.suffix.lower() in IMAGES:
        return f"the image '{path}'; name the network's file, and this with --image"
    return (
        f"'{path}'; export the network as ONNX or TorchScript, or if Keras, StarDist "
        f"or Cellpose saved it, 'imagec-ai convert {path}'"
    )


def _by_format(weights: Sequence[str | Path]) -> dict[str, Path]:
    """Weights by format, those that the person named first before the others."""
    found: dict[str, Path] = {}
    for path in map(Path, weights):
        framework = SUFFIXES.get(path.suffix.lower())
        if framework is None or not path.is_file():
            raise ModelError(
                f"Expected weights ({', '.join(SUFFIXES)}), found {_instead(path)}."
            )
        if framework in found:
            raise ModelError(
                f"'{found[framework].name}' and '{path.name}' are both {framework}; "
                "give one file of each format."
            )
        found[framework] = path
    if not found:
        raise ModelError("Expected a weights file, found none; name one.")
    return found
