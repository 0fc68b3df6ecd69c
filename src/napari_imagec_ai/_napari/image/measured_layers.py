"""The widget's part for layers that are measured, though no network sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magicgui.widgets import CheckBox

from napari_imagec_ai._napari.controls import Fold, column, on_button, text
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.stack import stack_channels
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.run.feed.inputs import plan_inputs


class MeasuredLayers(Fold):
    """A box for each other image layer.

    Parameters
    ----------
    changed : callable
        Called when the person checks one.
    names : callable
        Gives the names of the other layers.
    """

    def __init__(
        self, changed: Callable[[], None], names: Callable[[], Sequence[str]]
    ) -> None:
        self.boxes = column(labels=False, name="measured")
        self.said = text("measured_as")
        super().__init__(
            "Measure other layers",
            [text("when", "By the next run:"), self.boxes, self.said],
            tooltip="Mean intensities of other stains, to filter by. They are measured "
            "with the next run.",
            open_=False,
            minor=True,
        )
        self._changed, self._names = changed, names
        self._listed: list[str] = []
        self._was: set[str] = set()
        self.reset_choices()

    def reset_choices(self, *_: Any) -> None:
        """Read the names of layers again; those that stay checked are."""
        names = list(self._names())
        self.visible = bool(names)
        if names == self._listed:
            return
        checked = self.chosen()
        self._was = set(checked)
        self._listed = names
        self.boxes.clear()
        for i, name in enumerate(names):
            box = CheckBox(
                value=name in checked,
                text=on_button(name),
                name=f"measure_{i}",
                tooltip=f"On: the next run measures how bright its objects are in "
                f"'{name}'.",
            )
            box.changed.connect(lambda _: self._told())
            self.boxes.append(box)

    def rename(self, names: Mapping[str, str]) -> None:
        """Layers have other names; those that were checked stay so."""
        checked = {names.get(name, name) for name in self._was or self.chosen()}
        self._was = set()
        self.reset_choices()
        for name, box in zip(self._listed, self.boxes, strict=True):
            with box.changed.blocked():
                box.value = name in checked

    def _told(self) -> None:
        self._was = set()
        self._changed()

    def chosen(self) -> list[str]:
        """Names of the layers to measure."""
        listed = zip(self._listed, self.boxes, strict=True)
        return [name for name, box in listed if box.value]

    def with_others(
        self,
        model: Model,
        image: ImageInput,
        channels: tuple[int, ...] | None,
        take: Callable[[str], ImageInput],
    ) -> tuple[ImageInput, tuple[int, ...] | None]:
        """The image with the other layers as further channels.

        Parameters
        ----------
        model : Model
            For the channels that are fed to it.
        image : ImageInput
            What is fed.
        channels : tuple of int or None
            Which of its channels; None: as they come.
        take : callable
            Gives the image of a layer by name.

        Raises
        ------
        ImageError
            If a layer does not lie on the image pixel by pixel.
        """
        names = self.chosen()
        if not names:
            self.said.value = ""
            return image, channels
        feed = plan_inputs(model, image, channels).main
        if feed.luminance:
            raise ImageError(
                "The colours of an RGB image are mixed for this network, so no other "
                "layer can be measured beside it; uncheck them."
            )
        own: list[tuple[ImageInput, int | None]] = [(image, None)]
        if "C" in image.axes:
            own = [(image, channel) for channel in range(image.size("C"))]
        found, apart = self._parts(names, take)
        parts = [*own, *found]
        called = [part.name for part, _ in parts]
        self.said.value = "; ".join(
            f"'{part.name}' is mean intensity "
            f"{part.name if called.count(part.name) == 1 else number}"
            for number, (part, _) in enumerate(parts)
            if number >= len(own)
        )
        self.said.value = " ".join(filter(None, [self.said.value, *apart]))
        if not found:
            return image, channels
        return stack_channels(parts, image.name), feed.channels

    def _parts(
        self, names: Sequence[str], take: Callable[[str], ImageInput]
    ) -> tuple[list[tuple[ImageInput, int | None]], list[str]]:
        """Channels of layers, and sentences on those that lie elsewhere."""
        parts: list[tuple[ImageInput, int | None]] = []
        apart: list[str] = []
        for name in names:
            try:
                other = take(name)
            except ImageError as error:
                apart.append(f"Not measured: {error}")
                continue
            count = other.size("C") if "C" in other.axes else 0
            parts += [(other, i) for i in range(count)] or [(other, None)]
        return parts, apart
