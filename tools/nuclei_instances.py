"""How well the objects of two label images match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
