"""Pixels that are read block by block, because all of them do not fit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Where = tuple[slice, ...]

LARGE = 1 << 26
"""Pixels that are held at once, at most; more are read, and kept, in blocks."""

SIDE = {2: 2048, 3: 160}
"""Pixels along each side of a block, by number of space axes."""


def grid(shape: Sequence[int], side: int | None = None) -> Iterator[Where]:
    """Blocks that partition a plane or volume, in reading order."""
    side = side or SIDE.get(len(shape), 1 << 20)
    spans = [
        [slice(start, min(start + side, length)) for start in range(0, length, side)]
        for length in shape
    ]
    yield from itertools.product(*spans)


def with_rim(array: Any, core: Where, index: tuple[int, ...] = ()) -> Array:
    """A block of an array with the pixels around it; zeros beyond the array.

    Parameters
    ----------
    array : array-like
        Only sliced.
    core : tuple of slice
        The block, along the last axes.
    index : tuple of int
        Position along the axes before.
    """
    sizes = array.shape[len(index) :]
    inside = tuple(
        slice(max(part.start - 1, 0), min(part.stop + 1, size))
        for part, size in zip(core, sizes, strict=True)
    )
    widths = [
        (int(part.start == 0), int(part.stop == size))
        for part, size in zip(core, sizes, strict=True)
    ]
    return np.pad(np.asarray(array[(*index, *inside)]), widths)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A tensor that is never held as a whole: channels first, then space axes.

    Attributes
    ----------
    shape : tuple of int
        (C, [Z,] Y, X).
    read : callable
        Gives the part at a place along the space axes: (C, ...).
    values : (low, high) or None
        Where all values are whole numbers in this range: what they may be.
    """

    shape: tuple[int, ...]
    read: Callable[[Where], Array]
    values: tuple[int, int] | None = None

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return np.dtype(np.float32)

    def __iter__(self) -> Iterator[Array]:
        for where in grid(self.shape[1:]):
            yield self.read(where)

    def map(self, change: Callable[[Array], Array]) -> Blocks:
        """The same with every block changed."""
        read = self.read
        return replace(self, read=lambda where: change(read(where)), values=None)
