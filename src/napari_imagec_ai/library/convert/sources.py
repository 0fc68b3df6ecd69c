"""Finds out what a source is, and hands it to the converter that knows it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert import saved_model
from napari_imagec_ai.library.convert.cellpose_file import (
    is_cellpose,
    read_cellpose,
    read_cellpose_folder,
)
from napari_imagec_ai.library.convert.conversion import (
    Conversion,
    Tick,
    conversion_of,
)
from napari_imagec_ai.library.convert.described_folder import (
    DescribedFolder,
    weights_file,
)
from napari_imagec_ai.library.convert.exported_program import (
    is_exported_program,
    read_exported_program,
)
from napari_imagec_ai.library.convert.keras_file import (
    FORMATS,
    is_keras,
    read_keras,
    read_keras_folder,
)
from napari_imagec_ai.library.convert.stardist_folder import (
    WEIGHTS,
    is_stardist,
    read_stardist,
)
from napari_imagec_ai.library.convert.state_dict import (
    FORMAT,
    read_state_dict_folder,
)
from napari_imagec_ai.library.convert.torch_file import (
    is_torch_file,
    names_in,
    read_state,
)
from napari_imagec_ai.library.convert.yolo_checkpoint import (
    is_yolo_checkpoint,
    read_yolo_checkpoint,
)
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import find_rdf

_OF_NO_MODEL = ("rdf", "bioimageio", "best", "last", "weights", "")
"""What trainings call files and folders, whatever they are of."""

KNOWN = (
    "a StarDist folder (config.json with weights_best.h5), a Cellpose weights file, a "
    "BioImage.IO folder, a Keras file, a SavedModel or an archive of torch.export"
)


def rebuilt_of(
    path: Path,
    scratch: Path,
    trust_code: bool,
    tick: Tick,
    python: str | Path | None = None,
) -> Conversion | DescribedFolder:
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
    python : path, optional
        A Python that has what the source's own software needs.

    Raises
    ------
    ModelError
        If it is nothing that is known, or incomplete.
    """
    if not path.exists():
        raise ModelError(f"Expected {KNOWN}, found nothing at '{path}'.")
    if path.name in WEIGHTS and is_stardist(path.parent):
        path = path.parent
    if is_stardist(path):
        return conversion_of(read_stardist(path), scratch, tick)
    place = path.parent if path.name == saved_model.FILE else path
    if (place / saved_model.FILE).is_file() and find_rdf(place) is None:
        asked = saved_model.Asked(trust_code, python, tick)
        return saved_model.read_saved_model(place, scratch, asked)
    _refuse_by_name(path)
    if _is_described(path):
        asked = saved_model.Asked(trust_code, python, tick)
        return _of_description(load_model(path), scratch, asked)
    if is_exported_program(path):
        return read_exported_program(path, scratch, tick)
    if is_keras(path):
        return read_keras(path, scratch, tick)
    if path.is_file() and is_torch_file(path):
        if is_yolo_checkpoint(path):
            name = source_name(path)
            return read_yolo_checkpoint(path, name, scratch, trust_code, python, tick)
        return _of_torch(path, scratch, tick)
    raise ModelError(f"Expected {KNOWN}, found something else in '{path.name}'.")


def source_name(path: Path) -> str:
    """A folder's name of a source's, without what stands for its format."""
    place = path.resolve()
    stem = _stem(place)
    while stem in _OF_NO_MODEL and place != place.parent:
        place = place.parent
        stem = _stem(place)
    return re.sub(r"[^\w.+-]+", "-", stem).strip("-.") or "converted"


def _stem(path: Path) -> str:
    stem = path.name
    for suffix in (".zip", ".keras", ".hdf5", ".h5", ".pt2", ".pth", ".pt", ".yaml"):
        stem = stem.removesuffix(suffix)
    return stem


def _is_described(path: Path) -> bool:
    if path.is_dir():
        return find_rdf(path) is not None
    if path.suffix.lower() in (".yaml", ".yml"):
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = [Path(name).name for name in archive.namelist()]
    return any(name in ("rdf.yaml", "bioimageio.yaml", "model.yaml") for name in names)


def _of_description(
    model: Model, scratch: Path, asked: saved_model.Asked
) -> Conversion | DescribedFolder:
    """A model folder whose weights do not run as they are."""
    if not model.problems:
        raise ModelError(
            f"'{model.name}' runs as it is ({', '.join(model.runnable)}); there is "
            "nothing to convert."
        )
    if FORMAT in model.weights:
        path = weights_file(model, FORMAT)
        state = read_state(path)
        if is_cellpose(state):
            rebuilt = read_cellpose_folder(model, path, state)
            return conversion_of(rebuilt, scratch, asked.tick)
        return read_state_dict_folder(model, asked.trust_code, asked.tick)
    for name in FORMATS:
        if name in model.weights:
            return read_keras_folder(model, name, asked.tick)
    if saved_model.FORMAT in model.weights:
        return saved_model.read_saved_model_folder(model, scratch, asked)
    raise ModelError(f"'{model.name}' cannot be converted. {model.problem}")


def _refuse_by_name(path: Path) -> None:
    """Sources whose own software writes what runs here."""
    suffix = path.suffix.lower()
    if path.is_dir():
        if (path / "plans.json").is_file() and (path / "dataset.json").is_file():
            raise ModelError(
                f"'{path.name}' is an nnU-Net training; nnU-Net itself builds its "
                "network: export it there with torch.onnx.export, then 'imagec-ai "
                "package' the file."
            )
        if (path / "configs" / "metadata.json").is_file():
            raise ModelError(
                f"'{path.name}' is a MONAI bundle; write TorchScript with 'python -m "
                "monai.bundle ckpt_export', then 'imagec-ai package' the file."
            )
    elif suffix == ".onnx":
        raise ModelError(
            f"'{path.name}' is ONNX, which runs as it is: make a model folder with "
            f"'imagec-ai package {path.name}'."
        )


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
