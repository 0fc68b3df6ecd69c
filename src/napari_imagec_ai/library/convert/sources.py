"""Finds out what a source is, and hands it to the converter that knows it."""

from __future__ import annotations

from pathlib import Path

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.cellpose_file import is_cellpose, read_cellpose
from napari_imagec_ai.library.convert.conversion import (
    Conversion,
    Tick,
    conversion_of,
)
from napari_imagec_ai.library.convert.stardist_folder import is_stardist, read_stardist
from napari_imagec_ai.library.convert.torch_file import (
    is_torch_file,
    names_in,
    read_state,
)

KNOWN = (
    "a StarDist folder (config.json with weights_best.h5), a Cellpose weights file, a "
    "BioImage.IO folder, a Keras file or an archive of torch.export"
)


def rebuilt_of(path: Path, scratch: Path, trust_code: bool, tick: Tick) -> Conversion:
    """Read any source.

    Parameters
    ----------
    path : Path
        The source.
    scratch : Path
        An empty folder for files on the way.
    trust_code : bool
        Whether Python code in the source may be run.
    tick : callable
        Gets a sentence before each step.

    Raises
    ------
    ModelError
        If it is nothing that is known, or incomplete.
    """
    if not path.exists():
        raise ModelError(f"Expected {KNOWN}, found nothing at '{path}'.")
    if is_stardist(path):
        return conversion_of(read_stardist(path), scratch, tick)
    if path.is_file() and is_torch_file(path):
        return _of_torch(path, scratch, tick)
    raise ModelError(f"Expected {KNOWN}, found something else in '{path.name}'.")


def _of_torch(path: Path, scratch: Path, tick: Tick) -> Conversion:
    """A file that PyTorch saved."""
    names = names_in(path)
    if "constants.pkl" in names:
        raise ModelError(
            f"'{path.name}' is TorchScript, which runs as it is: make a model folder "
            f"with 'imagec-ai package {path.name}'."
        )
    state = read_state(path)
    if is_cellpose(state):
        return conversion_of(read_cellpose(path, state), scratch, tick)
    raise ModelError(
        f"'{path.name}' holds weights (a state dict of {len(state)} tensors), but not "
        "the network that they belong to; give the model folder whose rdf.yaml names "
        "its architecture, or export the network as ONNX or TorchScript."
    )
