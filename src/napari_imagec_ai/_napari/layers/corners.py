"""Corners of napari's shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CORNERS = 72
"""Of an ellipse that is drawn as a polygon."""


def outline(ring: NDArray[Any], kind: str) -> NDArray[Any]:
    """Corners of a shape; napari gives an ellipse by those of the box around it."""
    if kind != "ellipse":
        return ring
    middle = ring.mean(axis=0)
    first, second = (ring[1] - ring[0]) / 2, (ring[3] - ring[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(angle) * first + np.sin(angle) * second)
