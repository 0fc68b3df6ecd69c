"""Small parts that the widget's forms are made of."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import Container, Label
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy


def heading(words: str) -> Label:
    """The title of a section."""
    label = Label(value=f"<b>{words}</b>")
    label.native.setAccessibleName(words)
    return label


def text(name: str) -> Label:
    """A text that wraps to the width that there is."""
    label = Label(value="", name=name)
    label.native.setWordWrap(True)
    label.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.native.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    return label


def row(*widgets: Any) -> Container:  # type: ignore[type-arg]
    """Widgets side by side."""
    made = Container(widgets=list(widgets), layout="horizontal", labels=False)
    made.margins = (0, 0, 0, 0)
    keep_low(made)
    return made


def keep_low(widget: Any) -> None:
    """Do not let a group grow taller than what is in it."""
    widget.native.setSizePolicy(
        QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum
    )
