"""What a panel that is closed leaves with its layers, and the next one takes up.

A result lives as long as one of its layers does, whether a panel is open or not: its
layers hold it meanwhile, and with the last of them it is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer

    from napari_imagec_ai._napari.layers.live import Live

_HELD = "napari_imagec_ai_held"
"""Attribute of a layer that holds the result that it belongs to."""


def leave(live: Live) -> None:
    """Leave a result with its layers: what is done to them is still noticed."""
    live.results.rest()
    for layer in live.results.all_layers:
        vars(layer)[_HELD] = live


def take_up(layers: Iterable[Layer]) -> list[Live]:
    """Results that were left with these layers, each once; they are no longer."""
    held = [vars(layer).pop(_HELD, None) for layer in layers]
    return list({id(live): live for live in held if live is not None}.values())
