"""Rotated boxes: corners, overlaps, non-maximum suppression.

A rotated box is ``(cx, cy, w, h, angle)`` in pixels, its angle in radians from the x
axis towards the y axis, as the side ``w`` lies.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.boxes import intersection

Corners = NDArray[np.float32]
"""(N, 4, 2): y, x of each corner, one after the other."""


def corners(boxes: NDArray[np.float32]) -> Corners:
    """Corners of (N, 5) rotated boxes."""
    centre, half = boxes[:, None, :2], boxes[:, 2:4] / 2
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([cos, sin], axis=1) * half[:, :1]
    across = np.stack([-sin, cos], axis=1) * half[:, 1:]
    ways = [-along - across, along - across, along + across, -along + across]
    return np.ascontiguousarray((centre + np.stack(ways, axis=1))[..., ::-1])


def around(ends: Corners) -> NDArray[np.float32]:
    """Upright boxes y0, x0, y1, x1 around rotated ones."""
    if not len(ends):
        return np.zeros((0, 4), np.float32)
    return np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)


def sides(ends: Corners) -> NDArray[np.float64]:
    """Length of the first and of the second side of each box, (N, 2)."""
    steps = np.diff(ends.astype(np.float64), axis=1)[:, :2]
    return np.asarray(np.hypot(steps[..., 0], steps[..., 1]).reshape(-1, 2))


def degrees(ends: Corners) -> NDArray[np.float64]:
    """Angle of the longer side of each box with the x axis, from 0 to below 180.

    It grows from the x axis towards the y axis: clockwise, as images are shown.
    """
    steps = np.diff(ends.astype(np.float64), axis=1)[:, :2]
    if not len(steps):
        return np.zeros(0)
    longer = steps[np.arange(len(steps)), sides(ends).argmax(axis=1)]
    return np.asarray(np.degrees(np.arctan2(longer[:, 0], longer[:, 1])) % 180)


def nms(
    ends: Corners,
    confidence: NDArray[np.float32],
    class_id: NDArray[np.int32],
    iou_threshold: float,
    class_agnostic: bool = False,
    ios_threshold: float = 1.0,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression; see :func:`results.boxes.nms`."""
    size = sides(ends).prod(axis=1)
    upright = around(ends)
    left = np.argsort(-confidence, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        near = intersection(upright[[best]], upright[left])[0] > 0
        if not class_agnostic:
            near &= class_id[left] == class_id[best]
        over = np.zeros(len(left), bool)
        for i in np.flatnonzero(near):
            shared = _shared(ends[best], ends[left[i]])
            one, other = size[best], size[left[i]]
            over[i] = shared > iou_threshold * (one + other - shared)
            over[i] |= shared > ios_threshold * min(one, other)
        left = left[~over]
    return np.asarray(kept, np.int64)


def _shared(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Area that two rotated boxes share."""
    area, _ = cv2.intersectConvexConvex(one, other)
    return float(area)


def drawn(ends: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Pixels of one box whose middles lie in it, and the first (y, x) of these."""
    low = np.floor(ends.min(axis=0)).astype(np.int32)
    high = np.maximum(np.ceil(ends.max(axis=0)).astype(np.int32), low + 1)
    y, x = np.mgrid[low[0] : high[0], low[1] : high[1]] + 0.5
    inside = np.ones(y.shape, bool)
    turn = np.sign(np.linalg.det(ends[1:3] - ends[0])) or 1.0
    for (y0, x0), (y1, x1) in zip(ends, np.roll(ends, -1, axis=0), strict=True):
        inside &= turn * ((y1 - y0) * (x - x0) - (x1 - x0) * (y - y0)) >= 0
    return inside, low
