"""The widget's rows for channels: what feeds each channel of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magicgui.widgets import ComboBox, Container

from napari_imagec_ai._napari.controls import Eliding, align, keep_low
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.stack import stack_channels
from napari_imagec_ai.model.description import TensorSpec
from napari_imagec_ai.results.prediction import EMPTY

MOST = 8
"""More channels than these are taken in order: nobody chooses 61 of them."""

Choice = tuple[str, int] | None
"""A layer and its channel (:data:`EMPTY` for none); None: as it comes."""

AS_IT_COMES = "same order as in the image"


class ChannelRows(Container):  # type: ignore[type-arg]
    """A choice for each channel of the network's input.

    Parameters
    ----------
    changed : callable
        Called when the person changes one.
    choices : callable
        Gives names of layers with their numbers of channels, the image's first.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        choices: Callable[[], Sequence[tuple[str, int]]],
    ) -> None:
        super().__init__(name="channels", label="Channels")
        self.margins = (0, 0, 0, 0)
        keep_low(self)
        self._notify, self._layers = changed, choices
        self._names: tuple[str, ...] = ()

    def show_channels(self, spec: TensorSpec | None, several: bool) -> None:
        """Make rows for an input, where there is something to choose.

        Parameters
        ----------
        spec : TensorSpec or None
            The input; None: no rows.
        several : bool
            Whether the image has channels.
        """
        count = (spec.channels or 0) if spec is not None else 0
        shown = 0 < count <= MOST and (count > 1 or several)
        names: tuple[str, ...] = ()
        if shown and spec is not None:
            given = spec.channel_names
            unique = len(set(given)) == count
            names = given if unique else tuple(f"channel {n}" for n in range(count))
        self.visible = shown
        if names == self._names:
            self.reset_choices()
            return
        self._names = names
        self.clear()
        for number, name in enumerate(names):
            choice = ComboBox(
                choices=self._choices,
                name=f"channel_{number}",
                label=name,
                tooltip=f"What feeds the channel '{name}' of the network.",
            )
            Eliding(choice)
            choice.changed.connect(lambda _: self._notify())
            self.append(choice)
        align(self)

    def suggest(self, channels: Sequence[int] | None) -> None:
        """Choose these channels of the image where nothing was chosen; tells nobody.

        Parameters
        ----------
        channels : sequence of int or None
            One for each row; None: as they come.
        """
        if channels is not None and len(channels) != len(self):
            return
        layers = self._layers()
        if not layers or (any(row.value is not None for row in self) and channels):
            return
        name, count = layers[0]
        if channels is not None and max(channels) >= count:
            return
        wanted: list[Choice] = [None] * len(self)
        if channels is not None:
            wanted = [("" if one == EMPTY else name, one) for one in channels]
        for row, choice in zip(self, wanted, strict=True):
            with row.changed.blocked():
                row.value = choice

    def rename(self, chosen: Sequence[Choice], names: Mapping[str, str]) -> None:
        """Choose again what was chosen before layers got other names; tells nobody."""
        for row, choice in zip(self, chosen, strict=False):
            if choice is not None and choice[0] in names:
                with row.changed.blocked():
                    row.value = (names[choice[0]], choice[1])

    def _choices(self, _widget: Any = None) -> list[tuple[str, Choice]]:
        listed: list[tuple[str, Choice]] = [(AS_IT_COMES, None)]
        for name, channels in self._layers():
            for channel in range(channels):
                which = f" [{channel}]" if channels > 1 else ""
                listed.append((f"{name}{which}", (name, channel)))
        return [*listed, ("empty", ("", EMPTY))]

    def chosen(self) -> list[Choice] | None:
        """What the person chose for each channel; None where that is nothing.

        Raises
        ------
        ImageError
            If only some were chosen.
        """
        found: list[Choice] = [row.value for row in self]
        if not any(choice is not None for choice in found):
            return None
        if None in found:
            name = self._names[found.index(None)]
            raise ImageError(
                f"Choose what feeds the channel '{name}' of the network, or leave all "
                f"channels '{AS_IT_COMES}'."
            )
        return found


def fed(
    image: ImageInput,
    chosen: Sequence[Choice] | None,
    take: Callable[[str], ImageInput],
) -> tuple[ImageInput, tuple[int, ...] | None]:
    """The image to feed, and which of its channels.

    Parameters
    ----------
    image : ImageInput
        The main layer's.
    chosen : sequence of Choice or None
        From :meth:`ChannelRows.chosen`.
    take : callable
        Gives the image of a layer by name.
    """
    if chosen is None:
        return image, None
    layers = {choice[0] for choice in chosen if choice and choice[1] != EMPTY}
    if layers == {image.name}:
        return image, tuple(choice[1] for choice in chosen if choice is not None)
    used = list(dict.fromkeys(c for c in chosen if c and c[1] != EMPTY))
    parts = []
    for name, channel in used:
        part = image if name == image.name else take(name)
        parts.append((part, channel if "C" in part.axes else None))
    stacked = stack_channels(parts, image.name)
    return stacked, tuple(used.index(c) if c in used else EMPTY for c in chosen)
