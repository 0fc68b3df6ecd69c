"""Numbers of one type as another one: rounded and cut, never wrapped round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def cast(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """An array as the type that a network takes.

    Parameters
    ----------
    array : array
        Any numbers; not changed.
    dtype : dtype
        What the network takes. Whole numbers are the nearest ones; what is beyond the
        type's ends becomes its end, and what is no number becomes 0.

    Returns
    -------
    array
        C-contiguous.
    """
    target = np.dtype(dtype)
    if array.dtype == target or target.kind not in "iu":
        return np.ascontiguousarray(array, target)
    ends = np.iinfo(target)
    if array.dtype.kind in "iu":
        have = np.iinfo(array.dtype)
        least, most = max(ends.min, have.min), min(ends.max, have.max)
        return np.ascontiguousarray(np.clip(array, least, most), target)
    if array.dtype.kind == "f":
        # Of 64 bits, the highest whole number is none of the fractions' type.
        high = float(np.nextafter(ends.max, 0)) if ends.bits == 64 else float(ends.max)
        whole = np.rint(np.nan_to_num(array.astype(np.float64, copy=False), nan=0.0))
        return np.ascontiguousarray(np.clip(whole, float(ends.min), high), target)
    return np.ascontiguousarray(array, target)


def white(dtype: DTypeLike) -> float:
    """The value that a white pixel has: 1 of fractions, the highest of 8 or 16 bits.

    Whole numbers of more bits are used for those of fewer: 255.
    """
    target = np.dtype(dtype)
    if target.kind not in "iu":
        return 1.0
    return float(np.iinfo(target).max) if target.itemsize <= 2 else 255.0
