"""Colours of classes in pictures."""

from __future__ import annotations

PALETTE = (
    (0, 194, 255),
    (255, 176, 0),
    (255, 79, 129),
    (125, 223, 100),
    (177, 139, 255),
    (255, 225, 77),
    (255, 133, 82),
)
"""Red, green and blue, apart in hue and lightness, on grey images."""


def colour(class_id: int) -> tuple[int, int, int]:
    """Colour of a class; they repeat."""
    return PALETTE[int(class_id) % len(PALETTE)]


def as_hex(class_id: int) -> str:
    """Colour of a class as in ``#00c2ff``."""
    return "#" + "".join(f"{value:02x}" for value in colour(class_id))
