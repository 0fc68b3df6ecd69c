"""Makes a model folder of bare weights: a description with tests, picture and readme.

What the file does not tell is found out by running it; what that does not tell, a
person says. The folder is made whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import yaml

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening import open_file
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.library.package import example
from napari_imagec_ai.library.package.description import Rdf, describe
from napari_imagec_ai.library.package.facts import Facts, Scaling
from napari_imagec_ai.library.package.onnx_file import opset, whole_onnx
from napari_imagec_ai.library.selftest import test_model
from napari_imagec_ai.library.undescribed import SUFFIXES
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import find_rdf, parse_rdf
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system import whole_files as files

_README = """# {name}

{description}

- Weights: {formats}.
- Decoder: `{decoder}`; what the output means: `{kind}`.
- Classes: {classes}.
- Licence: {licence}.

## Validation

The test tensors and the cover were made by running the weights on an example image. How
good the model is on your images, they do not tell.
"""

_NAMES = {"onnx": "weights.onnx", "torchscript": "weights.pt"}


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model folder that was made.

    Attributes
    ----------
    folder : Path
        Where it is.
    model : Model
        As it is read back.
    found : int or None
        Objects in the example; None where it gives no objects.
    assumed : tuple of str
        Sentences: what was not told, here and in the run of the example.
    """

    folder: Path
    model: Model
    found: int | None
    assumed: tuple[str, ...]

    def sentences(self) -> list[str]:
        """What a person should know of it."""
        model = self.model
        given = " and ".join(model.runnable)
        said = [f"Runs with {given}, and its own test passed."]
        if self.found is not None:
            classes = ", ".join(model.classes)
            said.append(f"{self.found} objects in the example ({classes}).")
        said += [f"assumed: {sentence}" for sentence in self.assumed]
        if not model.license:
            said.append("No licence was named; do so (--license) before you share it.")
        return said


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
    _check_place(target, list(paths.values()), replace)
    found: list[Packaged] = []

    def write(fresh: Path) -> None:
        found.append(_fill(fresh, paths, facts, image))

    # What lies there was looked at already.
    files.replace_folder(target, write, lambda _: True)
    model = load_model(target)
    return Packaged(target, model, found[0].found, found[0].assumed)


def _by_format(weights: Sequence[str | Path]) -> dict[str, Path]:
    """Weights by format, those that the person named first before the others."""
    found: dict[str, Path] = {}
    for path in map(Path, weights):
        framework = SUFFIXES.get(path.suffix.lower())
        if framework is None or not path.is_file():
            what = "no file" if not path.is_file() else f"a file '*{path.suffix}'"
            raise ModelError(
                f"Expected weights as {', '.join(SUFFIXES)}, found {what} at '{path}'; "
                "export the network as ONNX or TorchScript."
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


def _check_place(folder: Path, weights: Sequence[Path], replace: bool) -> None:
    """A folder that is there is replaced only if told to, and only if it is a model."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ModelError(f"'{folder}' is a file; choose another folder.")
    inside = {path.resolve() for path in folder.iterdir()}
    if not inside:
        return
    ours = {path.resolve() for path in weights}
    if not replace:
        raise ModelError(
            f"'{folder}' is there already; choose another folder (-o), or say that it "
            "is to be replaced (--replace)."
        )
    if find_rdf(folder) is None and inside - ours:
        raise ModelError(
            f"'{folder}' is a folder of other files, which would be lost; choose "
            "another folder."
        )


def _fill(
    folder: Path, paths: dict[str, Path], facts: Facts, image: ImageInput | None
) -> Packaged:
    """Write everything into an empty folder, and try it."""
    for framework, path in paths.items():
        _copy(framework, path, folder / _NAMES[framework])
    main = next(iter(paths))
    with _opened(main, folder / _NAMES[main]) as engine:
        rdf = describe(folder / _NAMES[main], engine, facts)
        draft = _read(rdf | {"weights": _weights(folder, paths)}, folder)
        shown = example.fitting(draft, image)
        tensor, outputs = example.test_tensors(draft, engine, shown)
    example.save(folder / "test_input.npy", tensor)
    rdf["inputs"][0]["test_tensor"] = _file(folder, "test_input.npy")
    for number, (output, array) in enumerate(zip(rdf["outputs"], outputs, strict=True)):
        name = "test_output.npy" if len(outputs) == 1 else f"test_output{number}.npy"
        example.save(folder / name, array)
        output["test_tensor"] = _file(folder, name)
        output["data"] = {"type": str(array.dtype)}
    rdf["weights"] = _weights(folder, paths)
    _write(folder, rdf)
    made = load_model(folder)
    _check(made)
    png, raw, result = example.picture(made, shown)
    (folder / "cover.png").write_bytes(png)
    count = len(result) if isinstance(result, Objects) else None
    (folder / "README.md").write_text(_readme(made, rdf), encoding="utf-8")
    rdf |= {"documentation": "README.md", "covers": ["cover.png"]}
    _write(folder, rdf)
    assumed = (*raw.assumed, *getattr(result, "assumed", ()))
    return Packaged(folder, made, count, tuple(dict.fromkeys(assumed)))


@contextmanager
def _opened(framework: str, path: Path) -> Iterator[Engine]:
    engine = open_file(framework, path, "cpu")
    try:
        yield engine
    finally:
        engine.close()


def _copy(framework: str, source: Path, target: Path) -> None:
    if framework == "onnx":
        whole_onnx(source, target)
    else:
        shutil.copyfile(source, target)


def _read(rdf: Rdf, folder: Path) -> Model:
    return parse_rdf(_as_text(rdf).encode(), folder / "rdf.yaml")


def _write(folder: Path, rdf: Rdf) -> None:
    (folder / "rdf.yaml").write_text(_as_text(rdf), encoding="utf-8")


def _as_text(rdf: Rdf) -> str:
    text: str = yaml.dump(rdf, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    return text


class _Plain(yaml.SafeDumper):
    """Writes repeated parts out: not every reader knows aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """None."""
        return True


def _file(folder: Path, name: str) -> dict[str, str]:
    return {"source": name, "sha256": sha256(folder / name)}


def _weights(folder: Path, paths: dict[str, Path]) -> Rdf:
    entries: Rdf = {}
    main = next(iter(paths))
    for framework in paths:
        entry: Rdf = dict(_file(folder, _NAMES[framework]))
        if framework == "onnx":
            entry["opset_version"] = opset(folder / _NAMES[framework])
        else:
            entry["pytorch_version"] = version("torch").partition("+")[0]
        if framework != main:
            entry["parent"] = main
        entries[framework] = entry
    return entries


def _check(model: Model) -> None:
    """Every engine must give what was published."""
    if model.problems:
        raise ModelError(f"'{model.name}' cannot run. {model.problem}")
    for result in test_model(model):
        if not result.passed:
            raise ModelError(
                f"The {result.engine} weights do not give what the first file gave, or "
                f"not twice the same. {result.problem}"
            )


def _readme(model: Model, rdf: Rdf) -> str:
    own = rdf["config"]["napari_imagec_ai"]
    licence = model.license or "not named; ask the authors before you share it"
    return _README.format(
        name=model.name,
        description=model.description,
        formats=" and ".join(model.runnable),
        decoder=own["decoder"],
        kind=own["kind"],
        classes=", ".join(own["classes"]) or "none",
        licence=licence,
    )
