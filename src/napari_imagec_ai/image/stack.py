"""Images side by side as the channels of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """Looks like an array with a channel axis first, and reads where it is asked."""

    parts: tuple[tuple[ImageInput, int | None], ...]
    axes: str

    @property
    def shape(self) -> tuple[int, ...]:
        image, _ = self.parts[0]
        return (len(self.parts), *(image.size(axis) for axis in self.axes))

    @property
    def dtype(self) -> Any:
        return np.result_type(*(image.data.dtype for image, _ in self.parts))

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        chosen, *rest = index
        at = dict(zip(self.axes, rest, strict=True))
        order = "".join(a for a in self.axes if not isinstance(at[a], int))
        if isinstance(chosen, int):
            return self._read(chosen, order, at)
        rows = range(len(self.parts))[chosen]
        return np.stack([self._read(row, order, at) for row in rows])

    def _read(self, row: int, order: str, at: dict[str, int | slice]) -> NDArray[Any]:
        image, channel = self.parts[row]
        there = {axis: where for axis, where in at.items() if axis in image.axes}
        return image.read(order, there if channel is None else {**there, "C": channel})


def stack_channels(
    parts: Sequence[tuple[ImageInput, int | None]], name: str = ""
) -> ImageInput:
    """Make channels of one image out of several, without copying pixels.

    Parameters
    ----------
    parts : sequence of (ImageInput, int or None)
        For each channel, the image and which of its channels; None for an image that
        has none.
    name : str
        Of the result.

    Raises
    ------
    ImageError
        If the images differ in size, or a channel is not there.
    """
    first = parts[0][0]
    axes = "".join(axis for axis in "TZYX" if axis in first.axes)
    for image, channel in parts:
        if image.frame.axes != axes or image.frame.shape != first.frame.shape:
            raise ImageError(
                f"Expected layers of one size as channels, found {first.frame.shape} "
                f"({axes}) in '{first.name}' and {image.frame.shape} "
                f"({image.frame.axes}) in '{image.name}'; crop one of them."
            )
        if not 0 <= (channel or 0) < image.size("C"):
            raise ImageError(
                f"'{image.name}' has the channels 0 to {image.size('C') - 1}, but "
                f"{channel} was asked for; choose another."
            )
        if channel is None and image.size("C") > 1:
            raise ImageError(
                f"'{image.name}' has {image.size('C')} channels; choose one of them."
            )
    return ImageInput(
        _Stack(tuple(parts), axes),
        f"C{axes}",
        pixel_size=first.frame.pixel_size,
        unit=first.unit,
        name=name or first.name,
        key=tuple((image.key, channel) for image, channel in parts),
        unsized=first.frame.unsized,
        interval=first.interval,
        file=first.file,
        channel_names=tuple(
            image.channel_names[channel or 0] if image.channel_names else image.name
            for image, channel in parts
        ),
    )
