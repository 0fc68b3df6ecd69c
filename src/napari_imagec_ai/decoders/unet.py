"""U-Net and its family: maps of foreground, boundary and distance.

Of the foreground, touching objects are taken apart by the boundaries or the distances
that the network drew, and by their shape. Where it draws boundaries only, such as the
membranes of a tissue, objects are what lies between them, and the membranes are shared
out. What lies around a tissue is then an object, too: it touches the edge of the image,
which is a column to filter by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field
from scipy import special

from napari_imagec_ai.decoders import Decoder, activation, as_described
from napari_imagec_ai.decoders.regions import (
    NECK_OF_MEMBRANES,
    NECK_WHERE_DRAWN,
    Evidence,
    RegionSettings,
    grid,
    segment,
)
from napari_imagec_ai.decoders.roles import (
    Map,
    assumption,
    described,
    main_map,
    pick_any,
)
from napari_imagec_ai.decoders.tables import Regions, tabulate
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.kinds import main_output
from napari_imagec_ai.model import Model, TensorSpec
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.prediction import Prediction

KINDS = (
    "foreground",
    "foreground_boundary",
    "foreground_boundary_distance",
    "three_class",
    "boundary",
)


class UNetSettings(RegionSettings):
    """What a person may set for maps of foreground, boundary and distance."""

    foreground: int = Field(
        0, ge=-1, le=1023, description="Channel of the foreground; -1: none."
    )
    boundary: int = Field(
        -1, ge=-1, le=1023, description="Channel of the boundaries; -1: none."
    )
    background: int = Field(
        -1, ge=-1, le=1023, description="Channel of the background; -1: none."
    )
    distance: int = Field(
        -1,
        ge=-1,
        le=1023,
        description="Channel that tells how deep inside an object a pixel lies; -1: "
        "none.",
    )


def decode_maps(prediction: Prediction, settings: UNetSettings) -> Objects:
    """Decode maps of foreground, boundary and distance; see :class:`Decoder`."""
    model = prediction.model
    spec, values = main_map(prediction)
    probable = _probable(values, settings.distance, len(prediction.planes))
    classes = model.kind == "three_class" or settings.background >= 0
    several = probable.shape[len(prediction.planes)] > 1
    chosen, sentence = activation.resolve(
        settings.activation, model, spec, probable, exclusive=classes and several
    )
    # Channels of a softmax exclude each other: the rim is then no part of the inside.
    softmax = chosen == "softmax" or any(step.id == "softmax" for step in spec.steps)
    exclusive = softmax or model.kind == "three_class"
    pixels = grid(prediction, values)

    def find(index: tuple[int, ...]) -> Regions:
        depth = _depth(values[index], settings, spec)
        channels = activation.apply(chosen, probable[index], 0)
        if depth is not None:  # give the other channels their numbers back
            channels = np.insert(channels, settings.distance, 0, axis=0)
        return segment(
            _evidence(channels, depth, settings, exclusive), settings, pixels
        )

    return tabulate(
        prediction,
        find,
        model.classes[:1] or ("object",),
        sentence,
        assumption(model, settings),
    )


def _probable(values: Map, distance: int, axis: int) -> Map:
    """All channels but the distance, which must not be taken for a logit."""
    count = values.shape[axis]
    if distance == 0 and count == 1:
        raise DecodeError(
            "The only channel was named as the distance; name it as the foreground or "
            "the boundary."
        )
    return np.delete(values, distance, axis) if 0 <= distance < count else values


def _depth(channels: Map, settings: UNetSettings, spec: TensorSpec) -> Map | None:
    depth = pick_any(channels, settings.distance, "distance")
    if depth is not None and any(step.id == "sigmoid" for step in spec.steps):
        # Done to all channels, where it was meant for the probabilities.
        return np.asarray(special.logit(np.clip(depth, 1e-7, 1 - 1e-7)), np.float32)
    return depth


def _evidence(
    channels: Map, depth: Map | None, settings: UNetSettings, exclusive: bool
) -> Evidence:
    inside = pick_any(channels, settings.foreground, "foreground")
    rim = pick_any(channels, settings.boundary, "boundary")
    background = pick_any(channels, settings.background, "background")
    between = rim if rim is not None else background
    if inside is None and between is not None:
        return Evidence(1 - between, depth=depth, membranes=rim is not None)
    if inside is None:
        raise DecodeError(
            "Neither a foreground nor a boundary channel is chosen; choose one."
        )
    if rim is None:
        return Evidence(inside, depth=depth)
    if exclusive:  # the rim is a class of its own, and part of the object
        return Evidence(
            np.minimum(inside + rim, 1), np.minimum(inside, 1 - rim), rim, depth
        )
    return Evidence(inside, inside * (1 - rim), rim, depth)


def default_settings(model: Model) -> UNetSettings:
    """Settings to begin with: what the description says, else what is usual."""
    chosen: dict[str, Any] = described(model)
    if chosen["foreground"] < 0 and chosen["boundary"] < 0:
        chosen["foreground"] = 0
    if chosen["foreground"] < 0:
        chosen["neck"] = NECK_OF_MEMBRANES
    elif chosen["boundary"] >= 0 or chosen["distance"] >= 0:
        chosen["neck"] = NECK_WHERE_DRAWN
    steps = main_output(model).steps
    thresholds = [s.kwargs.get("threshold") for s in steps if s.id == "binarize"]
    if thresholds and isinstance(thresholds[0], (int, float)):
        chosen["mask_threshold"] = _probability(float(thresholds[0]))
    return as_described(UNetSettings(**chosen), model)


def _probability(threshold: float) -> float:
    """A threshold as a probability: one that can be none was meant for logits."""
    if not 0 < threshold < 1:
        threshold = float(special.expit(threshold))
    return min(max(threshold, 0.01), 0.99)


UNET = Decoder(
    name="unet",
    title="Foreground and boundary maps (U-Net)",
    settings=UNetSettings,
    decode=decode_maps,
    defaults=default_settings,
    recognises=lambda model: model.kind in KINDS,
)
