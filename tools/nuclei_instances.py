"""Instances from foreground and boundary maps, and how well they match the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage as ndi
from skimage.segmentation import watershed

if TYPE_CHECKING:
    from numpy.typing import NDArray

MASK_THRESHOLD = 0.5
SEED_THRESHOLD = 0.6
_MIN_SEED = 4  # pixels; less is noise
_MIN_OBJECT = 12


def instances(
    maps: NDArray[np.float32],
    mask_threshold: float = MASK_THRESHOLD,
    seed_threshold: float = SEED_THRESHOLD,
) -> NDArray[np.int32]:
    """Label image (Y, X) of probability maps (2, Y, X), foreground and boundary.

    Seeds are what remains of the foreground without the boundary; a watershed grows
    them over the foreground.
    """
    foreground, boundary = maps
    inside = foreground - boundary
    seeds, _ = ndi.label(inside > seed_threshold)
    seeds[np.bincount(seeds.ravel())[seeds] < _MIN_SEED] = 0
    mask = foreground > mask_threshold
    labels = watershed(-inside, seeds, mask=mask | (seeds > 0))
    sizes = np.bincount(labels.ravel())
    keep = np.flatnonzero(sizes >= _MIN_OBJECT)
    numbers = np.zeros(len(sizes), np.int32)
    numbers[keep[keep > 0]] = np.arange(1, (keep > 0).sum() + 1)
    return np.asarray(numbers[labels], np.int32)


class Counts(NamedTuple):
    """True objects, found objects and pairs of both that match."""

    true: int
    found: int
    matched: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where nothing was to be found."""
        total = self.true + self.found
        return 2 * self.matched / total if total else 1.0

    def plus(self, other: Counts) -> Counts:
        """Return the sums of both."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


def match(truth: NDArray[Any], found: NDArray[Any], iou: float) -> Counts:
    """Count the objects of two label images whose overlap exceeds ``iou``.

    At 0.5 and above an object can match only one other, so no assignment is needed.
    """
    if iou < 0.5:
        raise ValueError(f"iou must be at least 0.5, not {iou}")
    true_sizes, found_sizes = np.bincount(truth.ravel()), np.bincount(found.ravel())
    pairs = truth.ravel().astype(np.int64) * len(found_sizes) + found.ravel()
    codes, shared = np.unique(pairs, return_counts=True)
    i, j = np.divmod(codes, len(found_sizes))
    union = true_sizes[i] + found_sizes[j] - shared
    hits = (i > 0) & (j > 0) & (shared > iou * union)
    return Counts(
        int((true_sizes[1:] > 0).sum()), int((found_sizes[1:] > 0).sum()), hits.sum()
    )
