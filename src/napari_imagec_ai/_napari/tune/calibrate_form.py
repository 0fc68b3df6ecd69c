"""The widget's part for calibration: what the person knows of the image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, PushButton, SpinBox
from napari.layers import Labels, Layer, Points
from scipy import ndimage

from napari_imagec_ai._napari.controls import Eliding, Fold, column, text
from napari_imagec_ai._napari.layers import from_napari
from napari_imagec_ai._napari.layers.from_napari import Source
from napari_imagec_ai._napari.layers.marks import METADATA
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.calibration import Truth

COUNT, POINTS, LABELS = "a known count", "a Points layer", "a Labels layer"


class CalibrateForm(Fold):
    """Choose thresholds by a count, points or labels that the person knows.

    Parameters
    ----------
    start : callable
        Called when the person wants thresholds to be chosen.
    layers_ : callable
        Gives the layers of the viewer.
    """

    def __init__(
        self, start: Callable[[], None], layers_: Callable[[], Iterable[Layer]]
    ) -> None:
        self._layers = layers_
        self.by = ComboBox(
            choices=[COUNT, POINTS, LABELS],
            name="by",
            label="What I know",
            tooltip="What you know of this image: how many objects there are, a point "
            "in each, or the objects themselves.",
        )
        self.known = SpinBox(
            value=100,
            min=0,
            max=10_000_000,
            name="known",
            label="Objects",
            tooltip="How many objects there are in what was run.",
        )
        self.dots = self._layer(Points, "points", "A point in each object.")
        self.drawn = self._layer(Labels, "labels", "The objects, as you drew them.")
        self.go = PushButton(
            text="Find thresholds",
            name="calibrate",
            tooltip="Try mask and class thresholds on what was predicted; the network "
            "does not run again.",
        )
        self.said = text("calibrated")
        form = column(self.by, self.known, self.dots, self.drawn)
        super().__init__(
            "Find thresholds for me",
            [form, self.go, self.said],
            tooltip="Let thresholds be chosen so that they meet what you know.",
            open_=False,
        )
        self.by.changed.connect(lambda _: self._show())
        self.go.changed.connect(lambda: start())
        self._show()

    def _layer(self, kind: type, name: str, tooltip: str) -> Any:
        """A choice of layers: what others drew first, results named as such."""

        def choices(_: Any = None) -> list[tuple[str, Layer]]:
            mine: list[Any] = [one for one in self._layers() if isinstance(one, kind)]
            mine.sort(key=lambda layer: METADATA in layer.metadata)
            result = " - a result of this software"
            return [
                (f"{one.name}{result if METADATA in one.metadata else ''}", one)
                for one in mine
            ]

        made = ComboBox(choices=choices, name=name, label="Layer", tooltip=tooltip)
        Eliding(made)
        return made

    def _show(self) -> None:
        for word, control in (
            (COUNT, self.known),
            (POINTS, self.dots),
            (LABELS, self.drawn),
        ):
            control.visible = self.by.value == word

    def truth(self, source: Source, frame: Frame) -> Truth:
        """What the person knows, in the pixels of a result.

        Parameters
        ----------
        source : Source
            The image that the result lies on.
        frame : Frame
            Of the result.

        Raises
        ------
        ImageError
            If there is no such layer.
        """
        if self.by.value == COUNT:
            return Truth(count=int(self.known.value))
        layer = self.dots.value if self.by.value == POINTS else self.drawn.value
        if layer is None:
            raise ImageError(
                f"There is no layer to calibrate with; add {self.by.value}."
            )
        if self.by.value == POINTS:
            return Truth(points=_points(layer, source, frame))
        return Truth(labels=_labels(layer, source, frame))


def _points(layer: Points, source: Source, frame: Frame) -> Any:
    """Points that lie in a result, in its pixels."""
    if not len(layer.data):
        return np.zeros((0, len(frame.shape)))
    world = np.asarray([layer.data_to_world(point) for point in layer.data], float)
    pixels = from_napari.in_pixels(source, world) - np.asarray(frame.origin)
    at = np.rint(pixels)
    return pixels[((at >= 0) & (at < np.asarray(frame.shape))).all(axis=1)]


def _labels(layer: Labels, source: Source, frame: Frame) -> Any:
    """A person's labels, sampled at the pixels of a result."""
    data = layer.data[0] if layer.multiscale else layer.data
    if data.ndim != len(frame.shape):
        raise ImageError(
            f"'{layer.name}' has {data.ndim} dimensions and the result "
            f"{len(frame.shape)}; draw labels on the image itself."
        )
    world = source.matrix
    begin = world[:-1, :-1] @ np.asarray(frame.origin, float) + world[:-1, -1]
    # Data of the layer for each step along the result's axes: sampled by ends.
    first = np.asarray(layer.world_to_data(begin), float)
    steps = [
        np.asarray(layer.world_to_data(begin + world[:-1, i]), float) - first
        for i in range(data.ndim)
    ]
    return ndimage.affine_transform(
        np.asarray(data), np.stack(steps, axis=1), first, frame.shape, order=0
    )
