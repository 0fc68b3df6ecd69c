"""The widget's part for the image: which layer, and what of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import ComboBox, Container, LineEdit, create_widget
from napari.layers import Image

from napari_imagec_ai._napari import layers
from napari_imagec_ai.errors import ImagecAIError, ImageError
from napari_imagec_ai.feed import Feed, plan_feed
from napari_imagec_ai.model import Model

ALL_PLANES, THIS_PLANE = "all planes", "current plane"


class ImageChoice(Container):  # type: ignore[type-arg]
    """Layer, meaning of its axes, channels, planes; each is shown where it matters.

    Parameters
    ----------
    notify : callable
        Called when any of them changes.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self.layer: Any = create_widget(
            annotation=Image,
            name="image",
            label="Image",
            options={"tooltip": "The image layer to run on; follows the active layer."},
        )
        self.axes: Any = ComboBox(
            choices=self._axes_choices,
            name="axes",
            label="Axes",
            tooltip="What the dimensions of the image mean, in order.",
        )
        self.channels = LineEdit(
            name="channels",
            label="Channels",
            tooltip="Channel of the image for each channel of the model, counted from "
            "0, such as 0 or 0, 2; empty: all of them in order.",
        )
        self.planes = ComboBox(
            choices=[ALL_PLANES, THIS_PLANE],
            name="planes",
            label="Planes",
            tooltip="A 2D model runs plane by plane: on all of them, or on this one.",
        )
        controls: list[Any] = [self.layer, self.axes, self.channels, self.planes]
        super().__init__(widgets=controls, name="image_choice")
        self._notify = notify
        controls[0].changed.connect(lambda _: self.layer_changed())
        self.axes.changed.connect(lambda _: self._axes_changed())
        self.channels.changed.connect(lambda _: self._notify())

    def follow(self, layer: Any) -> None:
        """Choose a layer, if it is an image."""
        if isinstance(layer, Image) and layer in self.layer.choices:
            self.layer.value = layer
        self.layer_changed()

    def layer_changed(self) -> None:
        """Bring the other controls up to date with the layer."""
        self.axes.reset_choices()
        layer = self.layer.value
        self.axes.visible = layer is not None and layer.ndim > 2
        self._axes_changed()

    def _axes_changed(self) -> None:
        self.channels.visible = "C" in (self.axes.value or "")
        if not self.channels.visible:
            with self.channels.changed.blocked():
                self.channels.value = ""
        self._notify()

    def _axes_choices(self, _widget: Any = None) -> list[str]:
        layer = self.layer.value
        if layer is None:
            return []
        usual = layers.AXES.get(layer.ndim, ())
        return list(dict.fromkeys([layers.guess_axes(layer), *usual]))

    def take(self) -> layers.Source:
        """The layer as it is now.

        Raises
        ------
        ImageError
            If there is none, or its axes do not fit it.
        """
        if self.layer.value is None:
            raise ImageError("Open an image, or choose an image layer.")
        return layers.take(self.layer.value, self.axes.value or "")

    def plan(self, model: Model) -> Feed:
        """How the layer would feed a model.

        Raises
        ------
        ImagecAIError
            If it cannot.
        """
        image = self.take().image
        return plan_feed(model.inputs[0], image, self.chosen_channels())

    def plane_axes(self, model: Model | None) -> str:
        """Axes that a model would run plane by plane along; empty if it cannot run."""
        try:
            return self.plan(model).plane_axes if model is not None else ""
        except ImagecAIError:
            return ""

    def chosen_channels(self) -> tuple[int, ...] | None:
        """Channels that the person named; None: all in order.

        Raises
        ------
        ImageError
            If the text names none.
        """
        text = str(self.channels.value).strip()
        if not text:
            return None
        try:
            return tuple(int(part) for part in text.replace(" ", "").split(","))
        except ValueError:
            raise ImageError(
                f"Expected channel numbers such as 0 or 0, 2, found '{text}'."
            ) from None

    def chosen_planes(
        self, model: Model, current_step: Sequence[int]
    ) -> dict[str, int | tuple[int, int]] | None:
        """Planes to run: None for all, or the one that the viewer shows."""
        along = self.plane_axes(model)
        if not along or self.planes.value != THIS_PLANE:
            return None
        order = str(self.axes.value)
        first = len(current_step) - len(order)
        return {axis: int(current_step[first + order.index(axis)]) for axis in along}
