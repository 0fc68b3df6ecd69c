"""The dock widget when things go away under it, and when it is used for long."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import CountingEngine, discs, finish
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai._napari.widget import ClassifierWidget
from napari_imagec_ai.recipes import session

Open = Callable[..., tuple[Any, Any]]


LEAK = 40_000_000
"""Bytes that may come to stay with 20 widgets: caches grow, and memory is in pieces."""


def count_ours() -> int:
    """Living objects of our classes."""
    return sum(
        str(type(one).__module__).startswith("napari_imagec_ai")
        for one in gc.get_objects()
    )


def count_controls() -> int:
    """Living widgets of Qt."""
    return len(QApplication.allWidgets())


def another(viewer: Any) -> ClassifierWidget:
    """A second widget; napari's menu shows the first one again."""
    widget = ClassifierWidget(viewer)
    viewer.window.add_dock_widget(widget, name=f"widget {id(widget)}")
    widget.choose("tiny")
    return widget


class SlowEngine(CountingEngine):
    """An engine that waits until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.closed = 0

    def run(self, inputs: Any) -> list[Any]:
        assert self.go.wait(20)
        return super().run(inputs)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SlowEngine:
    slow = SlowEngine()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: slow)
    return slow


@pytest.fixture
def scene() -> np.ndarray:
    labels = discs((96, 96), [(25, 25), (25, 70), (70, 25)], (12, 12, 12))
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_two_widgets_work_side_by_side(
    qtbot: Any, open_widget: Open, engine: SlowEngine, scene: np.ndarray
) -> None:
    engine.go.set()
    viewer, first = open_widget(scene)
    viewer.add_image(scene.T.copy(), name="other")
    second = another(viewer)
    first.image.value = viewer.layers["dish"]
    second.image.value = viewer.layers["other"]
    for widget in (first, second):
        widget.run()
    for widget in (first, second):
        finish(qtbot, widget)
    assert {"thing (dish)", "thing (other)"} <= set(names(viewer))
    first.class_threshold.value = 1.0
    settle(qtbot, lambda: not viewer.layers["thing (dish)"].data.any())
    assert viewer.layers["thing (other)"].data.any()


def test_a_run_goes_on_when_another_model_is_chosen(
    qtbot: Any, open_widget: Open, engine: SlowEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    widget.choose("nuclei-unet")
    engine.go.set()
    finish(qtbot, widget)
    assert {"dish", "thing (dish)"} <= set(names(viewer))
    assert "ran on 'dish' meanwhile" in widget.status.value
    assert widget.run_button.enabled
    assert engine.closed == 1
    widget.choose("tiny")
    widget.class_threshold.value = 1.0
    settle(qtbot, lambda: not viewer.layers["thing (dish)"].data.any())


def test_a_model_folder_that_is_renamed_keeps_the_result_tunable(
    qtbot: Any, open_widget: Open, engine: SlowEngine, scene: np.ndarray
) -> None:
    engine.go.set()
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    calls = engine.calls
    Path("models/tiny").rename("models/renamed")
    settle(qtbot, lambda: "renamed" in [e.path.name for e in widget.entries])
    assert widget.entry.path.name == "renamed"
    widget.class_threshold.value = 1.0
    settle(qtbot, lambda: not viewer.layers["thing (dish)"].data.any())
    assert engine.calls == calls


def test_a_result_layer_that_was_deleted_is_made_again(
    qtbot: Any, open_widget: Open, engine: SlowEngine, scene: np.ndarray
) -> None:
    engine.go.set()
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    widget.inspector.make_table()
    viewer.layers.remove("thing (dish)")
    widget.inspector.ask((5, 5))
    widget.class_threshold.value = 0.1
    settle(qtbot, lambda: "thing (dish)" in names(viewer))


def test_a_viewer_that_is_closed_during_a_run_ends_in_peace(
    qtbot: Any, open_widget: Open, engine: SlowEngine, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(np.stack([scene] * 9))
    widget.run()
    settle(qtbot, lambda: "tiles" in widget.status.value or engine.calls >= 0)
    viewer.close()
    engine.go.set()
    QApplication.processEvents()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    QApplication.processEvents()
    assert engine.calls < 9


def test_opening_running_and_closing_leaves_nothing_behind(
    qtbot: Any, open_widget: Open, engine: SlowEngine, scene: np.ndarray
) -> None:
    engine.go.set()
    viewer, _ = open_widget(scene)
    me = psutil.Process()

    def once() -> list[Any]:
        widget = another(viewer)
        widget.image.value = viewer.layers["dish"]
        widget.run()
        finish(qtbot, widget)
        for layer in widget.results.all_layers:
            viewer.layers.remove(layer)
        viewer.window.remove_dock_widget(widget.native)
        return [weakref.ref(part) for part in (widget.session, widget)]

    def collect() -> None:
        qtbot.wait(300)
        for _ in range(3):
            QApplication.processEvents()
            gc.collect()

    for _ in range(3):
        once()
    collect()
    threads, callbacks = me.num_threads(), len(viewer.mouse_drag_callbacks)
    memory, ours, controls = me.memory_info().rss, count_ours(), count_controls()
    left = [one for _ in range(20) for one in once()]
    collect()
    alive = [one() for one in left if one() is not None]
    assert len(alive) <= 2, alive  # the last one may still be held by the window
    assert me.num_threads() <= threads
    assert len(viewer.mouse_drag_callbacks) == callbacks
    # One widget may still be held by the window; twenty would be twenty times as many.
    assert count_ours() - ours <= ours // 2
    assert count_controls() - controls <= controls // 2
    assert me.memory_info().rss - memory < LEAK
