"""The layers of one run, kept up to date: Labels and Shapes by class, or images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Shapes

from napari_imagec_ai._napari.layers import drawing, layers, lazy_labels
from napari_imagec_ai._napari.layers.drawing import Kind
from napari_imagec_ai._napari.layers.layers import COLOURS, Source, Style
from napari_imagec_ai._napari.layers.many_shapes import ManyShapes
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.placing import in_part

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer, Points

MAX_SHAPES = 2000
"""More outlines than these stop the window for a second."""

PIECEWISE = 1000
"""More outlines than these are added some at a time."""

METADATA = "napari_imagec_ai"
"""Key of a layer's metadata under which the recipe lies."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a person wants to see of the objects beside their pixels.

    Attributes
    ----------
    outlines, boxes, points : bool
        Which layers to make.
    many : bool
        Also where napari takes seconds to build them.
    """

    outlines: bool = True
    boxes: bool = False
    points: bool = False
    many: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that are wanted."""
        every: tuple[Kind, ...] = ("outlines", "boxes", "points")
        return tuple(kind for kind in every if getattr(self, kind))


PLACE = "napari_imagec_ai_place"
"""Key of a layer's metadata: shape of the image, where the layer's pixels begin in it
(``corner``), and where the image's planes do (``origin``), for each axis."""


class ResultLayers:
    """Layers that show the objects of one source.

    Layers that are there are updated in place, those that the person deleted are made
    again.

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
        self.drawn = Drawn()
        self.styles: dict[str, Style] = {}
        self._labels: dict[str, Labels] = {}
        self._drawings: dict[tuple[Kind, str], Shapes | Points] = {}
        self._images: dict[str, Image] = {}
        self._many = ManyShapes()
        self._place: dict[str, list[int]] = {}

    def show(self, objects: Objects, outlines: bool = True) -> list[str]:
        """Bring all layers up to date.

        Parameters
        ----------
        objects : Objects
            Classified; one set of layers for each of their classes.
        outlines : bool
            Bring outlines, boxes and points up to date, too; they take longer than the
            Labels.

        Returns
        -------
        list of str
            Sentences for the person: what was not shown, and why.
        """
        self._retire(objects.classes)
        self._place = {
            "shape": list(objects.frame.shape),
            "origin": list(objects.frame.origin),
            "corner": list(self.source.corner or (0,) * len(objects.frame.axes)),
        }
        objects, notes = self._here(objects), []
        active = set(self.viewer.layers.selection)
        for i, name in enumerate(objects.classes):
            mine = objects[objects.class_id == i]
            style = self.styles.setdefault(name, Style(COLOURS[i % len(COLOURS)]))
            if objects.has_pixels:
                notes += self._show_labels(name, mine, style)
            for kind in self.drawn.kinds if outlines else ():
                if kind == "points" or len(objects.space) == 2:
                    notes += self._draw(kind, name, mine, style)
        self._select(active)
        return notes

    def _here(self, objects: Objects) -> Objects:
        """Objects in pixels of the part that was run: large layers take memory."""
        begin = self.source.corner
        if not begin:
            return objects
        sizes = dict(zip(objects.frame.axes, objects.frame.shape, strict=True))
        image = self.source.image
        sizes |= {axis: image.size(axis) for axis in objects.space}
        return in_part(objects, begin, [sizes[axis] for axis in objects.frame.axes])

    def _select(self, layers: set[Layer]) -> None:
        """New layers must not take the selection: the image stays the active layer."""
        kept = layers & set(self.viewer.layers)
        if kept:
            self.viewer.layers.selection = kept

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
        self._select(active)

    def note(self, recipe: dict[str, Any]) -> None:
        """Write the recipe and the place into the metadata of every layer."""
        for layer in self.all_layers:
            layer.metadata = {**layer.metadata, METADATA: recipe, PLACE: self._place}

    def restyle(self, styles: Mapping[str, Style]) -> None:
        """Give classes other colours, show them or hide them."""
        before, self.styles = self.styles, dict(styles)
        for name, labels in self._labels.items():
            if name in styles and labels in self.viewer.layers:
                if name not in before or before[name].colour != styles[name].colour:
                    drawing.style_labels(labels, styles[name].colour)
                labels.visible = styles[name].visible
        for (kind, name), layer in self._drawings.items():
            if name in styles and layer in self.viewer.layers:
                _style(kind, layer, styles[name].colour)
                layer.visible = styles[name].visible

    def _show_labels(self, name: str, mine: Objects, style: Style) -> list[str]:
        layer, lazy = self._labels.get(name), lazy_labels.is_lazy(mine)
        if layer is not None and lazy != lazy_labels.is_shown_lazily(layer):
            self._remove(layer)
        if layer is not None and layer in self.viewer.layers:
            drawing.update_labels(layer, mine, self.source)
            layers.move(layer, self.source, mine.frame.origin)
            return []
        self._labels[name] = self.viewer.add_labels(
            lazy_labels.data_of(mine) if lazy else drawing.label_data(mine),
            multiscale=lazy,
            name=f"{name} ({self.source.name})",
            features=layers.feature_table(mine, self.source),
            colormap=drawing.one_colour(style.colour),
            opacity=0.35,
            visible=style.visible,
            **layers.placed(self.source, mine.frame.origin),
        )
        return [lazy_labels.note(name, mine)] if lazy else []

    def _draw(self, kind: Kind, name: str, mine: Objects, style: Style) -> list[str]:
        notes = []
        slow = kind != "points" and len(mine) > MAX_SHAPES
        if slow and self.drawn.many:
            notes.append(f"{len(mine)} {kind} are being drawn in the background.")
        elif slow:
            notes.append(
                f"{name}: {len(mine)} {kind} take napari long to build, so the Shapes "
                f"layer has none above {MAX_SHAPES}; 'Draw very many' under 'Layers' "
                "draws them."
            )
            mine = mine[np.zeros(len(mine), bool)]
        layer = self._drawings.get((kind, name))
        if layer is None or layer not in self.viewer.layers:
            layer = self._new(kind, name, mine)
            layer.visible = style.visible
            _style(kind, layer, style.colour)
        self._many.leave(layer)
        if kind == "points":
            drawing.update_points(cast("Points", layer), mine, self.source)
        elif (slow and self.drawn.many) or len(mine) > PIECEWISE:
            shapes = cast("Shapes", layer)
            self._many.draw(shapes, mine, self.source, kind, self._in_depth)
        else:
            shapes = cast("Shapes", layer)
            drawing.update_shapes(shapes, mine, self.source, kind, self._in_depth)
        layers.move(layer, self.source, mine.frame.origin)
        return notes

    def _new(self, kind: Kind, name: str, mine: Objects) -> Shapes | Points:
        title = f"{name} {kind} ({self.source.name})"
        placed = layers.placed(self.source, mine.frame.origin)
        ndim = len(mine.frame.axes)
        made: Shapes | Points
        if kind == "points":
            made = self.viewer.add_points(ndim=ndim, name=title, **placed)
        else:
            # Made before it is displayed: see drawing.refill.
            made = Shapes(ndim=ndim, name=title, **placed)
            self.viewer.add_layer(made)
        self._drawings[kind, name] = made
        return made

    @property
    def _in_depth(self) -> bool:
        return bool(self.viewer.dims.ndisplay == 3)

    def _retire(self, wanted: tuple[str, ...]) -> None:
        """Take away the layers of classes and kinds that are no longer wanted."""
        for name in [name for name in self._labels if name not in wanted]:
            self._remove(self._labels.pop(name))
        kinds = self.drawn.kinds
        for kind, name in list(self._drawings):
            if name in wanted and kind in kinds:
                continue
            unused = self._drawings.pop((kind, name))
            self._many.leave(unused)
            self._remove(unused)

    def _remove(self, layer: Layer) -> None:
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def clear(self) -> None:
        """Take all layers away."""
        for image in self._images.values():
            self._remove(image)
        self._images = {}
        self._retire(())

    @property
    def drawing(self) -> bool:
        """Whether outlines are being drawn in the background."""
        return self._many.busy

    def stop(self) -> None:
        """Draw no more: the window is gone."""
        self._many.stop()

    @property
    def label_layers(self) -> list[Labels]:
        """The Labels that are still in the viewer."""
        return [one for one in self._labels.values() if one in self.viewer.layers]

    def drawn_layers(self) -> list[Layer]:
        """One drawn layer of each class that is still in the viewer."""
        found: dict[str, Layer] = {}
        for (_, name), layer in self._drawings.items():
            if layer in self.viewer.layers:
                found.setdefault(name, layer)
        return list(found.values())

    @property
    def all_layers(self) -> list[Layer]:
        """All layers that are still in the viewer; Labels before what is drawn."""
        mine: list[Layer] = []
        for name, labels in self._labels.items():
            mine.append(labels)
            mine += [one for (_, of), one in self._drawings.items() if of == name]
        mine += [one for one in self._drawings.values() if one not in mine]
        mine += self._images.values()
        return [layer for layer in mine if layer in self.viewer.layers]


def _style(kind: Kind, layer: Shapes | Points, colour: str) -> None:
    if kind == "points":
        drawing.style_points(cast("Points", layer), colour)
    else:
        drawing.style_shapes(cast("Shapes", layer), colour)
