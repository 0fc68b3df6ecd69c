"""What all arrays have in common that are read where they are indexed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class LazyArray:
    """Looks like an array; each kind sets shape and dtype, and reads when indexed."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many values."""
        return math.prod(self.shape)

    def __getitem__(self, index: Any) -> Any:
        """Read a part."""
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def _for_each_axis(self, index: Any) -> tuple[Any, ...]:
        """An index for each axis, where some are left out or dots stand for them.

        Raises
        ------
        IndexError
            If there are more than axes.
        """
        given = index if isinstance(index, tuple) else (index,)
        dots = [i for i, one in enumerate(given) if one is Ellipsis]
        at = dots[0] if dots else len(given)
        missing = self.ndim - len(given) + len(dots)
        if missing < 0 or len(dots) > 1:
            raise IndexError(f"too many indices for {self.ndim} dimensions")
        return (*given[:at], *(slice(None),) * missing, *given[at + 1 :])
