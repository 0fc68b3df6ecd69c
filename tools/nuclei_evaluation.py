"""Score a network on synthetic scenes that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nuclei_instances import Counts, instances, match
from numpy.typing import NDArray
from synthetic_nuclei import make_scene

Predict = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Image (Y, X) in grey values to probability maps (2, Y, X)."""

SIZES = ((8, 14), (14, 22), (22, 32), (32, 44), (44, 60))  # diameters in pixels
SCENES_PER_SIZE = 8
IOUS = (0.5, 0.7)
_SHAPE = (384, 384)


def scenes(seed: int, size: tuple[int, int]) -> list[tuple[Any, Any]]:
    """Draw the held-out scenes with nuclei of one range of diameters."""
    pairs = []
    for child in np.random.SeedSequence((seed, *size)).spawn(SCENES_PER_SIZE):
        rng = np.random.default_rng(child)
        pairs.append(make_scene(rng, _SHAPE, diameter=float(rng.uniform(*size))))
    return pairs


def score(
    predict: Predict, seed: int
) -> dict[tuple[int, int], tuple[int, list[Counts]]]:
    """Number of nuclei and matches at each of `IOUS`, for each of `SIZES`."""
    table = {}
    for size in SIZES:
        counts = [Counts(0, 0, 0) for _ in IOUS]
        for image, truth in scenes(seed, size):
            found = instances(predict(image))
            counts = [
                c.plus(match(truth, found, iou))
                for c, iou in zip(counts, IOUS, strict=True)
            ]
        table[size] = (counts[0].true, counts)
    return table


def as_markdown(table: dict[tuple[int, int], tuple[int, list[Counts]]]) -> str:
    """Format the scores as a table with one row per size, and all together."""
    lines = ["| diameter (px) | scenes | nuclei | F1, IoU 0.5 | F1, IoU 0.7 |"]
    lines.append("|---|---|---|---|---|")
    totals = [Counts(0, 0, 0) for _ in IOUS]
    for (low, high), (nuclei, counts) in table.items():
        totals = [t.plus(c) for t, c in zip(totals, counts, strict=True)]
        scores = " | ".join(f"{c.f1:.3f}" for c in counts)
        lines.append(f"| {low} to {high} | {SCENES_PER_SIZE} | {nuclei} | {scores} |")
    scores = " | ".join(f"{c.f1:.3f}" for c in totals)
    number = SCENES_PER_SIZE * len(table)
    lines.append(f"| all | {number} | {totals[0].true} | {scores} |")
    return "\n".join(lines)
