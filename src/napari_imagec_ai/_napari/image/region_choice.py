"""The widget's part for a region: how much of the image is run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, PushButton, create_widget
from napari.layers import Image, Shapes
from numpy.typing import NDArray
from qtpy.QtWidgets import QSizePolicy

from napari_imagec_ai._napari.controls import row, text
from napari_imagec_ai._napari.layers.corners import outline
from napari_imagec_ai._napari.layers.from_napari import Source, region_of
from napari_imagec_ai._napari.layers.marks import METADATA
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.region import Region

WHOLE, VIEW, DRAWN = "whole image", "what the window shows", "shapes that I drew"
RECIPE = "region of the recipe"


class RegionChoice:
    """Controls for a region, to be put into a form.

    Parameters
    ----------
    notify : callable
        Called when the person changes one.

    Attributes
    ----------
    where : ComboBox
        What kind of region.
    shapes : Widget
        The layer that it is drawn in.
    recipes : Container
        Where the region of a recipe lies, and a button that draws it.
    draw : PushButton
        That button; whoever knows the viewer answers it.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self.held: Region | None = None
        self.where: Any = ComboBox(
            choices=lambda _: self._choices(),
            name="region",
            label="Region",
            tooltip="Run on all of the image, on what the window shows of it, or on "
            "the selected shapes of a Shapes layer: objects count whose centre lies "
            "in one of them.",
        )
        self.shapes = _shapes_layer()
        self._notify = notify
        self.place = text("recipe_region")
        self.draw = PushButton(
            text="Draw it",
            name="draw_region",
            tooltip="Draw the recipe's region as a Shapes layer, to see and change it.",
        )
        fixed = QSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.draw.native.setSizePolicy(fixed)
        self.recipes = row(self.place, self.draw)
        self.recipes.label = "Lies at"
        self.recipes.visible = False
        self.where.changed.connect(lambda _: self._changed())
        self.shapes.changed.connect(lambda _: self._layer_changed())
        self.shapes.visible = False
        self._watched: Any = None

    def _choices(self) -> list[tuple[str, str]]:
        usual = [(WHOLE, WHOLE), ("visible area", VIEW), ("drawn shapes", DRAWN)]
        return [*usual, *([(RECIPE, RECIPE)] if self.held is not None else [])]

    def _changed(self) -> None:
        if self.where.value == DRAWN:
            self._prefer_own()
        self._show_rows()
        self._notify()

    def _show_rows(self) -> None:
        self.shapes.visible = self.where.value == DRAWN
        self.recipes.visible = self.where.value == RECIPE

    def _prefer_own(self) -> None:
        """Choose what the person drew, rather than the outlines of a result."""
        mine = [one for one in self.shapes.choices if METADATA not in one.metadata]
        if mine and self.shapes.value not in mine and not _selected(self.shapes.value):
            self.shapes.value = mine[-1]

    def restore(self, region: Region | None) -> None:
        """Choose the region of a recipe; None: the whole image."""
        with self.where.changed.blocked():
            self.held = region
            self.where.reset_choices()
            self.where.value = WHOLE if region is None else RECIPE
        self.place.value = "" if region is None else _in_words(region)
        self._show_rows()
        self._notify()

    def drawn_in(self, layer: Shapes) -> None:
        """From now on, the region is what is drawn in this layer."""
        self.shapes.reset_choices()
        self.shapes.value = layer
        self.where.value = DRAWN

    def _layer_changed(self) -> None:
        """Follow what is drawn: a first shape may be all that a run waits for."""
        if self._watched is not None:
            self._watched.events.data.disconnect(self._drawn)
        self._watched = self.shapes.value
        if self._watched is not None:
            self._watched.events.data.connect(self._drawn)
        self._notify()

    def _drawn(self, event: Any = None) -> None:
        if self.where.value == DRAWN:
            self._notify()

    def chosen(self, layer: Image, source: Source) -> Region | None:
        """The region that is chosen; None: it is the whole image.

        Of several shapes, or one that is no upright rectangle, the shapes themselves
        count, and not only the box around them.

        Parameters
        ----------
        layer : Image
            The image layer.
        source : Source
            The same layer, whole.

        Raises
        ------
        ImageError
            If nothing is drawn.
        """
        if self.where.value == VIEW:
            return region_of(source, [_shown(layer)], exact=False)
        if self.where.value == RECIPE:
            return self.held
        if self.where.value != DRAWN:
            return None
        drawn = self.shapes.value
        if drawn is None or not len(drawn.data):
            raise ImageError(
                "No shape is drawn; add a Shapes layer, draw a rectangle on the image, "
                "or run on the whole image."
            )
        if METADATA in drawn.metadata and not drawn.selected_data:
            raise ImageError(
                f"'{drawn.name}' is a result; choose the Shapes layer that you drew "
                "the region in, or select some of these shapes."
            )
        chosen = sorted(drawn.selected_data) or range(len(drawn.data))
        rings = []
        for i in chosen:
            ring = _around(np.asarray(drawn.data[i], float), drawn.shape_type[i])
            world = [drawn.data_to_world(vertex) for vertex in ring]
            rings.append(np.asarray(world, float)[:, -2:])
        return region_of(source, rings)


def _selected(layer: Shapes | None) -> bool:
    return layer is not None and bool(layer.selected_data)


def rings(region: Region) -> list[NDArray[Any]]:
    """Corners (y, x) of a region's shapes, or of its box, in pixels of the image."""
    if region.polygons:
        return [np.asarray(corners, float) for corners in region.polygons]
    if not {"Y", "X"} <= set(region.box):
        return []
    (y0, y1), (x0, x1) = region.box["Y"], region.box["X"]
    box = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
    return [np.asarray(box, float) - 0.5]  # a pixel reaches half of its size around


def _in_words(region: Region) -> str:
    """Where a region lies, as numbers of the first and the last pixel."""
    sides = (f"{axis} {i} to {j - 1}" for axis, (i, j) in region.box.items())
    count = len(region.polygons)
    shapes = f", in {count} shape{'' if count == 1 else 's'}" if count else ""
    return f"{', '.join(sides)}{shapes}"


def _around(ring: NDArray[Any], kind: str) -> NDArray[Any]:
    """Corners of a shape; of a line, which encloses nothing, those of its box."""
    if kind not in ("line", "path"):
        return outline(ring, kind)
    (y0, x0), (y1, x1) = ring[:, -2:].min(axis=0), ring[:, -2:].max(axis=0)
    corners = np.tile(ring[0], (4, 1))
    corners[:, -2:] = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
    return corners


def _shapes_layer() -> Any:
    return create_widget(
        annotation=Shapes,
        name="region_layer",
        label="Drawn in",
        options={"tooltip": "Its selected shapes count, or all if none is."},
    )


def _shown(layer: Image) -> NDArray[Any]:
    """Corners of what the window shows of a layer."""
    corners = np.asarray(layer.corner_pixels, float)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors)[layer.data_level]
    low, high = corners[0] - 0.5, corners[1] + 0.5
    ends = itertools.product(*zip(low[-2:], high[-2:], strict=True))
    first = corners[0][:-2]
    return np.asarray([layer.data_to_world((*first, *end)) for end in ends])[:, -2:]
