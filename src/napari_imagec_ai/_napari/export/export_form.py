"""The widget's part for export: formats, what of the result, and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, LineEdit, ProgressBar, PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QListWidgetItem

from napari_imagec_ai._napari.controls import (
    Fold,
    column,
    put,
    row,
    shown,
    text,
)
from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai._napari.low_window import GreedyList
from napari_imagec_ai.export.writing import FORMATS, USUAL

ALL, SELECTED, LAYERS = "all", "selected", "layers"
"""What is written."""

OPENED_BY = {
    "labels": "ImageJ, CellProfiler: pixels with numbers",
    "csv": "Excel, R: a row for each object",
    "geojson": "QuPath: outlines and measurements",
    "ometiff": "OMERO, QuPath: labels with pixel size",
    "imagej": "Fiji: labels as a hyperstack",
    "omezarr": "napari, OMERO: image and labels",
    "parquet": "Python, R: the table, if very long",
    "rois": "Fiji: the ROI Manager",
    "coco": "CVAT, trainings of other networks",
    "yolo": "trainings of YOLO",
    "overlay": "a picture with outlines, for slides",
    "tracks": "Excel, R: a row for each followed object",
    "tracklabels": "ImageJ, Fiji: numbers of followed objects",
    "report": "any browser: picture, counts, settings",
}
"""Who opens a format, and what it holds."""

_LEAST, _MOST = 2.5, 7.5
"""Formats in sight: the half one shows that there are more to scroll to."""


class ExportForm(Fold):
    """Choices for files that are written of a result.

    Parameters
    ----------
    start : callable
        Called when the person wants files.
    choose, show : callable
        Called when the person wants to choose the folder, and to see it.
    """

    def __init__(
        self,
        start: Callable[[], None],
        choose: Callable[[], None],
        show: Callable[[], None],
    ) -> None:
        self.list = _list_of_formats()
        self.what = ComboBox(
            choices=[
                ("all classes", ALL),
                ("selected objects", SELECTED),
                ("selected layers", LAYERS),
            ],
            name="what",
            label="Write",
            tooltip="All objects that are kept; those that are selected in their "
            "layers (click one); or what the selected Labels and Shapes layers show.",
        )
        self.folder = LineEdit(
            name="export_folder", label="Folder", tooltip="Where files are written."
        )
        self.folder.native.setPlaceholderText("a folder")
        self.choose = PushButton(
            text="Choose...", name="choose_export", tooltip="Choose the folder."
        )
        self.overwrite = CheckBox(
            value=False,
            text="Replace other files, too",
            name="overwrite",
            tooltip="Off: only files that this software wrote itself are replaced.",
        )
        self.go = PushButton(
            text="Export",
            name="export",
            tooltip="Write the chosen formats into the folder; the network does not "
            "run again.",
        )
        self.show_folder = PushButton(
            text="Show in folder",
            name="show_export",
            tooltip="Show what was written in the file manager.",
        )
        self.show_folder.enabled = False
        self.cancel = PushButton(
            text="Cancel export",
            name="cancel_export",
            tooltip="Stop writing; files that are done stay.",
        )
        self.progress = ProgressBar(value=0, min=0, max=100, step=1)
        self.said = text("exported")
        places = column(self.what, self.folder)
        super().__init__(
            "Export",
            [
                places,
                row(self.choose, self.overwrite),
                row(self.go, self.cancel, self.show_folder),
                self.progress,
                self.said,
            ],
            tooltip="Files for other programs.",
        )
        put(self.body, 0, self.list)
        self.said.visible = False
        self.show_busy(False)
        self.go.changed.connect(lambda: start())
        self.choose.changed.connect(lambda: choose())
        self.show_folder.changed.connect(lambda: show())

    def show_busy(self, busy: bool) -> None:
        """Show how far it is and how to stop it, or what can be done with files."""
        self.cancel.visible = self.progress.visible = busy
        self.cancel.enabled = busy
        self.show_folder.visible = not busy
        self.progress.value = 0

    def words(self) -> tuple[str, ...]:
        """The formats that are wanted."""
        items = [self.list.item(i) for i in range(self.list.count())]
        return tuple(
            str(item.data(Qt.ItemDataRole.UserRole))
            for item in items
            if item.checkState() == Qt.CheckState.Checked
        )

    def check(self, *words: str) -> None:
        """Want these formats, and no others."""
        for i in range(self.list.count()):
            item = self.list.item(i)
            on = item.data(Qt.ItemDataRole.UserRole) in words
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def place(self) -> Path | None:
        """The folder; None where there is none."""
        words = str(self.folder.value).strip()
        return Path(words).expanduser() if words else None

    def say(self, sentence: str, bad: bool = False) -> None:
        """Show a sentence; one about a failure stands out."""
        self.said.value = shown(in_form_words(sentence), bold=bad)
        self.said.visible = bool(sentence)  # an empty line would still have its height


def _list_of_formats() -> Any:
    """A line for each format: its name, and who opens it."""
    listed = GreedyList(_LEAST, _MOST)
    listed.setAccessibleName("Formats")
    listed.setToolTip("Formats to write, and who opens them.")
    listed.setWordWrap(True)
    listed.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    listed.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    for each in FORMATS:
        opened = OPENED_BY.get(each.word, "")
        item = QListWidgetItem(f"{each.title}\n{opened}" if opened else each.title)
        item.setData(Qt.ItemDataRole.UserRole, each.word)
        item.setToolTip(f"Writes *{each.suffix}: {opened}.")
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        usual = each.word in USUAL
        item.setCheckState(Qt.CheckState.Checked if usual else Qt.CheckState.Unchecked)
        listed.addItem(item)
    listed.setStyleSheet("QListWidget::item { padding: 3px 0; }")
    return listed
