"""What decoders measure objects with: the image's pixels, its planes and its unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    return {
        "mean_intensity" if [channel] == fed else f"mean_intensity_{channel}": (
            image.read(prediction.space, {**at, "C": channel})
        )
        for channel in (*fed, *rest[:MOST_OTHERS])
    }


def plane_position(prediction: Prediction, index: tuple[int, ...]) -> NDArray[np.int32]:
    """Position of a plane of the result in the image, along the plane axes."""
    origin = prediction.frame.origin[: len(index)]
    return np.asarray(index, np.int32) + np.asarray(origin, np.int32)


def physical_area(
    prediction: Prediction, area: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Area in the image's unit, where it has one."""
    unit = prediction.frame.unit
    if unit in (None, "", "pixel"):
        return {}
    scale = math.prod(prediction.frame.pixel_size[-len(prediction.space) :])
    return {f"area_{unit}{len(prediction.space)}": area * scale}
