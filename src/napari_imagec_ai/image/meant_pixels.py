"""Pixels of a file as they are meant, read where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class AsSeen:
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

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices."""
        given = index if isinstance(index, tuple) else (index,)
        if Ellipsis in given:
            at = given.index(Ellipsis)
            filled = (slice(None),) * (self.ndim - len(given) + 1)
            given = (*given[:at], *filled, *given[at + 1 :])
        given += (slice(None),) * (self.ndim - len(given))
        rest = iter(given)
        inner = tuple(
            0 if i in self._dropped else next(rest) for i in range(len(self.data.shape))
        )
        part = np.asarray(self.data[inner])
        if self._change is not None:
            part = self._change(part)
        return np.asarray(part[(..., next(rest))]) if self._colours else part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[(slice(None),) * self.ndim], dtype)
