"""Thresholds that meet what a person knows: a count, or where the objects are.

Nothing here runs a network. For each mask threshold that is tried, every possible class
threshold is looked at once: objects are sorted by how sure the network is, so that each
cut keeps the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.boxes import iou as box_overlaps
from napari_imagec_ai.results.class_map import ClassMap
from napari_imagec_ai.results.classifying import classify
from napari_imagec_ai.results.objects import Objects

MASK_THRESHOLDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(17))
"""Mask thresholds that are tried, from 0.1 to 0.9."""

IOU = 0.5
"""An object and a label are one if they share more than this of what both cover."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What a person knows of an image; one of the three.

    Attributes
    ----------
    count : int or None
        How many objects there are.
    points : (N, D) float, or None
        One in each object, along the axes of the frame, in pixels.
    labels : array of int, or None
        The objects themselves, shaped as the frame.
    """

    count: int | None = None
    points: NDArray[np.float64] | None = None
    labels: NDArray[np.integer] | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds, and how well they meet the truth.

    Attributes
    ----------
    mask_threshold : float or None
        None where there is none to choose.
    class_threshold : float
        In [0, 1].
    count : int
        How many objects then count.
    score : float
        F1 in [0, 1]; for a count, the difference to it, 0 or less.
    """

    mask_threshold: float | None
    class_threshold: float
    count: int
    score: float


def calibrate(
    decode: Callable[[float | None], Objects],
    class_map: ClassMap,
    truth: Truth,
    mask_thresholds: Iterable[float | None] = MASK_THRESHOLDS,
    start: float | None = None,
) -> Calibration:
    """Choose the thresholds that meet the truth best.

    Parameters
    ----------
    decode : callable
        Gives all objects at a mask threshold.
    class_map : ClassMap
        Handicaps, filters and classes that count; its class threshold is not used.
    truth : Truth
        What is known.
    mask_thresholds : iterable of float
        Those to try; ``(None,)`` where there is none to choose.
    start : float, optional
        Of thresholds that are equally good, the nearest to this one is taken.

    Raises
    ------
    DecodeError
        If there is nothing to compare with.
    """
    _check(truth)
    tried = [*mask_thresholds, *([] if start is None else [start])]
    found = [
        _best(decode(mask), class_map, truth, mask) for mask in dict.fromkeys(tried)
    ]
    middle = 0.5 if start is None else start

    def merit(one: Calibration) -> tuple[float, float]:
        away = 0.0 if one.mask_threshold is None else one.mask_threshold - middle
        return one.score, -abs(away)

    return max(found, key=merit)


def _check(truth: Truth) -> None:
    given = (truth.count, truth.points, truth.labels)
    if sum(one is not None for one in given) != 1:
        raise DecodeError("Give one of a count, points and labels to calibrate with.")
    if truth.points is not None and not len(truth.points):
        raise DecodeError("There are no points on this image to calibrate with.")
    if truth.labels is not None and not truth.labels.any():
        raise DecodeError("There are no labels on this image to calibrate with.")


def _best(
    objects: Objects, class_map: ClassMap, truth: Truth, mask: float | None
) -> Calibration:
    open_map = class_map.of_each_plane().model_copy(update={"class_threshold": 0.0})
    kept = classify(objects, open_map)
    sure = _sureness(objects, kept, class_map)
    order = np.argsort(-sure, kind="stable")
    kept, sure = kept[order], sure[order]
    score = _scores(kept, truth)
    cuts = _cuts(sure)
    best = cuts[int(np.argmax(score[cuts]))]
    threshold = _between(sure, int(best))
    return Calibration(mask, threshold, int(best), float(score[best]))


def _sureness(
    objects: Objects, kept: Objects, class_map: ClassMap
) -> NDArray[np.float32]:
    """Confidence less the handicap of the model's class, as the threshold sees it."""
    handicaps = {rule.source: rule.handicap for rule in class_map.rules}
    own = np.array([handicaps.get(name, 0.0) for name in objects.classes] or [0.0])
    source = np.zeros(int(objects.id.max(initial=0)) + 1, np.int64)
    source[objects.id] = objects.class_id
    # In single precision, as the threshold itself is compared.
    return kept.confidence - own.astype(np.float32)[source[kept.id]]


def _cuts(sure: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many objects a threshold can keep: never one of two that are equally sure."""
    count = len(sure)
    splits = np.flatnonzero(np.diff(sure)) + 1
    # A threshold of 1 still keeps those that are entirely sure.
    fewest = int(np.count_nonzero(sure >= 1))
    cuts = np.unique([fewest, *splits, count])
    return np.asarray(cuts[cuts >= fewest], np.int64)


def _between(sure: NDArray[np.float32], count: int) -> float:
    """A threshold that keeps so many of the sorted, as round as it can be."""
    above = min(float(sure[count - 1]), 1.0) if count else 1.0
    below = float(sure[count]) if count < len(sure) else 0.0
    for digits in (2, 3, 4):
        rounded = round((above + below) / 2, digits)
        if below < np.float32(rounded) <= above:
            return rounded
    return above


def _scores(kept: Objects, truth: Truth) -> NDArray[np.float64]:
    """How good each number of kept objects is, surest first, from none to all."""
    numbers = np.arange(len(kept) + 1)
    if truth.count is not None:
        return -np.abs(numbers - truth.count).astype(np.float64)
    if truth.points is not None:
        hit, known = _holding(kept, truth.points), len(truth.points)
    else:
        hit, known = _matching(kept, np.asarray(truth.labels))
    hits = np.concatenate([[0], np.cumsum(hit)])
    return np.asarray(2 * hits / np.maximum(numbers + known, 1), np.float64)


def _holding(kept: Objects, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which objects hold a point."""
    if not kept.has_pixels:
        return _boxes_holding(kept, points)
    labels = kept.as_labels()
    at = np.rint(points).astype(np.int64)
    inside = ((at >= 0) & (at < labels.shape)).all(axis=1)
    hit = np.unique(labels[tuple(at[inside].T)])
    return np.isin(kept.id, hit[hit > 0])


def _boxes_holding(kept: Objects, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    planes = kept.planes.shape[1]
    half = kept.boxes.shape[1] // 2
    origin = np.asarray(kept.frame.origin)
    hit = np.zeros(len(kept), bool)
    for point in points:
        where = point[planes:] + 0.5  # boxes are half-open, points at centres
        inside = (kept.boxes[:, :half] <= where) & (where < kept.boxes[:, half:])
        same = kept.planes == np.rint(point[:planes] + origin[:planes])
        mine = np.flatnonzero(inside.all(axis=1) & same.all(axis=1) & ~hit)
        hit[mine[:1]] = True  # the surest that has none yet
    return hit


def _matching(
    kept: Objects, labels: NDArray[np.integer]
) -> tuple[NDArray[np.bool_], int]:
    """Which objects are one of the labels, and how many labels there are."""
    names, flat = np.unique(labels, return_inverse=True)
    truth = flat.reshape(labels.shape) + (1 if names[0] != 0 else 0)
    known = int(np.count_nonzero(names))
    if not kept.has_pixels:
        return _boxes_matching(kept, truth, known), known
    mine = kept.as_labels()
    size = int(mine.max(initial=0)) + 1
    both = np.bincount(
        truth.reshape(-1).astype(np.int64) * size + mine.reshape(-1),
        minlength=(known + 1) * size,
    ).reshape(known + 1, size)
    union = both.sum(axis=1)[:, None] + both.sum(axis=0) - both
    shared = both[1:] > IOU * union[1:]
    return np.asarray(shared.any(axis=0)[kept.id.clip(0, size - 1)]), known


def _boxes_matching(
    kept: Objects, truth: NDArray[np.integer], known: int
) -> NDArray[np.bool_]:
    planes = kept.planes.shape[1]
    hit = np.zeros(len(kept), bool)
    origin = np.asarray(kept.frame.origin)[:planes]
    for index in np.ndindex(truth.shape[:planes]):
        rows = np.flatnonzero((kept.planes == np.add(index, origin)).all(axis=1))
        found = [box for box in ndimage.find_objects(truth[index]) if box is not None]
        corners = [[s.start for s in b] + [s.stop for s in b] for b in found]
        if not len(rows) or not corners:
            continue
        overlaps = box_overlaps(kept.boxes[rows], np.array(corners, np.float32)) > IOU
        for label in range(len(corners)):
            mine = rows[overlaps[:, label] & ~hit[rows]]
            hit[mine[:1]] = True
    return hit


def shares(values: NDArray[np.floating], bins: int = 50) -> tuple[float, ...]:
    """Heights of a histogram over [0, 1], the highest 1; low ones stay visible."""
    counts, _ = np.histogram(np.clip(values, 0, 1), bins=bins, range=(0, 1))
    return tuple(float(n) for n in np.sqrt(counts / max(counts.max(), 1)))


def counted(objects: Objects, class_map: ClassMap) -> NDArray[np.float32]:
    """How sure the network is of each object that filters and classes let count."""
    kept = classify(
        objects, class_map.of_each_plane().model_copy(update={"class_threshold": 0.0})
    )
    return _sureness(objects, kept, class_map)
