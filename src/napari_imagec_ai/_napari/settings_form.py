"""A form made from a decoder's settings: one declaration for form, flags and recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_origin

from annotated_types import Ge, Le
from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSpinBox,
    LineEdit,
    SpinBox,
)
from pydantic.fields import FieldInfo

from napari_imagec_ai.decoders import Settings


class SettingsForm(Container):  # type: ignore[type-arg]
    """Controls for the settings that have no place of their own in the widget.

    Parameters
    ----------
    changed : callable
        Called when the person changes a setting.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(name="settings")
        self.margins = (0, 0, 0, 0)
        self._notify = changed
        self._lists: set[str] = set()

    def show_settings(self, settings: Settings, without: set[str]) -> None:
        """Make controls for these settings, with their values.

        Parameters
        ----------
        settings : Settings
            Of a decoder.
        without : set of str
            Names that have a control elsewhere.
        """
        self.clear()
        self._lists = set()
        for name, info in type(settings).model_fields.items():
            if name in without:
                continue
            value = getattr(settings, name)
            if isinstance(value, tuple):  # a list of names, in one line
                self._lists.add(name)
                value = ", ".join(value)
            control = _control(name, info, value)
            control.changed.connect(lambda _: self._notify())
            self.append(control)

    def values(self) -> dict[str, Any]:
        """What the form says, by name."""
        return {
            control.name: _words(control.value)
            if control.name in self._lists
            else control.value
            for control in self
        }


def _words(line: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in line.split(",") if word.strip())


def _control(name: str, info: FieldInfo, value: Any) -> Any:
    common: dict[str, Any] = {
        "name": name,
        "label": name.replace("_", " "),
        "tooltip": info.description or "",
        "value": value,
    }
    if get_origin(info.annotation) is Literal:
        return ComboBox(choices=list(info.annotation.__args__), **common)  # type: ignore[union-attr]
    if isinstance(value, str):
        return LineEdit(**common)
    if isinstance(value, bool):
        common["text"] = common.pop("label")
        return CheckBox(**common)
    limits: dict[str, Any] = {
        "min": next((m.ge for m in info.metadata if isinstance(m, Ge)), 0),
        "max": next((m.le for m in info.metadata if isinstance(m, Le)), 1_000_000),
    }
    if isinstance(value, int):
        return SpinBox(**common, **limits)
    return FloatSpinBox(**common, **limits, step=0.01)
