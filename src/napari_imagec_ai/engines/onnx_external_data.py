"""Numbers that an ONNX file keeps in other files: only in its own folder.

Networks above 2 GB have to be written so. A file of a stranger could name any other on
the disk, though, and older runtimes read whatever is named. So no runtime is told a
path: what lies beside a network is read here, and handed over with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.onnx_external_names import named_files
from napari_imagec_ai.errors import EngineError

LARGEST = (1 << 31) - 1
"""Bytes that a protocol buffer may have."""

_NOWHERE = f"{os.devnull}/none"
"""The place of numbers that are handed over apart; no file can be there."""


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """An ONNX network with all its numbers, as a runtime takes it without a path.

    Attributes
    ----------
    content : bytes
        The network.
    apart : dict of array
        Numbers that would make ``content`` too large, by the names of initializers.
    """

    content: bytes
    apart: dict[str, NDArray[Any]] = field(default_factory=dict)


def read_network(path: Path) -> OnnxNetwork:
    """Read an ONNX file and what it keeps in other files of its folder.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file.

    Raises
    ------
    EngineError
        If it cannot be told which files it names, or one is not in its own folder.
    OSError
        If the file cannot be read.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise EngineError(
            f"'{path.name}' has {size / 1e9:.1f} GB, but an ONNX file holds at most "
            "2.1 GB; export it again with its weights in a file beside it."
        )
    content = path.read_bytes()
    places = external_files(path, content)
    return _with_numbers(path, content, places) if places else OnnxNetwork(content)


def external_files(path: Path, source: bytes) -> list[Path]:
    """Other files that an ONNX file keeps its numbers in.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file.
    source : bytes
        What is in it.

    Raises
    ------
    EngineError
        If it cannot be told, or one of them is not a file in its own folder.
    """
    try:
        places = named_files(source)
    except ValueError as error:
        raise EngineError(
            f"ONNX Runtime could not open '{path.name}' (damaged, so that it cannot be "
            f"told which other files it reads: {error}); download or export it again."
        ) from error
    return [_inside(path, place) for place in places]


def _inside(path: Path, place: str) -> Path:
    """A file of the network's folder, by the name that the network has for it."""
    relative = PurePosixPath(place.replace("\\", "/"))
    drive = bool(PureWindowsPath(place).drive) or "://" in place
    plain = place.isprintable() and not relative.is_absolute() and not drive
    if place and plain and ".." not in relative.parts:
        try:
            found = (path.parent / relative).resolve()
            if found.is_file() and found.is_relative_to(path.parent.resolve()):
                return found
        except (OSError, ValueError, RuntimeError):  # names too long, links in a circle
            pass
    raise EngineError(
        f"'{path.name}' keeps weights in '{place:.200}', which is no file in its "
        "folder; it was left alone. Download the whole model package again."
    )


def _with_numbers(path: Path, content: bytes, places: list[Path]) -> OnnxNetwork:
    """The network with its numbers inside, or beside it where they are too many."""
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # those of protobuf have no common root
        raise EngineError(
            f"'{path.name}' cannot be read ({error}); download or export it again."
        ) from error
    apart: dict[str, NDArray[Any]] = {}
    if len(content) + sum(place.stat().st_size for place in places) > LARGEST:
        for tensor in model.graph.initializer:
            if tensor.external_data:
                apart[tensor.name] = _as_array(path, tensor)
                del tensor.external_data[:]
                tensor.external_data.add(key="location", value=_NOWHERE)
    for tensor in _tensors(model):
        if tensor.external_data and tensor.external_data[0].value != _NOWHERE:
            tensor.raw_data = _numbers(path, tensor)
            del tensor.external_data[:]
            tensor.data_location = onnx.TensorProto.DEFAULT
    try:
        return OnnxNetwork(model.SerializeToString(), apart)
    except ValueError as error:
        raise EngineError(
            f"The weights of '{path.name}' are too large for one network ({error}); "
            "export it again with all weights as initializers."
        ) from error


def _numbers(path: Path, tensor: Any) -> bytes:
    """The bytes of a tensor that lie in another file."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    place = _inside(path, told.get("location", ""))
    try:
        start, size = int(told.get("offset") or 0), place.stat().st_size
        length = int(told.get("length") or size - start)
    except ValueError:
        start = length = size = -1
    if min(start, length) < 0 or start + length > size:
        raise EngineError(
            f"'{path.name}' expects numbers of '{tensor.name:.80}' in "
            f"'{place.name}' that are not there: that file has "
            f"{place.stat().st_size} bytes; download the whole model package again."
        )
    with place.open("rb") as stream:
        stream.seek(start)
        return stream.read(length)


def _as_array(path: Path, tensor: Any) -> NDArray[Any]:
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    try:
        found = np.frombuffer(_numbers(path, tensor), dtype)
        return found.reshape(tuple(tensor.dims))
    except ValueError as error:
        raise EngineError(
            f"The numbers of '{tensor.name:.80}' do not fit '{path.name}' ({error}); "
            "download the whole model package again."
        ) from error


def _tensors(message: Any) -> Iterator[Any]:
    """All tensors in a message, however deep."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for about, value in message.ListFields():
        if about.message_type is None:
            continue
        # Repeated fields are sequences, others the message itself.
        for one in [value] if hasattr(value, "DESCRIPTOR") else value:
            yield from _tensors(one)
