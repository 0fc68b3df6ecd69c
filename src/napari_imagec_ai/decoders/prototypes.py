"""Draws masks from prototypes: each in its box, at the image's resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.joining import Found
from napari_imagec_ai.detection import WindowResult
from napari_imagec_ai.masks import Masks


def draw_masks(
    windows: Sequence[WindowResult], found: Found, mask_threshold: float
) -> Masks:
    """Mask of each box at the image's resolution, only inside the box."""
    cut = math.log(mask_threshold / (1 - mask_threshold))
    origins = np.zeros((len(found.boxes), 2), np.int32)
    pixels = []
    for i, (box, sources) in enumerate(zip(found.boxes, found.sources, strict=True)):
        # Pixels whose number lies in [start, stop), as boxes are read.
        low = np.ceil(box[:2]).astype(int)
        high = np.maximum(np.ceil(box[2:]).astype(int), low)
        mask = np.zeros(tuple(high - low), bool)
        for number, row in sources:
            logits = _logits(windows[number], row, low, high)
            if logits is not None:
                part, there = logits
                mask[there] |= part > cut
        origins[i] = low
        pixels.append(mask)
    return Masks(origins, tuple(pixels))


def _logits(
    window: WindowResult, row: int, low: NDArray[Any], high: NDArray[Any]
) -> tuple[NDArray[np.float32], tuple[slice, slice]] | None:
    """Mask logits of one candidate at image pixels, and where they lie in the mask.

    The prototypes' sum is interpolated between their pixels' centres, as resizing does,
    at the centres of the image's pixels that the window shows.
    """
    if window.prototypes is None:
        return None
    where, taps, near = [], [], []
    for axis in range(2):
        start = window.box.origin[axis]
        first = max(int(low[axis]), start)
        last = min(int(high[axis]), start + window.box.piece[axis])
        if last <= first:
            return None
        count = window.prototypes.shape[1 + axis]
        ratio = count / window.box.window[axis]
        centre = np.arange(first, last) + 0.5 - start
        inside = centre * window.box.gain[axis] + window.box.margin[axis]
        at = np.clip(inside * ratio - 0.5, 0, count - 1)
        before = np.minimum(at.astype(int), max(count - 2, 0))
        taps.append((before - before[0], (at - before).astype(np.float32)))
        near.append(slice(int(before[0]), min(int(before[-1]) + 2, count)))
        where.append(slice(first - int(low[axis]), last - int(low[axis])))
    coefficients = window.found.coefficients[row]
    small = np.asarray(window.prototypes[:, near[0], near[1]], np.float32)
    sums = (coefficients @ small.reshape(len(small), -1)).reshape(small.shape[1:])
    return _interpolated(sums, taps), (where[0], where[1])


def _interpolated(
    values: NDArray[np.float32],
    taps: Sequence[tuple[NDArray[Any], NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Linear interpolation along both axes: values before and after, and the share."""
    (y, share_y), (x, share_x) = taps
    after_y = np.minimum(y + 1, values.shape[0] - 1)
    after_x = np.minimum(x + 1, values.shape[1] - 1)
    rows = values[y] + (values[after_y] - values[y]) * share_y[:, None]
    return np.asarray(rows[:, x] + (rows[:, after_x] - rows[:, x]) * share_x)
