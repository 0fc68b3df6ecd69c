"""Shows single objects: a click tells what one is, a chosen row where it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_imagec_ai._napari.layers import drawing
from napari_imagec_ai._napari.layers.result_layers import ResultLayers
from napari_imagec_ai._napari.layers.table import ObjectTable

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer


class Inspector:
    """Follows clicks into the canvas, and the rows of the table.

    Parameters
    ----------
    viewer : ViewerModel
        Whose clicks to follow.
    say : callable
        Told a sentence about an object.
    """

    def __init__(self, viewer: ViewerModel, say: Callable[[str], None]) -> None:
        self.viewer, self._say = viewer, say
        self.results: ResultLayers | None = None
        self.table: ObjectTable | None = None
        viewer.mouse_drag_callbacks.append(self._pressed)

    def stop(self) -> None:
        """Follow nothing any more."""
        if self._pressed in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._pressed)
        self.results = self.table = None

    def watch(self, results: ResultLayers) -> None:
        """Follow the layers of these results."""
        self.results = results
        self.fill()

    def leave(self) -> None:
        """Follow no result; the table is empty."""
        self.results = None
        self.fill()

    def make_table(self) -> ObjectTable:
        """A table of the objects, to be shown."""
        self.table = ObjectTable(self.show)
        self.table.destroyed.connect(self._forget)
        self.fill()
        return self.table

    def _forget(self, *_: Any) -> None:
        self.table = None

    def fill(self) -> None:
        """List what the layers show now."""
        if self.table is not None:
            self.table.show_layers(self._listed())

    def _listed(self) -> list[Layer]:
        """Layers that have all objects, each of them once."""
        if self.results is None:
            return []
        return [*self.results.label_layers] or self.results.drawn_layers()

    def _pressed(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """A click, and not the beginning of a drag."""
        yield
        if event.type == "mouse_release":
            self.ask(event.position, event.view_direction, event.dims_displayed)

    def ask(
        self, position: Any, direction: Any = None, displayed: Sequence[int] = ()
    ) -> str:
        """Say what lies at a position in the world; gives the sentence, if any.

        Parameters
        ----------
        position : sequence of float
            In the world.
        direction : array, optional
            In which one looks, where napari displays three dimensions: the first object
            along it counts.
        displayed : sequence of int
            The dimensions that are displayed then.
        """
        for layer in self._listed():
            seen = layer.visible
            identity = _at(layer, position, direction, displayed) if seen else 0
            if identity:
                self._mark(layer, identity)
                if self.table is not None:
                    self.table.select(layer, identity)
                return self._told(layer, identity)
        return ""

    def show(self, layer: Layer, identity: int) -> None:
        """Bring an object into the middle of the window, and say what it is."""
        if layer not in self.viewer.layers:
            return
        found = layer.features[layer.features["index"] == identity].iloc[0]
        names = [name for name in found.index if str(name).startswith("world_")]
        middle = [float(found[name]) for name in names]
        first = self.viewer.dims.ndim - len(middle)
        for axis, value in enumerate(middle, start=first):
            if axis not in self.viewer.dims.displayed:
                self.viewer.dims.set_point(axis, value)
        self.viewer.scene.camera.center = (0.0, *middle)[-3:]
        self._mark(layer, identity)
        self._told(layer, identity)

    def _mark(self, layer: Layer, identity: int) -> None:
        """Draw one object white."""
        styles = self.results.styles if self.results is not None else {}
        names = layer.features["class"][layer.features["index"] == identity]
        if len(names) and names.iloc[0] in styles and hasattr(layer, "selected_label"):
            layer.selected_label = identity
            if drawing.has_one_colour(layer):  # not where the person chose others
                colour = styles[names.iloc[0]].colour
                layer.colormap = drawing.one_colour(colour, identity)

    def _told(self, layer: Layer, identity: int) -> str:
        found = layer.features[layer.features["index"] == identity]
        if not len(found):
            return ""
        first = found.iloc[0]
        sentence = (
            f"{first['class']} {first['index']}: confidence {first['confidence']:.2f}, "
            f"area {first['area']:g} pixels."
        )
        self.viewer.status = sentence
        self._say(sentence)
        return sentence


def _at(
    layer: Labels | Layer, position: Any, direction: Any, displayed: Sequence[int]
) -> int:
    """Id of the object of a layer at a position in the world; 0: none."""
    looked = {}
    if direction is not None and len(displayed) == 3:
        looked = {"view_direction": direction, "dims_displayed": list(displayed)}
    value = layer.get_value(position, world=True, **looked)
    if getattr(layer, "multiscale", False):
        value = value[1]  # the level comes first
    if not isinstance(value, tuple):
        return int(value or 0)
    number = value[0]  # a shape: its number is the row's
    if number is None or number >= len(layer.features):
        return 0
    return int(np.asarray(layer.features["index"])[number])
