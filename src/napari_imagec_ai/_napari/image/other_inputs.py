"""Controls for inputs of a network beside the image."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import LineEdit, create_widget
from napari.layers import Image

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.model.description import TensorSpec


def control_for(spec: TensorSpec) -> Any:
    """A control for an input beside the image."""
    if {"y", "x"} <= set(spec.space):
        return create_widget(
            annotation=Image,
            name=f"input_{spec.id}",
            label=spec.id,
            options={"tooltip": f"The layer that feeds the input '{spec.id}'."},
        )
    return LineEdit(
        name=f"input_{spec.id}",
        label=spec.id,
        tooltip=f"{spec.channels or 'Some'} numbers for the input '{spec.id}', such as "
        "0.5, 1.",
    )


def numbers(words: str, name: str) -> list[float]:
    try:
        return [float(part) for part in words.split(",")]
    except ValueError:
        raise ImageError(
            f"Expected numbers such as 0.5, 1 for '{name}', found '{words}'."
        ) from None
