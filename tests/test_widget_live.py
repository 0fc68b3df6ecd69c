"""Several results live: each keeps its session and its settings while it has layers."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai.recipes.session import Session

Open = Callable[..., tuple[Any, Any]]
CENTRES = [(25, 25), (25, 70), (70, 25), (70, 70)]


def scene(count: int = 4) -> np.ndarray:
    labels = discs((96, 96), CENTRES[:count], (12, 11, 10, 8)[:count])
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


def run(qtbot: Any, widget: Any) -> None:
    widget.run_button.native.click()
    finish(qtbot, widget)


def shown(viewer: Any, name: str) -> int:
    return len(viewer.layers[f"thing ({name})"].features)


@pytest.fixture
def two(qtbot: Any, open_widget: Open) -> tuple[Any, Any]:
    """Two images, each with a result."""
    viewer, widget = open_widget(show=True)
    viewer.add_image(scene(4), name="A")
    viewer.add_image(scene(2), name="B")
    for name in "AB":
        viewer.layers.selection.active = viewer.layers[name]
        run(qtbot, widget)
    return viewer, widget


def test_sliders_tune_the_result_of_the_chosen_image(
    qtbot: Any, two: tuple[Any, Any]
) -> None:
    viewer, widget = two
    viewer.layers.selection.active = viewer.layers["A"]
    assert widget.results.source.name == "A"
    settle(qtbot, lambda: "4 of 4" in widget.status.value)
    assert "A" in widget.status.value
    widget.class_threshold.value = 1.0
    settle(qtbot, lambda: shown(viewer, "A") == 0)
    assert shown(viewer, "B") == 2
    # Each keeps its settings, and is chosen by any of its layers, too.
    viewer.layers.selection.active = viewer.layers["thing (B)"]
    settle(qtbot, lambda: widget.results.source.name == "B")
    assert widget.image.value.name == "B"
    assert widget.class_threshold.value < 1
    viewer.layers.selection.active = viewer.layers["A"]
    assert widget.class_threshold.value == 1
    widget.thresholds.undo.native.click()
    settle(qtbot, lambda: shown(viewer, "A") == 4)
    assert shown(viewer, "B") == 2


def test_another_model_and_back_finds_result_and_settings_again(
    qtbot: Any, two: tuple[Any, Any]
) -> None:
    viewer, widget = two
    widget.class_threshold.value = 0.8
    settle(qtbot, lambda: widget.showing.live.tuned[1].class_threshold == 0.8)
    before = widget.session.prediction
    widget.choose("nuclei-unet")
    assert widget.results is None
    widget.choose("tiny")
    assert widget.session.prediction is before
    assert widget.class_threshold.value == 0.8
    widget.class_threshold.value = 1.0
    settle(qtbot, lambda: shown(viewer, "B") == 0)


def test_a_result_is_let_go_with_its_layers(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pixels(np.ndarray):
        """An array that can be watched."""

    viewer, widget = open_widget()
    held = []
    for number in range(3):
        image = scene().view(Pixels)
        held.append(weakref.ref(image))
        viewer.add_image(image, name=f"image {number}")
        del image
        run(qtbot, widget)
        viewer.layers.clear()
    qtbot.wait(50)
    gc.collect()
    assert sum(one() is not None for one in held) <= 1
    assert widget.results is None
    assert len(widget.showing.known) == 0
    assert widget.session is not None
    assert widget.session.prediction is None


def test_a_result_outlives_its_image(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = open_widget(scene())
    run(qtbot, widget)
    viewer.layers.remove("dish")
    widget.class_threshold.value = 1.0
    settle(qtbot, lambda: shown(viewer, "dish") == 0)


def test_a_run_goes_on_when_another_image_is_chosen(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget()
    viewer.add_image(np.stack([scene()] * 6), name="stack")
    other = viewer.add_image(scene(2), name="other")
    viewer.layers.selection.active = viewer.layers["stack"]
    widget.run_button.native.click()
    viewer.layers.selection.active = other
    finish(qtbot, widget)
    assert viewer.layers["thing (stack)"].data.any()
    assert widget.image.value.name == "other"
    assert widget.results is None
    run(qtbot, widget)
    assert shown(viewer, "other") == 2
    viewer.layers.selection.active = viewer.layers["stack"]
    assert widget.results.source.name == "stack"


def test_one_network_serves_all_images(
    qtbot: Any, two: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, widget = two
    opened: list[Any] = []
    original = Session._open

    def counted(self: Session, *given: Any) -> Any:
        before = self._engine
        engine = original(self, *given)
        if self._engine is not before:
            opened.append(engine)
        return engine

    monkeypatch.setattr(Session, "_open", counted)
    for name, count in (("A", 3), ("B", 1), ("A", 2)):
        viewer.layers[name].data = scene(count)
        viewer.layers.selection.active = viewer.layers[name]
        run(qtbot, widget)
        assert shown(viewer, name) == count
    assert not opened
