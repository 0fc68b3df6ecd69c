"""Score the cell detector on synthetic scenes that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from cells_decoding import Found, decode, match
from nuclei_instances import Counts
from numpy.typing import NDArray
from synthetic_cells import CLASSES, Cells, as_input, make_cells

Predict = Callable[[NDArray[np.float32]], tuple[NDArray[Any], NDArray[Any]]]
"""Image (3, Y, X) from 0 to 1, to rows (N, C) and prototypes (M, Y / 4, X / 4)."""

SCENES = 24
SHAPE = (512, 512)
THRESHOLDS = tuple(round(0.1 + 0.05 * i, 2) for i in range(15))
USUAL = 0.25
_IOUS = (0.5, 0.7)
_NOTHING = Counts(0, 0, 0)


class Scores(NamedTuple):
    """Figures of a detector.

    Attributes
    ----------
    threshold
        The confidence that gave the best F1.
    counts
        By threshold and IoU, for each class.
    """

    threshold: float
    counts: dict[tuple[float, float], list[Counts]]

    def f1(self, threshold: float, iou: float = 0.5) -> float:
        """F1 over both classes."""
        return _sum(self.counts[threshold, iou]).f1


def _sum(counts: list[Counts]) -> Counts:
    total = _NOTHING
    for each in counts:
        total = total.plus(each)
    return total


def scenes(seed: int, number: int, shape: tuple[int, int] = SHAPE) -> list[Cells]:
    """Draw held-out scenes."""
    seeds = np.random.SeedSequence(seed).spawn(number)
    return [make_cells(np.random.default_rng(child), shape) for child in seeds]


def score(predict: Predict, drawn: list[Cells]) -> Scores:
    """Count matches at each threshold and IoU."""
    counts = {(t, i): [_NOTHING] * len(CLASSES) for t in THRESHOLDS for i in _IOUS}
    for cells in drawn:
        # Suppression goes from the best down, so a higher threshold keeps a prefix.
        found: Found = decode(*predict(as_input(cells.image)), min(THRESHOLDS))
        for key, before in counts.items():
            new = match(found, cells.labels, cells.kinds, *key)
            counts[key] = [b.plus(n) for b, n in zip(before, new, strict=True)]
    best = max(THRESHOLDS, key=lambda t: _sum(counts[t, _IOUS[0]]).f1)
    return Scores(best, counts)


def as_markdown(scores: Scores) -> str:
    """Format the scores as a table with one row per class, and both."""
    lines = ["| class | objects | precision | recall | F1, IoU 0.5 | F1, IoU 0.7 |"]
    lines.append("|---|---|---|---|---|---|")
    half, more = (scores.counts[scores.threshold, iou] for iou in _IOUS)
    rows = zip(
        (*CLASSES, "both"), (*half, _sum(half)), (*more, _sum(more)), strict=True
    )
    for name, count, strict in rows:
        precision = count.matched / max(1, count.found)
        recall = count.matched / max(1, count.true)
        lines.append(
            f"| {name} | {count.true} | {precision:.3f} | {recall:.3f} "
            f"| {count.f1:.3f} | {strict.f1:.3f} |"
        )
    return "\n".join(lines)
