"""Where the values of a tensor lie: mean and deviation, percentiles.

All in double precision, over some axes, which stay with length 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and standard deviation."""
    # A float32 sum over a large image loses the fourth digit.
    mean = x.mean(axis=axes, dtype=np.float64, keepdims=True)
    std = x.std(axis=axes, dtype=np.float64, keepdims=True)
    return mean, std


def percentiles(
    x: Array, wanted: Sequence[float], axes: tuple[int, ...], *, stepped: bool = False
) -> list[Array]:
    """Percentiles; linear between two values, or the higher one where ``stepped``.

    ``numpy.percentile`` does the same, but for a float32 image with all digits of
    float32 only, and it sorts anew for each percentile.
    """
    kept = [i for i in range(x.ndim) if i not in axes]
    rows = x.transpose(*kept, *axes).reshape(*(x.shape[i] for i in kept), -1)
    count = rows.shape[-1]
    shares = [min(max(percent / 100, 0.0), 1.0) for percent in wanted]
    if stepped:
        places = [float(max(0, math.ceil(count * share - 1))) for share in shares]
    else:
        places = [(count - 1) * share for share in shares]
    around = {k for place in places for k in (math.floor(place), math.ceil(place))}
    values = _ranked(rows, around)
    shape = [1 if i in axes else size for i, size in enumerate(x.shape)]
    found = []
    for place in places:
        low, high = values[math.floor(place)], values[math.ceil(place)]
        found.append((low + (high - low) * (place % 1)).reshape(shape))
    return found


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
