"""The widget's part for the image: which layers, and what of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from magicgui.widgets import (
    Container,
)
from napari.layers import Image

from napari_imagec_ai._napari.controls import Eliding, align
from napari_imagec_ai._napari.image import image_controls
from napari_imagec_ai._napari.image.axes_words import axes_words
from napari_imagec_ai._napari.image.channel_rows import ChannelRows, fed
from napari_imagec_ai._napari.image.image_controls import ALL_PLANES, SOME_PLANES
from napari_imagec_ai._napari.image.measured_layers import MeasuredLayers
from napari_imagec_ai._napari.image.other_inputs import control_for, numbers
from napari_imagec_ai._napari.image.pixels import fingerprint
from napari_imagec_ai._napari.image.region_choice import RegionChoice
from napari_imagec_ai._napari.layers import from_napari
from napari_imagec_ai._napari.layers.marks import METADATA
from napari_imagec_ai._napari.layers.places import off
from napari_imagec_ai.errors import ImagecAIError, ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.planes import Planes, planes_from_text
from napari_imagec_ai.image.region import Region
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.run.feed.inputs import InputImages, plan_inputs
from napari_imagec_ai.run.tiles.window_limits import main_input


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
        self._prints: dict[Hashable, int] = {}
        self._told_axes: dict[Hashable, str] = {}
        self._names: dict[Hashable, str] = {}
        self._shown: Hashable = None
        self._channels_changed, self._notify = channels_changed, notify
        self._model: Model | None = None
        self.layer: Any = image_controls.layer()
        self.pin, self.level = image_controls.pin(), image_controls.level()
        self.axes: Any = image_controls.axes(self._axes_choices)
        self.region = RegionChoice(notify)
        self.channels = ChannelRows(self._channel_chosen, self._channel_choices)
        self.planes, self.span = image_controls.planes(), image_controls.span()
        self.measured = MeasuredLayers(notify, self._other_names)
        self.others: Any = Container(name="others")
        self.others.margins = (0, 0, 0, 0)
        rows: list[Any] = [self.layer, self.pin, self.level, self.axes]
        rows += [self.channels, self.planes, self.span, self.region.where]
        rows += [self.region.shapes, self.region.recipes, self.others]
        super().__init__(widgets=rows, name="image_choice")
        self.margins = (0, 0, 0, 0)
        align(self)
        Eliding(self.layer)
        self.layer.changed.connect(lambda _: self.layer_changed())
        self.axes.changed.connect(lambda _: self._axes_told())
        for control in (self.planes, self.span, self.level):
            control.changed.connect(lambda _: notify())

    # -- what is shown -----------------------------------------------------------------

    def follow(self, layer: Any) -> None:
        """Choose a layer, if it is an image."""
        if self.pin.value:
            return
        # Maps and other results are run only if they are chosen by name.
        mine = isinstance(layer, Image) and METADATA not in layer.metadata
        if mine and layer in self.layer.choices:
            self.layer.value = layer
        self.layer_changed()

    @property
    def identity(self) -> Hashable:
        """Which layer is chosen, whatever it is called; None: there is none."""
        layer = self.layer.value
        return None if layer is None else layer.unique_id

    def choose(self, identity: Hashable) -> None:
        """Choose a layer by its identity, if it is there."""
        for layer in self.layer.choices:
            if layer.unique_id == identity:
                self.layer.value = layer

    def reset_choices(self, *_: Any) -> None:
        """Read the names of layers again; what is chosen stays, also if renamed."""
        chosen, rows = self.layer.value, [row.value for row in self.channels]
        with self.layer.changed.blocked():
            super().reset_choices()
            if chosen is not None and chosen in self.layer.choices:
                self.layer.value = chosen
        names = {layer.unique_id: layer.name for layer in self.layer.choices}
        renamed = {
            self._names[one]: name
            for one, name in names.items()
            if self._names.get(one, name) != name
        }
        self._names = names
        if renamed:
            self.channels.rename(rows, renamed)
            self.measured.rename(renamed)
        if self.layer.value != chosen:
            self.layer_changed()

    def look(self) -> None:
        """Look at the pixels: what was changed in place is another image."""
        used = [self.layer.value, *(one.value for one in self.others)]
        names = {name for row in self.channels for name, _ in [row.value or ("", 0)]}
        names |= set(self.measured.chosen())
        used += [layer for layer in self.layer.choices if layer.name in names]
        self._prints = {
            layer.unique_id: fingerprint(self._data(layer))
            for layer in used
            if isinstance(layer, Image)
        }

    def _data(self, layer: Image) -> Any:
        if not layer.multiscale:
            return layer.data
        return layer.data[self.level.value if layer == self.layer.value else 0]

    def aged(self, source: from_napari.Source) -> str:
        """A sentence where an image is no longer what a run took of it."""
        for layer in self.layer.choices:
            mine = layer.unique_id == source.layer and source.print
            if mine and fingerprint(self._data(layer)) != source.print:
                return (
                    f"The pixels of '{layer.name}' have changed since: this is of an "
                    "earlier state; run again."
                )
        return ""

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
        with self.axes.changed.blocked():
            self.axes.reset_choices()
            self._show_axes()
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

    def _show_axes(self) -> None:
        """Axes belong to the layer: those told for another one do not count."""
        layer, identity = self.layer.value, self.identity
        if layer is None or (identity == self._shown and self.axes.value):
            return
        self._shown = identity
        wanted = self._told_axes.get(identity) or from_napari.guess_axes(layer)
        if wanted in self.axes.choices:
            self.axes.value = wanted

    def _axes_told(self) -> None:
        self._told_axes[self.identity] = self.axes.value
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
                control = control_for(spec)
                control.changed.connect(lambda _: self._notify())
                self.others.append(control)
        self.others.visible = len(self.others) > 0

    def _axes_choices(self, _widget: Any = None) -> list[tuple[str, str]]:
        layer = self.layer.value
        if layer is None:
            return []
        usual = from_napari.AXES.get(layer.ndim, ())
        known = dict.fromkeys([from_napari.guess_axes(layer), *usual])
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
            axes = self.axes.value if layer is chosen else from_napari.guess_axes(layer)
            count = layer.data.shape[axes.index("C")] if "C" in (axes or "") else 1
            found.append((layer.name, 3 if layer.rgb else int(count)))
        return found

    # -- what was chosen ---------------------------------------------------------------

    def whole(self) -> from_napari.Source:
        """The layer as it is now, all of it.

        Raises
        ------
        ImageError
            If there is none, or its axes do not fit it.
        """
        if self.layer.value is None:
            raise ImageError("Open an image, or choose an image layer.")
        return from_napari.take(
            self.layer.value,
            self.axes.value or "",
            self.level.value or 0,
            self._prints.get(self.identity, 0),
        )

    def take(self) -> from_napari.Source:
        """The layer as it is now: what is run of it.

        Raises
        ------
        ImageError
            If there is none, or its axes do not fit it.
        """
        whole = self.whole()
        region = self.region.chosen(self.layer.value, whole)
        return whole if region is None else from_napari.cut(whole, region)

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
                given[control.label] = self._pixels(chosen).image
            else:
                given[control.label] = numbers(str(chosen), control.label)
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
        other, main = self._pixels(layer), self.whole()
        apart = off(main.matrix, other.matrix, max(main.image.data.shape))
        if apart:
            raise ImageError(
                f"'{name}' does not lie on '{main.name}' pixel by pixel (another "
                f"{apart}): bring it to the same grid, or leave it out."
            )
        return other.image

    def _pixels(self, layer: Image) -> from_napari.Source:
        """Pixels of another layer."""
        look = self._prints.get(layer.unique_id, 0)
        return from_napari.take(layer, from_napari.guess_axes(layer), print_=look)

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

    def chosen_planes(self, point: Sequence[float]) -> Planes | None:
        """Planes to run: None for all.

        Parameters
        ----------
        point : sequence of float
            Position in the world that the viewer shows, for each of its dimensions.
        """
        along = self.plane_axes()
        if not along or self.planes.value == ALL_PLANES:
            return None
        if self.planes.value == SOME_PLANES:
            return planes_from_text(str(self.span.value), along)
        layer, order = self.layer.value, str(self.axes.value)
        here = np.round(layer.world_to_data(point)).astype(int)
        size = self.whole().image.size
        return {
            axis: int(np.clip(here[order.index(axis)], 0, size(axis) - 1))
            for axis in along
        }


def _main(model: Model | None) -> TensorSpec | None:
    try:
        return main_input(model) if model is not None else None
    except ImagecAIError:
        return None
