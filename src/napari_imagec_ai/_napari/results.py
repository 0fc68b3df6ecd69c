"""The layers of one run, kept up to date: Labels and Shapes by class, or images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_imagec_ai._napari import layers
from napari_imagec_ai._napari.layers import COLOURS, Source
from napari_imagec_ai.images import Images
from napari_imagec_ai.objects import Objects

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer, Shapes

MAX_SHAPES = 5000
"""More outlines than these take napari seconds to build."""

METADATA = "napari_imagec_ai"
"""Key of a layer's metadata under which the recipe lies."""


class ResultLayers:
    """Layers that show the objects of one source.

    Layers that are there are updated in place, those that the person deleted are made
    again. A Shapes layer that is no longer needed is emptied and hidden, and used again
    for the next class: taking one out of a shown viewer can crash napari's canvas.

    Parameters
    ----------
    viewer : ViewerModel
        Where layers are added.
    source : Source
        The image layer that they lie on.
    """

    def __init__(self, viewer: ViewerModel, source: Source) -> None:
        self.viewer = viewer
        self.source = source
        self._labels: dict[str, Labels] = {}
        self._shapes: dict[str, Shapes] = {}
        self._spare: list[Shapes] = []
        self._images: dict[str, Image] = {}

    def show(self, objects: Objects, outlines: bool = True) -> list[str]:
        """Bring all layers up to date.

        Parameters
        ----------
        objects : Objects
            Classified; one pair of layers for each of their classes.
        outlines : bool
            Bring the Shapes up to date, too; they take longer than the Labels.

        Returns
        -------
        list of str
            Sentences for the person: what was not shown, and why.
        """
        self._retire(objects.classes)
        notes = []
        active = set(self.viewer.layers.selection)
        for i, name in enumerate(objects.classes):
            mine = objects[objects.class_id == i]
            colour = COLOURS[i % len(COLOURS)]
            if objects.has_pixels:
                self._show_labels(name, mine, colour)
            if outlines and len(objects.space) == 2:
                notes += self._show_shapes(name, mine, colour)
        # New layers must not take the selection: the image stays the active layer.
        kept = active & set(self.viewer.layers)
        if kept:
            self.viewer.layers.selection = kept
        return notes

    def show_images(self, images: Images) -> None:
        """Show computed images, in the layers of earlier ones where they fit."""
        active = set(self.viewer.layers.selection)
        for output in images.maps:
            for data, arguments in layers.image_layers(self.source, images, output):
                name = arguments["name"]
                layer = self._images.get(name)
                if layer is not None and layer in self.viewer.layers:
                    self.viewer.layers.remove(layer)
                self._images[name] = self.viewer.add_image(data, **arguments)
        kept = active & set(self.viewer.layers)
        if kept:
            self.viewer.layers.selection = kept

    def note(self, recipe: dict[str, Any]) -> None:
        """Write the recipe into the metadata of every layer."""
        for layer in self.all_layers:
            layer.metadata = {**layer.metadata, METADATA: recipe}

    def _show_labels(self, name: str, mine: Objects, colour: str) -> None:
        layer = self._labels.get(name)
        if layer is not None and layer in self.viewer.layers:
            layers.update_labels(layer, mine)
            layers.move(layer, self.source, mine.frame.origin)
            return
        self._labels[name] = self.viewer.add_labels(
            layers.label_data(mine),
            name=f"{name} ({self.source.name})",
            features=layers.feature_table(mine),
            colormap=layers.one_colour(colour),
            opacity=0.35,
            **layers.placed(self.source, mine.frame.origin),
        )

    def _show_shapes(self, name: str, mine: Objects, colour: str) -> list[str]:
        notes = []
        if len(mine) > MAX_SHAPES:
            notes.append(
                f"{name}: {len(mine)} outlines would take napari long; the Labels "
                f"layer has all of them, the Shapes layer none above {MAX_SHAPES}."
            )
            mine = mine[np.zeros(len(mine), bool)]
        layer = self._shapes.get(name)
        if layer is None or layer not in self.viewer.layers:
            layer = self._new_shapes(name, mine)
            layers.style_shapes(layer, colour)
        layers.update_shapes(layer, mine)
        layers.move(layer, self.source, mine.frame.origin)
        return notes

    def _new_shapes(self, name: str, mine: Objects) -> Shapes:
        title = f"{name} outlines ({self.source.name})"
        spare = [layer for layer in self._spare if layer in self.viewer.layers]
        if spare:
            layer = spare[0]
            self._spare.remove(layer)
            layer.name, layer.visible = title, True
        else:
            layer = self.viewer.add_shapes(
                ndim=len(mine.frame.axes),
                name=title,
                **layers.placed(self.source, mine.frame.origin),
            )
        self._shapes[name] = layer
        return layer

    def _retire(self, wanted: tuple[str, ...]) -> None:
        for name in [name for name in self._labels if name not in wanted]:
            gone = self._labels.pop(name)
            if gone in self.viewer.layers:
                self.viewer.layers.remove(gone)
        for name in [name for name in self._shapes if name not in wanted]:
            unused = self._shapes.pop(name)
            if unused in self.viewer.layers:
                unused.data = []
                unused.name, unused.visible = "no objects", False
                self._spare.append(unused)

    @property
    def all_layers(self) -> list[Layer]:
        """All layers that are still in the viewer."""
        mine = (*self._labels.values(), *self._shapes.values(), *self._images.values())
        return [layer for layer in mine if layer in self.viewer.layers]
