"""Numbers that an ONNX file keeps in other files: only in its own folder.

Networks above 2 GB have to be written so. A file of a stranger could name any other on
the disk, though, and older runtimes read whatever is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from napari_imagec_ai.errors import EngineError

_KEY = b"\x0a\x08location"
"""How an entry for another file begins, in the bytes of a protocol buffer."""


def has_external(source: bytes) -> bool:
    """Whether a network may keep numbers in other files; a look at its bytes only."""
    return _KEY in source


def check_external(path: Path, source: bytes) -> bool:
    """Whether a network keeps numbers in other files.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file.
    source : bytes
        What is in it.

    Raises
    ------
    EngineError
        If one of them is not a file in its own folder.
    """
    if not has_external(source):
        return False
    try:
        import onnx

        model = onnx.load_model_from_string(source)
    except Exception as error:  # of protobuf, which has no common root, or no onnx
        raise EngineError(
            f"It cannot be told which other files '{path.name}' reads ({error}); "
            "export it again, with all weights inside."
        ) from error
    places = set(_locations(model))
    for place in sorted(places):
        if not _is_inside(path.parent, place):
            raise EngineError(
                f"'{path.name}' keeps weights in '{place}', which is no file in its "
                "folder; it was left alone. Download the whole model package again."
            )
    return bool(places)


def _is_inside(folder: Path, place: str) -> bool:
    relative = PurePosixPath(place.replace("\\", "/"))
    drive = bool(PureWindowsPath(place).drive) or "://" in place
    if not place or "\x00" in place or relative.is_absolute() or drive:
        return False
    if ".." in relative.parts:
        return False
    found = (folder / relative).resolve()
    return found.is_file() and found.is_relative_to(folder.resolve())


def _locations(message: Any) -> Iterator[str]:
    """Places of all tensors in a message, however deep."""
    if message.DESCRIPTOR.name == "TensorProto":
        for entry in message.external_data:
            if entry.key == "location":
                yield entry.value
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        # Repeated fields are sequences, others the message itself.
        for one in [value] if hasattr(value, "DESCRIPTOR") else value:
            yield from _locations(one)
