"""What a network asks of a window: sizes, overlap, and how outputs lie on the input."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model import (
    Axis,
    FixedSize,
    Model,
    RelativeSize,
    SteppedSize,
    TensorSpec,
)
from napari_imagec_ai.tiling import AxisLimits

BUDGET = 1 << 20
"""Most pixels of one window, where the network leaves a choice."""

_OVERLAP = {2: 32, 3: 16}
"""Overlap by number of space axes, where the description has no halo."""

_FREE_STEP = 32
"""Steps of the window size where the description allows any: five poolings deep."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How windows and results of a network relate.

    Attributes
    ----------
    limits : tuple of AxisLimits
        For each space axis in ZYX order.
    factors : tuple
        For each output, its pixels per input pixel along each space axis; None where
        the output is no map.
    budget : int
        Most pixels of one window.
    assumed : tuple of str
        Sentences: what the description did not say.
    """

    limits: tuple[AxisLimits, ...]
    factors: tuple[tuple[float, ...] | None, ...]
    budget: int
    assumed: tuple[str, ...]


def geometry(model: Model, space: str) -> Geometry:
    """Read the geometry from a description.

    Parameters
    ----------
    model : Model
        Which one.
    space : str
        Space axes of its input in ZYX order, such as ``YX``.
    """
    spec = model.inputs[0]
    factors = tuple(_factors(spec, output, space) for output in model.outputs)
    declared = any(axis.halo for output in model.outputs for axis in output.axes)
    limits = tuple(
        _limits(spec, model, factors, i, letter.lower(), declared, len(space))
        for i, letter in enumerate(space)
    )
    tiled = any(limit.halo for limit in limits)
    assumed: tuple[str, ...] = ()
    if not declared and tiled and any(factor is not None for factor in factors):
        halos = ", ".join(str(limit.halo) for limit in limits)
        sentence = (
            f"The description has no halo: tiles overlap by {halos} pixels ({space}) "
            "at each side."
        )
        assumed = (sentence,)
    return Geometry(limits, factors, BUDGET, assumed)


def _limits(
    spec: TensorSpec,
    model: Model,
    factors: tuple[tuple[float, ...] | None, ...],
    position: int,
    name: str,
    declared: bool,
    dimensions: int,
) -> AxisLimits:
    axis = spec.axis(name)
    if axis is None:
        raise ModelError(f"The network's input '{spec.id}' has no axis '{name}'.")
    smallest, step = _window(axis)
    scales = [factor[position] for factor in factors if factor is not None]
    halos = [
        math.ceil(found.halo / factor[position])
        for output, factor in zip(model.outputs, factors, strict=True)
        if factor is not None and (found := output.axis(name)) is not None
    ]
    halo = max(halos, default=0) if declared else _OVERLAP.get(dimensions, 0)
    if step == 0 and 2 * halo >= smallest:
        halo = smallest // 4
    return AxisLimits(smallest, step, halo, _align(smallest, step, scales))


def _window(axis: Axis) -> tuple[int, int]:
    size = axis.size
    if isinstance(size, FixedSize):
        return max(size.size, 1), 0
    if isinstance(size, SteppedSize):
        return size.min or size.step, size.step
    return _FREE_STEP, _FREE_STEP


def _align(smallest: int, step: int, scales: list[float]) -> int:
    """Pixel grid of the network's poolings, as far as the sizes tell it."""
    common = math.gcd(smallest, step)
    align = min(common & -common, 64)
    for scale in scales:
        if 0 < scale < 1:
            align = math.lcm(align, round(1 / scale))
    return align


def _factors(
    spec: TensorSpec, output: TensorSpec, space: str
) -> tuple[float, ...] | None:
    factors = []
    for letter in space.lower():
        source, result = spec.axis(letter), output.axis(letter)
        if source is None or result is None:
            return None
        factors.append(_factor(source, result))
    return tuple(factors)


def _factor(source: Axis, result: Axis) -> float:
    size = result.size
    if isinstance(size, RelativeSize):
        return size.scale or 1.0
    before, after = (_smallest(axis) for axis in (source, result))
    return after / before if before and after else 1.0


def _smallest(axis: Axis) -> int:
    if isinstance(axis.size, FixedSize):
        return axis.size.size
    return axis.size.min if isinstance(axis.size, SteppedSize) else 0
