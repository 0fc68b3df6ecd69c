"""Controls of the widget's part for the image, as they begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, LineEdit, SpinBox, create_widget
from napari.layers import Image

ALL_PLANES, THIS_PLANE, SOME_PLANES = "all planes", "current plane", "these planes"

_PLANES = [("all", ALL_PLANES), ("shown one", THIS_PLANE), ("range", SOME_PLANES)]


def layer() -> Any:
    """Which layer."""
    return create_widget(
        annotation=Image,
        name="image",
        label="Image",
        options={"tooltip": "The image layer to run on; follows the active layer."},
    )


def pin() -> Any:
    """Whether to stay with it."""
    return CheckBox(
        value=False,
        name="pin",
        text="Lock to this image",
        tooltip="On: another active layer is not run instead of this one.",
    )


def level() -> Any:
    """Which of its resolutions."""
    return SpinBox(
        value=0,
        min=0,
        max=0,
        name="level",
        label="Resolution level",
        tooltip="Of an image that is stored at several: 0 is the full one.",
    )


def axes(choices: Callable[..., Any]) -> Any:
    """What its dimensions mean."""
    return ComboBox(
        choices=choices,
        name="axes",
        label="Axes",
        tooltip="What the dimensions of the image mean, in order.",
    )


def planes() -> Any:
    """Which of its planes."""
    return ComboBox(
        choices=_PLANES,
        name="planes",
        label="Planes",
        tooltip="A 2D model runs plane by plane: on all of them, on the one that is "
        "shown, or on some.",
    )


def span() -> Any:
    """Which planes those are."""
    return LineEdit(
        name="span",
        label="Which",
        tooltip="First and last, counted from 0, such as 2-5, or Z=2-5, T=0.",
    )
