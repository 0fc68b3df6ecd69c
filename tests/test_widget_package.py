"""Bare weights become a model of the list, by a button or by dropping them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import finish, onnx_network
from napari.layers import Labels
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QDialogButtonBox
from test_convert_saved_model import python as with_tensorflow
from test_convert_yolo import training, yolo
from test_package import table_network
from test_widget_classes import settle

from napari_imagec_ai._napari import preferences
from napari_imagec_ai._napari.model.packaging import PackageDialog
from napari_imagec_ai.library.convert import other_python

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton


def agree(qtbot: Any, dialog: Any) -> None:
    button = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    qtbot.mouseClick(button, LEFT)


def test_weights_become_a_model_that_is_chosen_and_runs(
    qtbot: Any, open_widget: Open, tmp_path: Path
) -> None:
    image = np.zeros((64, 64), np.float32)
    image[10:20, 10:20] = image[40:50, 30:44] = 1.0
    viewer, widget = open_widget(image, show=True)
    widget.choice.package.native.trigger()
    dialog = widget.native.findChild(PackageDialog)
    assert dialog.isVisible()
    agree(qtbot, dialog)
    assert "Expected a weights file" in dialog.said.value
    dialog.weights.value = onnx_network(tmp_path / "mine.onnx")
    dialog.decoder.value = "unet"
    dialog.classes.value = "square"
    dialog.pixel_size.value = "half"
    agree(qtbot, dialog)
    assert "found 'half'" in dialog.said.value
    dialog.pixel_size.value = ""
    agree(qtbot, dialog)
    assert not dialog.isVisible()
    settle(qtbot, lambda: "Made 'mine model'" in widget.status.value)
    assert widget.entry.name == "mine model"
    widget.run()
    finish(qtbot, widget)
    (found,) = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    assert "square" in found.name
    assert len(np.unique(found.data)) == 3


def test_weights_that_are_dropped_are_asked_about_and_refused_in_a_sentence(
    qtbot: Any, open_widget: Open, tmp_path: Path
) -> None:
    _, widget = open_widget()
    data = QMimeData()
    weights = onnx_network(tmp_path / "mine.onnx")
    data.setUrls([QUrl.fromLocalFile(str(weights))])
    copy, keys = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    for event in (
        QDragEnterEvent(QPoint(5, 5), copy, data, LEFT, keys),
        QDropEvent(QPointF(5, 5), copy, data, LEFT, keys),
    ):
        QApplication.sendEvent(widget.native, event)
    dialog = widget.native.findChild(PackageDialog)
    assert dialog.weights.value == weights
    agree(qtbot, dialog)
    settle(qtbot, lambda: "no YOLO export" in widget.status.value)
    assert widget.choice.package.enabled


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script")
def test_a_yolo_training_is_asked_about_and_then_exported(
    qtbot: Any, open_widget: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = 'cp "$(dirname "$0")/made.onnx" best.onnx'
    place = yolo(tmp_path, monkeypatch, copied)
    table_network(place / "made.onnx", "scores", masks=False)
    weights = training(tmp_path, monkeypatch)
    _, widget = open_widget()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(weights))])
    copy, keys = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    for event in (
        QDragEnterEvent(QPoint(5, 5), copy, data, LEFT, keys),
        QDropEvent(QPointF(5, 5), copy, data, LEFT, keys),
    ):
        QApplication.sendEvent(widget.native, event)
    settle(qtbot, lambda: widget.consent.asking)
    assert "'best.pt' holds Python code" in widget.consent.said.value
    widget.consent.yes.changed.emit(True)
    settle(qtbot, lambda: "Made 'nuclei'" in widget.status.value)
    assert widget.entry.model.kind == "boxes"


@pytest.mark.skipif(os.name == "nt", reason="environments lie elsewhere")
def test_a_saved_model_is_imported_by_the_python_of_the_preferences(
    qtbot: Any, open_widget: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(with_tensorflow(tmp_path))
    monkeypatch.setattr(preferences, "other_python", lambda: place)
    saved = tmp_path / "stars"
    saved.mkdir()
    (saved / "saved_model.pb").write_bytes(b"a graph")
    _, widget = open_widget()
    widget.model_actions.convert(saved)
    ended = "Made 'stars'"
    settle(qtbot, lambda: widget.consent.asking or ended in widget.status.value)
    if widget.consent.asking:  # nothing keeps it from a person's files here
        widget.consent.yes.changed.emit(True)
    settle(qtbot, lambda: ended in widget.status.value)
    other_python.prefer_python(None)
