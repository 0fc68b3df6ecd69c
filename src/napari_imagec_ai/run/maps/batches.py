"""Several windows in one call of the network: worth it on a GPU.

On a processor a call of one window keeps all cores busy, and several are no faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.model.description import FixedSize, Model, TensorSpec

Array = NDArray[Any]

ON_A_GPU = 4
"""Windows in one call, where they are small.

On an H200 a U-Net took four windows of 256 x 256 pixels two to three times as fast as
one after the other, of 512 x 512 a fifth faster; eight were no faster.
"""

MOST_PIXELS = ON_A_GPU * 512 * 512
"""Pixels of all windows in one call: of 1024 x 1024, four took twice as long as
one after the other, since the results are copied back at once."""


def usual(model: Model, engine: Engine, pixels: int) -> int:
    """How many windows of so many pixels a call has: 1 on a processor."""
    if not is_possible(model):
        return 1
    # A call takes as long for one image of a batch that the file fixes.
    if engine.batch > 1 or engine.device == "cpu":
        return engine.batch
    return max(1, min(ON_A_GPU, MOST_PIXELS // pixels))


def is_possible(model: Model) -> bool:
    """Whether the description leaves the number of images in a call open."""
    tensors = (*model.inputs, *model.outputs)
    return all(_batch_axis(spec) is not None for spec in tensors)


def joined(model: Model, windows: Sequence[list[Array]]) -> list[Array]:
    """Windows along the batch axis of each input.

    Parameters
    ----------
    model : Model
        Whose inputs they are.
    windows : sequence of list of array
        For each window all inputs, in the network's axes.
    """
    if len(windows) == 1:
        return windows[0]
    return [
        np.concatenate(arrays, _batch_axis(spec) or 0)
        for spec, arrays in zip(model.inputs, zip(*windows, strict=True), strict=True)
    ]


def taken_apart(
    model: Model, results: Sequence[Array], count: int
) -> list[list[Array]]:
    """For each window of a batch all outputs.

    Raises
    ------
    EngineError
        If the network gave another number of results than it was given windows.
    """
    if count == 1:
        return [list(results)]
    parts = []
    for spec, array in zip(model.outputs, results, strict=False):
        axis = _batch_axis(spec) or 0
        if array.ndim <= axis or array.shape[axis] != count:
            raise EngineError(
                f"Output '{spec.id}' has the shape {array.shape} for a batch of "
                f"{count} windows; the network does not take batches."
            )
        parts.append(np.split(array, count, axis))
    return [list(one) for one in zip(*parts, strict=True)]


def _batch_axis(spec: TensorSpec) -> int | None:
    """Where the batch axis is; None where there is none, or its size is fixed."""
    for i, axis in enumerate(spec.axes):
        if axis.name == "b":
            return None if isinstance(axis.size, FixedSize) else i
    return None
