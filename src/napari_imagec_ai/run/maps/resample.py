"""Pictures at another resolution, laid edge on edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from napari_imagec_ai.image.blocks import Where

_MOST = 1 << 23
"""Pixels of the array that are read at once."""

_TRUNCATE = 4.0
"""Standard deviations to which smoothing reaches, as SciPy has it."""


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


def resample_part(
    read: Callable[[Where], NDArray[Any]],
    there: Sequence[int],
    shape: Sequence[int],
    where: Where,
    *,
    labels: bool = False,
) -> NDArray[np.float32]:
    """What :func:`resample` gives in one place, of an array that is never held whole.

    Parameters
    ----------
    read : callable
        Gives a part of the array by its last axes: (..., [Z,] Y, X).
    there : sequence of int
        Sizes of the array along these axes.
    shape : sequence of int
        New sizes of as many last axes.
    where : tuple of slice
        The part that is asked for, along the new axes.
    labels : bool
        The values are ids and must not be mixed.

    Returns
    -------
    float32 array
        As :func:`resample`, but for rounding.
    """
    factors = [old / new for old, new in zip(there, shape, strict=True)]
    smoothed = max(factors) > 1 and not labels
    sigmas = [max(0.0, (factor - 1) / 2) if smoothed else 0.0 for factor in factors]
    places, needed = [], []
    for part, factor, size, sigma in zip(where, factors, there, sigmas, strict=True):
        # Pixel centres lie at integers, edges half a pixel before and behind.
        place = (np.arange(part.start, part.stop) + 0.5) * factor - 0.5
        place = np.clip(place, 0, size - 1)
        rim = int(_TRUNCATE * sigma + 0.5)
        first = max(int(np.floor(place[0])) - rim, 0)
        last = min(int(np.floor(place[-1])) + 2 + rim, size)
        places.append(place - first)
        needed.append(slice(first, last))
    if math.prod(part.stop - part.start for part in needed) > _MOST:
        halves = _halved(where)
        if halves:
            axis, *parts = halves
            made = [
                resample_part(read, there, shape, part, labels=labels) for part in parts
            ]
            return np.concatenate(made, axis - len(where))
    found = np.asarray(read(tuple(needed)), np.float32)
    lead = found.ndim - len(places)
    if smoothed:
        found = gaussian_filter(
            found, (*(0.0,) * lead, *sigmas), mode="nearest", truncate=_TRUNCATE
        )
    for axis, place in enumerate(places, start=lead):
        found = _along(found, axis, place, nearest=labels)
    return found


def _halved(where: Where) -> tuple[int, Where, Where] | None:
    """The longest axis of a part, and the halves of the part along it."""
    lengths = [part.stop - part.start for part in where]
    axis = max(range(len(where)), key=lengths.__getitem__)
    middle = (where[axis].start + where[axis].stop) // 2
    if lengths[axis] < 2:
        return None
    first, second = list(where), list(where)
    first[axis] = slice(where[axis].start, middle)
    second[axis] = slice(middle, where[axis].stop)
    return axis, tuple(first), tuple(second)


def _along(
    array: NDArray[np.float32], axis: int, place: NDArray[np.float64], nearest: bool
) -> NDArray[np.float32]:
    """Values between the pixels of one axis."""
    if nearest:
        return array.take(np.floor(place + 0.5).astype(np.intp), axis)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, array.shape[axis] - 1)
    share = (place - low).astype(np.float32)
    share = share.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    found = array.take(low, axis)
    found += share * (array.take(high, axis) - found)
    return found
