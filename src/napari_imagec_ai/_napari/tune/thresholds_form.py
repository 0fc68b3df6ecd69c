"""The widget's part for thresholds and the decoder's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import CheckBox, PushButton
from qtpy.QtWidgets import QStyle

from napari_imagec_ai._napari.controls import Fold, column, put, quiet, row
from napari_imagec_ai._napari.tune.settings_form import SettingsForm, about_the_model
from napari_imagec_ai._napari.tune.threshold import Histogram, Threshold
from napari_imagec_ai.decoders.decoder import Settings

_ELSEWHERE = {"mask_threshold", "split"}
"""Settings of decoders that have a control of their own."""


_SURE = (
    "Higher: only objects that the network is sure of are kept. Lower: doubtful ones "
    "appear, too"
)

_NOISE = ", down to 'Noise below' of the advanced object settings"


class ThresholdsForm(Fold):
    """Thresholds, what they cut, and the other settings of the decoder.

    Parameters
    ----------
    changed : callable
        Called when the person changes one.
    say : callable
        Told in a sentence when a typed number was out of range.
    about_to_move : callable
        Called before a single step of a slider.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        say: Callable[[str], None],
        about_to_move: Callable[[], None],
    ) -> None:
        mask = Threshold(
            say,
            about_to_move,
            value=0.5,
            min=0.01,
            max=0.99,
            name="mask_threshold",
            label="Mask threshold",
            tooltip="Lower: objects grow and faint ones appear. Higher: they shrink to "
            "the pixels that the network is surest of.",
        )
        classes = Threshold(
            say,
            about_to_move,
            value=0.5,
            min=0.0,
            max=1.0,
            name="class_threshold",
            label="Minimum confidence",
            tooltip=f"{_SURE}.",
        )
        self.rows = (mask, classes)
        self.mask, self.classes = mask.slider, classes.slider
        self._masks = True
        self.histogram = Histogram(self._picked)
        self.split = CheckBox(
            value=True,
            name="split",
            text="Split touching objects",
            tooltip="On: objects that touch are cut apart, by the boundaries that the "
            "network drew and by their shape. Off: they are one object.",
        )
        self._make_buttons()
        self.settings = SettingsForm(changed)
        self.more = Fold(
            "Advanced object settings",
            [self.settings],
            tooltip="Everything else about how objects are made of the output.",
            open_=False,
            minor=True,
        )
        sliders = column(mask, classes, labels=False)
        buttons = row(self.reset, self.undo, self.redo)
        super().__init__("Thresholds", [sliders, self.split, buttons, self.more])
        put(sliders, 2, self.histogram)  # its line stands under the handle
        length = QStyle.PixelMetric.PM_SliderLength
        width = classes.handle.style().pixelMetric(length, None, classes.handle)
        self.histogram.inset = width // 2
        for control in (self.mask, self.classes, self.split):
            control.changed.connect(lambda _: changed())

    def _make_buttons(self) -> None:
        self.reset = PushButton(
            text="Reset",
            name="reset",
            tooltip="Thresholds and advanced settings back to the model's own.",
        )
        self.undo = PushButton(
            text="Undo", name="undo", tooltip="Back to the settings before these."
        )
        self.redo = PushButton(
            text="Redo", name="redo", tooltip="Forth to the settings that were undone."
        )
        self.undo.enabled = self.redo.enabled = False

    def show_histogram(self, bars: Sequence[float]) -> None:
        """Show how sure the network is of the objects."""
        self.histogram.show_bars(bars, self.class_threshold)
        self.histogram.setVisible(any(bars))

    def _picked(self, threshold: float) -> None:
        self.classes.value = threshold

    def show_settings(
        self, settings: Settings, class_threshold: float, masks: bool = True
    ) -> None:
        """Make the controls that this decoder needs; tells nobody.

        Without ``masks`` the network gives nothing that a mask threshold moves.
        """
        self._masks = masks
        here = [
            name
            for name in type(settings).model_fields
            if name not in _ELSEWHERE and name not in about_the_model(settings)
        ]
        self.settings.show_settings(settings, here)
        self.more.visible = bool(here)
        self.histogram.setVisible(False)
        self.set_values(settings, class_threshold)

    def set_values(self, settings: Settings, class_threshold: float) -> None:
        """Show these values; tells nobody."""
        values = settings.model_dump()
        noise = values.get("min_confidence", 0)
        self.classes.tooltip = f"{_SURE}{_NOISE if noise else ''}."
        with quiet(self.mask, self.classes, self.split):
            self.mask.value = values.get("mask_threshold", 0.5)
            self.classes.value = class_threshold
            self.split.value = values.get("split", True)
        self.settings.set_values(values)
        self.rows[0].visible = "mask_threshold" in values and self._masks
        self.split.visible = "split" in values

    def values(self) -> dict[str, Any]:
        """What the form says, by the names of the decoder's settings."""
        return {
            "mask_threshold": round(self.mask.value, 4),
            "split": bool(self.split.value),
            **self.settings.values(),
        }

    @property
    def class_threshold(self) -> float:
        """The class threshold."""
        return float(round(self.classes.value, 6))
