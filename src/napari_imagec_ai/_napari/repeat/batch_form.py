"""What the panel for many images looks like: its controls, and nothing that they do."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import (
    CheckBox,
    Container,
    LineEdit,
    ProgressBar,
    PushButton,
    SpinBox,
)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QListWidget, QScrollArea

from napari_imagec_ai._napari.controls import (
    NARROW,
    Fold,
    column,
    put,
    row,
    shown,
    text,
)
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.model.yes_no_question import Consent
from napari_imagec_ai.export.writing import FORMATS, USUAL

_ACROSS = 3
"""Formats side by side."""

_WORDS = {
    "labels": "Labels (TIFF)",
    "csv": "Table (CSV)",
    "geojson": "GeoJSON",
    "ometiff": "OME-TIFF",
    "imagej": "ImageJ",
    "omezarr": "OME-Zarr",
    "parquet": "Parquet",
    "rois": "ImageJ ROIs",
    "coco": "COCO",
    "yolo": "YOLO",
    "overlay": "Overlay",
    "tracks": "Tracks",
    "tracklabels": "Track labels",
    "report": "Report",
}
"""Formats in words."""


class BatchForm(Container):  # type: ignore[type-arg]
    """The controls, from top to bottom in the order of the work."""

    def __init__(self) -> None:
        super().__init__(labels=False, name="batch_panel")
        self.margins = (0, 0, 0, 0)
        self.summary = text("summary")
        self._make_images()
        self._make_results()
        self._make_run()
        self._arrange()

    def _make_images(self) -> None:
        self.images = LineEdit(
            name="images",
            label="Images",
            tooltip="A folder, or files and patterns such as plate/*.tif, with ; "
            "between them.",
        )
        self.images.native.setPlaceholderText("a folder, or plate/*.tif")
        self.folder = PushButton(
            text="Folder...", name="folder", tooltip="All images of a folder."
        )
        self.files = PushButton(
            text="Files...", name="files", tooltip="Some image files."
        )
        self.scene = LineEdit(
            name="scene",
            label="Scene",
            tooltip="Which image of files that hold several: its name, or its number "
            "from 0. Blank: the first; all fields of a plate.",
        )
        self.scene.native.setPlaceholderText("the first")
        self.found = text("found")

    def _make_results(self) -> None:
        self.output = LineEdit(
            name="output", label="Results", tooltip="The folder that results go into."
        )
        self.output.native.setPlaceholderText("a folder")
        self.choose = PushButton(
            text="Choose...", name="choose", tooltip="Choose the folder for results."
        )
        self.show_results = PushButton(
            text="Open results folder",
            name="show_results",
            tooltip="Show it in the file manager.",
        )
        self.formats = {
            each.word: CheckBox(
                value=each.word in USUAL,
                text=_WORDS.get(each.word, each.title),
                name=each.word,
                tooltip=f"{each.title}: writes *{each.suffix} for each image.",
            )
            for each in FORMATS
        }
        self.workers = SpinBox(
            value=1,
            min=1,
            max=64,
            name="workers",
            label="Parallel images",
            tooltip="Processes that work side by side; each keeps a network in memory.",
        )
        self.again = CheckBox(
            value=False,
            text="Overwrite existing results",
            name="again",
            tooltip="On: images that are done are run again, and their files replaced. "
            "Off: a batch that was stopped goes on where it was.",
        )

    def _make_run(self) -> None:
        self.run_button = PushButton(
            text="Run batch", name="run_batch", tooltip="Do this to all images."
        )
        self.cancel_button = PushButton(
            text="Cancel",
            name="cancel_batch",
            enabled=False,
            tooltip="Stop; what is done stays, and the next batch goes on from there.",
        )
        self.consent = Consent(self.say)
        self.progress = ProgressBar(value=0, min=0, max=1, step=1, visible=False)
        self.status = text("batch_status")
        self.failures = QListWidget()
        self.failures.setAccessibleName("Images that failed or are doubtful")
        self.failures.setToolTip("Images that failed or are doubtful, and why.")
        self.failures.setWordWrap(True)
        self.failures.setMinimumHeight(60)
        self.failures.hide()

    def _arrange(self) -> None:
        boxes = list(self.formats.values())
        lines = [row(*boxes[i : i + _ACROSS]) for i in range(0, len(boxes), _ACROSS)]
        body: Any = Container(
            labels=False,
            widgets=[
                self.summary,
                Fold(
                    "Images",
                    [
                        self.images,
                        row(self.folder, self.files),
                        column(self.scene),
                        self.found,
                    ],
                ),
                Fold(
                    "Results",
                    [self.output, row(self.choose, self.show_results), *lines],
                ),
                column(self.workers),
                self.again,
                row(self.run_button, self.cancel_button),
                self.consent,
                self.progress,
                self.status,
            ],
        )
        body.margins = (4, 4, 4, 4)
        put(body, body.native.layout().count(), self.failures)
        body.native.layout().addStretch(1)
        body.native.setStyleSheet(NARROW)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body.native)
        self._body = body
        self.native.layout().addWidget(scroll)

    def words(self) -> tuple[str, ...]:
        """The formats that are wanted."""
        return tuple(word for word, box in self.formats.items() if box.value)

    def say(self, sentence: str, bad: bool = False) -> None:
        """Show a sentence; one about a failure stands out."""
        self.status.value = shown(in_form_words(sentence), bold=bad)
