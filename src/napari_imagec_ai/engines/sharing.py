"""Arrays that two processes see: in shared memory, without a copy through a pipe.

Not :mod:`multiprocessing.shared_memory`: that one takes memory without asking whether
there is any, so that a full ``/dev/shm`` (64 MB in a usual container) kills whoever
writes to it; and until Python 3.13 it watches over segments in both processes, and
warns in one of what the other still uses. Here a segment is a file without a name, in
memory where the system has such a folder; it goes with the last process that sees it.
"""

from __future__ import annotations

import mmap
import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import EngineError, OutOfMemory
from napari_imagec_ai.system.whole_files import begun, sweep_once

Places = list[tuple[str, list[int], int]]
"""For each array its data type, shape and offset in bytes; plain values."""

_ALIGN = 64
"""Arrays begin at multiples of it: vector instructions like that."""

_ZEROS = 1 << 20


@dataclass(slots=True)
class Segment:
    """Bytes that another process sees, too.

    Attributes
    ----------
    name : str
        What the other process finds it by: a path, or a word on Windows.
    size : int
        In bytes.
    memory : mmap
        The bytes.
    """

    name: str
    size: int
    memory: mmap.mmap

    def forget_name(self) -> None:
        """Nobody else will look for it: from now on it goes with its last user."""
        if sys.platform != "win32":
            Path(self.name).unlink(missing_ok=True)


def create(size: int) -> Segment:
    """Make a segment.

    Parameters
    ----------
    size : int
        In bytes, 1 or more.

    Raises
    ------
    OutOfMemory
        If there is not so much memory, nor room on the disk.
    """
    if sys.platform == "win32":
        name = f"imagec-ai-{secrets.token_hex(8)}"
        return Segment(name, size, mmap.mmap(-1, size, tagname=name))
    problem: OSError | None = None
    for folder in ("/dev/shm", None):
        try:
            return _in_folder(folder or tempfile.gettempdir(), size)
        except OSError as error:
            problem = error
    raise OutOfMemory(
        f"There is no room for {size / 1e6:.0f} MB of memory that two processes share "
        f"({problem}); free some, or use smaller tiles."
    )


def attach(name: str, size: int) -> Segment:
    """See a segment that another process made."""
    if sys.platform == "win32":
        return Segment(name, size, mmap.mmap(-1, size, tagname=name))
    with Path(name).open("r+b") as stream:
        return Segment(name, size, mmap.mmap(stream.fileno(), size))


def arrange(arrays: Sequence[NDArray[Any]]) -> tuple[Places, int]:
    """Where arrays may lie in a segment, and how many bytes that takes.

    Raises
    ------
    EngineError
        If they are no numbers: what a text points at is in one process only.
    """
    layout, offset = [], 0
    for array in arrays:
        _check_numbers(array.dtype)
        layout.append((array.dtype.str, list(array.shape), offset))
        offset += -(-array.nbytes // _ALIGN) * _ALIGN
    return layout, max(offset, _ALIGN)


def views(segment: Segment, layout: Places) -> list[NDArray[Any]]:
    """The arrays in a segment; they change when the other process writes to it.

    Raises
    ------
    EngineError
        If the other process says that they are no numbers; to follow its pointers would
        end this one, too.
    """
    for dtype, _, _ in layout:
        _check_numbers(np.dtype(dtype))
    return [
        np.ndarray(tuple(shape), np.dtype(dtype), segment.memory, offset)
        for dtype, shape, offset in layout
    ]


def put(segment: Segment, layout: Places, arrays: Sequence[NDArray[Any]]) -> None:
    """Copy arrays into a segment."""
    for place, array in zip(views(segment, layout), arrays, strict=True):
        place[...] = array


def _check_numbers(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise EngineError(
            "Expected numbers going into and out of the network, found texts or other "
            "objects; it cannot be run."
        )


def _in_folder(folder: str, size: int) -> Segment:
    sweep_once(Path(folder))
    handle, name = tempfile.mkstemp(prefix=begun("imagec-ai"), dir=folder)
    try:
        with os.fdopen(handle, "r+b") as stream:
            _reserve(stream, size)
            memory = mmap.mmap(stream.fileno(), size)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Segment(name, size, memory)


def _reserve(stream: Any, size: int) -> None:
    """Take the room now: a write to a page without any would end the process."""
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is not None:
        reserve(stream.fileno(), 0, size)
        return
    for start in range(0, size, _ZEROS):
        stream.write(bytes(min(_ZEROS, size - start)))
    stream.flush()
