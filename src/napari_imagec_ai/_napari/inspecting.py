"""Shows single objects: a click tells what one is, a chosen row where it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_imagec_ai._napari import drawing
from napari_imagec_ai._napari.results import ResultLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer


class Inspector:
    """Follows clicks into the canvas, and the label that is selected.

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
        self._known: WeakKeyDictionary[Labels, int] = WeakKeyDictionary()
        self._busy = False
        viewer.mouse_drag_callbacks.append(self._pressed)

    def stop(self) -> None:
        """Follow nothing any more."""
        if self._pressed in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._pressed)
        for layer in self._known:
            layer.events.selected_label.disconnect(self._selected)
        self._known.clear()
        self.results = None

    def watch(self, results: ResultLayers) -> None:
        """Follow the layers of these results."""
        self.results = results
        for layer in results.label_layers:
            if layer not in self._known:
                # The event comes with every new colormap, too: remember the label.
                self._known[layer] = layer.selected_label
                layer.events.selected_label.connect(self._selected)

    def _pressed(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """A click, and not the beginning of a drag."""
        yield
        if event.type == "mouse_release":
            self.ask(event.position)

    def ask(self, position: Any) -> str:
        """Say what lies at a position in the world; gives the sentence, if any."""
        for layer in reversed(self.results.all_layers if self.results else []):
            if not layer.visible:
                continue
            value = layer.get_value(position, world=True)
            value = value[0] if isinstance(value, tuple) else value
            if value is None or not len(layer.features):
                continue
            if layer in self._known and value:
                self._mark(layer, int(value))
                return self._told(layer, layer.features["index"] == value)
            if layer not in self._known:  # a shape or a point: its number is the row's
                rows = np.arange(len(layer.features)) == value
                return self._told(layer, rows)
        return ""

    def _selected(self, event: Any) -> None:
        """A row of the table was chosen, or a label was picked."""
        layer = event.source
        if self._known.get(layer) == layer.selected_label:
            return
        self._known[layer] = layer.selected_label
        rows = layer.features.get("index") == layer.selected_label
        if self._busy or not np.any(rows):
            return
        self._mark(layer, layer.selected_label)
        self._told(layer, rows)
        self._look_at(layer, rows)

    def _mark(self, layer: Labels, label: int) -> None:
        """Draw one object white, and select its row."""
        styles = self.results.styles if self.results is not None else {}
        names = layer.features["class"]
        mine = names[layer.features["index"] == label]
        if not len(mine) or mine.iloc[0] not in styles:
            return
        self._busy = True
        try:
            layer.selected_label = label
            layer.colormap = drawing.one_colour(styles[mine.iloc[0]].colour, label)
        finally:
            self._busy = False

    def _told(self, layer: Layer, rows: Any) -> str:
        found = layer.features[np.asarray(rows)]
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

    def _look_at(self, layer: Labels, rows: Any) -> None:
        """Bring an object into the middle of the window."""
        found = layer.features[np.asarray(rows)].iloc[0]
        names = [name for name in found.index if str(name).startswith("world_")]
        middle = [float(found[name]) for name in names]
        first = self.viewer.dims.ndim - len(middle)
        for axis, value in enumerate(middle, start=first):
            if axis not in self.viewer.dims.displayed:
                self.viewer.dims.set_point(axis, value)
        self.viewer.scene.camera.center = (0.0, *middle)[-3:]
