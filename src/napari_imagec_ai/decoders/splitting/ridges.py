"""How high the ridges between basins are, and which basins are joined over them.

Images are flat, as in :mod:`napari_imagec_ai.decoders.splitting.basins`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.system.compiled import compiled

Labels = NDArray[np.int32]
Relief = NDArray[np.float32]
Steps = NDArray[np.int64]


@compiled
def root(parent: Labels, label: int) -> int:
    """The label that stands for all that were joined with this one."""
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


@compiled
def between(
    relief: Relief, found: Labels, beside: Steps, highest: int
) -> tuple[Labels, Labels, Relief]:
    """Pairs of neighbouring basins, and the height of the ridge between them.

    Parameters
    ----------
    relief : float32
        Height of each pixel.
    beside : int64
        From :func:`~napari_imagec_ai.decoders.splitting.basins.steps_beside`.
    found : int32
        Basin of each pixel, from 1; 0: none.
    highest : int
        Of the labels.

    Returns
    -------
    lower, upper, height
        Labels of both, and the height; in no order.
    """
    # For each basin a chain of those with a higher label that it has a ridge with.
    last = np.full(highest + 1, -1, np.int32)
    size = 4 * highest + 64
    lower, upper = np.empty(size, np.int32), np.empty(size, np.int32)
    before, height = np.empty(size, np.int32), np.empty(size, np.float32)
    count = 0
    for at in range(len(found)):
        if found[at] == 0:
            continue
        for k in range(len(beside) // 2, len(beside)):
            one, other = found[at], found[at + beside[k]]
            if other == 0 or one == other:
                continue
            one, other = min(one, other), max(one, other)
            level = min(relief[at], relief[at + beside[k]])
            link = last[one]
            while link >= 0 and upper[link] != other:
                link = before[link]
            if link >= 0:
                height[link] = max(height[link], level)
                continue
            if count == size:
                size *= 2
                lower, upper = np.append(lower, lower), np.append(upper, upper)
                before, height = np.append(before, before), np.append(height, height)
            lower[count], upper[count], height[count] = one, other, level
            before[count], last[one] = last[one], count
            count += 1
    return lower[:count].copy(), upper[:count].copy(), height[:count].copy()


@compiled
def join(
    lower: Labels,
    upper: Labels,
    height: Relief,
    heights: Relief,
    size: Steps,
    marks: int,
    neck: float,
    min_size: int,
) -> Labels:
    """Join basins over ridges that are nearly as high as the lower hill.

    Parameters
    ----------
    lower, upper, height
        From :func:`between`, the highest ridge first.
    heights : (labels + 1,) float32
        Of the hills; 0 for ledges.
    size : (labels + 1,) int64
        Pixels of each basin; changed.
    marks : int
        Labels above are ledges.
    neck : float
        In (0, 1]: hills are kept apart where the ridge between them is lower than this
        part of the lower one.
    min_size : int
        Basins of fewer pixels join their neighbour.

    Returns
    -------
    (labels + 1,) int32
        For each basin the one that stands for all that were joined with it.
    """
    parent = np.arange(len(heights)).astype(np.int32)
    # Ledges first, over their highest ridge: until then, basins have neither their size
    # nor their neighbours.
    for k in range(len(height)):
        i, j = root(parent, lower[k]), root(parent, upper[k])
        i, j = min(i, j), max(i, j)
        if i != j and j > marks:
            parent[j] = i
            size[i] += size[j]
    # Water rises from the lowest neck.
    for k in range(len(height)):
        i, j = root(parent, lower[k]), root(parent, upper[k])
        if i == j:
            continue
        low, high = (i, j) if heights[i] < heights[j] else (j, i)
        if height[k] >= neck * heights[low] or min(size[i], size[j]) < min_size:
            parent[low] = high
            size[high] += size[low]
    for label in range(len(parent)):
        parent[label] = root(parent, label)
    return parent
