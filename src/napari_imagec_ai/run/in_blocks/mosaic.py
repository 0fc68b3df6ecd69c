"""One array of many: parts that lie side by side on the disk, read where needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.lazy_array import LazyArray


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part, and where it begins in the whole, along each axis."""

    begin: tuple[int, ...]
    values: Any


class Mosaic(LazyArray):
    """What pieces show together; zeros where there is none.

    Parameters
    ----------
    shape : sequence of int
        Of the whole.
    pieces : sequence of Piece
        With as many axes; where two overlap, the later one is on top.
    """

    def __init__(self, shape: Sequence[int], pieces: Sequence[Piece]) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.pieces = tuple(pieces)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Read integers, and slices that go forward."""
        given = self._for_each_axis(index)
        spans = [
            range(size)[one if isinstance(one, slice) else slice(one, one + 1 or None)]
            for one, size in zip(given, self.shape, strict=True)
        ]
        found = self._read([(s.start, max(s.stop, s.start)) for s in spans])
        every = tuple(
            slice(None, None, span.step) if isinstance(one, slice) else 0
            for one, span in zip(given, spans, strict=True)
        )
        return np.asarray(found[every])

    def _read(self, box: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        found = np.zeros([stop - start for start, stop in box], self.dtype)
        for piece in self.pieces:
            both = [
                (max(start, first), min(stop, first + size))
                for (start, stop), first, size in zip(
                    box, piece.begin, piece.values.shape, strict=True
                )
            ]
            if any(stop <= start for start, stop in both):
                continue
            here = tuple(
                slice(start - first, stop - first)
                for (start, stop), (first, _) in zip(both, box, strict=True)
            )
            there = tuple(
                slice(start - first, stop - first)
                for (start, stop), first in zip(both, piece.begin, strict=True)
            )
            found[here] = piece.values[there]
        return found
