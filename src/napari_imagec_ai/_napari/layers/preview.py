"""What the window shows of a large result follows a moving threshold at once.

The rest comes when the hand rests. Until then, one Labels layer over the visible part
takes the place of the layers of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from superqt.utils import qdebounced

from napari_imagec_ai._napari.layers import lazy_labels
from napari_imagec_ai._napari.layers.from_napari import placed

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_imagec_ai._napari.layers.result_layers import ResultLayers
    from napari_imagec_ai.results.objects import Objects

NAME = "while it moves"

_DRAWN = 60
"""Milliseconds after which napari has drawn what a person moved to."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The part of a result that the window shows.

    Attributes
    ----------
    box : tuple of (start, stop)
        Along Y and X, in pixels of the result.
    index : tuple of int
        Of the plane.
    step : int
        Pixels of the result for each pixel of the screen, at least 1.
    """

    box: tuple[tuple[int, int], ...]
    index: tuple[int, ...]
    step: int


class Glimpse:
    """A layer that shows the visible part of a result that is still being decoded.

    Parameters
    ----------
    viewer : ViewerModel
        Where.
    moved : callable
        Called when the window shows another part while the layer is there.
    """

    def __init__(self, viewer: ViewerModel, moved: Callable[[], None]) -> None:
        self.viewer = viewer
        self._layer: Labels | None = None
        self._classes: tuple[str, ...] = ()
        self._hidden: list[Layer] = []
        # napari finds out what it shows when it draws, which is a moment later.
        self._moved = qdebounced(moved, timeout=_DRAWN)
        self._watching = False

    @property
    def shown(self) -> bool:
        """Whether the layer takes the place of the result."""
        return self._layer is not None

    def seen(self, results: ResultLayers) -> Seen | None:
        """What the window shows; None where the whole follows as fast.

        That is so for results that are not large, and in three dimensions.
        """
        layers = results.label_layers
        if not layers or not lazy_labels.is_shown_lazily(layers[0]):
            return None
        layer, flat = layers[0], self.viewer.dims.ndisplay == 2
        if not flat or self.viewer.dims.not_displayed != tuple(range(layer.ndim - 2)):
            return None
        factors = np.asarray(layer.downsample_factors)[layer.data_level]
        corners = np.asarray(layer.corner_pixels) * factors
        shape = layer.level_shapes[0]
        (top, left), (bottom, right) = corners[:, -2:]
        rows = (max(0, int(top)), min(int(shape[-2]), int(bottom + factors[-2]) + 1))
        columns = (max(0, int(left)), min(int(shape[-1]), int(right + factors[-1]) + 1))
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return None
        point = np.round(layer.world_to_data(self.viewer.dims.point)).astype(int)
        limits = np.asarray(shape[:-2], int) - 1
        index = tuple(np.clip(point[:-2], 0, limits).tolist())
        return Seen((rows, columns), index, max(1, int(factors[-1])))

    def show(self, objects: Objects, seen: Seen, results: ResultLayers) -> None:
        """Show the objects of the visible part instead of the layers of the result."""
        self._hide(results)
        self._watch(True)
        self._classes = objects.classes
        few = len(objects.classes) < np.iinfo(np.uint8).max
        dtype = np.uint8 if few else np.uint16
        classes = np.zeros(int(objects.id.max(initial=0)) + 1, dtype)
        classes[objects.id] = objects.class_id + 1
        data = classes[np.asarray(objects.as_labels())]
        data = data.reshape((1,) * len(seen.index) + data.shape)
        placement = placed(results.source, (*seen.index, *objects.frame.origin))
        steps = np.ones(data.ndim)
        steps[-2:] = seen.step
        placement["scale"] = np.asarray(placement["scale"]) * steps
        colormap = _colours(self._classes, results)
        if self._layer is not None and self._layer in self.viewer.layers:
            self._layer.data, self._layer.colormap = data, colormap
            for name, value in placement.items():
                setattr(self._layer, name, value)
            return
        self._layer = Labels(
            data, name=NAME, opacity=0.35, colormap=colormap, **placement
        )
        active = set(self.viewer.layers.selection)
        # Where the result lies: what the person laid over it stays over it.
        mine = [self.viewer.layers.index(layer) for layer in results.all_layers]
        above = max(mine, default=len(self.viewer.layers) - 1) + 1
        self.viewer.layers.insert(above, self._layer)
        self._layer.editable = False
        self.viewer.layers.selection = active & set(self.viewer.layers)

    def clear(self) -> None:
        """Show the layers of the result again."""
        self._watch(False)
        layer, self._layer = self._layer, None
        hidden, self._hidden = self._hidden, []
        if layer is not None and layer in self.viewer.layers:
            active = set(self.viewer.layers.selection) - {layer}
            self.viewer.layers.remove(layer)
            self.viewer.layers.selection = active
        for one in hidden:
            if one in self.viewer.layers:
                one.visible = True

    def restyle(self, results: ResultLayers) -> None:
        """Follow colours that were just changed in the layers of the result."""
        if self._layer is None:
            return
        self._hidden = []
        self._hide(results)
        self._layer.colormap = _colours(self._classes, results)

    def stop(self) -> None:
        """Watch nothing any more: the window is gone."""
        self._watch(False)

    def _watch(self, on: bool) -> None:
        """Look where the person goes, or no longer."""
        if on == self._watching:
            return
        self._watching = on
        dims = self.viewer.dims.events
        camera = getattr(self.viewer, "scene", self.viewer).camera  # napari 0.9, 0.8
        for event in (camera.events, dims.current_step, dims.ndisplay):
            if on:
                event.connect(self._look)
            else:
                event.disconnect(self._look)
        if not on:
            self._moved.cancel()

    def _look(self, event: Any = None) -> None:
        self._moved()

    def _hide(self, results: ResultLayers) -> None:
        for layer in results.all_layers:
            if layer.visible and layer not in self._hidden:
                layer.visible = False
                self._hidden.append(layer)


def _colours(classes: tuple[str, ...], results: ResultLayers) -> DirectLabelColormap:
    """Colour of each class, by its number from 1."""
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for number, name in enumerate(classes, start=1):
        style = results.styles.get(name)
        if style is not None and style.visible:
            colours[number] = style.colour
    return DirectLabelColormap(color_dict=colours)
