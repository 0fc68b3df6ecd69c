"""ONNX files: all in one, and which opset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_imagec_ai.engines.onnx_external_data import read_network
from napari_imagec_ai.errors import EngineError, ModelError


def whole_onnx(source: Path, target: Path) -> None:
    """Copy an ONNX file; weights that exporters put beside it are taken in.

    Parameters
    ----------
    source, target : Path
        The file, and where the copy goes.

    Raises
    ------
    ModelError
        If it is no ONNX file, or what lies beside it is missing.
    """
    _load(source)  # says what it is instead
    try:
        whole = read_network(source)
        if not whole.apart:
            target.write_bytes(whole.content)
            return
        reason = "together they are larger than one file may be"
    except EngineError as error:
        reason = f"{error}".rstrip(".")
    raise ModelError(
        f"'{source.name}' keeps its weights in another file, which could not be taken "
        f"in ({reason}); put that file beside it, or export with external_data=False."
    )


def opset(path: Path) -> int:
    """Version of the operators, for the description."""
    versions = [
        e.version for e in _load(path).opset_import if e.domain in ("", "ai.onnx")
    ]
    return max(versions, default=7)


def _load(path: Path) -> Any:
    import onnx

    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # those of onnx and protobuf have no common root
        raise ModelError(
            f"'{path.name}' is not an ONNX file ({_first_line(error)}); export it "
            "again."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
