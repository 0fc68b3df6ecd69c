"""Pictures at another resolution, laid edge on edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize


def resample(
    array: NDArray[Any], shape: Sequence[int], *, labels: bool = False
) -> NDArray[np.float32]:
    """Bring the last axes of an array to another size.

    Parameters
    ----------
    array : (..., [Z,] Y, X) array
        Not changed.
    shape : sequence of int
        New sizes of as many last axes.
    labels : bool
        The values are ids and must not be mixed.

    Returns
    -------
    float32 array
        Linear between pixel centres; where it gets smaller, smoothed before.
    """
    there = array.shape[-len(shape) :]
    if tuple(there) == tuple(shape):
        return np.asarray(array, np.float32)
    smaller = any(new < old for new, old in zip(shape, there, strict=True))
    result = np.empty((*array.shape[: -len(shape)], *shape), np.float32)
    for index in np.ndindex(array.shape[: -len(shape)]):
        result[index] = resize(
            np.asarray(array[index], np.float32),
            tuple(shape),
            order=0 if labels else 1,
            mode="edge",
            anti_aliasing=smaller and not labels,
            preserve_range=True,
        )
    return result
