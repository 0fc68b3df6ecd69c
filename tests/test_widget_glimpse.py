"""A moving threshold on a large result: the visible part follows, then the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import CountingEngine, discs, finish
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.layers import lazy_labels
from napari_imagec_ai._napari.layers.preview import NAME
from napari_imagec_ai.recipes import session

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Everything is large; the whole is decoded again only when the gate is open."""
    opened = threading.Event()
    opened.set()
    whole = tasks.tune

    def tune(*state: Any) -> tasks.TaskResult:
        assert opened.wait(60)
        return whole(*state)

    monkeypatch.setattr(lazy_labels, "ABOVE", 1000)
    monkeypatch.setattr(lazy_labels, "_COARSEST", 100)
    monkeypatch.setattr(tasks, "is_small", lambda prediction: False)
    monkeypatch.setattr(tasks, "tune", tune)
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: CountingEngine())
    yield opened
    opened.set()


@pytest.fixture
def scene() -> np.ndarray:
    """Discs with soft rims."""
    centres = [(y, x) for y in range(30, 400, 60) for x in range(30, 600, 60)]
    labels = discs((420, 600), centres, (18,) * len(centres))
    return np.asarray(gaussian_filter((labels > 0).astype(np.float32), 4), np.float32)


@pytest.mark.parametrize("zoom", [4.0, 0.4], ids=["near", "from afar"])
def test_the_visible_part_follows_before_the_rest(
    qtbot: Any, open_widget: Open, scene: np.ndarray, gate: threading.Event, zoom: float
) -> None:
    viewer, widget = open_widget(scene, show=True)
    widget.run()
    finish(qtbot, widget)
    dish, result = viewer.layers["dish"], viewer.layers["thing (dish)"]
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, *dish.data_to_world((200, 300))), zoom
    qtbot.wait(200)  # napari finds out what it shows when it draws
    gate.clear()
    widget.mask_threshold.value = 0.8
    settle(qtbot, lambda: NAME in viewer.layers)
    part = viewer.layers[NAME]
    assert not result.visible
    corners = [dish.world_to_data(corner) for corner in part.extent.world]
    if zoom > 1:
        assert np.ptp(corners, axis=0).prod() < 0.6 * scene.size
    else:
        np.testing.assert_allclose(np.ptp(corners, axis=0), scene.shape, atol=8)
    # Each pixel of the part is foreground where the new threshold says so.
    for y, x in np.argwhere(np.ones(part.data.shape))[::997]:
        there = np.round(dish.world_to_data(part.data_to_world((y, x)))).astype(int)
        sure = scene[tuple(there)]
        if abs(sure - 0.8) > 0.02:
            assert bool(part.data[y, x]) == (sure > 0.8)
    gate.set()
    settle(qtbot, lambda: NAME not in viewer.layers)
    settle(qtbot, lambda: bool(result.visible))
    found = np.asarray(result.data[0])
    assert ((found > 0) == (scene > 0.8)).mean() > 0.999


@pytest.fixture
def moving(
    qtbot: Any, open_widget: Open, scene: np.ndarray, gate: threading.Event
) -> tuple[Any, Any]:
    """A threshold was moved, and the whole is not decoded yet."""
    viewer, widget = open_widget(scene, show=True)
    widget.run()
    finish(qtbot, widget)
    camera = viewer.scene.camera
    dish = viewer.layers["dish"]
    camera.center, camera.zoom = (0, *dish.data_to_world((100, 150))), 4.0
    qtbot.wait(200)
    gate.clear()
    widget.mask_threshold.value = 0.8
    settle(qtbot, lambda: NAME in viewer.layers)
    return viewer, widget


def test_the_part_lies_where_the_result_lies_and_takes_no_selection(
    qtbot: Any, moving: tuple[Any, Any], gate: threading.Event
) -> None:
    viewer, widget = moving
    assert viewer.layers.selection.active is viewer.layers["dish"]
    assert widget.image.value is viewer.layers["dish"]
    notes = viewer.add_points([[1, 1]], name="notes")
    del viewer.layers[NAME]  # the person takes it away, and moves on
    widget.mask_threshold.value = 0.7
    settle(qtbot, lambda: NAME in viewer.layers)
    assert viewer.layers.index(NAME) < viewer.layers.index("notes")
    assert viewer.layers.selection == {notes}
    gate.set()
    settle(qtbot, lambda: NAME not in viewer.layers)
    assert viewer.layers.selection == {notes}
    assert viewer.layers["thing (dish)"].visible


def test_another_part_is_shown_when_the_person_goes_there(
    qtbot: Any, moving: tuple[Any, Any]
) -> None:
    viewer, _ = moving
    before = viewer.layers[NAME].extent.world
    there = viewer.layers["dish"].data_to_world((380, 550))
    viewer.scene.camera.center = (0, *there)

    def covers() -> bool:
        low, high = viewer.layers[NAME].extent.world
        return bool((low <= there).all() and (there <= high).all())

    assert not (there <= before[1]).all()
    settle(qtbot, covers)
    viewer.dims.ndisplay = 3
    settle(qtbot, lambda: NAME not in viewer.layers)
    assert viewer.layers["thing (dish)"].visible


def test_a_class_that_is_switched_off_meanwhile_stays_off(
    qtbot: Any, moving: tuple[Any, Any], gate: threading.Event
) -> None:
    viewer, widget = moving
    widget.classes[0].look.eye.click()
    assert not viewer.layers["thing (dish)"].visible
    part = viewer.layers[NAME]
    assert not np.asarray(part.colormap.map(1)).ravel()[3]
    gate.set()
    settle(qtbot, lambda: NAME not in viewer.layers)
    assert not viewer.layers["thing (dish)"].visible


def test_the_result_comes_back_when_nothing_follows(
    qtbot: Any,
    moving: tuple[Any, Any],
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer, widget = moving
    failed = tasks.TaskResult(problem="The disk is full.")
    monkeypatch.setattr(tasks, "tune", lambda *state: failed)
    widget.mask_threshold.value = 0.75
    gate.set()
    settle(qtbot, lambda: "disk is full" in widget.status.value)
    assert NAME not in viewer.layers
    assert viewer.layers["thing (dish)"].visible


def test_a_part_that_comes_late_hides_no_failure(
    qtbot: Any,
    moving: tuple[Any, Any],
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer, widget = moving
    failed, part = tasks.TaskResult(problem="The disk is full."), tasks.glimpse
    late = threading.Event()
    looked: list[int] = []

    def slow(*state: Any) -> tasks.TaskResult:
        assert late.wait(60)
        looked.append(1)
        return part(*state)

    monkeypatch.setattr(tasks, "tune", lambda *state: failed)
    monkeypatch.setattr(tasks, "glimpse", slow)
    widget.mask_threshold.value = 0.75
    gate.set()
    settle(qtbot, lambda: "disk is full" in widget.status.value)
    late.set()
    settle(qtbot, lambda: bool(looked))
    qtbot.wait(200)
    assert "disk is full" in widget.status.value
    assert NAME not in viewer.layers


def test_another_model_takes_the_part_away(qtbot: Any, moving: tuple[Any, Any]) -> None:
    viewer, widget = moving
    widget.choose("nuclei-unet")
    assert NAME not in viewer.layers
    assert viewer.layers["thing (dish)"].visible
