"""Networks that take more sizes than their description says.

Exporters often write down the size of their example and nothing else. Larger windows
compute fewer pixels in all, so it is tried once: the published test output must still
be reproduced, and a larger window must give the same where both see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import EngineError, ImagecAIError, OutOfMemory
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.learned import keep, recall
from napari_imagec_ai.model.weights import fingerprint
from napari_imagec_ai.run.feed.feed import from_network
from napari_imagec_ai.run.published_tests import prepared, published_inputs, reproduces
from napari_imagec_ai.run.tiles.window_limits import geometry, main_input, window_sizes

_TOPIC = "sizes"

_STEP = {2: 64, 3: 16}
"""Largest steps of sizes, by number of space axes."""

_LEAST = 8
"""Smallest: who takes an odd size takes any."""

_SAME = 1e-3
"""Part of the output's range that two windows may differ by."""


def free_step(model: Model, engine: Engine, space: str) -> int:
    """Steps by which windows may grow beyond the size in the description; 0: none.

    Parameters
    ----------
    model : Model
        Which one.
    engine : Engine
        The opened network; one that fixes its sizes in the file is made to take others.
    space : str
        Space axes of the main input, such as ``YX``.
    """
    spec = main_input(model)
    sizes = [window_sizes(spec, letter) for letter in space.lower()]
    if len(model.inputs) != 1 or any(step for _, step in sizes):
        return 0
    known = recall(model, _TOPIC)
    mark = fingerprint(model, engine.name)
    if known.get(engine.name, {}).get("weights") == mark:
        step = int(known[engine.name].get("step", 0))
        return step if step and _loosened(model, engine) else 0
    step = min(_step(size, len(space)) for size, _ in sizes)
    try:
        step = step if _tried(model, engine, space, step) else 0
    except OutOfMemory:  # that is of today, and not of the network
        return 0
    keep(model, _TOPIC, known | {engine.name: {"weights": mark, "step": step}})
    return step


def _step(size: int, dimensions: int) -> int:
    """The grid of the network's poolings, as far as its size tells."""
    return max(min(size & -size, _STEP.get(dimensions, 64)), _LEAST)


def _loosened(model: Model, engine: Engine) -> bool:
    axes = [axis.name for axis in main_input(model).axes]
    return engine.loosen([i for i, name in enumerate(axes) if name in "zyx"])


def _tried(model: Model, engine: Engine, space: str, step: int) -> bool:
    try:
        if not _loosened(model, engine):
            return False
        return reproduces(model, engine) and _agrees(model, engine, space, step)
    except OutOfMemory:
        raise
    except ImagecAIError:
        return False


def _agrees(model: Model, engine: Engine, space: str, step: int) -> bool:
    """Whether a larger window gives the same at its beginning."""
    spec = main_input(model)
    (array,) = prepared(model, published_inputs(model))
    widths = [(0, step if axis.name in spec.space else 0) for axis in spec.axes]
    small = engine.run([array])
    large = engine.run([np.pad(array, widths, mode="symmetric")])
    window = [array.shape[i] for i, axis in enumerate(spec.axes) if axis.name in "zyx"]
    shape = geometry(model, space, (0,) * len(space))
    for output, grid, one, other in zip(
        model.outputs, shape.grids, small, large, strict=True
    ):
        if grid is None:
            return False  # its numbers would be of another part of the image
        whole = from_network(other, output, space)
        if whole.shape[1:] != grid.size([size + step for size in window]):
            raise EngineError(f"Output '{output.id}' does not grow with the window.")
        if not _same(from_network(one, output, space), whole):
            return False
    return True


def _same(small: NDArray[Any], large: NDArray[Any]) -> bool:
    near: Sequence[slice] = [slice(0, size // 2) for size in small.shape[1:]]
    here, there = (values[(slice(None), *near)] for values in (small, large))
    allowed = _SAME * max(float(np.ptp(small)), 1e-12)
    return bool(np.abs(here - there).max() <= allowed)
