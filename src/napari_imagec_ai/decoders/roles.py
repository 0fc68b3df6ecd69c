"""Channels of a network's output, by what they mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders import Settings
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.kinds import channel_roles, main_output
from napari_imagec_ai.model import Model, TensorSpec
from napari_imagec_ai.prediction import Prediction

Map = NDArray[np.float32]

ROLES = ("foreground", "boundary", "background", "distance")
"""Names of the settings that hold a channel; -1 is none."""


def main_map(prediction: Prediction) -> tuple[TensorSpec, Map]:
    """The output that the model's kind speaks of, (planes, C, space).

    Raises
    ------
    DecodeError
        If it is no map.
    """
    spec = main_output(prediction.model)
    if spec.id not in prediction.maps:
        raise DecodeError(
            f"Output '{spec.id}' of '{prediction.model.name}' is no map of the image; "
            "choose another decoder."
        )
    return spec, prediction.maps[spec.id]


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
