"""Whether what was found can be: sentences where it hardly is, never a refusal."""

from __future__ import annotations

import math

import numpy as np

from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.domain import domain_of
from napari_imagec_ai.model.object_size import known_sizes
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

_SOME = 3
"""Fewer objects tell nothing."""

_COVERED = 0.9
"""Objects that cover more of an image are its background."""

_UNSURE = 0.35


def implausible(prediction: Prediction, objects: Objects) -> tuple[str, ...]:
    """Sentences on sizes, cover and confidences that the network does not know.

    Parameters
    ----------
    prediction : Prediction
        What the objects were made from.
    objects : Objects
        In pixels of the image.
    """
    if len(objects) < _SOME:
        return ()
    found = [
        _sizes(prediction.model, prediction.scale, objects),
        _cover(prediction, objects),
        _confidence(prediction.model, objects),
    ]
    return tuple(filter(None, found))


def diameters(objects: Objects) -> np.ndarray:
    """Diameters of disks (balls) as large as the objects, in pixels of the image."""
    area = np.asarray(objects.features.get("area", ()), np.float64)
    if objects.boxes.shape[1] == 6:
        return np.asarray(np.cbrt(area * 6 / math.pi))
    if objects.label_image is None and objects.masks is None:  # boxes, and no disks
        return np.asarray(np.sqrt(area))
    return np.asarray(np.sqrt(area * 4 / math.pi))


def _sizes(model: Model, scale: tuple[float, ...], objects: Objects) -> str:
    known = known_sizes(model)
    if known is None:
        return ""
    gain = math.prod(scale) ** (1 / len(scale)) if scale else 1.0
    seen = diameters(objects) * gain
    strange = (seen < known.least) | (seen > known.most)
    if not len(seen) or strange.mean() <= 0.5:
        return ""
    middle = float(np.median(seen)) / gain
    return (
        f"Most objects are of a size that '{model.name}' does not know: the middle one "
        f"is {middle:.0f} px wide, and as the image was fed it knows "
        f"{known.least / gain:.0f} to {known.most / gain:.0f} px; give the diameter of "
        "an object as the object size, or let it be found ('auto')."
    )


def _cover(prediction: Prediction, objects: Objects) -> str:
    domain = domain_of(prediction.model)
    if domain.polarity != "bright on dark" or objects.label_image is None:
        return ""
    covered = float(np.sum(objects.features.get("area", 0)))
    share = covered / math.prod(objects.label_image.shape)
    if share <= _COVERED:
        return ""
    return (
        f"Objects cover {share:.0%} of the image, which is hardly to be believed of "
        "objects that are bright on a dark background; look whether the image is one, "
        "or choose another channel or model."
    )


def _confidence(model: Model, objects: Objects) -> str:
    middle = float(np.median(objects.confidence))
    if middle >= _UNSURE or known_sizes(model) is None:
        return ""
    return (
        f"'{model.name}' is hardly sure of what it found (half of the objects have a "
        f"confidence below {middle:.2f}); look whether the image is one that it knows."
    )
