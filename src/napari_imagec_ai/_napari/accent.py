"""The colour that the viewer's theme marks things with."""

from __future__ import annotations

from typing import Any

from napari.utils.theme import get_theme
from qtpy.QtGui import QColor

_LIGHTEST = 150
"""Of 255: white words on it, and it on a white panel, can be read."""


def accent_of(viewer: Any) -> str:
    """The theme's colour for marks, dark enough to be seen."""
    colour = QColor(get_theme(viewer.theme).current.as_hex())
    while colour.lightness() > _LIGHTEST:
        colour = colour.darker(110)
    return str(colour.name())
