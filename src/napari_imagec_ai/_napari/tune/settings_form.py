"""A form made from a decoder's settings: one declaration for form, flags and recipe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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

from napari_imagec_ai._napari.controls import align, keep_low, whole_numbers
from napari_imagec_ai.decoders.decoder import OF_MODEL, Settings


def about_the_model(settings: Settings) -> tuple[str, ...]:
    """Names of settings that say what the model's output means."""
    return tuple(
        name
        for name, info in type(settings).model_fields.items()
        if isinstance(info.json_schema_extra, dict)
        and info.json_schema_extra.get(OF_MODEL)
    )


class SettingsForm(Container):  # type: ignore[type-arg]
    """Controls for some of a decoder's settings.

    Parameters
    ----------
    changed : callable
        Called when the person changes a setting.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(name="settings")
        self.margins = (0, 0, 0, 0)
        keep_low(self)
        self._notify = changed
        self._lists: set[str] = set()

    def show_settings(self, settings: Settings, names: Collection[str]) -> None:
        """Make controls for the settings of these names, with their values."""
        self.clear()
        self._lists = set()
        for name, info in type(settings).model_fields.items():
            if name not in names:
                continue
            value = getattr(settings, name)
            if isinstance(value, tuple):  # a list of names, in one line
                self._lists.add(name)
                value = ", ".join(map(str, value))
            control = _control(name, info, value)
            control.changed.connect(lambda _: self._notify())
            self.append(control)
        align(self)
        self.visible = len(self) > 0

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show other values; tells nobody."""
        for control in self:
            value = values.get(control.name)
            if control.name in self._lists and isinstance(value, (tuple, list)):
                value = ", ".join(map(str, value))
            if value is not None and value != control.value:
                with control.changed.blocked():
                    control.value = value

    def values(self) -> dict[str, Any]:
        """What the form says, by name."""
        return {
            control.name: _words(control.value)
            if control.name in self._lists
            else int(control.value)
            if isinstance(control, FloatSpinBox) and control.native.decimals() == 0
            else control.value
            for control in self
        }


def _words(line: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in line.split(",") if word.strip())


_LABELS = {
    "iou_threshold": "Allowed overlap of boxes (IoU)",
    "ios_threshold": "... of a small box in a large one (IoS)",
    "class_agnostic": "Also between classes",
    "fill_boxes": "Mask = whole box",
    "min_confidence": "Noise below",
    "min_size": "Smallest object (pixels)",
    "neck": "Cut at necks below",
    "prob_threshold": "Probability threshold",
    "nms_threshold": "Allowed overlap of objects",
}
"""Settings whose names are not a biologist's words."""


def _label(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _control(name: str, info: FieldInfo, value: Any) -> Any:
    common: dict[str, Any] = {
        "name": name,
        "label": _label(name),
        "tooltip": info.description or "",
        "value": value,
    }
    if get_origin(info.annotation) is Literal:
        return ComboBox(choices=list(info.annotation.__args__), **common)  # type: ignore[union-attr]
    if isinstance(value, str):
        line = LineEdit(**common)
        line.native.setPlaceholderText("automatic")
        return line
    if isinstance(value, bool):
        common["text"] = common.pop("label")
        return CheckBox(**common)
    limits: dict[str, Any] = {
        "min": next((m.ge for m in info.metadata if isinstance(m, Ge)), 0),
        "max": next((m.le for m in info.metadata if isinstance(m, Le)), 1_000_000),
    }
    if isinstance(value, int) and limits["min"] == -1:  # that is: there is none
        return whole_numbers("none", **common, **limits)
    if isinstance(value, int):
        return SpinBox(**common, **limits)
    return FloatSpinBox(**common, **limits, step=0.01)
