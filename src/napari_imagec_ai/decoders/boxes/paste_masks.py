"""Pastes small masks into the image: each spread over its box, at full resolution.

Values lie in the middle of equal parts of the box, and are interpolated linearly
between them and towards 0 beyond the box, as in the networks' own postprocessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.boxes.join_windows import PlaneBoxes
from napari_imagec_ai.decoders.boxes.prototype_masks import interpolated
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.window_results import WindowResult


def paste_masks(
    windows: Sequence[WindowResult], found: PlaneBoxes, mask_threshold: float
) -> Masks:
    """Mask of each box at the image's resolution, only inside the box."""
    low, high = _pixels(found.boxes[:, :2]), _pixels(found.boxes[:, 2:])
    pictures = []
    for first, last, sources in zip(low, high, found.sources, strict=True):
        mask = np.zeros(tuple(np.maximum(last - first, 0)), bool)
        for number, row in sources:
            values, start = _pasted(windows[number], row)
            y, x = start - first
            part = mask[y : y + values.shape[0], x : x + values.shape[1]]
            part |= values > mask_threshold
        pictures.append(mask)
    return Masks(low, tuple(pictures))


def _pixels(edges: NDArray[np.float32]) -> NDArray[np.int32]:
    """The first pixel whose middle lies behind each edge."""
    return np.asarray(np.ceil(edges - 0.5), np.int32)


def _pasted(
    window: WindowResult, row: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Values of one mask at the pixels of its box, and the first of these."""
    inside = window.found.boxes[[row]]
    there = window.box.boxes_to_image(inside)
    low, high = _pixels(there[0, :2]), _pixels(there[0, 2:])
    pictures = window.found.pictures
    if pictures is None or np.any(high <= low):
        return np.zeros((0, 0), np.float32), low
    picture = np.pad(pictures[row].astype(np.float32), 1)
    taps = [_taps(window, inside[0], low, high, len(picture), axis) for axis in (0, 1)]
    return interpolated(picture, taps), low


def _taps(
    window: WindowResult,
    box: NDArray[np.float32],
    low: NDArray[np.int32],
    high: NDArray[np.int32],
    count: int,
    axis: int,
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The value before each pixel of a box along an axis, and how far the next one is.

    ``count`` values, of which the first and the last lie outside the box.
    """
    fit, (start, stop) = window.box, box[axis::2]
    middle = np.arange(low[axis], high[axis]) + 0.5 - fit.origin[axis]
    share = (middle * fit.gain[axis] + fit.margin[axis] - start) / (stop - start)
    at = np.clip(share * (count - 2) + 0.5, 0, count - 1)
    before = np.minimum(at.astype(np.int64), count - 2)
    return before, (at - before).astype(np.float32)
