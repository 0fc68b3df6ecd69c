"""Draws very many outlines without stopping the window.

Outlines are traced by a worker. napari's Shapes can only be filled in the window's own
thread, and twenty thousand of them take it ten seconds: they are added some at a time,
and what else there is to do is done in between.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_imagec_ai._napari.background import Run
from napari_imagec_ai._napari.layers import drawing
from napari_imagec_ai._napari.layers.drawing import ShapeKind
from napari_imagec_ai.results.objects import Objects

if TYPE_CHECKING:
    import pandas as pd
    from napari.layers import Shapes

AT_ONCE = 500
"""Outlines that are added between two looks at what the person does."""


class ManyShapes:
    """Fills Shapes layers in the background; what is begun anew is not ended."""

    def __init__(self) -> None:
        self._jobs: dict[int, _Job] = {}

    @property
    def busy(self) -> bool:
        """Whether a layer is being filled."""
        return any(not job.done for job in self._jobs.values())

    def draw(
        self,
        layer: Shapes,
        objects: Objects,
        table: pd.DataFrame,
        kind: ShapeKind,
        in_depth: bool = False,
    ) -> None:
        """Fill a layer with these objects and their table instead of what is in it."""
        self.leave(layer)
        drawing.refill(layer, [], in_depth)
        self._jobs[id(layer)] = _Job(layer, objects, table, kind)

    def leave(self, layer: Any) -> None:
        """Do not go on with a layer."""
        job = self._jobs.pop(id(layer), None)
        if job is not None:
            job.stop()

    def stop(self) -> None:
        """Do not go on with any."""
        for job in self._jobs.values():
            job.stop()
        self._jobs.clear()


class _Job:
    """One layer that is being filled."""

    def __init__(
        self, layer: Shapes, objects: Objects, table: pd.DataFrame, kind: ShapeKind
    ) -> None:
        self.done = False
        self._layer, self._table = layer, table
        self._shape = drawing.shape_type(objects, kind)
        self._run: Run | None = Run(
            drawing.shape_data,
            objects,
            kind,
            progressed=lambda *_: None,
            returned=partial(self._traced),
            failed=lambda _: self.stop(),
            finished=lambda: None,
        )
        self._run.start()

    def stop(self) -> None:
        self.done = True
        if self._run is not None:
            self._run.drop()
            self._run = None

    def _traced(self, outlines: Any) -> None:
        self._add(outlines, 0)

    def _add(self, outlines: list[NDArray[Any]], begin: int) -> None:
        if self.done:
            return
        part = outlines[begin : begin + AT_ONCE]
        if not part:
            self._layer.features = self._table.copy()
            self.done = True
            return
        # Thin outlines leave a thumbnail black: drawing it is for nothing.
        with self._layer.block_thumbnail_update():
            self._layer.add(part, shape_type=self._shape)
        go_on: Callable[[], None] = partial(self._add, outlines, begin + AT_ONCE)
        QTimer.singleShot(0, go_on)
