"""What a network asks of a window: sizes, overlap, and how outputs lie on the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.model.description import (
    Axis,
    FixedSize,
    Model,
    RelativeSize,
    SteppedSize,
    TensorSpec,
)
from napari_imagec_ai.run.tiles.tiling import AxisLimits, Grid

BUDGET = 1 << 20
"""Most pixels of one window, where the network leaves a choice."""

_ROOMY = 9 << 18
"""Most pixels of windows of planes; those of volumes stay at the budget."""

_AT_LEAST = 8
"""Maps that the smallest of networks hold at once, beside inputs and outputs."""

_A_PIXEL = 3600
"""Bytes that networks take for a pixel of a window: some hundred feature maps."""

_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Output scales that networks have."""

_FREE_STEP = 32
"""Steps of the window size where the description allows any: five poolings deep."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How windows and results of a network relate.

    Attributes
    ----------
    limits : tuple of AxisLimits
        For each space axis in ZYX order.
    grids : tuple
        For each output, how it lies on the window; None where it is no map.
    margin : tuple of int
        Pixels to add at each side of the image along each space axis, since the network
        gives nothing for the sides of a window.
    budget : int
        Most pixels of one window.
    """

    limits: tuple[AxisLimits, ...]
    grids: tuple[Grid | None, ...]
    margin: tuple[int, ...]
    budget: int


def main_input(model: Model) -> TensorSpec:
    """The input that the image goes to: the first that has space axes.

    Raises
    ------
    ModelError
        If the network takes no image.
    """
    for spec in model.inputs:
        if {"y", "x"} <= set(spec.space):
            return spec
    spec = model.inputs[0]
    raise ModelError(
        f"The network's input '{spec.id}' has the axes '{spec.letters}' and takes no "
        "image; choose another model."
    )


def declared_halo(model: Model, space: str) -> tuple[int, ...] | None:
    """Halo in input pixels along each space axis; None where nothing is said of it."""
    spec = main_input(model)
    if not any(axis.halo for output in model.outputs for axis in output.axes):
        return None
    halo = [0] * len(space)
    for output in model.outputs:
        grid = _grid(spec, output, space)
        for i, letter in enumerate(space.lower()):
            axis = output.axis(letter)
            if grid is not None and axis is not None:
                halo[i] = max(halo[i], math.ceil(axis.halo / grid.factors[i]))
    return tuple(halo)


def most_pixels(dimensions: int, memory: float | None = None) -> int:
    """Most pixels of one window, where the network leaves a choice.

    In few steps, so that one run is tiled as the next although other programs come and
    go.

    Parameters
    ----------
    dimensions : int
        Space axes of the network.
    memory : float, optional
        Gigabytes that a run may take; by default what is free.
    """
    room = psutil.virtual_memory().available if memory is None else memory * 1e9
    steps = (_ROOMY, BUDGET) if dimensions == 2 else (BUDGET,)
    smaller = (BUDGET >> shift for shift in (2, 4, 6, 8))
    fitting = (step for step in (*steps, *smaller) if step * _A_PIXEL <= room)
    return next(fitting, BUDGET >> 8)


def side_that_fits(dimensions: int, room: float) -> int:
    """Side of a window that so many bytes of memory are enough for."""
    side = (room / _A_PIXEL) ** (1 / dimensions)
    return max(16, int(side) // 16 * 16)


def check_window(
    model: Model, shape: Sequence[int], memory: float | None = None
) -> None:
    """Find out before the run whether a window can fit into the memory at all.

    Parameters
    ----------
    model : Model
        The network.
    shape : sequence of int
        Of the window.
    memory : float, optional
        Gigabytes that the run may take; by default what is free.

    Raises
    ------
    EngineError
        If what goes in, what comes out and a few maps between take more.
    """
    tensors = (*model.inputs, *model.outputs)
    channels = sum(spec.channels or 1 for spec in tensors) + _AT_LEAST
    needed = 4.0 * math.prod(shape) * channels
    free = psutil.virtual_memory().available
    room = free if memory is None else min(free, memory * 1e9)
    if needed > room:
        sizes = " x ".join(map(str, shape))
        raise EngineError(
            f"A window of {sizes} pixels needs {needed / 1e9:.2f} GB of memory and "
            f"more, but {room / 1e9:.2f} GB are there; try smaller tiles, such as "
            f"--tile {side_that_fits(len(shape), room)}, or close other programs."
        )


def geometry(
    model: Model,
    space: str,
    halo: Sequence[int],
    free: int = 0,
    memory: float | None = None,
) -> Geometry:
    """Read the geometry from a description.

    Parameters
    ----------
    model : Model
        Which one.
    space : str
        Space axes of its input in ZYX order, such as ``YX``.
    halo : sequence of int
        Input pixels at each inner side of a window that are worth less, along each
        space axis.
    free : int
        Steps by which windows may be larger than a size that the description fixes.
    memory : float, optional
        Gigabytes that a run may take; by default what is free.

    Raises
    ------
    ModelError
        If the sizes of inputs and outputs cannot be brought together.
    """
    spec = main_input(model)
    grids = tuple(_grid(spec, output, space) for output in model.outputs)
    maps = [grid for grid in grids if grid is not None]
    margin = tuple(
        max((grid.lost[i] for grid in maps), default=0) for i in range(len(space))
    )
    limits = []
    for i, letter in enumerate(space.lower()):
        smallest, step = window_sizes(spec, letter)
        step = step or free
        rim = max(int(halo[i]), margin[i])
        if step == 0 and 2 * rim >= smallest:  # a slip of the description
            rim = max(smallest // 4, margin[i])
        scales = [grid.factors[i] for grid in maps]
        limits.append(AxisLimits(smallest, step, rim, *_grids(smallest, step, scales)))
    return Geometry(tuple(limits), grids, margin, most_pixels(len(space), memory))


def window_sizes(spec: TensorSpec, name: str) -> tuple[int, int]:
    """Smallest window and its steps along an axis of an input; step 0: only this one.

    Raises
    ------
    ModelError
        If the input does not have the axis.
    """
    axis = spec.axis(name)
    if axis is None:
        raise ModelError(f"The network's input '{spec.id}' has no axis '{name}'.")
    size = axis.size
    if isinstance(size, FixedSize):
        return max(size.size, 1), 0
    if isinstance(size, SteppedSize):
        return size.min or size.step, size.step
    if isinstance(size, RelativeSize) and size.tensor == spec.id and size.axis != name:
        smallest, step = window_sizes(spec, size.axis)
        scaled = round(size.scale * smallest + size.offset)
        return max(scaled, 1), round(size.scale * step)
    return _FREE_STEP, _FREE_STEP


def _grids(smallest: int, step: int, scales: list[float]) -> tuple[int, int]:
    """Where windows may begin, and where their results may be cut.

    Windows begin on the pixel grid of the network's poolings, as far as the sizes tell
    it; results are cut at whole pixels of the coarsest output.
    """
    common = math.gcd(smallest, step)
    cut = math.lcm(*(round(1 / scale) for scale in scales if 0 < scale < 1))
    return math.lcm(min(common & -common, 64), cut), cut


def _grid(spec: TensorSpec, output: TensorSpec, space: str) -> Grid | None:
    pairs = []
    steps = (step.kwargs.get("grid") for step in output.steps)
    coarse = next(
        (g for g in steps if isinstance(g, list) and len(g) == len(space)), None
    )
    if coarse is not None:  # of StarDist, whose description is about the labels
        return Grid(tuple(1 / float(g) for g in coarse), (0,) * len(space))
    for letter in space.lower():
        source, result = spec.axis(letter), output.axis(letter)
        if source is None or result is None:
            return None
        pairs.append(_relation(source, result))
    return Grid(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))


def _relation(source: Axis, result: Axis) -> tuple[float, int]:
    """Factor and offset of an output's size."""
    size = result.size
    if isinstance(size, RelativeSize):
        return size.scale or 1.0, round(size.offset)
    before, after = (_smallest(axis) for axis in (source, result))
    if not before or not after:
        return 1.0, 0
    if after % before == 0 or before % after == 0 or 2 * after % before == 0:
        return after / before, 0
    # A network without padding: it loses its rim, the least that the sizes allow.
    factor = next((f for f in _FACTORS if f * before >= after), after / before)
    return factor, after - round(factor * before)


def _smallest(axis: Axis) -> int:
    if isinstance(axis.size, FixedSize):
        return axis.size.size
    return axis.size.min if isinstance(axis.size, SteppedSize) else 0
