"""Where the values of a tensor lie: mean and deviation, percentiles.

All in double precision, over some axes, which stay with length 1. A tensor that is read
in blocks (:class:`napari_imagec_ai.image.blocks.Blocks`) gives the same numbers in a
few passes; its space axes are then taken together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.blocks import Blocks

Array = NDArray[Any]

_BINS = 1 << 16
"""Grey values, or groups of them, that are counted."""


def moments(x: Array | Blocks, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and standard deviation."""
    if isinstance(x, Blocks):
        return _moments_of_blocks(x, axes)
    # A float32 sum over a large image loses the fourth digit.
    mean = x.mean(axis=axes, dtype=np.float64, keepdims=True)
    std = x.std(axis=axes, dtype=np.float64, keepdims=True)
    return mean, std


def percentiles(
    x: Array | Blocks,
    wanted: Sequence[float],
    axes: tuple[int, ...],
    *,
    stepped: bool = False,
) -> list[Array]:
    """Percentiles; linear between two values, or the higher one where ``stepped``.

    ``numpy.percentile`` does the same, but for a float32 image with all digits of
    float32 only, and it sorts anew for each percentile.
    """
    if isinstance(x, Blocks):
        return _percentiles_of_blocks(x, wanted, axes, stepped)
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = x.transpose(*kept, *axes).reshape(*(x.shape[i] for i in kept), -1)
    places = _places(rows.shape[-1], wanted, stepped)
    values = _ranked(rows, _around(places))
    shape = [1 if i in axes else size for i, size in enumerate(x.shape)]
    return [_between(values, place).reshape(shape) for place in places]


def _places(count: int, wanted: Sequence[float], stepped: bool) -> list[float]:
    """Where percentiles lie among ``count`` sorted values, counted from 0."""
    shares = [min(max(percent / 100, 0.0), 1.0) for percent in wanted]
    if stepped:
        return [float(max(0, math.ceil(count * share - 1))) for share in shares]
    return [(count - 1) * share for share in shares]


def _around(places: Sequence[float]) -> set[int]:
    return {k for place in places for k in (math.floor(place), math.ceil(place))}


def _between(values: Mapping[int, Array], place: float) -> Array:
    low, high = values[math.floor(place)], values[math.ceil(place)]
    return np.asarray(low + (high - low) * (place % 1))


# -- in blocks -------------------------------------------------------------------------


def _rows(x: Blocks, axes: tuple[int, ...]) -> Iterator[Array]:
    """Blocks with one row for each channel, or one for all."""
    apart = 0 not in axes
    for block in x:
        yield block.reshape(len(block), -1) if apart else block.reshape(1, -1)


def _moments_of_blocks(x: Blocks, axes: tuple[int, ...]) -> tuple[Array, Array]:
    # The mean of means, and squares around them: no large numbers cancel (T. F. Chan,
    # G. H. Golub and R. J. LeVeque, 1979).
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for rows in _rows(x, axes):
        size = rows.shape[1]
        here = rows.mean(axis=1, dtype=np.float64)
        around = np.square(rows - here[:, None], dtype=np.float64).sum(axis=1)
        step = here - mean
        total = count + size
        mean = mean + step * (size / total)
        squares = squares + around + np.square(step) * (count * size / total)
        count = total
    shape = (-1,) + (1,) * (x.ndim - 1)
    return mean.reshape(shape), np.sqrt(squares / count).reshape(shape)


def _percentiles_of_blocks(
    x: Blocks, wanted: Sequence[float], axes: tuple[int, ...], stepped: bool
) -> list[Array]:
    """Exact, by counting: whole numbers in one pass, others by narrowing down."""
    rows = 1 if 0 in axes else x.shape[0]
    places = _places(math.prod(x.shape) // rows, wanted, stepped)
    found = [_ranked_in_blocks(x, axes, row, _around(places)) for row in range(rows)]
    shape = (rows,) + (1,) * (x.ndim - 1)
    return [
        np.array([_between(values, place) for values in found]).reshape(shape)
        for place in places
    ]


def _ranked_in_blocks(
    x: Blocks, axes: tuple[int, ...], row: int, places: set[int]
) -> dict[int, Array]:
    """The values of one row that sorting would bring to these places."""
    low, high = _ends(x, axes, row)
    counts = np.zeros(_BINS, np.int64)
    width = (high - low) / _BINS or 1.0
    whole = x.values is not None and high - low < _BINS
    if whole:  # a bin for each number
        width = 1.0
    for rows in _rows(x, axes):
        counts += np.bincount(_bins(rows[row], low, width), minlength=_BINS)
    ends = np.cumsum(counts)
    bins = {place: int(np.searchsorted(ends, place, side="right")) for place in places}
    if whole:
        return {place: np.asarray(low + number) for place, number in bins.items()}
    inside: dict[int, list[Array]] = {number: [] for number in bins.values()}
    for rows in _rows(x, axes):
        numbers = _bins(rows[row], low, width)
        for number, values in inside.items():
            values.append(rows[row][numbers == number])
    found = {}
    for place, number in bins.items():
        sorted_ = np.sort(np.concatenate(inside[number]))
        first = int(ends[number] - counts[number])
        found[place] = np.asarray(sorted_[place - first], np.float64)
    return found


def _ends(x: Blocks, axes: tuple[int, ...], row: int) -> tuple[float, float]:
    pairs = [(rows[row].min(), rows[row].max()) for rows in _rows(x, axes)]
    return float(min(p[0] for p in pairs)), float(max(p[1] for p in pairs))


def _bins(values: Array, low: float, width: float) -> NDArray[np.intp]:
    numbers = ((values.astype(np.float64) - low) / width).astype(np.intp)
    return np.clip(numbers, 0, _BINS - 1)


# -- as a whole ------------------------------------------------------------------------


def _ranked(rows: Array, places: set[int]) -> dict[int, Array]:
    """The values of each row that sorting would bring to these places."""
    last = rows.shape[-1] - 1
    inner = sorted(places - {0, last})
    if inner:
        rows = np.partition(rows, inner, axis=-1)
    # The ends need no sorting.
    values = {k: rows[..., k] for k in inner}
    values |= {0: rows.min(axis=-1)} if 0 in places else {}
    values |= {last: rows.max(axis=-1)} if last in places else {}
    return {k: np.asarray(value, np.float64) for k, value in values.items()}
