"""The dock widget in a real napari window, driven as a person would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, CountingEngine, discs, finish
from detectors import SceneEngine, detector_rdf
from detectors import scene as rectangles
from qtpy.QtCore import Qt
from scipy.ndimage import gaussian_filter

from napari_imagec_ai.recipes import session

PLUGIN, WIDGET = "napari-imagec-ai", "AI classifier"

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> CountingEngine:
    """An engine that counts its calls, in place of the one that a session opens."""
    counting = CountingEngine()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: counting)
    return counting


@pytest.fixture
def scene() -> np.ndarray:
    """A probability map: two discs that touch, one apart, one that is faint."""
    labels = discs((96, 96), [(30, 30), (30, 53), (70, 30), (70, 70)], (13, 13, 10, 9))
    values = np.array([0.02, 0.98, 0.98, 0.98, 0.65], np.float32)[labels]
    return np.asarray(gaussian_filter(values, 1), np.float32)


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def setting(widget: Any, name: str) -> Any:
    """The control of a decoder's setting, in whichever section it lies."""
    forms = (widget.settings, widget.assumptions.reading)
    return next(control for form in forms for control in form if control.name == name)


def test_a_click_on_run_gives_labels_and_shapes(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    qtbot.mouseClick(widget.run_button.native, Qt.MouseButton.LeftButton)
    finish(qtbot, widget)
    assert names(viewer) == ["dish", "thing (dish)", "thing outlines (dish)"]
    assert len(np.unique(viewer.layers[1].data)) == 1 + 4
    assert len(viewer.layers[2].data) == 4
    assert "4 of 4 objects" in widget.status.value
    assert "onnx" in widget.status.value
    assert "cpu" in widget.status.value
    assert viewer.layers.selection.active is viewer.layers["dish"]


def test_moving_thresholds_never_runs_the_network(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    calls = engine.calls
    assert calls > 0
    labels = viewer.layers[1]
    before = np.count_nonzero(labels.data)
    widget.mask_threshold.value = 0.8
    qtbot.waitUntil(lambda: len(np.unique(labels.data)) == 1 + 3, timeout=30_000)
    assert np.count_nonzero(labels.data) < before
    widget.mask_threshold.value = 0.4
    widget.class_threshold.value = 0.75
    qtbot.waitUntil(lambda: widget.classes[0].number.value == "3", timeout=30_000)
    qtbot.waitUntil(lambda: len(viewer.layers[2].data) == 3, timeout=30_000)
    assert names(viewer) == ["dish", "thing (dish)", "thing outlines (dish)"]
    assert engine.calls == calls


def test_splitting_can_be_switched_off(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    assert len(np.unique(viewer.layers[1].data)) == 1 + 4
    widget.split.value = False
    labels = viewer.layers[1]
    qtbot.waitUntil(lambda: len(np.unique(labels.data)) == 1 + 3, timeout=30_000)


def test_what_was_assumed_of_the_output_can_be_changed(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    assert "probabilities" in widget.status.value
    labels, calls = viewer.layers[1], engine.calls
    setting(widget, "activation").value = "sigmoid"
    qtbot.waitUntil(lambda: (labels.data > 0).all(), timeout=30_000)
    assert engine.calls == calls


def test_a_class_takes_the_name_that_the_person_gives(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.classes[0].target.value = "colony"
    widget.run()
    finish(qtbot, widget)
    assert "colony (dish)" in names(viewer)
    widget.classes[0].keep.value = False
    qtbot.waitUntil(lambda: "colony (dish)" not in names(viewer), timeout=30_000)
    assert widget.classes[0].number.value == "-"


def test_the_image_follows_the_active_layer(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    other = viewer.add_image(scene.T.copy(), name="other")
    assert widget.image.value is other
    viewer.layers.selection.active = viewer.layers["dish"]
    assert widget.image.value is viewer.layers["dish"]


def test_without_an_image_run_is_off_and_says_why(open_widget: Open) -> None:
    _, widget = open_widget()
    assert not widget.run_button.enabled
    assert "image" in widget.status.value


def test_channels_that_do_not_fit_switch_run_off_and_say_why(
    open_widget: Open,
) -> None:
    viewer, widget = open_widget(np.zeros((2, 64, 64)))
    widget.axes.value = "CYX"
    assert not widget.run_button.enabled
    assert "has 2" in widget.status.value
    assert len(viewer.layers) == 1


def test_the_person_picks_the_channel(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(np.stack([np.zeros_like(scene), scene]))
    assert not widget.channels.visible
    widget.axes.value = "CYX"
    assert not widget.run_button.enabled
    widget.channels[0].value = ("dish", 1)
    assert widget.run_button.enabled
    widget.run()
    finish(qtbot, widget)
    assert viewer.layers[1].data.shape == (96, 96)
    assert len(np.unique(viewer.layers[1].data)) == 1 + 4


def test_a_stack_runs_plane_by_plane_or_only_where_the_person_is(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    stack = np.stack([scene, scene.T, scene])
    viewer, widget = open_widget(stack)
    assert widget.source.plane_axes() == "Z"
    widget.run()
    finish(qtbot, widget)
    assert viewer.layers[1].data.shape == (3, 96, 96)
    assert engine.calls == 3
    assert len(np.unique(viewer.layers[1].data)) == 1 + 12
    widget.planes.value = "current plane"
    viewer.dims.set_current_step(0, 1)
    widget.run()
    finish(qtbot, widget)
    assert engine.calls == 4
    labels = widget.results.all_layers[0]
    assert labels.data.shape == (1, 96, 96)
    image = viewer.layers["dish"]
    assert np.allclose(labels.data_to_world((0, 5, 7)), image.data_to_world((1, 5, 7)))


def test_a_cancelled_run_leaves_no_layer(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(np.stack([scene] * 40))
    widget.run()
    widget.cancel()
    finish(qtbot, widget)
    assert engine.calls < 40
    assert names(viewer) == ["dish"]
    assert "Cancelled" in widget.status.value
    assert widget.run_button.enabled


def test_a_second_run_is_refused_while_one_is_under_way(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    _, widget = open_widget(np.stack([scene] * 5))
    widget.run()
    assert not widget.run_button.enabled
    widget.run()
    assert "under way" in widget.status.value
    finish(qtbot, widget)
    assert engine.calls == 5


def test_a_layer_that_is_removed_during_the_run_gets_its_result_where_it_lay(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    viewer.layers.remove("dish")
    finish(qtbot, widget)
    assert names(viewer) == ["thing (dish)", "thing outlines (dish)"]
    assert np.allclose(viewer.layers[0].scale, 0.5)
    assert "is gone" in widget.status.value


def test_the_result_stays_with_its_image_when_the_person_switches_layers(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    viewer.add_image(np.zeros((50, 50)), name="other", translate=(100, 100))
    finish(qtbot, widget)
    assert "thing (dish)" in names(viewer)
    assert np.allclose(viewer.layers["thing (dish)"].translate, 0)
    assert viewer.layers["thing (dish)"].data.shape == (96, 96)


def test_what_a_person_can_mend_is_said_in_the_widget(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(np.full((64, 64), np.nan))
    widget.run()
    finish(qtbot, widget)
    assert "no pixel that is a number" in widget.status.value
    assert names(viewer) == ["dish"]
    assert widget.run_button.enabled


def test_an_image_of_one_value_gives_no_layers_and_a_notice(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(np.zeros((64, 64)))
    widget.run()
    finish(qtbot, widget)
    assert "same value" in widget.status.value
    assert widget.status.value.startswith("0 of 0 objects kept (dish, Tiny)")
    assert names(viewer) == ["dish"]


def test_a_model_that_cannot_run_is_listed_with_its_reason(open_widget: Open) -> None:
    _, widget = open_widget(
        np.zeros((64, 64)), weights={"keras_hdf5": {"source": "weights.h5"}}
    )
    assert "Keras" in widget.card.value
    assert not widget.run_button.enabled


def test_weights_that_are_not_those_described_are_refused(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(
        scene, weights={"onnx": {"source": "weights.onnx", "sha256": "0" * 64}}
    )
    widget.run()
    finish(qtbot, widget)
    assert "sha256" in widget.status.value
    assert names(viewer) == ["dish"]


def test_refresh_finds_a_model_that_was_added(
    open_widget: Open, make_model: Any
) -> None:
    _, widget = open_widget(np.zeros((64, 64)))
    before = len(widget.entries)
    chosen = widget.entry.path
    make_model("another").rename(Path("models") / "another")
    widget.refresh.native.trigger()
    assert len(widget.entries) == before + 1
    assert widget.entry.path == chosen


def test_layers_carry_features_and_the_recipe_that_made_them(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    from napari_imagec_ai.recipes.recipe import Recipe

    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    for layer in viewer.layers[1:]:
        assert len(layer.features) == 4
        assert {"index", "class", "confidence", "area"} <= set(layer.features)
        recipe = Recipe.model_validate(layer.metadata["napari_imagec_ai"])
        assert recipe.decoder == "unet"
        assert recipe.used.engine == "onnx"


def test_the_bundled_models_find_what_is_in_the_bundled_images(
    qtbot: Any, make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_imagec_ai._napari.demo import STEPS, open_demo, start

    monkeypatch.chdir(ROOT)
    viewer = make_napari_viewer()
    widget = open_demo(viewer)
    for sample, model in STEPS:
        start(widget, sample, model)
        finish(qtbot, widget)
    found = {
        name: len(viewer.layers[f"{name} outlines ({sample})"].data)
        for name, sample in (
            ("nucleus", "nuclei"),
            ("round", "cells"),
            ("rod", "cells"),
        )
    }
    assert 100 <= found["nucleus"] <= 180
    assert 30 <= found["round"] <= 50
    assert 40 <= found["rod"] <= 65
    assert all(str(layer.units[0]) == "micrometer" for layer in viewer.layers)


def test_a_detector_gives_each_class_its_layers_and_tunes_without_the_network(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SceneEngine()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: engine)
    picture, _ = rectangles((64, 64), [(4, 6, 20, 30, 0), (36, 40, 60, 52, 1)])
    viewer, widget = open_widget(picture, **detector_rdf())
    assert not widget.split.visible
    widget.run()
    finish(qtbot, widget)
    assert names(viewer) == [
        "dish",
        "round (dish)",
        "round outlines (dish)",
        "rod (dish)",
        "rod outlines (dish)",
    ]
    calls = engine.calls
    widget.class_threshold.value = 0.885
    qtbot.waitUntil(lambda: widget.classes[1].number.value == "0", timeout=30_000)
    assert widget.classes[0].number.value == "1"
    assert engine.calls == calls
    section = widget.assumptions
    assert section.detecting.native.isVisibleTo(section.body.native)
    widget.assumptions.scale.value = 2
    widget.run()
    finish(qtbot, widget)
    assert engine.calls > calls + 3
    widget.assumptions.black.value, widget.assumptions.white.value = 90, 10
    widget.run()
    finish(qtbot, widget)
    assert "two percentiles" in widget.status.value


def test_boxes_alone_are_rectangles_and_no_labels(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SceneEngine(masks=False)
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: engine)
    picture, _ = rectangles((64, 64), [(4, 6, 20, 30, 0)])
    viewer, widget = open_widget(picture, **detector_rdf(masks=False))
    widget.run()
    finish(qtbot, widget)
    assert "round outlines (dish)" in names(viewer)
    assert "round (dish)" not in names(viewer)
    assert viewer.layers["round outlines (dish)"].shape_type == ["rectangle"]


def test_opening_the_widget_imports_no_runtime() -> None:
    script = (
        "import sys, napari\n"
        "viewer = napari.Viewer(show=False)\n"
        f"viewer.window.add_plugin_dock_widget({PLUGIN!r}, {WIDGET!r})\n"
        "print(sorted({'torch', 'onnxruntime'} & set(sys.modules)))\n"
        "viewer.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("[]")
