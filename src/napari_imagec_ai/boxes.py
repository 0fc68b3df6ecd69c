"""Boxes: overlaps, non-maximum suppression.

A box is ``(y0, x0, y1, x1)`` in pixels, half-open.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def area(boxes: Boxes) -> NDArray[np.float32]:
    """Area of each box, in pixels."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersection(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Shared area of each box of (N, 4) ``a`` with each of (M, 4) ``b``, (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


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
    order = np.argsort(-confidence, kind="stable")
    size = area(boxes)
    kept: list[int] = []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(int(first))
        near = _near(boxes, int(first), order)
        others = order[near]
        shared = intersection(boxes[[first]], boxes[others])[0]
        smaller = np.minimum(size[first], size[others])
        union = size[first] + size[others] - shared
        over = (shared > iou_threshold * union) | (shared > ios_threshold * smaller)
        same = class_agnostic | (class_id[others] == class_id[first])
        gone = near[over & same]
        if len(gone):
            order = np.delete(order, gone)
    return np.asarray(kept, np.int64)


def _near(boxes: Boxes, first: int, others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in ``others`` of the boxes that touch box ``first`` at all."""
    y0, x0, y1, x1 = boxes[first]
    there = boxes[others]
    touching = (
        (there[:, 0] < y1)
        & (there[:, 2] > y0)
        & (there[:, 1] < x1)
        & (there[:, 3] > x0)
    )
    return np.flatnonzero(touching)
