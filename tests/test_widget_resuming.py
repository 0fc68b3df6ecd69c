"""A person goes on where they stopped: closed panels, saved results, other files."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CountingEngine, discs, finish
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai import cli
from napari_imagec_ai._napari.image.region_choice import DRAWN
from napari_imagec_ai.export.writing import write_all
from napari_imagec_ai.recipes import session

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> CountingEngine:
    counting = CountingEngine()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: counting)
    return counting


@pytest.fixture
def scene() -> np.ndarray:
    labels = discs((96, 96), [(25, 25), (25, 70), (70, 25)], (12, 12, 12))
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def close_panel(viewer: Any, qtbot: Any) -> None:
    """Close the panel as the cross in its title does."""
    from qtpy.QtWidgets import QDockWidget

    (dock,) = [
        one
        for one in viewer.window._qt_window.findChildren(QDockWidget)
        if "AI classifier" in one.windowTitle()
    ]
    viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.wait(100)
    QApplication.processEvents()


def open_panel(viewer: Any) -> Any:
    return viewer.window.add_plugin_dock_widget("napari-imagec-ai", "AI classifier")[1]


def test_a_panel_that_is_opened_again_goes_on_tuning(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    widget.mask_threshold.value = 0.7
    widget.classes[0].target.value = "colony"
    settle(qtbot, lambda: "colony (dish)" in names(viewer))
    calls, layers = engine.calls, names(viewer)
    close_panel(viewer, qtbot)
    labels = viewer.layers["colony (dish)"]
    labels.data[20:30, 60:80] = 0  # erased while no panel is open
    labels.events.paint(value=[])
    again = open_panel(viewer)
    settle(qtbot, lambda: again.results is not None)
    assert again.session.prediction is not None
    assert again.mask_threshold.value == pytest.approx(0.7)
    assert again.classes[0].target.value == "colony"
    assert names(viewer) == layers
    assert "corrected" in again.showing.corrections.said.value
    again.class_threshold.value = 1.0
    settle(qtbot, lambda: len(again.objects()) <= 1)
    assert engine.calls == calls
    again.thresholds.undo.native.click()
    settle(qtbot, lambda: viewer.layers["colony (dish)"].data.any())


def test_what_is_deleted_while_no_panel_is_open_is_gone(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    held = weakref.ref(widget.session)
    del widget
    close_panel(viewer, qtbot)
    assert held() is not None
    for name in names(viewer)[1:]:
        viewer.layers.remove(name)
    settle(qtbot, lambda: gc.collect() >= 0 and held() is None)
    again = open_panel(viewer)
    assert again.results is None
    assert not again.reason()


@pytest.fixture
def saved(
    qtbot: Any,
    open_widget: Open,
    engine: CountingEngine,
    scene: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Any, Any, Path]:
    """A result that was tuned and saved with a click; its layers are gone since."""
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    widget.mask_threshold.value = 0.7
    widget.classes[0].target.value = "colony"
    settle(qtbot, lambda: "colony (dish)" in names(viewer))
    qtbot.wait(500)  # what is tuned when the hand rests
    place = tmp_path / "kept" / "dish.prediction.npz"
    place.parent.mkdir()
    monkeypatch.setattr(
        "qtpy.QtWidgets.QFileDialog.getSaveFileName", lambda *a, **k: (str(place), "")
    )
    widget.repeat.save_result.native.click()
    settle(qtbot, lambda: "Saved" in widget.status.value)
    assert sorted(p.name for p in place.parent.iterdir()) == [
        "dish.prediction.npz",
        "dish.recipe.yaml",
    ]
    np.save(place.with_name("seen.npy"), viewer.layers["colony (dish)"].data)
    for layer in list(viewer.layers)[1:]:
        viewer.layers.remove(layer)
    settle(qtbot, lambda: widget.results is None)
    widget.mask_threshold.value = 0.2
    widget.classes[0].target.value = "other"
    qtbot.wait(500)  # what is tuned when the hand rests
    return viewer, widget, place


def opened(qtbot: Any, widget: Any) -> None:
    """Wait until a saved result is shown, or the reason why not."""
    settle(qtbot, lambda: not widget.resuming.busy)


def test_a_saved_result_is_opened_on_its_image_and_tuned_without_a_run(
    qtbot: Any, saved: tuple[Any, Any, Path], engine: CountingEngine
) -> None:
    viewer, widget, place = saved
    calls = engine.calls
    viewer.open(str(place), plugin="napari-imagec-ai")
    opened(qtbot, widget)
    assert "Opened 'dish.prediction.npz'" in widget.status.value
    assert widget.mask_threshold.value == pytest.approx(0.7)
    assert widget.classes[0].target.value == "colony"
    assert names(viewer)[:2] == ["dish", "colony (dish)"]
    assert np.allclose(viewer.layers["colony (dish)"].scale, 0.5)
    assert widget.form.front == 1
    colonies = viewer.layers["colony (dish)"]
    np.testing.assert_array_equal(colonies.data, np.load(place.with_name("seen.npy")))
    assert {"area", "mean_intensity"} <= set(colonies.features)
    widget.mask_threshold.value = 0.3
    seen = np.load(place.with_name("seen.npy"))
    settle(qtbot, lambda: not np.array_equal(colonies.data, seen))
    qtbot.wait(500)
    tuned = colonies.data.copy()
    assert engine.calls == calls
    widget.run()
    finish(qtbot, widget)
    assert engine.calls > calls
    np.testing.assert_array_equal(viewer.layers["colony (dish)"].data, tuned)


def test_a_result_on_an_image_of_another_name_says_so(
    qtbot: Any, saved: tuple[Any, Any, Path]
) -> None:
    viewer, widget, place = saved
    viewer.layers["dish"].name = "plate"
    widget.open_saved(place)
    opened(qtbot, widget)
    said = widget.status.value
    assert "a result of 'dish', and was laid on 'plate'" in said
    assert "colony (plate)" in names(viewer)


def test_saving_asks_for_the_name_that_is_written(
    qtbot: Any, saved: tuple[Any, Any, Path], tmp_path: Path
) -> None:
    _, widget, place = saved
    widget.open_saved(place)
    opened(qtbot, widget)
    theirs = tmp_path / "mine.prediction.npz"
    theirs.write_text("theirs")
    widget.resuming.save(tmp_path / "mine")  # nobody was asked about the whole name
    opened(qtbot, widget)
    assert theirs.read_text() == "theirs"
    assert not (tmp_path / "mine.recipe.yaml").exists()
    assert "choose another folder or name" in widget.status.value
    assert "--" not in widget.status.value
    widget.resuming.save(theirs)  # the dialog has asked
    opened(qtbot, widget)
    assert "Saved 'mine.prediction.npz'" in widget.status.value
    assert theirs.read_bytes()[:2] == b"PK"


def test_a_panel_is_opened_for_a_saved_result(
    qtbot: Any, saved: tuple[Any, Any, Path]
) -> None:
    viewer, _, place = saved
    close_panel(viewer, qtbot)
    viewer.open(str(place), plugin="napari-imagec-ai")
    panel = open_panel(viewer)
    opened(qtbot, panel)
    assert panel.entry.path.name == "tiny"
    assert len(panel.objects()) == 3


def test_what_is_there_of_an_earlier_result_stays(
    qtbot: Any, saved: tuple[Any, Any, Path]
) -> None:
    viewer, widget, place = saved
    widget.run()
    finish(qtbot, widget)
    mine = viewer.layers["other (dish)"]
    mine.data[:50, :50] = 0
    mine.events.paint(value=[])
    painted = mine.data.copy()
    widget.open_saved(place)
    opened(qtbot, widget)
    assert mine in viewer.layers
    np.testing.assert_array_equal(mine.data, painted)
    assert viewer.layers["colony (dish)"].data[20, 20]


def test_what_a_saved_result_lacks_is_one_sentence(
    qtbot: Any, saved: tuple[Any, Any, Path], scene: np.ndarray
) -> None:
    viewer, widget, place = saved
    place.with_name("dish.recipe.yaml").unlink()
    shutil.rmtree("models/tiny")
    widget.refresh_models()
    widget.open_saved(place)
    opened(qtbot, widget)
    assert "'Tiny' cannot run here, but its result can be tuned" in widget.status.value
    assert len(widget.objects()) == 3
    assert not widget.run_button.enabled
    viewer.layers.clear()
    viewer.add_image(scene[:50], name="dish")
    widget.open_saved(place)
    opened(qtbot, widget)
    assert "no open image is like that" in widget.status.value
    assert names(viewer) == ["dish"]
    for n in range(2):
        viewer.add_image(scene + n, name=f"copy {n}")
    viewer.layers.selection = {viewer.layers["dish"]}
    widget.open_saved(place)
    opened(qtbot, widget)
    assert "2 open images could be that" in widget.status.value
    place.write_bytes(b"PK nonsense")
    widget.open_saved(place)
    opened(qtbot, widget)
    assert "is not a saved prediction" in widget.status.value


def test_a_recipe_is_dropped_on_the_viewer(
    qtbot: Any, saved: tuple[Any, Any, Path]
) -> None:
    viewer, widget, place = saved
    viewer.open(str(place.with_name("dish.recipe.yaml")), plugin="napari-imagec-ai")
    assert widget.mask_threshold.value == pytest.approx(0.7)
    assert widget.classes[0].target.value == "colony"
    assert names(viewer) == ["dish"]


def test_a_part_that_was_run_is_opened_where_it_was(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(np.stack([scene, scene.T]))
    square = [(1, 40, 4), (1, 40, 92), (1, 92, 92), (1, 92, 4)]
    drawn = viewer.add_shapes([np.array(square)], scale=(0.5,) * 3, name="mine")
    widget.source.region.where.value = DRAWN
    widget.source.region.shapes.value = drawn
    widget.image.value = viewer.layers["dish"]
    widget.run()
    finish(qtbot, widget)
    before = viewer.layers["thing (dish)"]
    data, corner, found = before.data.copy(), before.translate.copy(), widget.objects()
    place = Path("part.prediction.npz").absolute()
    widget.resuming.save(place)
    settle(qtbot, lambda: "Saved" in widget.status.value)
    for layer in widget.results.all_layers:
        viewer.layers.remove(layer)
    widget.open_saved(place)
    opened(qtbot, widget)
    again = viewer.layers["thing (dish)"]
    np.testing.assert_array_equal(again.data, data)
    np.testing.assert_allclose(again.translate, corner)
    np.testing.assert_allclose(widget.objects().boxes, found.boxes)


def test_what_the_command_line_saved_goes_on_in_the_window(
    qtbot: Any, open_widget: Open, tmp_path: Path, scene: np.ndarray
) -> None:
    import tifffile

    viewer, widget = open_widget()
    file = tmp_path / "plate 1.tif"
    tifffile.imwrite(file, scene)
    folder = tmp_path / "out"
    line = ["predict", "models/tiny", str(file), "-o", str(folder)]
    assert cli.main([*line, "--save-prediction", "--class-threshold", "0.1"]) == 0
    viewer.open(str(file), plugin="napari")
    place = folder / "plate 1.prediction.npz"
    viewer.open(str(place), plugin="napari-imagec-ai")
    opened(qtbot, widget)
    assert widget.class_threshold.value == pytest.approx(0.1)
    assert len(widget.objects()) == 3


# -- labels and outlines ---------------------------------------------------------------


@pytest.fixture
def exported(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> tuple[Any, Any, Path]:
    viewer, widget = open_widget(scene)
    widget.classes[0].target.value = "=colony"
    widget.run()
    finish(qtbot, widget)
    folder = Path("results").absolute()
    write_all(widget.objects(), folder, "dish")
    return viewer, widget, folder


def test_exported_labels_are_opened_as_layers_of_their_classes(
    exported: tuple[Any, Any, Path],
) -> None:
    viewer, widget, folder = exported
    (layer,) = viewer.open(str(folder / "dish.labels.tif"), plugin="napari-imagec-ai")
    mine = viewer.layers["=colony (dish)"]
    assert layer.name.startswith("=colony (dish)")
    np.testing.assert_array_equal(layer.data, mine.data)
    assert np.allclose(layer.scale, 0.5)
    assert set(layer.features["index"]) == set(widget.objects().id)
    assert {"class", "confidence", "area"} <= set(layer.features)
    np.testing.assert_allclose(layer.get_color(1), mine.get_color(1))


def test_exported_labels_find_their_image_by_its_name(
    exported: tuple[Any, Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, _, folder = exported
    said: list[str] = []
    monkeypatch.setattr(
        "napari_imagec_ai._napari.saved.reading.show_warning", said.append
    )
    twin = viewer.add_image(viewer.layers["dish"].data, name="twin", scale=(3, 3))
    viewer.layers.selection = {twin}
    for suffix in ("labels.tif", "geojson"):
        (layer,) = viewer.open(
            str(folder / f"dish.{suffix}"), plugin="napari-imagec-ai"
        )
        assert np.allclose(layer.scale, 0.5)
    assert not said
    viewer.layers.remove("dish")
    for suffix in ("labels.tif", "geojson"):
        (layer,) = viewer.open(
            str(folder / f"dish.{suffix}"), plugin="napari-imagec-ai"
        )
        assert np.allclose(layer.scale, 3)
    assert len(said) == 2
    assert all("'dish', and was laid on 'twin'" in sentence for sentence in said)


def test_labels_without_their_table_are_one_layer_in_their_own_pixel_size(
    exported: tuple[Any, Any, Path],
) -> None:
    viewer, _, folder = exported
    (folder / "dish.objects.csv").unlink()
    viewer.layers.clear()
    (layer,) = viewer.open(str(folder / "dish.labels.tif"), plugin="napari-imagec-ai")
    assert layer.name == "labels (dish)"
    assert len(np.unique(layer.data)) == 4


def test_outlines_are_opened_with_classes_colours_and_measurements(
    exported: tuple[Any, Any, Path],
) -> None:
    viewer, widget, folder = exported
    viewer.layers.selection = {viewer.layers["dish"]}
    (layer,) = viewer.open(str(folder / "dish.geojson"), plugin="napari-imagec-ai")
    assert layer.name.startswith("=colony outlines (dish)")
    assert np.allclose(layer.scale, 0.5)
    assert layer.features["index"].tolist() == widget.objects().id.tolist()
    assert layer.features["area"].tolist() == widget.objects().features["area"].tolist()
    middle = [ring.mean(axis=0) for ring in layer.data]
    boxes = widget.objects().boxes
    np.testing.assert_allclose(middle, (boxes[:, :2] + boxes[:, 2:] - 1) / 2, atol=0.6)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '{"features": 3}', "[" * 9999])
def test_a_file_that_is_no_outlines_is_told_and_adds_nothing(
    open_widget: Open, scene: np.ndarray, text: str, tmp_path: Path, monkeypatch: Any
) -> None:
    viewer, _ = open_widget(scene)
    said: list[str] = []
    monkeypatch.setattr(
        "napari_imagec_ai._napari.saved.reading.show_error", said.append
    )
    place = tmp_path / "x.geojson"
    place.write_text(text)
    viewer.open(str(place), plugin="napari-imagec-ai")
    assert len(said) == 1
    assert "Expected outlines" in said[0]
    assert names(viewer) == ["dish"]


def test_outlines_of_qupath_have_no_numbers_and_lists_of_measurements(
    open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    viewer, _ = open_widget(scene)
    ring = [[1, 2], [9, 2], [9, 8], [1, 2]]
    feature = {
        "type": "Feature",
        "id": "5a1c",
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring], [ring]]},
        "properties": {
            "classification": {"name": "Tumour", "colorRGB": -65536},
            "measurements": [
                {"name": "Area", "value": 24.0},
                {"name": "Circularity", "value": None},
            ],
        },
    }
    place = tmp_path / "q.geojson"
    place.write_text(json.dumps([feature]))
    (layer,) = viewer.open(str(place), plugin="napari-imagec-ai")
    assert layer.name == "Tumour outlines (q)"
    assert layer.features["Area"].tolist() == [24.0, 24.0]
    assert layer.features["Circularity"].isna().all()
    np.testing.assert_allclose(layer.data[0][0], (1.5, 0.5))
