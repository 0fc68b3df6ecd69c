"""What decoders measure objects with: the image's pixels, its planes and its unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.results.prediction import EMPTY, Prediction

MOST_OTHERS = 16
"""Channels that are measured beside those that were fed: a spectrum has hundreds."""


def measured_pixels(
    prediction: Prediction,
    index: tuple[int, ...],
    where: tuple[slice, ...] | None = None,
) -> dict[str, NDArray[Any]]:
    """Pixels of an image's channels by column name, those that were fed first.

    A stain that the network never saw may be what objects are sorted by.

    Parameters
    ----------
    prediction : Prediction
        Of the image.
    index : tuple of int
        Of the plane in the result.
    where : tuple of slice, optional
        Part of the plane along the space axes; all of it by default.
    """
    image = prediction.image
    if image is None:
        return {}
    position = plane_position(prediction, index)
    at: dict[str, int | slice] = {
        axis: int(where)
        for axis, where in zip(prediction.frame.axes, position, strict=False)
    }
    if where is not None:
        at |= dict(zip(prediction.space, where, strict=True))
    fed = sorted(set(prediction.channels) - {EMPTY})
    if "C" not in image.axes:
        return {"mean_intensity": image.read(prediction.space, at)}
    rest = [channel for channel in range(image.size("C")) if channel not in fed]
    found = {}
    for channel in (*fed, *rest[:MOST_OTHERS]):
        pixels = image.read(prediction.space, {**at, "C": channel})
        if [channel] == fed:
            found["mean_intensity"] = pixels
        if [channel] != fed or image.channel_names:
            found[f"mean_intensity_{_channel_word(image, channel)}"] = pixels
    return found


def _channel_word(image: ImageInput, channel: int) -> str:
    """A channel's name where it has one that no other has, else its number."""
    names = image.channel_names
    name = names[channel].strip() if names else ""
    return name if name and names.count(names[channel]) == 1 else str(channel)


def plane_position(prediction: Prediction, index: tuple[int, ...]) -> NDArray[np.int32]:
    """Position of a plane of the result in the image, along the plane axes."""
    origin = prediction.frame.origin[: len(index)]
    return np.asarray(index, np.int32) + np.asarray(origin, np.int32)


def physical_area(
    prediction: Prediction, area: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Area or volume in the image's unit, where it has one along all axes."""
    frame, space = prediction.frame, prediction.space
    if frame.unit is None or set(space) & set(frame.unsized):
        return {}
    scale = math.prod(frame.pixel_size[-len(space) :])
    return {f"area_{frame.unit}{len(space)}": area * scale}
