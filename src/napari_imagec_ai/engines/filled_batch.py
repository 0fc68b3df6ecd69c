"""Networks whose file fixes the number of images in a call: calls are filled up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Completed, Engine


class FilledBatch(Completed):
    """An engine that takes fewer images than a call of its network has.

    The last image is repeated until the batch is full; what comes out for the copies is
    dropped. Everything else is the engine's own.

    Parameters
    ----------
    engine : Engine
        The opened network.
    batch : int
        Images in one call, along the first axis.
    """

    def __init__(self, engine: Engine, batch: int) -> None:
        super().__init__(engine)
        self.batch = batch

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See :meth:`napari_imagec_ai.engines.engine.Engine.run`."""
        count = inputs[0].shape[0] if inputs and inputs[0].ndim else self.batch
        if not 0 < count < self.batch:
            return self._engine.run(inputs)
        missing = self.batch - count
        filled = [
            np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
            if array.ndim and array.shape[0] == count
            else array
            for array in inputs
        ]
        return [
            array[:count] if array.ndim and array.shape[0] == self.batch else array
            for array in self._engine.run(filled)
        ]


def with_full_batches(engine: Engine) -> Engine:
    """The engine, which fills up batches where its file fixes their size."""
    shape = engine.signature[0][1] if engine.signature else ()
    fixed = shape[0] if len(shape) in (4, 5) else None
    return FilledBatch(engine, fixed) if fixed is not None and fixed > 1 else engine
