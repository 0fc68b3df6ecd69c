"""Pixels of a file as they are meant, read where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.lazy_array import LazyArray


class AsSeen(LazyArray):
    """Looks like an array, and changes what lies in another one while it is read.

    Parameters
    ----------
    data : array-like
        With ``shape``, ``dtype`` and ``__getitem__``; not copied.
    dropped : tuple of int
        Its axes of size 1 that are left out.
    change : callable, optional
        Made of each part that is read, pixel by pixel.
    dtype : dtype, optional
        Of what ``change`` gives.
    colours : int
        Size of an axis that ``change`` adds at the end; 0: none.
    """

    def __init__(
        self,
        data: Any,
        dropped: tuple[int, ...] = (),
        change: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        dtype: Any = None,
        colours: int = 0,
    ) -> None:
        self.data, self._dropped, self._change = data, dropped, change
        self._colours = colours
        self.dtype = np.dtype(data.dtype if dtype is None else dtype)
        kept = [n for i, n in enumerate(data.shape) if i not in dropped]
        self.shape = (*kept, *((colours,) if colours else ()))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices."""
        rest = iter(self._for_each_axis(index))
        inner = tuple(
            0 if i in self._dropped else next(rest) for i in range(len(self.data.shape))
        )
        part = np.asarray(self.data[inner])
        if self._change is not None:
            part = self._change(part)
        return np.asarray(part[(..., next(rest))]) if self._colours else part
