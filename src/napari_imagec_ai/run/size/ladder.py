"""Finds out how large the objects of an image are, for a network that knows some sizes.

The same place is looked at on a ladder of scales. A rung counts for how sure the
network is there, how little its objects change with the threshold, how near their sizes
are to those that it knows, and above all for whether the next rung shows objects of the
same size: what is only a clump, or a piece, is of another size at each scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from napari_imagec_ai.model.object_size import KnownSizes
from napari_imagec_ai.run.size.rough_objects import Rough

RUNGS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Pixels of the network for each pixel of the image."""

_TELLING = 0.3
"""A lower score than this tells nothing."""

_ALIKE = 0.35
"""Logarithm of the ratio of two sizes that are hardly the same any more."""

_ALONE = 0.4
"""What a rung is worth with which no other agrees."""

_FEW = 3
"""So many objects count for half of what many do."""

_WIDTH = 1.5
"""How slowly sizes cease to be known beyond their limits."""

Look = Callable[[float], Rough | None]
"""Objects at a scale; None where the image is too small for it."""


@dataclass(frozen=True, slots=True)
class Rung:
    """What a scale comes to.

    Attributes
    ----------
    scale : float
        Pixels of the network for each of the image.
    score : float
        From 0 to 1.
    diameter : float
        Of the objects, in pixels of the network; larger ones count more.
    objects : int
        How many were seen.
    """

    scale: float
    score: float
    diameter: float
    objects: int

    @property
    def in_image(self) -> float:
        """The diameter in pixels of the image."""
        return self.diameter / self.scale


def rate(scale: float, rough: Rough, known: KnownSizes | None) -> Rung:
    """Score what was seen at a scale, by itself."""
    diameter, confidence = rough.diameter, rough.confidence
    if rough.whole.sum() >= _FEW:  # what the window cuts off tells no size
        diameter, confidence = diameter[rough.whole], confidence[rough.whole]
    if not len(diameter):
        return Rung(scale, 0.0, 0.0, 0)
    weight = diameter**2
    size = float((weight * diameter).sum() / weight.sum())
    sure = float((weight * confidence).sum() / weight.sum())
    near = 1.0
    if known is not None:
        end = known.most if size > known.best else known.least
        reach = max(_WIDTH * abs(math.log(end / known.best)), 0.2)
        near = math.exp(-0.5 * (math.log(size / known.best) / reach) ** 2)
    many = len(diameter) / (len(diameter) + _FEW)
    score = sure * math.sqrt(rough.stable) * near * many
    return Rung(scale, score, size, len(diameter))


def _agreement(rung: Rung, tried: Mapping[float, Rung]) -> float:
    """How well the sizes at a neighbouring scale are those of this one, 0 to 1."""
    best = 0.0
    for other in tried.values():
        apart = abs(math.log2(other.scale / rung.scale))
        if 0 < apart < 1.1 and other.objects and rung.objects:
            off = math.log(other.in_image / rung.in_image) / _ALIKE
            best = max(best, math.exp(-0.5 * off**2))
    return best


def climb(look: Look, known: KnownSizes | None) -> Rung | None:
    """The scale that tells the size of the objects best; None where none tells it.

    Parameters
    ----------
    look : callable
        Gives the objects at a scale.
    known : KnownSizes or None
        Sizes that the network knows.
    """
    tried: dict[float, Rung] = {}
    for scale in RUNGS:
        rough = look(scale)
        if rough is not None:
            tried[scale] = rate(scale, rough, known)
    best: Rung | None = None
    for rung in tried.values():
        share = _ALONE + (1 - _ALONE) * _agreement(rung, tried)
        found = Rung(rung.scale, rung.score * share, rung.diameter, rung.objects)
        if best is None or found.score > best.score:
            best = found
    return best if best is not None and best.score >= _TELLING else None
