"""A person goes on where they stopped: closed panels, saved results, other files."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import CountingEngine, discs, finish
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai.recipes import session as session_module

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> CountingEngine:
    counting = CountingEngine()
    monkeypatch.setattr(session_module, "open_engine", lambda *a, **k: counting)
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
