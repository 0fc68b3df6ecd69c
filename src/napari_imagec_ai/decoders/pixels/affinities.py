"""Affinities: how much a pixel and its neighbours belong to one object.

Each channel speaks of pairs of pixels, one offset apart. A pixel is in an object where
it belongs together with any of its nearest neighbours, and in the interior where it
does with all of them; what is left of objects goes to interiors as rims do, see
:mod:`napari_imagec_ai.decoders.pixels.segment`. Where the description tells longer
offsets, too, masks are cut into more pieces than there are objects, and these are put
together by all channels: see :mod:`napari_imagec_ai.decoders.pixels.mutex_watershed`.
Some networks also hold pixels of the background together: it is then an object, which
touches the edge of the image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from napari_imagec_ai.decoders import activation
from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.decoders.channel_roles import main_map, parts
from napari_imagec_ai.decoders.decoder import OF_MODEL, Decoder, as_described
from napari_imagec_ai.decoders.output_grid import Map, OutputGrid, grid_of
from napari_imagec_ai.decoders.pixels.mutex_watershed import (
    SMOOTH,
    pairs,
    pieces,
    put_together,
)
from napari_imagec_ai.decoders.pixels.segment import (
    NECK_OF_MEMBRANES,
    Evidence,
    RegionSettings,
    segment,
    settled,
)
from napari_imagec_ai.decoders.splitting.split_touching import fill_holes, without_small
from napari_imagec_ai.decoders.tabulate import Regions, tabulate
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

Offset = tuple[int, ...]


class AffinitySettings(RegionSettings):
    """What a person may set for affinities."""

    attractive: bool = Field(
        True,
        description="High values hold pixels together; otherwise they part them.",
        json_schema_extra={OF_MODEL: True},
    )
    long_range: bool = Field(
        True,
        description="Use channels of longer offsets, too, where the description tells "
        "the offsets: what these part stays apart (mutex watershed).",
    )


def decode_affinities(prediction: Prediction, settings: AffinitySettings) -> Objects:
    """Decode affinities of neighbours; see :class:`Decoder`."""
    model = prediction.model
    _, values = main_map(prediction, settings.output)
    chosen, sentence = _activation(prediction, settings)
    count = values.shape[len(prediction.planes)]
    nearest = _nearest(model, count, prediction.space)
    far = _far(model, count, prediction.space) if settings.long_range else {}
    grid = grid_of(prediction, values)

    def find(index: tuple[int, ...]) -> Regions:
        channels = activation.apply(chosen, values[index], 0)
        if not settings.attractive:
            channels = 1 - channels
        evidence = _evidence(channels, nearest)
        if not far or not settings.split:
            return segment(evidence, settings, grid)
        return _apart(evidence, channels, nearest, far, settings, grid)

    return tabulate(
        prediction,
        find,
        model.classes[:1] or ("object",),
        sentence,
        _assumption(model, settings),
    )


def _activation(
    prediction: Prediction, settings: AffinitySettings
) -> tuple[Activation, str]:
    spec, values = main_map(prediction, settings.output)
    found = parts(prediction, values)
    return activation.resolve(
        settings.activation, prediction.model, spec, found, exclusive=False
    )


def _apart(
    evidence: Evidence,
    channels: Map,
    nearest: Mapping[int, Offset],
    far: Mapping[int, Offset],
    settings: AffinitySettings,
    grid: OutputGrid,
) -> Regions:
    """Objects by all channels, where those of longer offsets are known."""
    known = evidence.whole >= settings.mask_threshold
    mask = fill_holes(known) if settings.fill_holes else known
    interior = evidence.whole if evidence.interior is None else evidence.interior
    labels, count = pieces(mask, interior, channels, far, grid.sigmas(SMOOTH))
    labels, count = put_together(labels, count, channels, nearest, far, known)
    smallest = grid.scaled(settings.min_size)
    labels, count = without_small(labels, count, smallest)
    return Regions(labels, count, evidence.whole, known, smallest=settings.min_size)


def _evidence(channels: Map, nearest: Mapping[int, Offset]) -> Evidence:
    """What the pairs that a pixel is in say about it."""
    shape = channels.shape[1:]
    strongest, weakest = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    for channel, offset in nearest.items():
        here, there = pairs(offset, shape)
        affinity = channels[channel][here]
        for side in (here, there):
            np.maximum(strongest[side], affinity, out=strongest[side])
            np.minimum(weakest[side], affinity, out=weakest[side])
    return Evidence(strongest, np.minimum(strongest, weakest), 1 - weakest)


def _nearest(model: Model, channels: int, space: str) -> dict[int, Offset]:
    """Channel and offset of the nearest neighbour along each axis."""
    axes = len(space)
    offsets = _offsets(model, channels, axes)
    found: dict[int, Offset] = {}
    for axis in range(axes):
        along = [
            (abs(offset[axis]), channel)
            for channel, offset in enumerate(offsets)
            if offset[axis] and not any(np.delete(offset, axis))
        ]
        if not along:
            raise DecodeError(
                f"Expected affinities along each of the axes '{space}', found "
                f"{channels} channels, none of them along "
                f"{space[axis]}; choose another decoder."
            )
        channel = min(along)[1]
        found[channel] = offsets[channel]
    return found


def _far(model: Model, channels: int, space: str) -> dict[int, Offset]:
    """Channels of offsets that are longer than to a neighbour, where they are told."""
    return {
        channel: offset
        for channel, offset in enumerate(_offsets(model, channels, len(space)))
        if max(map(abs, offset)) > 1
    }


def _offsets(model: Model, channels: int, axes: int) -> list[Offset]:
    """Offsets of the channels, from the description or as usual: -1 along each axis."""
    for listed in _found(model.hints, "offsets"):
        if len(listed) == channels and all(_is_offset(row, axes) for row in listed):
            return [tuple(row) for row in listed]
    usual = -np.eye(axes, dtype=int)[:channels]
    return [tuple(int(step) for step in row) for row in usual]


def _is_offset(row: Any, axes: int) -> bool:
    steps = row if isinstance(row, list) else []
    return len(steps) == axes and all(isinstance(step, int) for step in steps)


def _found(config: Any, key: str) -> Iterator[list[Any]]:
    """Lists under that key, however deep in a description's config."""
    if isinstance(config, Mapping):
        if isinstance(config.get(key), list):
            yield config[key]
        for value in config.values():
            yield from _found(value, key)


def _assumption(model: Model, settings: AffinitySettings) -> str:
    usual = default_settings(model).attractive
    if settings.attractive != usual or "attractive" in model.settings:
        return ""
    if _for_mutex_watershed(model):
        return (
            "High values were taken to part pixels, as networks for the mutex "
            "watershed have them: the description does not say."
        )
    return (
        "High values were taken to hold pixels together: the description does not say."
    )


def _for_mutex_watershed(model: Model) -> bool:
    # Made with torch-em, which trains "disaffinities"; descriptions name the algorithm.
    return bool(
        re.search(rb"\bmws\b|mutex[ _-]?watershed", model.source, re.IGNORECASE)
    )


def default_settings(model: Model) -> AffinitySettings:
    """Settings to begin with: what the description says, else what is usual."""
    usual = AffinitySettings(
        neck=NECK_OF_MEMBRANES, attractive=not _for_mutex_watershed(model)
    )
    return as_described(usual, model)


AFFINITIES = Decoder(
    name="affinities",
    title="Affinities of neighbouring pixels",
    settings=AffinitySettings,
    decode=decode_affinities,
    defaults=default_settings,
    recognises=lambda model: model.kind == "affinities",
    settle=settled(_activation),
)
