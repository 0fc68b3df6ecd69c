"""What the dock widget looks like: its controls, and nothing that they do."""

from __future__ import annotations

from typing import Any, get_args

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSlider,
    FloatSpinBox,
    ProgressBar,
    PushButton,
)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox, QFrame, QScrollArea

from napari_imagec_ai._napari.class_rows import ClassRows
from napari_imagec_ai._napari.image_choice import ImageChoice
from napari_imagec_ai._napari.model_choice import ModelChoice
from napari_imagec_ai._napari.parts import heading, keep_low, row, text
from napari_imagec_ai._napari.settings_form import SettingsForm
from napari_imagec_ai.detection import OVERLAP, PERCENTILES
from napari_imagec_ai.engines import engine_names
from napari_imagec_ai.greyscale import Normalize

DEVICES = ("auto", "cpu", "cuda", "mps", "dml")

WIDTH = 320
"""Pixels that the form needs; it scrolls where it is too tall."""


class Form(Container):  # type: ignore[type-arg]
    """The controls, from top to bottom in the order of the work."""

    def __init__(self) -> None:
        super().__init__(labels=False)
        self.margins = (0, 0, 0, 0)
        self._make_model()
        self._make_image()
        self._make_detecting()
        self._make_run()
        self._make_tuning()
        self._arrange()

    def _make_model(self) -> None:
        self.choice = ModelChoice(self._model_changed, self._decoder_changed)
        self.model, self.card = self.choice.model, self.choice.card
        self.refresh, self.decoder = self.choice.refresh, self.choice.decoder

    def _make_image(self) -> None:
        self.source = ImageChoice(self._source_changed)
        self.image, self.axes = self.source.layer, self.source.axes
        self.channels, self.planes = self.source.channels, self.source.planes
        self.engine = ComboBox(
            choices=["auto", *engine_names()],
            name="engine",
            label="Engine",
            tooltip="What runs the network; auto takes the first that the model has.",
        )
        self.device = ComboBox(
            choices=list(DEVICES),
            name="device",
            label="Device",
            tooltip="Where it runs; auto takes a GPU where the runtime has one.",
        )
        self.normalize = ComboBox(
            choices=list(get_args(Normalize)),
            name="normalize",
            label="Grey values",
            tooltip="Brought to 0..1 before the model's own steps: by the darkest and "
            "brightest pixel, by percentiles (1 and 99.8), by the integer type.",
        )
        self.scale = FloatSpinBox(
            value=0,
            min=0,
            max=20,
            step=0.05,
            name="scale",
            label="Scale",
            tooltip="Size at which the image is fed: 0.5 is half; 0: by the pixel "
            "sizes of model and image where both are known, else by itself.",
        )

    def _make_detecting(self) -> None:
        self.overlap = FloatSpinBox(
            value=OVERLAP,
            min=0,
            max=0.8,
            step=0.05,
            name="overlap",
            label="Overlap",
            tooltip="Part of a window that it shares with the next one.",
        )
        self.black, self.white = (
            FloatSpinBox(
                value=value,
                min=0,
                max=100,
                step=0.1,
                name=name,
                label=f"{name.capitalize()} %",
                tooltip="Percentile of the grey values that becomes "
                f"{name}, where the image has not 8 bits.",
            )
            for name, value in zip(("black", "white"), PERCENTILES, strict=True)
        )
        controls: list[Any] = [self.overlap, self.black, self.white]
        self.detecting = Container(widgets=controls, name="detecting", visible=False)

    def _make_run(self) -> None:
        self.run_button = PushButton(text="Run", tooltip="Run the network once.")
        self.cancel_button = PushButton(
            text="Cancel", enabled=False, tooltip="Stop after this tile."
        )
        self.progress = ProgressBar(value=0, min=0, max=1, step=1, visible=False)
        self.status = text("status")
        self.scores = text("scores")

    def _make_tuning(self) -> None:
        self.mask_threshold = FloatSlider(
            value=0.5,
            min=0.01,
            max=0.99,
            step=0.01,
            name="mask_threshold",
            label="Mask threshold",
            tooltip="Pixels are foreground where the network is at least this sure.",
        )
        self.class_threshold = FloatSlider(
            value=0.5,
            min=0.0,
            max=1.0,
            step=0.01,
            name="class_threshold",
            label="Class threshold",
            tooltip="Objects count where the network is at least this sure of them.",
        )
        self.split = CheckBox(
            value=True,
            name="split",
            text="Take touching objects apart",
            tooltip="By the boundaries that the network drew, and by their shape.",
        )
        self.more = PushButton(
            text="More settings",
            name="more",
            tooltip="Show or hide the settings of the decoder.",
        )
        self.more.native.setCheckable(True)
        self.settings = SettingsForm(self._classes_changed)
        self.settings.visible = False
        self.classes = ClassRows(self._classes_changed)

    def _arrange(self) -> None:
        runtime = Container(
            widgets=[self.scale, self.normalize, self.engine, self.device]
        )
        thresholds = Container(widgets=[self.mask_threshold, self.class_threshold])
        self.tuning = Container(
            labels=False,
            widgets=[
                heading("Thresholds"),
                thresholds,
                self.split,
                self.more,
                self.settings,
                heading("Classes"),
                self.classes,
            ],
        )
        for group in (self.source, runtime, self.detecting, thresholds, self.tuning):
            group.margins = (0, 0, 0, 0)
            keep_low(group)
        self._body: Any = Container(
            labels=False,
            widgets=[
                heading("Model"),
                self.choice,
                heading("Image"),
                self.source,
                runtime,
                self.detecting,
                row(self.run_button, self.cancel_button),
                self.progress,
                self.status,
                self.scores,
                self.tuning,
            ],
        )
        self._body.native.layout().addStretch(1)
        for readout in thresholds.native.findChildren(QDoubleSpinBox):
            readout.setFixedWidth(58)  # made for larger numbers, it takes much room
        # magicgui's own scroll area is left behind when napari docks a widget.
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._body.native)
        scroll.setMinimumWidth(WIDTH)
        self.native.layout().addWidget(scroll)

    def reset_choices(self, *_: Any) -> None:
        """Read the lists of layers again; napari calls it when layers change."""
        self._body.reset_choices()

    def _model_changed(self) -> None:
        """Answer a change of the model; for the widget to do."""

    def _decoder_changed(self) -> None:
        """Answer a change of what the output means; for the widget to do."""

    def _source_changed(self) -> None:
        """Answer a change of the image; for the widget to do."""

    def _classes_changed(self) -> None:
        """Answer a change of classes or settings; for the widget to do."""
