"""Goes over the pixels of label images: counts, renames, carries them over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.system.compiled import compiled

Labels = NDArray[np.int32]


@compiled
def sizes(labels: Labels, highest: int) -> NDArray[np.int64]:
    """Pixels of each label.

    Parameters
    ----------
    labels : (N,) int32
        From 0 to ``highest``.
    highest : int
        Of the labels.

    Returns
    -------
    (highest + 1,) int64
        The background, 0, has none.
    """
    count = np.zeros(highest + 1, np.int64)
    for at in range(len(labels)):
        if labels[at]:
            count[labels[at]] += 1
    return count


@compiled
def rename(labels: Labels, names: Labels) -> None:
    """Give labels (N,) other names, in place; 0 stays."""
    for at in range(len(labels)):
        if labels[at]:
            labels[at] = names[labels[at]]


@compiled
def _beside(labels: Labels, z: int, y: int, x: int, way: int) -> int:
    """Label of a neighbour before (-1) or after (1); 0 if none of them has one."""
    depth, height, width = labels.shape
    if 0 <= x + way < width and labels[z, y, x + way]:
        return int(labels[z, y, x + way])
    if 0 <= y + way < height and labels[z, y + way, x]:
        return int(labels[z, y + way, x])
    if 0 <= z + way < depth and labels[z + way, y, x]:
        return int(labels[z + way, y, x])
    return 0


@compiled
def carry_over(mask: NDArray[np.bool_], before: Labels, labels: Labels) -> bool:
    """Give the pixels of a mask the labels that they or pixels beside them had.

    Parameters
    ----------
    mask : (Z, Y, X) bool
        The pixels.
    before : (Z, Y, X) int32
        Labels of pixels that were labelled before.
    labels : (Z, Y, X) int32
        Written; 0 outside of the mask.

    Returns
    -------
    bool
        Whether pixels are left that have nothing beside them, and so no label.
    """
    depth, height, width = mask.shape
    bare = False
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                label = before[z, y, x] if mask[z, y, x] else 0
                if mask[z, y, x] and label == 0:
                    labels[z, y, x] = 0
                    label = _beside(labels, z, y, x, -1)
                    bare |= label == 0
                labels[z, y, x] = label
    if not bare:
        return False
    bare = False
    for z in range(depth - 1, -1, -1):
        for y in range(height - 1, -1, -1):
            for x in range(width - 1, -1, -1):
                if mask[z, y, x] and labels[z, y, x] == 0:
                    labels[z, y, x] = _beside(labels, z, y, x, 1)
                    bare |= labels[z, y, x] == 0
    return bare
