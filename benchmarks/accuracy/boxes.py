"""Mean average precision of boxes, by the rules of COCO.

Boxes of an image are taken in the order of their scores; each takes the free true box
that it overlaps most, if their IoU is high enough. The average precision of a class is
the mean, over 101 steps of recall, of the best precision at that recall or a higher one
(Lin et al. 2014, ``pycocotools``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

MOST = 100
"""So many boxes of a class are looked at in one image, those of the highest scores."""

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Boxes of one class in one image.

    Attributes
    ----------
    true, found : (n, 4) float64
        y0, x0, y1, x1.
    scores : (n,) float64
        Of those found.
    """

    true: Boxes
    found: Boxes
    scores: NDArray[np.float64]


def ious(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of each pair, (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    one = (first[:, 2:] - first[:, :2]).prod(axis=1)
    two = (second[:, 2:] - second[:, :2]).prod(axis=1)
    union = one[:, None] + two[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12))


def hits(one: Found, least: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores of an image's boxes, highest first, and whether each is right."""
    order = np.argsort(-one.scores, kind="stable")[:MOST]
    overlap = ious(one.found[order], one.true)
    free = np.ones(len(one.true), bool)
    right = np.zeros(len(order), bool)
    for row in range(len(order)):
        allowed = np.where(free, overlap[row], -1)
        if allowed.size and allowed.max() >= least:
            # Of equals the last one is taken, as by pycocotools.
            best = len(allowed) - 1 - int(allowed[::-1].argmax())
            free[best], right[row] = False, True
    return one.scores[order], right


def average_precision(images: Sequence[Found], least: float = 0.5) -> float:
    """Average precision of one class over a set of images; NaN where it is in none."""
    total = sum(len(image.true) for image in images)
    if not total:
        return float("nan")
    rows = [hits(image, least) for image in images]
    scores = np.concatenate([row[0] for row in rows])
    right = np.concatenate([row[1] for row in rows])[np.argsort(-scores, kind="stable")]
    true = np.cumsum(right)
    recall, precision = true / total, true / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(best, 0.0)[np.minimum(at, len(best))].mean())
