"""Instances from rows and prototypes, and how well they match the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from nuclei_instances import Counts
from skimage.transform import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

NMS_IOU = 0.45
_CLASSES = 2


@dataclass(frozen=True)
class Found:
    """What was found in one image, best first.

    Attributes
    ----------
    boxes
        x1, y1, x2, y2 in pixels, (n, 4).
    scores
        Objectness times class, (n,).
    kinds
        Class of each, (n,).
    masks
        For each the place of its window (top, left) and the mask inside.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    kinds: NDArray[np.int64]
    masks: list[tuple[int, int, NDArray[np.bool_]]]

    def label_image(self, shape: tuple[int, int]) -> NDArray[np.int32]:
        """Paint object i with i + 1, better ones over worse ones."""
        labels = np.zeros(shape, np.int32)
        for index in range(len(self.masks) - 1, -1, -1):
            top, left, mask = self.masks[index]
            height, width = mask.shape
            labels[top : top + height, left : left + width][mask] = index + 1
        return labels


def _ious(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[Any]:
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(shared / (np.prod(box[2:] - box[:2]) + areas - shared))


def _keep(
    boxes: NDArray[np.float32], kinds: NDArray[np.int64], limit: float
) -> list[int]:
    """Non-maximum suppression within each class of boxes, best first."""
    alive = np.ones(len(boxes), bool)
    kept = []
    for index in range(len(boxes)):
        if alive[index]:
            kept.append(index)
            same = (kinds == kinds[index]) & alive
            alive[same] = _ious(boxes[index], boxes[same]) <= limit
    return kept


def decode(
    rows: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    threshold: float,
    limit: float = NMS_IOU,
) -> Found:
    """Decode rows (N, C) and prototypes (M, Y / 4, X / 4) of one image."""
    scores = rows[:, 4:5] * rows[:, 5 : 5 + _CLASSES]
    kinds, best = scores.argmax(axis=1), scores.max(axis=1)
    order = np.argsort(-best, kind="stable")
    order = order[best[order] > threshold]
    middle, half = rows[order, :2], rows[order, 2:4] / 2
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    kept = _keep(boxes, kinds[order], limit)
    order, boxes = order[kept], boxes[kept]
    masks = [
        _mask(box, row, prototypes)
        for box, row in zip(boxes, rows[order, 5 + _CLASSES :], strict=True)
    ]
    return Found(boxes, best[order], kinds[order], masks)


def _mask(
    box: NDArray[np.float32], row: NDArray[np.float32], prototypes: NDArray[np.float32]
) -> tuple[int, int, NDArray[np.bool_]]:
    """Mask inside a box, from logits enlarged to full size."""
    height, width = prototypes.shape[1:]
    x1, y1, x2, y2 = np.clip(box, 0, np.array([width, height] * 2) * 4)
    # One more prototype pixel around the box makes the interpolation exact.
    top, left = max(0, int(y1 // 4) - 1), max(0, int(x1 // 4) - 1)
    bottom, right = min(height, int(y2 // 4) + 2), min(width, int(x2 // 4) + 2)
    logits = np.tensordot(row, prototypes[:, top:bottom, left:right], axes=1)
    size = (4 * logits.shape[0], 4 * logits.shape[1])
    fine = resize(logits, size, order=1, mode="edge", anti_aliasing=False)
    y, x = 4 * top + np.arange(size[0]), 4 * left + np.arange(size[1])
    inside = ((y >= y1) & (y < y2))[:, None] & ((x >= x1) & (x < x2))
    return 4 * top, 4 * left, (fine > 0) & inside


def match(
    found: Found,
    truth: NDArray[np.int32],
    kinds: NDArray[np.int64],
    threshold: float,
    iou: float = 0.5,
) -> list[Counts]:
    """Counts for each class: same class and mask IoU above ``iou``, best first."""
    sizes = np.bincount(truth.ravel(), minlength=len(kinds) + 1)
    taken = np.zeros(len(kinds) + 1, bool)
    hits, number = np.zeros(_CLASSES, int), np.zeros(_CLASSES, int)
    for index, (top, left, mask) in enumerate(found.masks):
        if found.scores[index] <= threshold or not mask.any():
            continue
        kind = int(found.kinds[index])
        number[kind] += 1
        part = truth[top : top + mask.shape[0], left : left + mask.shape[1]]
        shared = np.bincount(part[mask], minlength=len(sizes))
        overlap = shared / (mask.sum() + sizes - shared)
        overlap[0] = 0
        overlap[1:][kinds != kind] = 0
        overlap[taken] = 0
        best = int(overlap.argmax())
        if overlap[best] > iou:
            taken[best] = True
            hits[kind] += 1
    return [
        Counts(int((kinds == k).sum()), int(number[k]), int(hits[k]))
        for k in range(_CLASSES)
    ]
