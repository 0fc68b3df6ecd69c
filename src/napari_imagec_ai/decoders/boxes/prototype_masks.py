"""Draws masks from prototypes: each in its box, at the image's resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.boxes.join_windows import PlaneBoxes
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.window_results import WindowResult


def draw_masks(
    windows: Sequence[WindowResult], found: PlaneBoxes, mask_threshold: float
) -> Masks:
    """Mask of each box at the image's resolution, only inside the box."""
    cut = math.log(mask_threshold / (1 - mask_threshold))
    samplers = [_samplers(window) for window in windows]
    origins = np.zeros((len(found.boxes), 2), np.int32)
    pixels = []
    for i, (box, sources) in enumerate(zip(found.boxes, found.sources, strict=True)):
        # Pixels whose number lies in [start, stop), as boxes are read.
        low = np.ceil(box[:2]).astype(int)
        high = np.maximum(np.ceil(box[2:]).astype(int), low)
        mask = np.zeros(tuple(high - low), bool)
        for number, row in sources:
            between = samplers[number]
            if between is None:
                continue
            logits = _logits(windows[number], row, between, low, high)
            if logits is not None:
                part, there = logits
                mask[there] |= part > cut
        origins[i] = low
        pixels.append(mask)
    return Masks(origins, tuple(pixels))


@dataclass(frozen=True, slots=True, eq=False)
class _Sampler:
    """Where a window's image pixels lie between prototype pixels, along one axis.

    Values are interpolated between the centres of pixels, as resizing does. ``before``
    has the prototype pixel before each image pixel, ``share`` how far the next one is.
    """

    start: int
    before: NDArray[np.int64]
    share: NDArray[np.float32]

    @classmethod
    def along(cls, window: WindowResult, count: int, axis: int) -> _Sampler:
        box = window.box
        centre = np.arange(box.piece[axis]) + 0.5
        inside = centre * box.gain[axis] + box.margin[axis]
        at = np.clip(inside * count / box.window[axis] - 0.5, 0, count - 1)
        before = np.minimum(at.astype(np.int64), max(count - 2, 0))
        return cls(box.origin[axis], before, (at - before).astype(np.float32))

    def cut(self, low: int, high: int) -> slice:
        """Pixels of the piece that lie in [low, high) of the image."""
        size = len(self.before)
        first = min(max(low - self.start, 0), size)
        return slice(first, max(first, min(high - self.start, size)))


def _samplers(window: WindowResult) -> tuple[_Sampler, _Sampler] | None:
    if window.prototypes is None:
        return None
    _, height, width = window.prototypes.shape
    return _Sampler.along(window, height, 0), _Sampler.along(window, width, 1)


def _logits(
    window: WindowResult,
    row: int,
    samplers: tuple[_Sampler, _Sampler],
    low: NDArray[Any],
    high: NDArray[Any],
) -> tuple[NDArray[np.float32], tuple[slice, slice]] | None:
    """Mask logits of one candidate at image pixels, and where they lie in the mask."""
    where, taps, near = [], [], []
    for axis, sampler in enumerate(samplers):
        part = sampler.cut(int(low[axis]), int(high[axis]))
        if part.stop <= part.start:
            return None
        before, share = sampler.before[part], sampler.share[part]
        taps.append((before - before[0], share))
        near.append(slice(int(before[0]), int(before[-1]) + 2))
        shift = sampler.start - int(low[axis])
        where.append(slice(part.start + shift, part.stop + shift))
    prototypes = window.prototypes
    if prototypes is None:
        return None
    coefficients = window.found.coefficients[row]
    small = np.asarray(prototypes[:, near[0], near[1]], np.float32)
    sums = (coefficients @ small.reshape(len(small), -1)).reshape(small.shape[1:])
    return interpolated(sums, taps), (where[0], where[1])


def interpolated(
    values: NDArray[np.float32],
    taps: Sequence[tuple[NDArray[Any], NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Linear interpolation along both axes: values before and after, and the share."""
    (y, share_y), (x, share_x) = taps
    after_y = np.minimum(y + 1, values.shape[0] - 1)
    after_x = np.minimum(x + 1, values.shape[1] - 1)
    rows = values[y] + (values[after_y] - values[y]) * share_y[:, None]
    return np.asarray(rows[:, x] + (rows[:, after_x] - rows[:, x]) * share_x)
