"""Semantic segmentation: a class for each pixel, then objects of each class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field
from scipy import ndimage

from napari_imagec_ai.decoders import activation
from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.decoders.channel_roles import (
    assumption,
    described,
    main_map,
    parts,
    pick_any,
)
from napari_imagec_ai.decoders.decoder import (
    OF_MODEL,
    Decoder,
    as_described,
    channel_number,
)
from napari_imagec_ai.decoders.output_grid import Map, OutputGrid, grid_of
from napari_imagec_ai.decoders.pixels.class_numbers import (
    are_numbers,
    of_numbers,
    one_by_one,
)
from napari_imagec_ai.decoders.pixels.segment import (
    Evidence,
    RegionSettings,
    part,
    settled,
)
from napari_imagec_ai.decoders.splitting.split_touching import (
    Labels,
    fill_between,
    fill_holes,
    without_small,
)
from napari_imagec_ai.decoders.tabulate import Regions, tabulate
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import gives_numbers
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction


class SemanticSettings(RegionSettings):
    """What a person may set for maps of classes."""

    numbers: bool = Field(
        False,
        description="The output has one channel: the number of a class at each pixel.",
        json_schema_extra={OF_MODEL: True},
    )

    background: int = channel_number(
        -1,
        "Channel of what is no object; -1: none, then a pixel is no object "
        "where no class reaches the mask threshold.",
    )


def decode_classes(prediction: Prediction, settings: SemanticSettings) -> Objects:
    """Decode maps of classes; see :class:`Decoder`."""
    model = prediction.model
    _, values = main_map(prediction, settings.output)
    count = values.shape[len(prediction.planes)]
    grid = grid_of(prediction, values)
    if are_numbers(prediction, values, settings.numbers):
        nothing, count, sentence = of_numbers(prediction, values, settings.background)
        settings = settings.model_copy(update={"background": nothing})
        classes = _classes(model, count, settings.background)

        def separate(index: tuple[int, ...]) -> Regions:
            apart = one_by_one(np.asarray(values[index][0]), count)
            return _find(apart, settings, grid)

        return tabulate(prediction, separate, classes, sentence)
    classes = _classes(model, count, settings.background)
    chosen, sentence = _activation(prediction, settings)

    def find(index: tuple[int, ...]) -> Regions:
        channels = activation.apply(chosen, values[index], 0)
        return _find(channels, settings, grid)

    said = (sentence, assumption(model, settings))
    return tabulate(prediction, find, classes, *said)


def _activation(
    prediction: Prediction, settings: SemanticSettings
) -> tuple[Activation, str]:
    spec, values = main_map(prediction, settings.output)
    if are_numbers(prediction, values, settings.numbers):
        return "none", ""
    return activation.resolve(
        settings.activation,
        prediction.model,
        spec,
        parts(prediction, values),
        exclusive=values.shape[len(prediction.planes)] > 1,
    )


def _classes(model: Model, channels: int, background: int) -> tuple[str, ...]:
    expected = channels - (0 <= background < channels)
    if not model.classes:
        return tuple(f"class {n + 1}" for n in range(expected))
    if len(model.classes) != expected:
        besides = " besides the background" if expected < channels else ""
        raise DecodeError(
            f"Expected {expected} names of classes, one for each of the output's "
            f"channels{besides}, found {len(model.classes)} "
            f"({', '.join(model.classes)}); choose another background channel, or "
            + (
                "correct the classes that you told."
                if model.classes_by_hand
                else f"correct the classes in the description of '{model.name}'."
            )
        )
    return model.classes


def _find(channels: Map, settings: SemanticSettings, grid: OutputGrid) -> Regions:
    """Objects of all classes; those of one class have consecutive ids."""
    background = pick_any(channels, settings.background, "background")
    own = [n for n in range(len(channels)) if n != settings.background]
    each = channels[own] if background is not None else channels
    if not own:
        raise DecodeError(
            "The output has one channel, and it was named as the background; choose "
            "-1 for none."
        )
    surest = each.max(axis=0)
    somewhere = surest if background is None else 1 - background
    sure = somewhere >= settings.mask_threshold
    known = np.where(sure, each.argmax(axis=0) + 1, 0).astype(np.int32)
    # A hole is filled with the class around it, if there is just one.
    filled = fill_between(known, len(own)) if settings.fill_holes else known
    labels = np.zeros(known.shape, np.int32)
    class_id = [np.zeros(0, np.int32)]
    found = 0
    for number, place in _present(filled):
        mask, sure = filled[place] == number, known[place] == number
        # What another class takes of the inside does not make a neck.
        shape = fill_holes(mask) if settings.fill_holes else mask
        mine, count = part(shape, sure, Evidence(somewhere[place]), settings, grid)
        mine = np.where(mask, mine, 0)
        mine, count = without_small(mine, count, grid.scaled(settings.min_size))
        np.copyto(labels[place], mine + found, where=mine > 0)
        class_id.append(np.full(count, number - 1, np.int32))
        found += count
    return Regions(
        labels,
        found,
        surest,
        known > 0,
        np.concatenate(class_id),
        settings.min_size,
    )


def _present(classes: Labels) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Classes that have pixels, from 1, and where: with a margin of background."""
    for number, box in enumerate(ndimage.find_objects(classes), start=1):
        if box is not None:
            yield number, tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)


def default_settings(model: Model) -> SemanticSettings:
    """Settings to begin with: what the description says, else what is usual."""
    chosen: dict[str, Any] = {"background": described(model)["background"]}
    chosen["numbers"] = gives_numbers(model)
    return as_described(SemanticSettings(**chosen), model)


SEMANTIC = Decoder(
    name="semantic",
    title="A class for each pixel (semantic segmentation)",
    settings=SemanticSettings,
    decode=decode_classes,
    defaults=default_settings,
    recognises=lambda model: model.kind == "multi_class",
    settle=settled(_activation),
)
