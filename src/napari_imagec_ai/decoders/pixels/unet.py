"""U-Net and its family: maps of foreground, boundary and distance.

Of the foreground, touching objects are taken apart by the boundaries or the distances
that the network drew, and by their shape. Where it draws boundaries only, such as the
membranes of a tissue, objects are what lies between them, and the membranes are shared
out. What lies around a tissue is then an object, too: it touches the edge of the image,
which is a column to filter by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from napari_imagec_ai.decoders import activation
from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.decoders.channel_roles import (
    assumption,
    described,
    main_map,
    parts,
    pick,
    pick_any,
)
from napari_imagec_ai.decoders.decoder import Decoder, as_described, channel_number
from napari_imagec_ai.decoders.output_grid import Map, OutputGrid, grid_of
from napari_imagec_ai.decoders.pixels.segment import (
    NECK_OF_MEMBRANES,
    NECK_WHERE_DRAWN,
    Evidence,
    RegionSettings,
    carry,
    only_threshold,
    segment,
    settled,
)
from napari_imagec_ai.decoders.tabulate import Regions, tabulate
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.model.kinds import main_output
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

KINDS = (
    "foreground",
    "foreground_boundary",
    "foreground_boundary_distance",
    "three_class",
    "boundary",
)


class UNetSettings(RegionSettings):
    """What a person may set for maps of foreground, boundary and distance."""

    foreground: int = channel_number(0, "Channel of the foreground; -1: none.")
    boundary: int = channel_number(-1, "Channel of the boundaries; -1: none.")
    background: int = channel_number(-1, "Channel of the background; -1: none.")
    distance: int = channel_number(
        -1, "Channel that tells how deep inside an object a pixel lies; -1: none."
    )


def decode_maps(prediction: Prediction, settings: UNetSettings) -> Objects:
    """Decode maps of foreground, boundary and distance; see :class:`Decoder`."""
    evidence, grid, sentence = _evidence_of(prediction, settings)
    return tabulate(
        prediction,
        lambda index: segment(evidence(index), settings, grid),
        prediction.model.classes[:1] or ("object",),
        sentence,
        assumption(prediction.model, settings),
    )


def follow_threshold(
    prediction: Prediction, settings: UNetSettings, before: UNetSettings, found: Objects
) -> Objects | None:
    """Move the mask threshold, and keep what was taken apart; see :class:`Decoder`."""
    if not settings.split or not only_threshold(settings, before):
        return None
    evidence, grid, _ = _evidence_of(prediction, settings)
    labels, highest = np.asarray(found.label_image), int(found.id.max(initial=0))
    start = (0,) * len(prediction.planes)
    first = evidence(start)
    if first.membranes or first.whole.shape != labels.shape[len(start) :]:
        return None

    def find(index: tuple[int, ...]) -> Regions:
        told = first if index == start else evidence(index)
        return carry(labels[index], highest, told, settings, grid)

    carried = tabulate(prediction, find, found.classes)
    return replace(carried, assumed=found.assumed)


def _evidence_of(
    prediction: Prediction, settings: UNetSettings
) -> tuple[Callable[[tuple[int, ...]], Evidence], OutputGrid, str]:
    """What the network says of each plane; the grid; a sentence on the activation."""
    spec, values = main_map(prediction, settings.output)
    chosen, sentence = _activation(prediction, settings)
    # Channels of a softmax exclude each other: the rim is then no part of the inside.
    softmax = chosen == "softmax" or any(step.id == "softmax" for step in spec.steps)
    exclusive = softmax or prediction.model.kind == "three_class"

    def evidence(index: tuple[int, ...]) -> Evidence:
        depth = _depth(values[index], settings, spec)
        channels = _Channels(values[index], chosen, settings.distance)
        return _evidence(channels, depth, settings, exclusive)

    return evidence, grid_of(prediction, values), sentence


def _activation(
    prediction: Prediction, settings: UNetSettings
) -> tuple[Activation, str]:
    """How all channels but the distance, which is no logit, become probabilities."""
    spec, values = main_map(prediction, settings.output)
    count = values.shape[len(prediction.planes)]
    if settings.distance == 0 and count == 1:
        raise DecodeError(
            "The only channel was named as the distance; name it as the foreground or "
            "the boundary."
        )
    classes = prediction.model.kind == "three_class" or settings.background >= 0
    several = count - (0 <= settings.distance < count) > 1
    return activation.resolve(
        settings.activation,
        prediction.model,
        spec,
        parts(prediction, values, settings.distance),
        exclusive=classes and several,
    )


class _Channels:
    """Probabilities of a plane or volume; only those that are asked for are made.

    Parameters
    ----------
    values : (C, ...) float32
        Of the network.
    chosen : str
        The activation.
    distance : int
        Channel that holds no probabilities: where it is asked for, it is 0.
    """

    def __init__(self, values: Map, chosen: Activation, distance: int) -> None:
        self._values, self._chosen, self._distance = values, chosen, distance

    def pick(self, number: int, word: str) -> Map | None:
        """One channel; -1 is none."""
        if number < 0:
            return None
        values = pick(self._values, number, word)
        if number == self._distance:
            return np.zeros_like(values)
        if self._chosen != "softmax":
            return activation.apply(self._chosen, values, 0)
        own = [n for n in range(len(self._values)) if n != self._distance]
        probable = activation.apply("softmax", self._values[own], 0)
        return np.asarray(probable[own.index(number)])


def _depth(channels: Map, settings: UNetSettings, spec: TensorSpec) -> Map | None:
    depth = pick_any(channels, settings.distance, "distance")
    if depth is not None and any(step.id == "sigmoid" for step in spec.steps):
        # Done to all channels, where it was meant for the probabilities.
        return np.asarray(special.logit(np.clip(depth, 1e-7, 1 - 1e-7)), np.float32)
    return depth


def _evidence(
    channels: _Channels, depth: Map | None, settings: UNetSettings, exclusive: bool
) -> Evidence:
    inside = channels.pick(settings.foreground, "foreground")
    rim = channels.pick(settings.boundary, "boundary")
    background = channels.pick(settings.background, "background")
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
    interior = 1 - rim
    interior *= inside
    return Evidence(inside, interior, rim, depth)


def default_settings(model: Model) -> UNetSettings:
    """Settings to begin with: what the description says, else what is usual."""
    chosen: dict[str, Any] = described(model)
    if chosen["foreground"] < 0 and chosen["boundary"] < 0:
        chosen["foreground"] = 0
    if chosen["foreground"] < 0:
        chosen["neck"] = NECK_OF_MEMBRANES
    elif chosen["boundary"] >= 0 or chosen["distance"] >= 0:
        chosen["neck"] = NECK_WHERE_DRAWN
    main = main_output(model)
    steps = main.steps
    thresholds = [s.kwargs.get("threshold") for s in steps if s.id == "binarize"]
    told = thresholds[0] if thresholds else None
    if isinstance(told, list) and told:  # one for each channel
        told = told[max(chosen["foreground"], 0) % len(told)]
    if isinstance(told, (int, float)) and math.isfinite(told):
        scaled = activation.in_bytes(main) and told > 1
        chosen["mask_threshold"] = _probability(told / 255 if scaled else float(told))
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
    settle=settled(_activation),
    follow=follow_threshold,
)
