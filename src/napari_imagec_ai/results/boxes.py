"""Boxes: overlaps, non-maximum suppression.

A box is ``(y0, x0, y1, x1)`` in pixels, half-open.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]

_BLOCK = 128
"""The surest boxes, which are compared with all others at once."""


def area(boxes: Boxes) -> NDArray[np.float32]:
    """Area of each box, in pixels."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersection(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Shared area of each box of (N, 4) ``a`` with each of (M, 4) ``b``, (N, M)."""
    # Side by side, not as pairs: several times as fast on long lists.
    height = np.minimum(a[:, None, 2], b[None, :, 2])
    height -= np.maximum(a[:, None, 0], b[None, :, 0])
    width = np.minimum(a[:, None, 3], b[None, :, 3])
    width -= np.maximum(a[:, None, 1], b[None, :, 1])
    return np.asarray(np.maximum(height, 0) * np.maximum(width, 0))


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of each box of ``a`` with each of ``b``, (N, M)."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def nms(
    boxes: Boxes,
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int32],
    iou_threshold: float,
    class_agnostic: bool = False,
    ios_threshold: float = 1.0,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression.

    The surest box stays, and boxes (of its class) that overlap it more than the
    threshold go; then the next one. A less sure box never removes a surer one, so what
    is left above any confidence does not depend on less sure boxes being there.

    Parameters
    ----------
    boxes : (N, 4) float32
        y0, x0, y1, x1.
    confidence : (N,) float32
        Surer first; equal ones in their order.
    class_id : (N,) int32
        Boxes of different classes leave each other alone.
    iou_threshold : float
        In [0, 1].
    class_agnostic : bool
        Boxes of different classes remove each other, too.
    ios_threshold : float
        In [0, 1]: a box also goes if more than this part of the smaller one of the two
        is shared; 1 switches it off.

    Returns
    -------
    (K,) int64
        Rows that stay, the surest first.
    """

    def removes(
        first: NDArray[np.int64], others: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        shared = intersection(boxes[first], boxes[others])
        one, other = size[first][:, None], size[others][None]
        over = shared > iou_threshold * (one + other - shared)
        over |= shared > ios_threshold * np.minimum(one, other)
        if not class_agnostic:
            over &= class_id[first][:, None] == class_id[others][None]
        return np.asarray(over)

    size = area(boxes)
    left = np.argsort(-confidence, kind="stable")
    kept = [np.zeros(0, np.int64)]
    while len(left):
        block, left = left[:_BLOCK], left[_BLOCK:]
        over, alive = removes(block, block), np.ones(len(block), bool)
        for i in range(len(block)):
            if alive[i]:
                alive[i + 1 :] &= ~over[i, i + 1 :]
        kept.append(block[alive])
        if len(left):
            left = left[~removes(kept[-1], left).any(axis=0)]
    return np.concatenate(kept)
