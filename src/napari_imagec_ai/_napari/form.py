"""What the dock widget looks like: its controls, and nothing that they do."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox, Container, ProgressBar, PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea

from napari_imagec_ai._napari.controls import NARROW, Fold, column, row, text
from napari_imagec_ai._napari.image.image_choice import ImageChoice
from napari_imagec_ai._napari.layers.layer_options import LayerOptions
from napari_imagec_ai._napari.model.consent import Consent
from napari_imagec_ai._napari.model.model_choice import ModelChoice
from napari_imagec_ai._napari.repeat.recipe_form import RecipeForm
from napari_imagec_ai._napari.tune.calibrate_form import CalibrateForm
from napari_imagec_ai._napari.tune.class_rows import ClassRows
from napari_imagec_ai._napari.tune.thresholds_form import ThresholdsForm
from napari_imagec_ai._napari.tune.told_and_assumed import Assumptions
from napari_imagec_ai.engines.engine import engine_names

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
        self._make_run()
        self._make_tuning()
        self._arrange()

    def _make_model(self) -> None:
        self.choice = ModelChoice(self._model_changed, self._decoder_changed)
        self.model, self.card = self.choice.model, self.choice.card
        self.refresh, self.decoder = self.choice.refresh, self.choice.decoder
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

    def _make_image(self) -> None:
        self.source = ImageChoice(self._source_changed, self._channels_changed)
        self.image, self.axes = self.source.layer, self.source.axes
        self.channels, self.planes = self.source.channels, self.source.planes
        self.assumptions = Assumptions(
            self._feeding_changed, self._reading_changed, self._forget
        )

    def _make_run(self) -> None:
        self.run_button = PushButton(text="Run", tooltip="Run the network once.")
        self.cancel_button = PushButton(
            text="Cancel", enabled=False, tooltip="Stop after this tile."
        )
        self.consent = Consent(self._told)
        self.progress = ProgressBar(value=0, min=0, max=1, step=1, visible=False)
        self.status = text("status")
        self.scores = text("scores")
        self.scores.visible = False

    def _make_tuning(self) -> None:
        self.thresholds = ThresholdsForm(self._thresholds_changed, self._told)
        self.mask_threshold = self.thresholds.mask
        self.class_threshold = self.thresholds.classes
        self.split, self.settings = self.thresholds.split, self.thresholds.settings
        self.classes = ClassRows(self._classes_changed, self._styles_changed)
        self.calibration = CalibrateForm(self._calibrate)
        self.layer_options = LayerOptions(self._layers_changed)
        self.repeat = RecipeForm()
        self.class_section = Fold("Classes", [self.classes])
        self.tuning = column(
            self.thresholds,
            self.calibration,
            self.class_section,
            self.layer_options,
            labels=False,
        )

    def _arrange(self) -> None:
        engine = Fold(
            "Engine and device",
            [column(self.engine, self.device)],
            tooltip="What runs the network, and where.",
            open_=False,
            minor=True,
        )
        self.model_section = Fold("Model", [self.choice, engine])
        self.image_section = Fold("Image", [self.source, self.source.measured])
        self._body: Any = Container(
            labels=False,
            widgets=[
                self.model_section,
                self.image_section,
                self.assumptions,
                row(self.run_button, self.cancel_button),
                self.consent,
                self.progress,
                self.status,
                self.scores,
                self.tuning,
                self.repeat,
            ],
        )
        self._body.margins = (4, 4, 4, 4)
        self._body.native.layout().addStretch(1)
        self._body.native.setStyleSheet(NARROW)
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

    # -- for the widget to do ----------------------------------------------------------

    def _model_changed(self) -> None:
        """Answer a change of the model."""

    def _decoder_changed(self) -> None:
        """Answer a change of what the output means."""

    def _source_changed(self) -> None:
        """Answer a change of the image."""

    def _channels_changed(self) -> None:
        """Answer a change of what feeds the network's channels."""

    def _feeding_changed(self) -> None:
        """Answer a change of how the network is fed."""

    def _reading_changed(self) -> None:
        """Answer a change of what channels of the output mean."""

    def _forget(self) -> None:
        """Forget what was chosen for the model."""

    def _thresholds_changed(self) -> None:
        """Answer a change of thresholds or settings."""

    def _classes_changed(self) -> None:
        """Answer a change of classes."""

    def _styles_changed(self) -> None:
        """Answer a change of what classes look like."""

    def _calibrate(self) -> None:
        """Choose thresholds by what the person knows."""

    def _layers_changed(self) -> None:
        """Answer a change of what layers are wanted."""

    def _told(self, sentence: str) -> None:
        """Answer a sentence that a control has to say."""
