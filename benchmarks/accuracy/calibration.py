"""How far confidence is from the share that is right, and a curve that mends it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10
_POINTS = 9
"""Of a fitted curve, with its ends."""


def expected_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Expected calibration error: mean gap of confidence and share over equal bins.

    Bins are of equal width and count by how many objects are in them (Guo et al. 2017).
    """
    if not len(confidence):
        return 0.0
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = 0.0
    for each in range(bins):
        mine = number == each
        if mine.any():
            gaps += mine.sum() * abs(confidence[mine].mean() - right[mine].mean())
    return float(gaps / len(confidence))


def fitted_curve(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> list[list[float]]:
    """Points of a rising curve from a network's sureness to the share that is right.

    Isotonic regression (pools of neighbours that would fall), read off at quantiles of
    the sureness and shrunk a little towards the mean, as small pools are no proof.
    """
    order = np.argsort(confidence, kind="stable")
    sure, good = confidence[order], right[order].astype(float)
    groups = np.array_split(np.arange(len(sure)), min(24, max(1, len(sure) // 15)))
    values: list[list[float]] = []  # mean share, weight, mean sureness
    for group in groups:
        prior = good.mean()
        share = (good[group].sum() + 2 * prior) / (len(group) + 2)
        values.append([share, float(len(group)), float(sure[group].mean())])
        while len(values) > 1 and values[-2][0] > values[-1][0]:
            last, before = values.pop(), values.pop()
            weight = last[1] + before[1]
            values.append(
                [
                    (last[0] * last[1] + before[0] * before[1]) / weight,
                    weight,
                    (last[2] * last[1] + before[2] * before[1]) / weight,
                ]
            )
    points = [(v[2], v[0]) for v in values]
    if len(points) > _POINTS - 2:
        keep = np.linspace(0, len(points) - 1, _POINTS - 2).round().astype(int)
        points = [points[i] for i in keep]
    first, last = points[0], points[-1]
    curve = [(0.0, min(first[1], 0.5 * first[1]) if first[0] > 0 else first[1])]
    curve += [p for p in points if 0 < p[0] < 1]
    curve.append((1.0, max(last[1], min(1.0, last[1]))))
    rounded: list[list[float]] = []
    for x, y in curve:
        pair = [round(float(x), 3), round(float(y), 3)]
        if not rounded or pair[0] > rounded[-1][0]:
            rounded.append(pair)
    return rounded
