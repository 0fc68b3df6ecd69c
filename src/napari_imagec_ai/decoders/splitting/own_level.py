"""Gives each part of a foreground its own level, where one for all suits it badly.

Raising the threshold takes a part to pieces, and these to smaller ones: a tree. What a
network sees as objects stands out in it: shapes that are solid (as large as the ellipse
of their second moments) and stable (hardly smaller at the next level), as in maximally
stable extremal regions (J. Matas et al., 2002). A part is replaced by those pieces,
where they are better than itself, each at its own level.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.splitting.bands import Band, bands_of
from napari_imagec_ai.system import threads
from napari_imagec_ai.system.compiled import compiled

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]
Labels = NDArray[np.int32]
Sums = NDArray[np.float64]

LEVELS = (1.5, 3.0, 4.5, 6.0, 7.5, 9.0)
"""Thresholds above the person's own, as logits: networks are soon very sure."""

_STABLE, _SOLID = 0.9, 0.93
"""Parts that are as good as this are left as they are."""

_LEAST = 10
"""Pixels of the smallest piece."""


def own_levels(mask: Mask, probability: Map) -> Mask:
    """Take the parts of a mask at the levels that suit each of them.

    Parameters
    ----------
    mask : (Y, X) bool
        The foreground at the person's threshold; not changed.
    probability : (Y, X) float32
        Of being in an object.

    Returns
    -------
    (Y, X) bool
        Part of the mask. Pieces that were one do not touch in it (by an edge).
    """
    count, parts = _components(mask)
    result = mask.copy()

    def take(band: Band) -> None:
        own, hills = band.cut(parts, probability)
        kept = _kept(own, hills)
        if kept is None:
            return
        inner, rows = own[1:-1, 1:-1] > 0, result[band.rows]
        rows[inner] = kept[1:-1, 1:-1][inner]

    threads.map_parts(take, bands_of(parts, count))
    return result


def _components(mask: Mask) -> tuple[int, Labels]:
    source = np.ascontiguousarray(mask).view(np.uint8)
    count, parts = cv2.connectedComponents(source, connectivity=4)
    return count - 1, np.asarray(parts, np.int32)


def _kept(parts: Labels, probability: Map) -> Mask | None:
    """Pixels that stay of some parts; None: all."""
    count = int(parts.max(initial=0))
    first = _threshold(LEVELS[0])
    table = _measured(parts, parts, probability, first, count)
    solid = _solid(table)
    good = (solid >= _SOLID) & (table[:, 6] >= _STABLE * table[:, 0])
    good |= table[:, 0] < 2 * _LEAST
    if good.all():
        return None
    before = np.where(good[parts], 0, parts)
    levels, tables = [before], [np.where(good[:, None], 0, table)]
    for level in LEVELS:
        over, found = _components((before > 0) & (probability >= _threshold(level)))
        if over == 0:
            break
        tables.append(_measured(found, before, probability, 2.0, over))
        levels.append(found)
        before = found
    kept = good[parts]
    for found, chosen in zip(levels, _chosen(tables), strict=True):
        kept |= chosen[found]
    return np.asarray(kept & (parts > 0))


def _threshold(level: float) -> float:
    return 1 / (1 + math.exp(-level))


@compiled
def _measured(
    parts: Labels, below: Labels, probability: Map, sure: float, count: int
) -> Sums:
    """Per part: pixels, sums of y, x, yy, xx, yx, sure pixels, part that it lies in."""
    found = np.zeros((count + 1, 8), np.float64)
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            part = parts[y, x]
            if part == 0:
                continue
            row = found[part]
            row[0] += 1
            row[1] += y
            row[2] += x
            row[3] += y * y
            row[4] += x * x
            row[5] += y * x
            if probability[y, x] >= sure:
                row[6] += 1
            row[7] = below[y, x]
    return found


def _solid(table: Sums) -> Sums:
    """Pixels of each part, as a share of those of its ellipse; at most 1."""
    area = np.maximum(table[:, 0], 1)
    y, x = table[:, 1] / area, table[:, 2] / area
    # A pixel is a square, whose own moments are a twelfth.
    yy = table[:, 3] / area - y * y + 1 / 12
    xx = table[:, 4] / area - x * x + 1 / 12
    yx = table[:, 5] / area - y * x
    ellipse = 4 * math.pi * np.sqrt(np.maximum(yy * xx - yx * yx, 1e-9))
    return np.asarray(np.minimum(area / ellipse, 1))


def _chosen(tables: list[Sums]) -> list[Mask]:
    """For each level, which pieces make the best cut through the tree."""
    areas = [np.where(t[:, 0] >= _LEAST, t[:, 0], 0) for t in tables]
    best = [np.zeros(len(table)) for table in tables]
    whole = [np.ones(len(table), bool) for table in tables]
    for level in range(len(tables) - 1, -1, -1):
        own, inside = np.zeros(len(tables[level])), np.zeros(len(tables[level]))
        below = np.zeros(len(tables[level]))
        if level + 1 < len(tables):
            parent = tables[level + 1][:, 7].astype(np.int64)
            np.add.at(inside, parent, areas[level + 1])
            np.add.at(below, parent, areas[level + 1] * best[level + 1])
            own = _solid(tables[level]) * inside / np.maximum(tables[level][:, 0], 1)
            below /= np.maximum(inside, 1)
        whole[level] = own >= below
        best[level] = np.maximum(own, below)
    reached = areas[0] > 0
    reached[0] = False
    chosen = []
    for level in range(len(tables)):
        chosen.append(reached & whole[level])
        if level + 1 < len(tables):
            parent = tables[level + 1][:, 7].astype(np.int64)
            reached = (reached & ~whole[level])[parent] & (areas[level + 1] > 0)
            reached[0] = False
    return chosen
