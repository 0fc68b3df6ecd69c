"""The widget's part for what a run was told, and what had to be assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, get_args

from magicgui.widgets import ComboBox, FloatSpinBox, LineEdit, PushButton

from napari_imagec_ai._napari.controls import (
    Fold,
    align,
    column,
    quiet,
    realign,
    text,
    whole_numbers,
)
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.tune.settings_form import SettingsForm
from napari_imagec_ai.decoders.decoder import Settings
from napari_imagec_ai.run.boxes.yolo_rows import numbered
from napari_imagec_ai.run.settings import MOST_CLASSES, Normalize, RunSettings

_NORMALIZE = {"as described": "from the model"}
"""Words of the command line that a person would not say."""


class Assumptions(Fold):
    """Everything that a description may leave open, each to be changed.

    Parameters
    ----------
    fed, read, forget : callable
        Called when the person changes how the network is fed, how its output is read,
        and wants what was kept for the model to be forgotten.
    """

    def __init__(
        self,
        fed: Callable[[], None],
        read: Callable[[], None],
        forget: Callable[[], None],
    ) -> None:
        self._detector = False
        self.sentences = text("sentences")
        self.reading = SettingsForm(read)
        self._make_classes()
        self._make_feeding()
        self._make_detecting()
        self.forget = PushButton(
            text="Reset to the model's own settings",
            name="forget",
            tooltip="Forget what you changed here for this model.",
        )
        super().__init__(
            "Assumptions",
            [
                self.sentences,
                self.telling,
                self.reading,
                self.feeding,
                self.detecting,
                self.forget,
            ],
            tooltip="What the description does not say and had to be assumed; what you "
            "change here is kept with the model.",
            open_=False,
        )
        self.class_count.changed.connect(lambda _: fed())
        self.class_names.native.editingFinished.connect(fed)
        align(self.telling, self.reading, self.feeding, self.detecting)
        for control in self._controls:
            control.changed.connect(lambda _: fed())
        self.forget.changed.connect(lambda _: forget())
        self.show_sentences(())

    def _make_classes(self) -> None:
        self.class_count = whole_numbers(
            "from the model",
            value=0,
            min=0,
            max=MOST_CLASSES,
            name="class_count",
            label="Classes",
            tooltip="How many classes the network tells apart, where the description "
            "does not say it or says it wrong. Rows of boxes are read by it.",
        )
        self.class_names = LineEdit(
            name="class_names",
            label="Their names",
            tooltip="In the order of the network's classes, with commas; those that "
            "are missing get numbers.",
        )
        self.class_names.native.setPlaceholderText("from the model")
        self.telling = column(
            self.class_count, self.class_names, name="telling", alone=False
        )

    def _make_feeding(self) -> None:
        self.normalize = ComboBox(
            choices=[(_NORMALIZE.get(one, one), one) for one in get_args(Normalize)],
            name="normalize",
            label="Intensity normalisation",
            tooltip="Brought to 0..1 before the model's own steps: by the darkest and "
            "brightest pixel, by percentiles (1 and 99.8), by the integer type.",
        )
        self.scale = FloatSpinBox(
            value=0,
            min=0,
            max=20,
            step=0.05,
            name="scale",
            label="Resize image by",
            tooltip="Size at which the network sees the image: 0.5 is half. Automatic: "
            "by the pixel sizes of model and image where both are known, else 1.",
        )
        self.scale.native.setSpecialValueText("automatic")
        self.halo = whole_numbers(
            "from the model",
            value=-1,
            min=-1,
            max=4096,
            name="halo",
            label="Tile border",
            tooltip="Pixels at each side of a tile that the network sees and that are "
            "not used. From the model: as described, or measured on the network.",
        )
        self.seams = ComboBox(
            choices=[("cut in the middle", "crop"), ("blended", "blend")],
            name="seams",
            label="Tile seams",
            tooltip="Where tiles overlap: cut takes each pixel from the tile that it "
            "lies deepest in, blended mixes the tiles, which hides seams of networks "
            "whose tiles differ, and takes longer.",
        )
        self.feeding = column(
            self.normalize,
            self.scale,
            self.halo,
            self.seams,
            name="feeding",
            alone=False,
        )

    def _make_detecting(self) -> None:
        self.overlap = FloatSpinBox(
            value=RunSettings().overlap,
            min=0,
            max=0.8,
            step=0.05,
            name="overlap",
            label="Tile overlap",
            tooltip="Part of a tile that it shares with the next one. Higher: objects "
            "at seams are found more surely, and it takes longer.",
        )
        self.black, self.white = (
            FloatSpinBox(
                value=value,
                min=0,
                max=100,
                step=0.1,
                name=name,
                label=f"{name.capitalize()} point (percentile)",
                tooltip="Percentile of the grey values that becomes "
                f"{name}, where the image has not 8 bits.",
            )
            for name, value in zip(
                ("black", "white"), RunSettings().percentiles, strict=True
            )
        )
        self.detecting = column(
            self.overlap, self.black, self.white, name="detecting", alone=False
        )

    @property
    def _controls(self) -> list[Any]:
        detecting = [self.overlap, self.black, self.white]
        return [self.normalize, self.scale, self.halo, self.seams, *detecting]

    def classes(self) -> tuple[str, ...] | None:
        """Classes that the person told; None: as described."""
        words = [word.strip() for word in str(self.class_names.value).split(",")]
        given = tuple(dict.fromkeys(word for word in words if word))
        return numbered(given, int(self.class_count.value) or len(given)) or None

    def _show_classes(self, names: tuple[str, ...] | None) -> None:
        with quiet(self.class_count, self.class_names):
            self.class_count.value = len(names or ())
            plain = names is None or names == numbered((), len(names))
            self.class_names.value = "" if plain or names is None else ", ".join(names)

    def show_described(self, names: Sequence[str]) -> None:
        """Show which classes the description has, as a hint."""
        hint = ", ".join(names) if names else "numbers"
        self.class_names.native.setPlaceholderText(hint)
        several = f"from the model ({len(names)})" if names else "automatic"
        self.class_count.native.setSpecialValueText(several)

    def show_reading(self, settings: Settings, names: Sequence[str]) -> None:
        """Show these of a decoder's settings."""
        self.reading.show_settings(settings, names)
        realign(self.telling, self.reading, self.feeding, self.detecting)

    def show_kind(self, detector: bool) -> None:
        """Show what matters for detectors, or for networks that give maps."""
        self._detector = detector
        self.detecting.visible = detector
        self.halo.visible = self.seams.visible = not detector

    def show_sentences(self, sentences: Sequence[str]) -> None:
        """List what was assumed in the last run."""
        said = (escape(in_form_words(sentence)) for sentence in sentences)
        lines = "".join(f"<li>{sentence}</li>" for sentence in said)
        self.sentences.value = (
            f"<ul style='margin-left: -24px'>{lines}</ul>"
            if lines
            else "What a run has to assume is listed here."
        )
        count = f" ({len(sentences)})" if sentences else ""
        self.title = f"Assumptions{count}"

    def settings(self) -> dict[str, Any]:
        """What the form says, by the names of :class:`RunSettings`."""
        halo = int(self.halo.value)
        return {
            "classes": self.classes(),
            "normalize": self.normalize.value,
            "scale": round(self.scale.value, 4) or None,
            "halo": (halo,) if halo >= 0 and not self._detector else None,
            "overlap": round(self.overlap.value, 4),
            "seams": "crop" if self._detector else self.seams.value,
            "percentiles": (round(self.black.value, 4), round(self.white.value, 4)),
        }

    def show_settings(self, settings: RunSettings) -> None:
        """Show these settings; tells nobody."""
        scale = settings.scale if isinstance(settings.scale, float) else 0.0
        with quiet(*self._controls):
            self.normalize.value = settings.normalize
            self.scale.value = scale
            self.halo.value = settings.halo[0] if settings.halo else -1
            self.seams.value = settings.seams
            self.overlap.value = settings.overlap
            self.black.value, self.white.value = settings.percentiles
        self._show_classes(settings.classes)
