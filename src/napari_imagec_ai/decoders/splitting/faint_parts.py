"""Finds the parts of a foreground that a network is much less sure of than of others.

A network that was trained on objects is sure somewhere in each of them. What stays
below that everywhere is mostly texture of the background: of such parts one in ten was
right on real images of nuclei, of the others nine.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Map = NDArray[np.float32]

_NEARLY = 0.95
"""Share of the highest probability that the surest pixel of a part must reach."""

_ENOUGH = 5
"""So many parts must reach it: fewer do not tell what is usual."""

_MOST = 0.5
"""Pixels of faint parts for each of others, at most: more are what is usual."""


def faint_parts(mask: Mask, probability: Map) -> Mask | None:
    """Pixels of faint parts.

    Parameters
    ----------
    mask : (Y, X) bool
        The foreground; its parts are connected by edges.
    probability : (Y, X) float32
        Of being in an object.

    Returns
    -------
    (Y, X) bool or None
        None: there is no faint part.
    """
    highest = float(probability.max(initial=0))
    source = np.ascontiguousarray(mask).view(np.uint8)
    count, parts = cv2.connectedComponents(source, connectivity=4)
    sure = np.zeros(count, bool)
    sure[parts[probability >= _NEARLY * highest]] = True
    sure[0] = True  # the background is no part
    if sure.all() or int(np.count_nonzero(sure)) - 1 < _ENOUGH:
        return None
    faint = ~sure[parts]
    pixels = int(np.count_nonzero(faint))
    if pixels > _MOST * (int(np.count_nonzero(mask)) - pixels):
        return None
    return np.asarray(faint)
