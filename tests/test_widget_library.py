"""The list of models: searched, grouped, watched, installed, tested."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description, finish, onnx_network
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog
from test_widget_classes import settle
from test_widget_lasting import another

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton


def listed(widget: Any) -> list[str]:
    combo = widget.model.native
    return [combo.itemText(i) for i in range(combo.count())]


def test_models_are_grouped_and_those_that_cannot_run_say_why(
    open_widget: Open, make_model: Any
) -> None:
    _, widget = open_widget()
    keras = {"keras_hdf5": {"source": "w.h5"}}
    make_model("broken", name="Broken", weights=keras).rename("models/broken")
    kind = {"napari_imagec_ai": {"kind": "image"}}
    make_model("painter", name="Painter", config=kind).rename("models/painter")
    widget.refresh.native.trigger()
    titles = listed(widget)
    assert titles.index("Objects") < titles.index("Images") < titles.index("Painter")
    combo = widget.model.native
    for heading in ("Objects", "Images"):
        assert not combo.model().item(titles.index(heading)).isEnabled()
    row = titles.index("Broken - cannot run")
    assert "Keras" in combo.itemData(row, Qt.ItemDataRole.ToolTipRole)
    assert combo.itemData(row, Qt.ItemDataRole.ForegroundRole) is not None
    # One that comes later stands under its heading, too.
    make_model("zebra", name="Zebra").rename("models/zebra")
    widget.refresh.native.trigger()
    assert listed(widget).index("Zebra") < listed(widget).index("Images")


def test_the_list_is_searched_by_words(qtbot: Any, open_widget: Open) -> None:
    _, widget = open_widget(show=True)
    widget.search = widget.choice.search
    qtbot.keyClicks(widget.search.native, "yolov5 rods")
    # It filters, and chooses nothing: the chosen model stays in the list.
    assert set(listed(widget)) == {"Objects", "Cell detector", "Tiny"}
    assert widget.entry.path.name == "tiny"
    qtbot.keyClicks(widget.search.native, " nothing")
    assert "No model matches" in widget.choice.found.value
    widget.search.native.clear()
    assert {"Cell detector", "Tiny"} <= set(listed(widget))
    assert not widget.choice.found.visible


def test_models_that_come_and_go_are_noticed_by_itself(
    qtbot: Any, open_widget: Open, make_model: Any
) -> None:
    _, widget = open_widget()
    chosen = widget.entry.path
    made = make_model("another", name="Another")
    shutil.copytree(made, "models/another")
    settle(qtbot, lambda: "Another" in listed(widget))
    assert widget.entry.path == chosen
    shutil.rmtree("models/another")
    settle(qtbot, lambda: "Another" not in listed(widget))


def test_models_of_one_name_in_folders_of_one_name_are_told_apart(
    open_widget: Open, make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was packaged into ./models and installed as well is there twice."""
    made = make_model("best", name="best model")
    for place in ("here", "there"):
        shutil.copytree(made, tmp_path / place / "models" / "best")
    shutil.rmtree(made)
    make_model("heading", name="Objects")
    folders = [str(tmp_path / place / "models") for place in ("here", "there")]
    monkeypatch.setenv("IMAGEC_AI_MODELS", os.pathsep.join(folders))
    _, widget = open_widget()
    titles = listed(widget)
    assert {"Objects", "Objects (heading)"} < set(titles)
    for place in ("here", "there"):
        row = titles.index(f"best model ({place}/models/best)")
        widget.model.value = widget.model.native.itemData(row)
        assert widget.entry.path == tmp_path / place / "models" / "best"


def package(folder: Path, make_model: Any, name: str = "packed") -> Path:
    made = make_model(name, name="Packed model")
    place = folder / f"{name}.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for file in made.iterdir():
            archive.write(file, file.name)
    return place


def test_a_package_is_installed_and_chosen(
    qtbot: Any,
    open_widget: Open,
    make_model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, widget = open_widget(show=True)
    place = package(tmp_path, make_model)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(place), ""))
    widget.choice.install.native.trigger()
    settle(qtbot, lambda: "Installed 'packed'" in widget.status.value)
    assert widget.entry.name == "Packed model"
    widget.choice.install.native.trigger()
    settle(qtbot, lambda: "is there already" in widget.status.value)
    assert widget.choice.install.enabled


def test_a_package_is_installed_by_dropping_it(
    qtbot: Any, open_widget: Open, make_model: Any, tmp_path: Path
) -> None:
    _, widget = open_widget(show=True)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(package(tmp_path, make_model, "dropped")))])
    at, copy = QPointF(5, 5), Qt.DropAction.CopyAction
    keys = Qt.KeyboardModifier.NoModifier
    for event in (
        QDragEnterEvent(at.toPoint(), copy, data, LEFT, keys),
        QDropEvent(at, copy, data, LEFT, keys),
    ):
        QApplication.sendEvent(widget.native, event)
        assert event.isAccepted()
    settle(qtbot, lambda: "Installed 'dropped'" in widget.status.value)


def test_the_card_tells_everything_and_the_citation_is_copied(
    qtbot: Any, open_widget: Open
) -> None:
    _, widget = open_widget(show=True)
    widget.choose("cells-yolov5seg")
    about = widget.choice.about
    assert not about.body.native.isVisible()
    qtbot.mouseClick(about.button, LEFT)
    text = widget.choice.details.value
    for word in ("Authors", "BSD-3-Clause", "Redmon", "Tags", "Takes", "onnx (", " MB"):
        assert word in text, word
    qtbot.mouseClick(widget.choice.copy.native, LEFT)
    assert "Redmon" in QApplication.clipboard().text()


def test_a_model_is_tested_on_its_own_tensors(qtbot: Any, open_widget: Open) -> None:
    _, widget = open_widget(show=True)
    said = widget.choice.tested
    widget.choice.test.native.click()
    settle(qtbot, lambda: "without a test tensor" in said.value)
    settle(qtbot, lambda: not widget.model_actions.busy)
    widget.choose("nuclei-unet")
    assert said.value == ""
    widget.choice.test.native.click()
    assert "Its own test: not run yet" in widget.choice.card.value
    qtbot.waitUntil(lambda: "torchscript: " in said.value, timeout=30_000)
    assert said.value.count("is as published") >= 2
    assert "Its own test: passed" in widget.choice.card.value
    assert widget.model.native.currentText().endswith(" ✓")


def test_a_model_that_fails_its_test_says_so_and_may_be_run(
    qtbot: Any, open_widget: Open, tmp_path: Path
) -> None:
    for name in ("in", "out"):
        values = np.full((1, 1, 64, 64), len(name), np.float32)
        np.save(tmp_path / f"{name}.npy", values)
    rdf = description()
    rdf["inputs"][0]["test_tensor"] = {"source": "in.npy"}
    rdf["outputs"][0]["test_tensor"] = {"source": "out.npy"}
    viewer, widget = open_widget(np.zeros((64, 64)), **rdf)
    for name in ("in", "out"):
        shutil.copy(tmp_path / f"{name}.npy", widget.entry.path)
    widget.refresh.native.trigger()
    widget.choice.test.native.click()
    settle(qtbot, lambda: "largest difference" in widget.choice.tested.value)
    assert "<b>" in widget.choice.tested.value
    assert "failed its test" in widget.model.native.currentText()
    assert "failed its own test" in widget.status.value
    widget.run()
    finish(qtbot, widget)
    assert "Ran on" in widget.status.value
    # It is kept with the model, until its weights or its description are others.
    second = another(viewer)
    assert "Its own test: failed" in second.choice.card.value
    weights = widget.entry.path / "weights.onnx"
    os.utime(weights, (0, 0))
    second.refresh.native.trigger()
    assert "Its own test: failed" in second.choice.card.value
    onnx_network(weights, expression="double")
    second.refresh.native.trigger()
    assert "Its own test: not run yet" in second.choice.card.value


def test_a_folder_of_the_preferences_that_is_gone_is_left_out_and_said(
    open_widget: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari.settings import get_plugin_settings

    settings = get_plugin_settings("napari-imagec-ai")
    monkeypatch.setattr(settings.models, "folder", str(tmp_path / "gone"))
    _, widget = open_widget(np.zeros((64, 64)))
    assert widget.run_button.enabled
    assert "gone', is not there" in widget.choice.warning.value
    (tmp_path / "gone").mkdir()
    widget.refresh.native.trigger()
    assert widget.choice.warning.value == ""
