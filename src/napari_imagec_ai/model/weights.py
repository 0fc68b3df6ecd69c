"""Weight files: whether one is there, is what it claims, and is the one described.

Nothing here loads a network. A ``.pt`` file is told from a state dict by the names in
its zip directory alone, so no pickle is ever opened to find out.
"""

from __future__ import annotations

import functools
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

from napari_imagec_ai.errors import WeightsError
from napari_imagec_ai.model.description import RUNNABLE, FileRef, Model, Weights
from napari_imagec_ai.system.contents import sha256

__all__ = [
    "check_weights",
    "fingerprint",
    "mismatch",
    "other_file",
    "sha256",
    "verify_hash",
]

ENGINES = "napari_imagec_ai.engines"
"""Entry point group of engines of other packages."""

_CHUNK = 1 << 20

_MOST_INFLATED = 100
"""PyTorch packs numbers as they are: what unpacks to more than that is a trap."""

_EXPORTED = {"serialized_exported_program.json", "models/model.json"}
"""Members of an archive that torch.export writes."""

_CONVERT = "convert the model once with 'imagec-ai convert'"

_MAKE_KERAS = f"{_CONVERT}, which writes ONNX"

_FOREIGN = {
    "pytorch_state_dict": (
        "PyTorch state dict weights need the model's own Python code, which is never "
        f"run with the model; {_CONVERT}"
    ),
    "keras_hdf5": f"Keras weights do not run here; {_MAKE_KERAS}",
    "keras_v3": f"Keras weights do not run here; {_MAKE_KERAS}",
    "tensorflow_saved_model_bundle": (
        f"TensorFlow weights do not run here; {_CONVERT}, where a TensorFlow of yours "
        "writes ONNX"
    ),
    "tensorflow_js": (
        "TensorFlow.js weights do not run here; export the network as ONNX"
    ),
}


def check_weights(
    framework: str, file: FileRef, beside: FileRef | None = None
) -> Weights:
    """Look at one weights entry, without loading it.

    Parameters
    ----------
    framework : str
        The entry's name, such as ``onnx`` or ``torchscript``.
    file : FileRef
        The file that it names.
    beside : FileRef, optional
        Another one, that the first keeps numbers in.

    Returns
    -------
    Weights
        With a ``problem`` where it cannot be run.
    """
    added = framework not in RUNNABLE and framework in _added(tuple(sys.path))
    if framework not in RUNNABLE and not added:
        problem: str | None = _FOREIGN.get(
            framework,
            f"'{framework}' weights are not supported; export ONNX or TorchScript",
        )
    elif file.path is None:
        problem = _missing(framework, file.source)
    elif beside is not None and beside.path is None:
        problem = (
            f"the {framework} weights keep numbers in '{beside.source:.200}', which is "
            "not in the folder; download the whole model package again, or put the "
            "file there"
        )
    elif added:
        problem = None  # its engine looks at it
    elif framework == "torchscript":
        problem = _torchscript_problem(file.path)
    else:
        problem = _onnx_problem(file.path)
    return Weights(framework, file, problem, beside)


@functools.lru_cache(maxsize=1)
def _added(paths: tuple[str, ...]) -> frozenset[str]:
    """Formats that other packages in these folders have an engine for."""
    return frozenset(point.name for point in entry_points(group=ENGINES))


def verify_hash(weights: Weights) -> None:
    """Compare the file with the description's sha256, where it has one.

    Raises
    ------
    WeightsError
        If they differ.
    """
    sentence = _other_file(weights)
    if sentence is not None:
        raise WeightsError(
            f"{sentence}; download the model again, or correct the sha256 in the "
            "description if you changed the weights yourself. Who knows what the file "
            "is can run it all the same (--unverified, or verify=False in Python)."
        )


def other_file(model: Model) -> str | None:
    """A sentence on the first file of weights that is not the one described."""
    sentences = (_other_file(weights) for weights in model.weights.values())
    return next((sentence for sentence in sentences if sentence), None)


def mismatch(weights: Weights) -> str | None:
    """A sentence for a result of weights that are not those described, else None."""
    sentence = _other_file(weights)
    return None if sentence is None else f"{sentence}; it was run knowingly."


def _other_file(weights: Weights) -> str | None:
    for file in (weights.file, weights.beside):
        if file is None or file.sha256 is None or file.path is None:
            continue
        expected, found = file.sha256.lower(), sha256(file.path)
        if found != expected:
            return (
                f"'{file.path.name}' is not the file that the description means: "
                f"expected sha256 {expected[:12]}..., found {found[:12]}..."
            )
    return None


def fingerprint(model: Model, name: str) -> str:
    """What changes when a model's weights of a format are replaced: their content."""
    weights = model.weights.get(name)
    path = weights.file.path if weights is not None else None
    if path is None:
        return name
    beside = weights.beside.path if weights is not None and weights.beside else None
    try:
        found = sha256(path)
        return found if beside is None else f"{found}+{sha256(beside)}"
    except OSError:  # gone meanwhile
        return name


def _missing(framework: str, source: str) -> str:
    if "://" in source:
        return (
            f"the {framework} weights are on the internet ({source}) and not in the "
            "folder; download them into it"
        )
    return (
        f"the {framework} weights '{source}' are not in the folder; download the whole "
        "model package again, or put the file there"
    )


def _torchscript_problem(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        if _starts_with(path, b"\x80"):  # a pickle, as PyTorch wrote before 1.6
            return _state_dict(path)
        return (
            f"'{path.name}' is not a complete TorchScript archive (expected a zip "
            f"file, found {path.stat().st_size} bytes that are none); download it again"
        )
    names = [member.filename for member in members]
    size = sum(member.file_size for member in members)
    if size > _MOST_INFLATED * max(path.stat().st_size, _CHUNK):
        return (
            f"'{path.name}' would unpack to {size} bytes from {path.stat().st_size}; "
            "that is no network, and it was left alone"
        )
    inner = {name.partition("/")[2] or name for name in names}
    if inner & _EXPORTED or any("archive_format" in name for name in names):
        return (
            f"'{path.name}' is a file of torch.export, not TorchScript; make a model "
            "folder of it with 'imagec-ai convert', or export the network with "
            "torch.onnx.export"
        )
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return None
    return _state_dict(path)


def _state_dict(path: Path) -> str:
    return (
        f"'{path.name}' is a PyTorch state dict or pickle, not TorchScript: it holds "
        f"numbers without the network; {_CONVERT}"
    )


def _onnx_problem(path: Path) -> str | None:
    # An ONNX file is a protocol buffer whose first field is ir_version: tag 0x08.
    if _starts_with(path, b"\x08"):
        return None
    return f"'{path.name}' is not an ONNX file; download or export it again"


def _starts_with(path: Path, start: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(start)) == start
    except OSError:
        return False
