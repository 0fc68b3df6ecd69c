"""Pixels of a large file that lie in it as they are, read where they are needed.

Not mapped into the memory: if a mapped file becomes shorter, the system ends the
process that looks at it, with all that a person has open there.
"""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.lazy_array import LazyArray

Array = NDArray[Any]

_ROWS = 1024
"""Pixels along Y of what dask reads at once."""


class FromFile(LazyArray):
    """An array whose values lie in a file; what is sliced is read.

    Parameters
    ----------
    path : Path
        The file.
    offset : int
        Where the first value is, in bytes.
    shape : tuple of int
        The last axis is the fastest, unless ``turned``.
    dtype : numpy.dtype
        Of the values as they lie there, in whatever order of bytes.
    turned : bool
        Whether the first axis is the fastest.

    Raises
    ------
    ImageError
        If the file is too short.
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        turned: bool = False,
    ) -> None:
        self.filename = path
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self.nbytes = self.size * dtype.itemsize
        self.chunks = tuple(
            size if axis == len(shape) - 1 else _ROWS if axis == len(shape) - 2 else 1
            for axis, size in enumerate(shape)
        )
        self._offset, self._stored, self._turned = offset, dtype, turned
        found = path.stat().st_size
        if found < offset + self.nbytes:
            raise ImageError(self._short(found))

    def __len__(self) -> int:
        return self.shape[0]

    def squeeze(self, axis: int | None = None) -> FromFile:
        """The same without axes of size 1."""
        gone = range(self.ndim) if axis is None else (axis % self.ndim,)
        shape = tuple(
            size for i, size in enumerate(self.shape) if size != 1 or i not in gone
        )
        given = (self.filename, self._offset, shape, self._stored, self._turned)
        return FromFile(*given)

    def __getitem__(self, key: Any) -> Any:
        spans: list[tuple[int, int]] = []
        inside: list[Any] = []
        for one, size in zip(self._for_each_axis(key), self.shape, strict=True):
            if isinstance(one, (int, np.integer)):
                at = int(one) + size if one < 0 else int(one)
                if not 0 <= at < size:
                    raise IndexError(f"{one} is out of bounds for a size of {size}")
                spans.append((at, at + 1))
                inside.append(0)
            elif isinstance(one, slice):
                where = range(size)[one]
                low, high = (min(where), max(where) + 1) if where else (0, 0)
                spans.append((low, high))
                inside.append(slice(None, None, where.step))
            else:
                spans.append((0, size))
                inside.append(one)
        return self._box(spans)[tuple(inside)]

    def _box(self, spans: list[tuple[int, int]]) -> Array:
        """A part, along all axes."""
        shape = self.shape
        if self._turned:
            spans, shape = spans[::-1], shape[::-1]
        sizes = [stop - start for start, stop in spans]
        found: Array = np.empty(sizes, self._stored)
        if found.size:
            self._fill(found, spans, shape)
        native = found.astype(self.dtype, copy=False)
        return native.T if self._turned else native

    def _fill(
        self, found: Array, spans: list[tuple[int, int]], shape: tuple[int, ...]
    ) -> None:
        # All that lies in one piece is read at once: axes from `inner` on are whole.
        inner = len(shape)
        while inner and spans[inner - 1] == (0, shape[inner - 1]):
            inner -= 1
        outer = spans[: max(inner - 1, 0)]
        steps = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        first = spans[inner - 1][0] * steps[inner - 1] if inner else 0
        pieces = found.reshape(math.prod(found.shape[: len(outer)]), -1)
        with self.filename.open("rb", buffering=0) as stream:
            for piece, at in zip(
                pieces, product(*(range(*span) for span in outer)), strict=True
            ):
                start = first + sum(
                    i * step for i, step in zip(at, steps, strict=False)
                )
                stream.seek(self._offset + start * self._stored.itemsize)
                self._read(stream, piece.view(np.uint8).data)

    def _read(self, stream: Any, room: memoryview) -> None:
        done = 0
        while done < len(room):
            count = stream.readinto(room[done:])
            if not count:
                raise ImageError(self._short(self.filename.stat().st_size))
            done += count

    def _short(self, found: int) -> str:
        return (
            f"'{self.filename.name}' is too short: expected "
            f"{self._offset + self.nbytes} bytes, found {found}; it was cut off, or is "
            "still being written. Run it again when it is complete."
        )


def array_in(path: Path) -> FromFile | None:
    """The array in a file of numpy's (``.npy``); None where it is something else.

    Raises
    ------
    ImageError
        If the file is too short.
    ValueError
        If its head is damaged.
    """
    with path.open("rb") as stream:
        if stream.read(6) != np.lib.format.MAGIC_PREFIX:
            return None
        stream.seek(0)
        version = np.lib.format.read_magic(stream)
        read: Any = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, turned, dtype = read(stream)
        if dtype.hasobject or not shape:
            return None
        return FromFile(path, stream.tell(), shape, dtype, turned)
