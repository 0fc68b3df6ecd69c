"""The widget's part for a region: how much of the image is run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, create_widget
from napari.layers import Image, Shapes
from numpy.typing import NDArray

from napari_imagec_ai._napari.results import METADATA
from napari_imagec_ai.errors import ImageError

WHOLE, VIEW, DRAWN = "whole image", "what the window shows", "shapes that I drew"


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
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self.where: Any = ComboBox(
            choices=[WHOLE, VIEW, DRAWN],
            name="region",
            label="Region",
            tooltip="Run on all of the image, on what the window shows of it, or on "
            "the box around the selected shapes of a Shapes layer.",
        )
        self.shapes = _shapes_layer()
        self._notify = notify
        self.where.changed.connect(lambda _: self._changed())
        self.shapes.changed.connect(lambda _: self._layer_changed())
        self.shapes.visible = False
        self._watched: Any = None

    def _changed(self) -> None:
        self.shapes.visible = self.where.value == DRAWN
        self._notify()

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

    def points(self, layer: Image) -> NDArray[Any] | None:
        """Points that the region reaches to; None: it is the whole image.

        Parameters
        ----------
        layer : Image
            The image layer.

        Returns
        -------
        (N, 2) float
            In the world, along the last two axes.

        Raises
        ------
        ImageError
            If nothing is drawn.
        """
        if self.where.value == VIEW:
            return _shown(layer)
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
        vertices = [drawn.data_to_world(v) for i in chosen for v in drawn.data[i]]
        return np.asarray(vertices, float)[:, -2:]


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
