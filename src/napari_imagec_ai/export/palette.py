"""Colours of classes in pictures."""

from __future__ import annotations

PALETTE = (
    (0, 194, 255),
    (255, 176, 0),
    (255, 79, 129),
    (125, 223, 100),
    (119, 102, 255),
    (102, 136, 34),
    (204, 85, 170),
    (221, 238, 187),
    (255, 204, 238),
    (255, 17, 34),
    (0, 136, 221),
    (187, 255, 102),
    (238, 119, 102),
    (221, 153, 204),
    (221, 34, 204),
    (255, 238, 0),
)
"""Red, green and blue, bright on grey images.

Each is as far as possible from those before it in CIELAB, for people who see all
colours and for those who lack one kind of cones (simulated after Machado, Oliveira and
Fernandes, 2009, https://doi.org/10.1109/TVCG.2009.113).
"""


def colour(class_id: int) -> tuple[int, int, int]:
    """Colour of a class; they repeat."""
    return PALETTE[int(class_id) % len(PALETTE)]


def as_hex(class_id: int) -> str:
    """Colour of a class as in ``#00c2ff``."""
    return "#" + "".join(f"{value:02x}" for value in colour(class_id))
