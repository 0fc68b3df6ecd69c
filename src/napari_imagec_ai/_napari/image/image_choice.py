"""The widget's part for the image: which layers, and what of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    LineEdit,
    SpinBox,
    create_widget,
)
from napari.layers import Image

from napari_imagec_ai._napari.controls import Eliding, align
from napari_imagec_ai._napari.image.channel_rows import ChannelRows, fed
from napari_imagec_ai._napari.image.measured_layers import MeasuredLayers
from napari_imagec_ai._napari.image.region_choice import RegionChoice
from napari_imagec_ai._napari.layers import layers
from napari_imagec_ai.errors import ImagecAIError, ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.planes import Planes, planes_from_text
from napari_imagec_ai.image.region import Region
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.run.feed.inputs import InputImages, plan_inputs
from napari_imagec_ai.run.tiles.window_limits import main_input

ALL_PLANES, THIS_PLANE, SOME_PLANES = "all planes", "current plane", "these planes"

_AXES = {
    "YX": "one plane",
    "ZYX": "z-stack",
    "TYX": "time series",
    "CYX": "channels first",
    "YXC": "channels last",
}

_AXIS = {"T": "time", "Z": "z", "C": "channels"}

_PLANES = [("all", ALL_PLANES), ("shown one", THIS_PLANE), ("range", SOME_PLANES)]


class ImageChoice(Container):  # type: ignore[type-arg]
    """Layer, level, axes, channels, planes, other inputs; shown where they matter.

    Parameters
    ----------
    notify : callable
        Called when any of them changes.
    channels_changed : callable
        Called before that when the person chooses a channel.
    """

    def __init__(
        self, notify: Callable[[], None], channels_changed: Callable[[], None]
    ) -> None:
        self._suggested: tuple[int, ...] | None = None
        self._channels_changed, self._notify = channels_changed, notify
        self._model: Model | None = None
        self._make_layer()
        self.region = RegionChoice(notify)
        self.channels = ChannelRows(self._channel_chosen, self._channel_choices)
        self._make_planes()
        self.measured = MeasuredLayers(notify, self._other_names)
        self.others: Any = Container(name="others")
        self.others.margins = (0, 0, 0, 0)
        controls: list[Any] = [self.layer, self.pin, self.level, self.axes]
        controls += [self.channels, self.planes, self.span, self.region.where]
        controls += [self.region.shapes, self.region.recipes, self.others]
        super().__init__(widgets=controls, name="image_choice")
        self.margins = (0, 0, 0, 0)
        align(self)
        Eliding(self.layer)
        controls[0].changed.connect(lambda _: self.layer_changed())
        self.axes.changed.connect(lambda _: self._axes_changed())
        for control in (self.planes, self.span, self.level):
            control.changed.connect(lambda _: notify())

    def _make_layer(self) -> None:
        self.layer: Any = create_widget(
            annotation=Image,
            name="image",
            label="Image",
            options={"tooltip": "The image layer to run on; follows the active layer."},
        )
        self.pin = CheckBox(
            value=False,
            name="pin",
            text="Lock to this image",
            tooltip="On: another active layer is not run instead of this one.",
        )
        self.level = SpinBox(
            value=0,
            min=0,
            max=0,
            name="level",
            label="Resolution level",
            tooltip="Of an image that is stored at several: 0 is the full one.",
        )
        self.axes: Any = ComboBox(
            choices=self._axes_choices,
            name="axes",
            label="Axes",
            tooltip="What the dimensions of the image mean, in order.",
        )

    def _make_planes(self) -> None:
        self.planes = ComboBox(
            choices=_PLANES,
            name="planes",
            label="Planes",
            tooltip="A 2D model runs plane by plane: on all of them, on the one that "
            "is shown, or on some.",
        )
        self.span: Any = LineEdit(
            name="span",
            label="Which",
            tooltip="First and last, counted from 0, such as 2-5, or Z=2-5, T=0.",
        )

    # -- what is shown -----------------------------------------------------------------

    def follow(self, layer: Any) -> None:
        """Choose a layer, if it is an image."""
        if self.pin.value:
            return
        if isinstance(layer, Image) and layer in self.layer.choices:
            self.layer.value = layer
        self.layer_changed()

    def show_model(self, model: Model | None) -> None:
        """Show what this model needs to know."""
        if model is not self._model:
            self._model = model
            self._show_others(model)
        self._show_channels()

    def suggest(self, channels: tuple[int, ...] | None) -> None:
        """Choose these channels to begin with, where an image has them."""
        self._suggested = channels
        self.channels.suggest(channels)

    def _channel_chosen(self) -> None:
        self._suggested = None  # the person has chosen
        self._channels_changed()
        self._notify()

    def layer_changed(self) -> None:
        """Bring the other controls up to date with the layer."""
        self.axes.reset_choices()
        self.measured.reset_choices()
        layer = self.layer.value
        self.axes.visible = layer is not None and layer.ndim > 2
        several = layer is not None and layer.multiscale
        self.level.visible = several
        with self.level.changed.blocked():
            self.level.max = len(layer.data) - 1 if several else 0
            if not several:
                self.level.value = 0
        self._axes_changed()

    def _axes_changed(self) -> None:
        self._show_channels()
        self._notify()

    def show_planes(self) -> None:
        """Show the choice of planes, where the model runs plane by plane."""
        along = self.plane_axes()
        self.planes.visible = bool(along)
        self.span.visible = bool(along) and self.planes.value == SOME_PLANES

    def _show_channels(self) -> None:
        spec = _main(self._model)
        self.channels.show_channels(spec, "C" in (self.axes.value or ""))
        if self._suggested is not None:
            self.channels.suggest(self._suggested)

    def _show_others(self, model: Model | None) -> None:
        self.others.clear()
        main = _main(model)
        for spec in model.inputs if model is not None and main is not None else ():
            if spec is not main:
                control = _other(spec)
                control.changed.connect(lambda _: self._notify())
                self.others.append(control)
        self.others.visible = len(self.others) > 0

    def _axes_choices(self, _widget: Any = None) -> list[tuple[str, str]]:
        layer = self.layer.value
        if layer is None:
            return []
        usual = layers.AXES.get(layer.ndim, ())
        known = dict.fromkeys([layers.guess_axes(layer), *usual])
        return [(axes_words(axes), axes) for axes in known]

    def _other_names(self) -> list[str]:
        """Names of image layers that are not run."""
        chosen = self.layer.value
        return [layer.name for layer in self.layer.choices if layer is not chosen]

    def _channel_choices(self) -> list[tuple[str, int]]:
        """Names of layers with their numbers of channels, the chosen one first."""
        chosen = self.layer.value
        found = []
        for layer in sorted(self.layer.choices, key=lambda one: one is not chosen):
            axes = self.axes.value if layer is chosen else layers.guess_axes(layer)
            count = layer.data.shape[axes.index("C")] if "C" in (axes or "") else 1
            found.append((layer.name, 3 if layer.rgb else int(count)))
        return found

    # -- what was chosen ---------------------------------------------------------------

    def whole(self) -> layers.Source:
        """The layer as it is now, all of it.

        Raises
        ------
        ImageError
            If there is none, or its axes do not fit it.
        """
        if self.layer.value is None:
            raise ImageError("Open an image, or choose an image layer.")
        return layers.take(
            self.layer.value, self.axes.value or "", self.level.value or 0
        )

    def take(self) -> layers.Source:
        """The layer as it is now: what is run of it.

        Raises
        ------
        ImageError
            If there is none, or its axes do not fit it.
        """
        whole = self.whole()
        region = self.region.chosen(self.layer.value, whole)
        return whole if region is None else layers.cut(whole, region)

    def chosen_region(self) -> Region | None:
        """What of the image is run; None: all of it."""
        whole = self.whole()
        return self.region.chosen(self.layer.value, whole)

    def inputs(self, model: Model) -> tuple[InputImages, tuple[int, ...] | None]:
        """What is fed to the network: images by input, and channels of the main one.

        The images are whole; the region is chosen when the network is run.

        Raises
        ------
        ImageError
            If something is missing.
        """
        main = self.whole().image
        image, channels = fed(main, self.channels.chosen(), self._layer_image)
        image, channels = self.measured.with_others(
            model, image, channels, self._layer_image
        )
        if len(model.inputs) == 1:
            return image, channels
        given: dict[str, Any] = {main_input(model).id: image}
        for control in self.others:
            if control.value is None or control.value == "":
                continue
            chosen = control.value
            if isinstance(chosen, Image):
                given[control.label] = _pixels(chosen)
            else:
                given[control.label] = _numbers(str(chosen), control.label)
        return given, channels

    def beyond_a_file(self) -> str:
        """What a recipe cannot say of what feeds the network, as a sentence."""
        chosen = [one for row in self.channels for one in [row.value] if one]
        layer = self.layer.value
        others = {name for name, _ in chosen if name} - {getattr(layer, "name", "")}
        others |= set(self.measured.chosen())
        if others:
            return (
                f"Channels come from several layers ({', '.join(sorted(others))}): "
                "image files need all channels in one."
            )
        if len(self.others):
            return "The network's other inputs have to be given with --input."
        if layer is not None and layer.multiscale and self.level.value:
            return f"Level {self.level.value} was run; files are opened at the finest."
        return ""

    def _layer_image(self, name: str) -> ImageInput:
        layer = next((one for one in self.layer.choices if one.name == name), None)
        if layer is None:
            raise ImageError(f"The layer '{name}' is gone; choose another channel.")
        return _pixels(layer)

    def check(self, model: Model) -> None:
        """See whether the layers would feed a model.

        Raises
        ------
        ImagecAIError
            If they cannot.
        """
        self.take()  # says what is wrong with the region
        images, channels = self.inputs(model)
        along = plan_inputs(model, images, channels).main.plane_axes
        if along and self.planes.value == SOME_PLANES:
            planes = planes_from_text(str(self.span.value), along)
            plan_inputs(model, images, channels, planes)

    def plane_axes(self) -> str:
        """Axes that the model would run plane by plane along; empty if it cannot."""
        try:
            if self._model is None:
                return ""
            images, channels = self.inputs(self._model)
            return plan_inputs(self._model, images, channels).main.plane_axes
        except ImagecAIError:
            return ""

    def chosen_planes(self, current_step: Sequence[int]) -> Planes | None:
        """Planes to run: None for all.

        Parameters
        ----------
        current_step : sequence of int
            Position that the viewer shows, one for each of its dimensions.
        """
        along = self.plane_axes()
        if not along or self.planes.value == ALL_PLANES:
            return None
        if self.planes.value == SOME_PLANES:
            return planes_from_text(str(self.span.value), along)
        order = str(self.axes.value)
        first = len(current_step) - len(order)
        return {axis: int(current_step[first + order.index(axis)]) for axis in along}


def axes_words(axes: str) -> str:
    """Axes as a person would say them, such as 'z-stack (ZYX)'."""
    if axes in _AXES:
        return f"{_AXES[axes]} ({axes})"
    more = [_AXIS[axis] for axis in axes if axis in _AXIS]
    return f"{', '.join(more)} ({axes})" if more else axes


def _pixels(layer: Image) -> ImageInput:
    """Pixels of another layer."""
    return layers.take(layer, layers.guess_axes(layer)).image


def _main(model: Model | None) -> TensorSpec | None:
    try:
        return main_input(model) if model is not None else None
    except ImagecAIError:
        return None


def _other(spec: TensorSpec) -> Any:
    """A control for an input beside the image."""
    if {"y", "x"} <= set(spec.space):
        return create_widget(
            annotation=Image,
            name=f"input_{spec.id}",
            label=spec.id,
            options={"tooltip": f"The layer that feeds the input '{spec.id}'."},
        )
    return LineEdit(
        name=f"input_{spec.id}",
        label=spec.id,
        tooltip=f"{spec.channels or 'Some'} numbers for the input '{spec.id}', such as "
        "0.5, 1.",
    )


def _numbers(words: str, name: str) -> list[float]:
    try:
        return [float(part) for part in words.split(",")]
    except ValueError:
        raise ImageError(
            f"Expected numbers such as 0.5, 1 for '{name}', found '{words}'."
        ) from None
