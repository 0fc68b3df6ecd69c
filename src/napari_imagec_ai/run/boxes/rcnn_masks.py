"""Masks of single objects as networks give them: over its box, or over the window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError

Array = NDArray[Any]

SIDE = 56
"""Masks of the whole window are kept as so many values along each side of the box."""

_LARGEST = 112
"""Masks with longer sides than this, or unequal ones, lie on the window."""


def pictures_of(
    masks: Array,
    kept: NDArray[np.int64],
    boxes: NDArray[np.float32],
    window: tuple[float, float],
) -> NDArray[np.float16]:
    """Masks of the rows that are kept, each spread over its box."""
    masks = masks.reshape(len(masks), *masks.shape[-2:])
    height, width = masks.shape[1:]
    if height == width <= _LARGEST and (height, width) != window:
        return _probabilities(masks[kept]).astype(np.float16)
    grain = np.array([height / window[0], width / window[1]] * 2)
    found = np.zeros((len(kept), SIDE, SIDE), np.float16)
    for picture, row, box in zip(found, kept, boxes * grain, strict=True):
        rows, mean_y = _means(box[0], box[2], height)
        columns, mean_x = _means(box[1], box[3], width)
        picture[...] = mean_y @ _probabilities(masks[row, rows, columns]) @ mean_x.T
    return found


def _means(start: float, stop: float, size: int) -> tuple[slice, NDArray[np.float32]]:
    """Pixels from start to stop, and what they count in the mean of each small part."""
    first = min(max(int(np.floor(start)), 0), size)
    last = max(first, min(int(np.ceil(stop)), size))
    ends = np.linspace(start, stop, SIDE + 1)[:, None]
    pixels = np.arange(first, last)
    shared = np.minimum(ends[1:], pixels + 1) - np.maximum(ends[:-1], pixels)
    shares = np.maximum(shared, 0) * SIDE / (stop - start)
    return slice(first, last), np.asarray(shares, np.float32)


def _probabilities(masks: Array) -> NDArray[np.float32]:
    """Values from 0 to 1, of booleans, of whole numbers or of probabilities."""
    if not np.issubdtype(masks.dtype, np.floating):
        return np.asarray(masks != 0, np.float32)
    low, high = masks.min(initial=0), masks.max(initial=0)
    if low < -0.01 or high > 1.01:
        raise DecodeError(
            f"Expected masks with values from 0 to 1, found {low:.3g} to {high:.3g}; "
            "export the network with a sigmoid behind its masks, or choose another "
            "model."
        )
    return np.asarray(np.clip(np.nan_to_num(masks), 0, 1), np.float32)
