"""Confidence that means a share: of objects with 0.8, some 80 of a hundred are right.

What a network gives as its sureness is seldom that. A description may tell, as measured
on images with truth, how often objects of a sureness were right:
``config.napari_imagec_ai.confidence``, points of a curve that rises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.decoder import Settings
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.objects import Objects

Curve = NDArray[np.float64]


def curve_of(model: Model) -> Curve | None:
    """Points (n, 2) of the curve, sureness and share; None where there is none.

    Raises
    ------
    DecodeError
        If it does not rise from 0 to 1.
    """
    told = model.settings.get("confidence")
    if told is None:
        return None
    try:
        points = np.asarray(told, np.float64)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if (
        not isinstance(told, Sequence)
        or points.ndim != 2
        or points.shape[1] != 2
        or len(points) < 2
        or not np.isfinite(points).all()
        or (points < 0).any()
        or (points > 1).any()
        or (np.diff(points[:, 0]) <= 0).any()
        or (np.diff(points[:, 1]) < 0).any()
    ):
        raise DecodeError(
            f"In the description of '{model.name}': expected points from 0 to 1 that "
            f"rise for 'confidence', such as [[0, 0], [1, 0.9]], found {told!r:.60}."
        )
    return points


def calibrated(objects: Objects, model: Model) -> Objects:
    """Objects whose confidence is the share that is right, where the model tells it."""
    curve = curve_of(model)
    if curve is None or not len(objects):
        return objects
    share = np.interp(objects.confidence, curve[:, 0], curve[:, 1])
    return replace(objects, confidence=share.astype(np.float32))


def sure(found: Objects, settings: Settings) -> Objects:
    """Objects that are as sure as the settings ask for, where they do."""
    least = float(getattr(settings, "min_confidence", 0.0))
    keep = found.confidence >= least
    return found if keep.all() else found[keep]
