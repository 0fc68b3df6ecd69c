"""Channels of a network's output, by what they mean."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_imagec_ai.decoders.decoder import Settings
from napari_imagec_ai.decoders.output_grid import Map
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.blocks import grid
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.model.kinds import channel_roles, main_output
from napari_imagec_ai.results.prediction import Prediction

ROLES = ("foreground", "boundary", "background", "distance")
"""Names of the settings that hold a channel; -1 is none."""


def main_map(prediction: Prediction, output: str = "") -> tuple[TensorSpec, Map]:
    """An output of the network, (planes, C, space).

    Parameters
    ----------
    prediction : Prediction
        With maps.
    output : str
        Its name; empty: the output that the model's kind speaks of.

    Raises
    ------
    DecodeError
        If it is no map.
    """
    model, maps = prediction.model, prediction.maps
    spec = main_output(model)
    if output:
        spec = next((s for s in model.outputs if s.id == output), TensorSpec("", ()))
    if spec.id in maps:
        return spec, maps[spec.id]
    known = ", ".join(f"'{name}'" for name in maps)
    advice = f"choose one of {known}" if known else "choose another decoder"
    raise DecodeError(
        f"'{output or spec.id}' is no output of '{model.name}' that is a map of the "
        f"image; {advice}."
    )


def parts(prediction: Prediction, values: Map, but: int = -1) -> Iterator[Map]:
    """A map in parts that are not large, without the channel ``but``."""
    space = values.ndim - len(prediction.planes) - 1
    own = [n for n in range(values.shape[-space - 1]) if n != but]
    for index in np.ndindex(prediction.planes):
        for where in grid(values.shape[-space:]):
            for channel in own:
                yield np.asarray(values[(*index, channel, *where)])


def described(model: Model) -> dict[str, int]:
    """Channel of each role, by names or by custom; -1: none."""
    roles = channel_roles(model)
    found = {name: getattr(roles, name) for name in ROLES}
    return {name: -1 if role is None else role for name, role in found.items()}


def pick(channels: Map, number: int, word: str) -> Map:
    """One channel of a plane or volume.

    Raises
    ------
    DecodeError
        If there is no such channel.
    """
    if number >= len(channels):
        raise DecodeError(
            f"The output has {len(channels)} channels, but channel {number} was "
            f"named as the {word}; choose one from 0 to {len(channels) - 1}, or -1."
        )
    channel: Map = channels[number]
    return channel


def pick_any(channels: Map, number: int, word: str) -> Map | None:
    """The same, but -1 is none."""
    return None if number < 0 else pick(channels, number, word)


def assumption(model: Model, settings: Settings) -> str:
    """A sentence on the channels, where no name says what they mean; else empty.

    Nothing was assumed where a person, or the description, chose them.
    """
    usual = described(model)
    chosen = {
        name: getattr(settings, name) for name in ROLES if hasattr(settings, name)
    }
    changed = any(usual[name] != number for name, number in chosen.items())
    if not channel_roles(model).assumed or changed or chosen.keys() & model.settings:
        return ""
    named = sorted((number, name) for name, number in chosen.items() if number >= 0)
    words = [f"channel {number} as {name}" for number, name in named]
    if not words:
        return ""
    text = " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
    first = text.replace(" as ", " was taken as ", 1)
    return f"{first[0].upper()}{first[1:]}: the description does not say."
