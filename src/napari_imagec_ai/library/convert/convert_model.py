"""Makes a model folder of what other software saved."""

from __future__ import annotations

import tempfile
from pathlib import Path

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.library.convert.conversion import Tick
from napari_imagec_ai.library.convert.described_folder import DescribedFolder
from napari_imagec_ai.library.convert.sources import rebuilt_of, source_name
from napari_imagec_ai.library.package.model_folder import Packaged


def convert_model(
    source: str | Path,
    folder: str | Path | None = None,
    trust_code: bool = False,
    *,
    image: ImageInput | None = None,
    replace: bool = False,
    untested: bool = False,
    python: str | Path | None = None,
    progress: Tick | None = None,
) -> Packaged:
    """Make a model folder of what StarDist, Cellpose, PyTorch or Keras saved.

    The network is rebuilt and written as ONNX and TorchScript: running it afterwards
    needs none of the source's packages, and executes none of its code.

    Parameters
    ----------
    source : path
        A StarDist folder, a Cellpose weights file, a BioImage.IO folder with a PyTorch
        state dict or Keras weights, a Keras file (``.keras``, ``.h5``), ``best.pt`` of
        YOLO training, a SavedModel of TensorFlow, or an archive of ``torch.export``.
    folder : path, optional
        The new model folder; by default one of the source's name in ``./models``.
    trust_code : bool
        Whether Python code that lies in the source may be run, once, to build the
        network. It runs in a process of its own.
    image : ImageInput, optional
        An example for the test tensors and the picture; a bundled image by default.
    replace : bool
        Whether a model folder that is there already may be replaced.
    untested : bool
        Whether a network that does not give what its folder published is written all
        the same.
    python : path, optional
        A Python of yours that has what the source's own software needs (ultralytics for
        YOLO's ``best.pt``, tensorflow and tf2onnx for a SavedModel), where ours lacks
        it; ``IMAGEC_AI_PYTHON`` by default.
    progress : callable, optional
        Gets a sentence before each step; what it raises stops the conversion.

    Returns
    -------
    Packaged
        The folder, and sentences that tell what was checked.

    Raises
    ------
    ModelError
        If the source is nothing that can be converted, or incomplete.
    """
    path = Path(source).expanduser()
    tick = progress or (lambda _: None)
    target = Path(folder) if folder is not None else Path("models") / source_name(path)
    if folder is None and target.exists() and target.resolve() == path.resolve():
        # Where trainings are kept in ./models themselves, theirs stay as they are.
        target = target.with_name(f"{target.name}-converted")
    if target.exists() and target.resolve() == path.resolve():
        raise ModelError(
            f"The model folder '{target}' would replace its own source; choose another "
            "folder (-o)."
        )
    with tempfile.TemporaryDirectory(prefix="imagec-ai-") as scratch:
        tick("Reading the source")
        found = rebuilt_of(path, Path(scratch), trust_code, tick, python)
        tick("Testing")
        if isinstance(found, DescribedFolder):
            return found.make(target, replace, untested)
        return found.make(target, image, replace)
