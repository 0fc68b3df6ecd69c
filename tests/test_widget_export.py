"""Export in the dock widget: what is written, where, and what is not replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import discs, finish
from qtpy.QtCore import Qt
from scipy.ndimage import gaussian_filter

from napari_imagec_ai._napari.export.export_form import (
    ALL,
    LAYERS,
    OPENED_BY,
    SELECTED,
)
from napari_imagec_ai._napari.form import RESULTS
from napari_imagec_ai.export.writing import EXPORTS

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def scene() -> np.ndarray:
    labels = discs((96, 96), [(25, 25), (25, 70), (70, 25)], (12, 12, 12))
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


def ran(qtbot: Any, open_widget: Open, image: Any) -> Any:
    viewer, widget = open_widget(image, show=True)
    widget.run()
    finish(qtbot, widget)
    widget.form.front = RESULTS
    return viewer, widget


def export(qtbot: Any, widget: Any, folder: Path, *words: str, what: str = ALL) -> str:
    """Press Export; gives what is said."""
    form = widget.export_section
    form.check(*words)
    form.what.value, form.folder.value = what, str(folder)
    qtbot.waitUntil(form.go.native.isVisible, timeout=30_000)
    qtbot.mouseClick(form.go.native, LEFT)
    qtbot.waitUntil(lambda: not widget.exporting.busy, timeout=30_000)
    return str(form.said.value)


def test_a_click_writes_the_chosen_formats(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    assert not widget.export_section.show_folder.enabled
    place = tmp_path / "new" / "place"
    said = export(qtbot, widget, place, "labels", "csv", "report")
    assert {path.name for path in place.iterdir()} == {
        "dish.labels.tif",
        "dish.objects.csv",
        "dish.report.html",
    }
    assert "dish.labels.tif" in said
    labels = tifffile.imread(place / "dish.labels.tif")
    assert len(np.unique(labels)) == 1 + 3
    assert len((place / "dish.objects.csv").read_text().splitlines()) == 1 + 3
    assert widget.export_section.show_folder.enabled


def test_a_bare_name_is_a_folder_that_is_said_in_full(
    qtbot: Any,
    open_widget: Open,
    scene: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    monkeypatch.chdir(tmp_path)
    said = export(qtbot, widget, Path("for me"), "csv")
    assert str(tmp_path / "for me") in said
    assert (tmp_path / "for me" / "dish.objects.csv").is_file()
    (tmp_path / "a file").write_text("mine", encoding="utf-8")
    said = export(qtbot, widget, tmp_path / "a file", "csv")
    assert "Errno" not in said
    assert "The system refused" in said


def test_selected_objects_or_layers_alone_are_written(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    labels = viewer.layers["thing (dish)"]
    second = int(labels.data[25, 70])
    widget.inspector.ask((25 * 0.5, 70 * 0.5))  # half a micrometre a pixel
    export(qtbot, widget, tmp_path / "one", "geojson", what=SELECTED)
    found = json.loads((tmp_path / "one" / "dish.geojson").read_text())
    assert len(found["features"]) == 1
    drawn = viewer.add_labels(np.zeros((96, 96), np.int32), name="mine")
    drawn.data[40:50, 40:50] = 1
    viewer.layers.selection = {drawn}
    export(qtbot, widget, tmp_path / "layer", "labels", what=LAYERS)
    (written,) = (tmp_path / "layer").iterdir()
    assert np.count_nonzero(tifffile.imread(written)) == 100
    assert second > 0


def test_what_cannot_be_written_is_said_beside_the_button(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    _, widget = open_widget(scene, show=True)
    widget.form.front = RESULTS
    assert "run the network first" in export(qtbot, widget, tmp_path, "csv")
    widget.run()
    finish(qtbot, widget)
    widget.form.front = RESULTS
    assert "Choose a format" in export(qtbot, widget, tmp_path)
    theirs = tmp_path / "dish.objects.csv"
    theirs.write_text("mine")
    said = export(qtbot, widget, tmp_path, "csv")
    assert "already" in said
    assert "--" not in said
    assert theirs.read_text() == "mine"
    widget.export_section.overwrite.value = True
    assert "Wrote" in export(qtbot, widget, tmp_path, "csv")
    assert len(theirs.read_text().splitlines()) == 1 + 3
    blocked = tmp_path / "a file"
    blocked.write_text("")
    said = export(qtbot, widget, blocked, "csv")
    assert "<b>" in said


def test_every_format_says_who_opens_it() -> None:
    assert set(OPENED_BY) == set(EXPORTS)
