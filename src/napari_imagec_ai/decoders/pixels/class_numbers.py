"""Maps with the number of a class at each pixel: networks that end in an argmax."""

from __future__ import annotations

import numpy as np

from napari_imagec_ai.decoders.channel_roles import parts
from napari_imagec_ai.decoders.output_grid import Map
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.prediction import Prediction

_SLACK = 1e-3
"""Rounding may carry a number this far."""

_MOST = 1024
"""Classes; higher numbers are ids of objects."""

_IGNORED = 255
"""Number that data sets give to pixels of no class."""


def are_numbers(prediction: Prediction, values: Map, told: bool) -> bool:
    """Whether a map has numbers of classes: told, or whole ones of which some exceed 1.

    Parameters
    ----------
    prediction : Prediction
        That the map is of.
    values : (planes, C, space) array
        The map.
    told : bool
        Whether that is known.
    """
    if values.shape[len(prediction.planes)] != 1:
        return False
    if told:
        return True
    highest = 0.0
    for part in parts(prediction, values):
        whole = np.abs(part - np.rint(part)) <= _SLACK
        if not bool(np.all(whole)) or part.min(initial=0) < 0:
            return False
        highest = max(highest, float(part.max(initial=0)))
    return 1 < highest < _MOST


def of_numbers(
    prediction: Prediction, values: Map, background: int
) -> tuple[int, int, str]:
    """Which class is no object, how many there are, and what of that was assumed.

    Raises
    ------
    DecodeError
        If there are numbers without a class.
    """
    model = prediction.model
    named, told = len(model.classes), model.settings.get("background")
    highest = 0
    for part in parts(prediction, values):
        known = part[np.rint(part) != _IGNORED]
        highest = max(highest, round(float(known.max(initial=0))))
    sentence = ""
    if background < 0 and not isinstance(told, int):
        background = 0
        sentence = "Class number 0 was taken as what is no object."
    count = named + (background >= 0) if named else highest + 1
    if highest >= _MOST:
        raise DecodeError(
            f"Expected numbers of classes, found numbers up to {highest}: these are "
            "ids of objects; choose the decoder 'labels'."
        )
    if highest >= count:
        raise DecodeError(
            f"The map has classes up to number {highest}, but {named} were named "
            f"({', '.join(model.classes)}) besides the background; name them all "
            "(--classes)."
        )
    return background, count, sentence


def one_by_one(numbers: Map, count: int) -> Map:
    """A channel for each class, 1 where it is and 0 elsewhere."""
    whole = np.rint(numbers)
    return np.stack([(whole == n).astype(np.float32) for n in range(count)])
