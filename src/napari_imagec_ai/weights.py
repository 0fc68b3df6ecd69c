"""Weight files: whether one is there, is what it claims, and is the one described.

Nothing here loads a network. A ``.pt`` file is told from a state dict by the names in
its zip directory alone, so no pickle is ever opened to find out.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model import RUNNABLE, FileRef, Model, Weights

_CHUNK = 1 << 20

_EXPORT = (
    "export the network with torch.jit.trace, torch.jit.script or torch.onnx.export "
    "and name that file in the description"
)

_FOREIGN = {
    "pytorch_state_dict": (
        "PyTorch state dict weights need the model's own Python code, which is never "
        f"run from a model folder; {_EXPORT}"
    ),
    "keras_hdf5": "Keras weights are not supported; convert them to ONNX with tf2onnx",
    "tensorflow_saved_model_bundle": (
        "TensorFlow weights are not supported; convert them to ONNX with tf2onnx"
    ),
    "tensorflow_js": (
        "TensorFlow.js weights are not supported; convert them to ONNX with tf2onnx"
    ),
}


def check_weights(framework: str, file: FileRef) -> Weights:
    """Look at one weights entry, without loading it.

    Parameters
    ----------
    framework : str
        The entry's name, such as ``onnx`` or ``torchscript``.
    file : FileRef
        The file that it names.

    Returns
    -------
    Weights
        With a ``problem`` where it cannot be run.
    """
    if framework not in RUNNABLE:
        problem: str | None = _FOREIGN.get(
            framework,
            f"'{framework}' weights are not supported; export ONNX or TorchScript",
        )
    elif file.path is None:
        problem = _missing(framework, file.source)
    elif framework == "torchscript":
        problem = _torchscript_problem(file.path)
    else:
        problem = _onnx_problem(file.path)
    return Weights(framework, file, problem)


def verify_hash(weights: Weights) -> None:
    """Compare the file with the description's sha256, where it has one.

    Raises
    ------
    ModelError
        If they differ.
    """
    expected, path = weights.file.sha256, weights.file.path
    if expected is None or path is None:
        return
    found = sha256(path)
    if found != expected.lower():
        raise ModelError(
            f"'{path.name}' is not the file that the description means: expected "
            f"sha256 {expected.lower()[:12]}..., found {found[:12]}...; download the "
            "model again, or correct the sha256 in the description if you changed the "
            "weights yourself."
        )


def fingerprint(model: Model, name: str) -> str:
    """What changes when a model's weights of a format are replaced."""
    weights = model.weights.get(name)
    path = weights.file.path if weights is not None else None
    if path is None:
        return name
    about = path.stat()
    return f"{about.st_size}-{about.st_mtime_ns}"


def sha256(path: Path) -> str:
    """Hash of a file, lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


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
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        if _starts_with(path, b"\x80"):  # a pickle, as PyTorch wrote before 1.6
            return _state_dict(path)
        return (
            f"'{path.name}' is not a complete TorchScript archive (expected a zip "
            f"file, found {path.stat().st_size} bytes that are none); download it again"
        )
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return None
    return _state_dict(path)


def _state_dict(path: Path) -> str:
    return (
        f"'{path.name}' is a PyTorch state dict or pickle, not TorchScript: it holds "
        f"numbers without the network; {_EXPORT}"
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
