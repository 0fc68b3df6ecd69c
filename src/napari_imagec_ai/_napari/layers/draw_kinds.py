"""What objects are drawn as."""

from __future__ import annotations

from dataclasses import dataclass

from napari_imagec_ai._napari.layers.drawing import ONE, Fill, ShapeKind


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a person wants to see of the objects beside their pixels.

    Attributes
    ----------
    outlines, boxes, points : bool
        Which layers to make.
    many : bool
        Also where napari takes seconds to build them.
    fill : str
        How the pixels of objects look: one of :data:`Fill`.
    """

    outlines: bool = True
    boxes: bool = False
    points: bool = False
    many: bool = False
    fill: Fill = ONE

    @property
    def kinds(self) -> tuple[ShapeKind, ...]:
        """The kinds that are wanted."""
        every: tuple[ShapeKind, ...] = ("outlines", "boxes", "points")
        return tuple(kind for kind in every if getattr(self, kind))
