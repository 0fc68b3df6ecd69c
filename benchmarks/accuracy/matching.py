"""Objects found against objects there: the field's measures for label images.

An object is found where it shares at least a given part of its union with the found one
(intersection over union, IoU). Average precision here is TP / (TP + FP + FN), as in the
Data Science Bowl 2018 and StarDist's ``matching``; panoptic quality is the sum of the
IoUs of matched pairs over TP + FP / 2 + FN / 2 (Kirillov et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """The objects of two label images, and which of them are the same.

    Attributes
    ----------
    true, found : int
        How many there are in each.
    pairs : (n, 2) int64
        Labels of those that overlap and belong together, true ones first.
    iou : (n,) float64
        Of each pair.
    """

    true: int
    found: int
    pairs: NDArray[np.int64]
    iou: NDArray[np.float64]

    def counts(self, least: float) -> tuple[int, int, int]:
        """True positives, false positives and false negatives at an IoU."""
        hits = int((self.iou >= least).sum())
        return hits, self.found - hits, self.true - hits

    def panoptic(self, least: float = 0.5) -> float:
        """Sum of the IoUs of those that match."""
        return float(self.iou[self.iou >= least].sum())


def match(truth: NDArray[Any], found: NDArray[Any]) -> Match:
    """Pair the objects of two label images of the same shape.

    Parameters
    ----------
    truth, found : integer arrays
        0 is background.

    Returns
    -------
    Match
        Pairs of an IoU from 0.5, where hardly any choice is left: an object can have
        two of exactly one half only where these are its two halves.
    """
    if truth.shape != found.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {found.shape}")
    true_sizes, found_sizes = np.bincount(truth.ravel()), np.bincount(found.ravel())
    codes, shared = np.unique(
        truth.ravel().astype(np.int64) * len(found_sizes) + found.ravel(),
        return_counts=True,
    )
    own, other = np.divmod(codes, len(found_sizes))
    iou = shared / (true_sizes[own] + found_sizes[other] - shared)
    keep = (own > 0) & (other > 0) & (iou >= 0.5)
    pairs, iou = np.stack([own, other], axis=1)[keep], iou[keep]
    order = np.argsort(-iou, kind="stable")
    taken: tuple[set[int], set[int]] = (set(), set())
    rows = []
    for row in order:
        one, two = (int(v) for v in pairs[row])
        if one not in taken[0] and two not in taken[1]:
            taken[0].add(one)
            taken[1].add(two)
            rows.append(int(row))
    return Match(
        int((true_sizes[1:] > 0).sum()),
        int((found_sizes[1:] > 0).sum()),
        pairs[rows],
        iou[rows],
    )


def precision(hits: int, false: int, missed: int) -> float:
    """Average precision of the Bowl: TP / (TP + FP + FN); 1 where nothing was there."""
    total = hits + false + missed
    return hits / total if total else 1.0


def f1(hits: int, false: int, missed: int) -> float:
    """Harmonic mean of precision and recall; 1 where nothing was there."""
    total = 2 * hits + false + missed
    return 2 * hits / total if total else 1.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a set of images comes to, all their objects taken together.

    Attributes
    ----------
    images, true, found : int
        How many.
    precision, mean_precision : tuple of float
        At each of `IOUS`: of all objects together, and the mean over images.
    f1, panoptic : float
        At an IoU of 0.5.
    count_error : float
        Mean over images of the difference in numbers over the true number.
    """

    images: int
    true: int
    found: int
    precision: tuple[float, ...]
    mean_precision: tuple[float, ...]
    f1: float
    panoptic: float
    count_error: float


def figures(matches: list[Match]) -> Figures:
    """Sum up the matches of a set of images."""
    each = [[match.counts(iou) for iou in IOUS] for match in matches]
    total = np.array(each).sum(axis=0).tolist()
    means = np.array([[precision(*c) for c in row] for row in each]).mean(axis=0)
    hits, false, missed = total[0]
    size = hits + false / 2 + missed / 2
    errors = [abs(m.found - m.true) / max(m.true, 1) for m in matches]
    return Figures(
        len(matches),
        sum(m.true for m in matches),
        sum(m.found for m in matches),
        tuple(precision(*counts) for counts in total),
        tuple(means.tolist()),
        f1(hits, false, missed),
        sum(m.panoptic() for m in matches) / size if size else 1.0,
        float(np.mean(errors)),
    )
