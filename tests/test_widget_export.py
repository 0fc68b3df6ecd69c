"""Export in the dock widget: what is written, where, and what is not replaced."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import discs, finish
from qtpy.QtCore import Qt
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai._napari.export.export_form import (
    ALL,
    LAYERS,
    OPENED_BY,
    SELECTED,
)
from napari_imagec_ai._napari.form import RESULTS
from napari_imagec_ai._napari.image.region_choice import DRAWN
from napari_imagec_ai.export.pace import Pace, Stopped
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


def test_a_long_export_shows_how_far_it_is_and_is_cancelled(
    qtbot: Any,
    open_widget: Open,
    scene: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    form, at, go = widget.export_section, threading.Event(), threading.Event()
    steps: list[float] = []

    def slowly(pace: Pace, part: float) -> None:
        steps.append(part)
        if pace.number == 1 and not at.is_set():
            at.set()
            assert go.wait(20)
        pace.part = part
        if pace.stop:
            raise Stopped

    go_on = Pace.go_on
    monkeypatch.setattr(Pace, "go_on", slowly)
    form.check("csv", "geojson", "report")
    form.folder.value = str(tmp_path)
    qtbot.mouseClick(form.go.native, LEFT)
    qtbot.waitUntil(at.is_set, timeout=30_000)
    qtbot.waitUntil(lambda: "file 2 of 3" in form.said.value, timeout=30_000)
    assert 30 <= form.progress.value < 67
    assert form.progress.native.isVisible()
    assert not form.go.native.isEnabled()
    qtbot.mouseClick(form.cancel.native, LEFT)
    go.set()
    qtbot.waitUntil(lambda: not widget.exporting.busy, timeout=30_000)
    assert form.said.value == "Cancelled. Written before: dish.objects.csv."
    left = {path.name for path in tmp_path.iterdir()} - {"models"}
    assert left == {"dish.objects.csv"}
    assert not form.progress.native.isVisible()
    assert not form.cancel.native.isVisible()
    assert form.show_folder.native.isVisible()
    monkeypatch.setattr(Pace, "go_on", go_on)
    assert "Wrote" in export(qtbot, widget, tmp_path, "csv", "geojson")


@pytest.mark.parametrize("colours", [False, True])
def test_an_image_with_channels_last_lies_under_its_outlines(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path, colours: bool
) -> None:
    import imageio.v3 as iio

    image = np.stack([scene, scene * 0, scene * 0], axis=-1)
    image = (image * 255).astype(np.uint8) if colours else image
    viewer, widget = open_widget(None, show=True)
    viewer.add_image(image, name="dish", rgb=colours)
    if not colours:
        widget.axes.value = "YXC"
        settle(qtbot, lambda: len(widget.channels) > 0)
        widget.channels[0].value = ("dish", 0)
    widget.run()
    finish(qtbot, widget)
    widget.form.front = RESULTS
    export(qtbot, widget, tmp_path, "overlay", "omezarr", "report")
    picture = iio.imread(tmp_path / "dish.overlay.png")
    zoom = picture.shape[0] // 96
    assert picture.shape == (96 * zoom, 96 * zoom, 3)
    inside, outside = picture[25 * zoom, 25 * zoom], picture[-zoom, -zoom]
    assert int(inside[0]) > int(outside[0]) + 100
    assert (int(inside[1]) < 50) == colours


def test_a_part_that_was_run_lies_on_the_whole_image_in_its_overlay(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    import imageio.v3 as iio

    viewer, widget = open_widget(scene, show=True)
    square = np.array([(40, 4), (40, 92), (92, 92), (92, 4)])
    drawn = viewer.add_shapes([square], scale=(0.5, 0.5), name="mine")
    viewer.layers.selection = {viewer.layers["dish"]}
    widget.source.region.where.value = DRAWN
    widget.source.region.shapes.value = drawn
    widget.run()
    finish(qtbot, widget)
    widget.form.front = RESULTS
    export(qtbot, widget, tmp_path, "overlay")
    picture = iio.imread(tmp_path / "dish.overlay.png")
    zoom = picture.shape[0] // 96
    assert picture[25 * zoom, 25 * zoom].min() > 200  # not run, and bright
