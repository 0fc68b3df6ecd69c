"""What the window shows of a large result follows a moving threshold at once.

The rest comes when the hand rests. Until then, one Labels layer over the visible part
takes the place of the layers of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_imagec_ai._napari import lazy_labels
from napari_imagec_ai._napari.layers import placed

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_imagec_ai._napari.results import ResultLayers
    from napari_imagec_ai.objects import Objects

NAME = "while it moves"


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
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._layer: Labels | None = None
        self._hidden: list[Layer] = []

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
        classes = np.zeros(int(objects.id.max(initial=0)) + 1, np.uint8)
        classes[objects.id] = objects.class_id + 1
        data = classes[np.asarray(objects.as_labels())]
        data = data.reshape((1,) * len(seen.index) + data.shape)
        placement = placed(results.source, (*seen.index, *objects.frame.origin))
        steps = np.ones(data.ndim)
        steps[-2:] = seen.step
        placement["scale"] = np.asarray(placement["scale"]) * steps
        colormap = DirectLabelColormap(color_dict=_colours(objects, results))
        if self._layer is not None and self._layer in self.viewer.layers:
            self._layer.data, self._layer.colormap = data, colormap
            for name, value in placement.items():
                setattr(self._layer, name, value)
            return
        active = set(self.viewer.layers.selection)
        self._layer = self.viewer.add_labels(
            data, name=NAME, opacity=0.35, colormap=colormap, **placement
        )
        self._layer.editable = False
        self.viewer.layers.selection = active & set(self.viewer.layers)

    def clear(self) -> None:
        """Show the layers of the result again."""
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
        self._layer = None
        for layer in self._hidden:
            if layer in self.viewer.layers:
                layer.visible = True
        self._hidden = []

    def _hide(self, results: ResultLayers) -> None:
        for layer in results.all_layers:
            if layer.visible and layer not in self._hidden:
                layer.visible = False
                self._hidden.append(layer)


def _colours(objects: Objects, results: ResultLayers) -> dict[int | None, Any]:
    """Colour of each class, by its number from 1."""
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for number, name in enumerate(objects.classes, start=1):
        style = results.styles.get(name)
        if style is not None and style.visible:
            colours[number] = style.colour
    return colours
