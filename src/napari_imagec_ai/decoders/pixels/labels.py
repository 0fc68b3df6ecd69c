"""Labels: networks that end in a segmentation of their own and give ids.

Parts of one id are one object, also where they do not touch. Of several channels, as
InstanSeg gives them, each is a class, and objects of different classes may lie over
each other: see :mod:`napari_imagec_ai.decoders.pixels.layered`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from napari_imagec_ai.decoders.channel_roles import main_map, pick
from napari_imagec_ai.decoders.decoder import (
    OF_MODEL,
    Decoder,
    Settings,
    as_described,
    channel_number,
)
from napari_imagec_ai.decoders.output_grid import Map, grid_of
from napari_imagec_ai.decoders.pixels.layered import put_together
from napari_imagec_ai.decoders.splitting.split_touching import Labels, without_small
from napari_imagec_ai.decoders.tabulate import Regions, tabulate
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

_SLACK = 0.1
"""Ids may be this far from whole numbers, and a few of them farther."""

_FEW = 0.01

_HIGHEST = 1 << 24
"""Above, float32 does not hold every whole number."""


class LabelSettings(Settings):
    """What a person may set for ids that the network gave."""

    min_size: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="Smaller specks (pixels) are no objects.",
    )
    channel: int = channel_number(
        -1, "Channel of the ids; -1: every channel, each of them a class."
    )
    output: str = Field(
        "",
        description="Name of the network's output; empty: the main one.",
        json_schema_extra={OF_MODEL: True},
    )


def decode_labels(prediction: Prediction, settings: LabelSettings) -> Objects:
    """Take the network's ids as objects; see :class:`Decoder`."""
    several = channels_of(prediction, settings)
    if len(several) > 1:
        layers = [decode_labels(prediction, each) for each in several]
        return together(prediction, layers)
    spec, values = main_map(prediction, settings.output)
    smallest = grid_of(prediction, values).scaled(settings.min_size)
    channel = max(settings.channel, 0)

    def find(index: tuple[int, ...]) -> Regions:
        ids = _whole(pick(values[index], channel, "ids"), spec.id)
        highest = int(ids.max(initial=0))
        labels, count = without_small(ids, highest, smallest)
        known = labels > 0
        confidence = known.astype(np.float32)
        return Regions(labels, count, confidence, known, smallest=settings.min_size)

    return tabulate(prediction, find, _names(prediction, channel + 1)[channel:])


def channels_of(
    prediction: Prediction, settings: LabelSettings
) -> tuple[LabelSettings, ...]:
    """Settings for each channel, where every channel is a class of its own."""
    if settings.channel >= 0:
        return (settings,)
    _, values = main_map(prediction, settings.output)
    count = values.shape[len(prediction.planes)]
    return tuple(settings.model_copy(update={"channel": n}) for n in range(count))


def together(prediction: Prediction, layers: Sequence[Objects]) -> Objects:
    """What :func:`channels_of` gave, decoded one by one, in one table."""
    return put_together(layers, _names(prediction, len(layers)))


def _names(prediction: Prediction, count: int) -> tuple[str, ...]:
    """Classes of the channels."""
    known = prediction.model.classes
    if len(known) == 1 and count > 1:
        known = ()
    return known[:count] + tuple(
        f"class {n + 1}" if count > 1 else "object" for n in range(len(known), count)
    )


def _whole(ids: Map, name: str) -> Labels:
    """The ids as whole numbers; 0 where they are none, if those are few."""
    rounded = np.rint(ids)
    # Written so that it also holds for NaN.
    strange = ~(np.abs(ids - rounded) <= _SLACK)
    objects = max(int(np.count_nonzero(rounded)), 1)
    if np.count_nonzero(strange) > _FEW * objects or rounded.max() > _HIGHEST:
        raise DecodeError(
            f"Expected whole numbers in output '{name}', one for each object, found "
            f"{_some(ids[strange])}: these are no labels; choose another decoder."
        )
    return np.where(strange, 0, np.maximum(rounded, 0)).astype(np.int32)


def _some(strange: Map) -> str:
    if not len(strange):
        return "numbers too high for ids"
    return ", ".join(f"{value:.3g}" for value in strange[:3])


LABELS = Decoder(
    name="labels",
    title="Labels as the network gives them",
    settings=LabelSettings,
    decode=decode_labels,
    defaults=lambda model: as_described(LabelSettings(), model),
    recognises=lambda model: model.kind == "labels",
    layers=channels_of,
    together=together,
)
