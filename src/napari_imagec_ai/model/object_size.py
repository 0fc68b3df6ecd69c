"""Which sizes of objects a network knows, in its own pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import Model

_REACH = 2.0
"""Where one size is told, half and double of it are taken for known, too."""

_CELLPOSE = 30.0
"""Diameter in pixels that Cellpose's networks of cells are trained at."""


@dataclass(frozen=True, slots=True)
class KnownSizes:
    """Diameters of objects that a network was made for, in pixels of its input.

    Attributes
    ----------
    least, best, most : float
        The diameter is that of a disk of the same area.
    """

    least: float
    best: float
    most: float

    def holds(self, diameter: float) -> bool:
        """Whether objects of this diameter are known."""
        return self.least <= diameter <= self.most


def known_sizes(model: Model) -> KnownSizes | None:
    """Sizes that a description tells; None where it tells none.

    ``config.napari_imagec_ai.object_size`` is the diameter that is known best, or the
    least and the most, or all three in their order; for Cellpose's networks
    ``config.cellpose.diam_mean`` counts as well.

    Raises
    ------
    ModelError
        If what is written there are no sizes.
    """
    told = model.settings.get("object_size")
    if told is not None:
        return _read(told, model.name)
    hints = model.hints.get("cellpose")
    if model.kind == "cellpose" and isinstance(hints, Mapping):
        mean = hints.get("diam_mean")
        if _is_size(mean):
            return _read(mean, model.name)
    return None


def size_to_aim_at(model: Model) -> float | None:
    """Diameter to bring objects to, in pixels of the network; None: nothing is known.

    Raises
    ------
    ModelError
        If the description tells sizes that are none.
    """
    known = known_sizes(model)
    if known is not None:
        return known.best
    return _CELLPOSE if model.kind == "cellpose" else None


def _is_size(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value > 0


def _read(told: object, name: str) -> KnownSizes:
    several = isinstance(told, Sequence) and not isinstance(told, str)
    sizes: list[object] = list(told) if several else [told]  # type: ignore[call-overload]
    values = [float(v) for v in sizes if _is_size(v)]
    if len(values) != len(sizes) or values != sorted(values) or not 0 < len(values) < 4:
        raise ModelError(
            f"In the description of '{name}': expected one diameter, or the least and "
            f"the most, or least, best and most for 'object_size', found {told!r:.60}."
        )
    if len(values) == 1:
        return KnownSizes(values[0] / _REACH, values[0], values[0] * _REACH)
    if len(values) == 2:
        return KnownSizes(values[0], math.sqrt(values[0] * values[1]), values[1])
    return KnownSizes(*values)
