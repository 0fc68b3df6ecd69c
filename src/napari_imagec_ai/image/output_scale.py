"""How many pixels of a network's output make one of its image."""

from __future__ import annotations

import math

_USUAL = (1.0, 0.5, 2.0, 0.25, 4.0, 0.125, 8.0, 1 / 3, 3.0, 1.5)
"""Scales that networks have."""


def scaled_size(size: int, factor: float) -> int:
    """Pixels of an output that cover an image: the last one may reach beyond it."""
    return max(1, math.ceil(size * factor - 1e-6))


def scale_between(own: int, image: int) -> float:
    """Scale of an output along one axis, from its size and the image's.

    Sizes are whole numbers: 38 pixels for 303 are a scale of 1/8, where the last pixel
    is cut, and not of 0.1254, which would be a pixel off at the far end.
    """
    fitting = [f for f in _USUAL if scaled_size(image, f) == own]
    ratio = own / image
    return min(fitting, key=lambda f: abs(f - ratio), default=ratio)
