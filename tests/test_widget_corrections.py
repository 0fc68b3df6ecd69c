"""What a person made in the layers of a result is theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle, two_classes, typed

from napari_imagec_ai._napari.layers.corrections_row import NEW

Open = Callable[..., tuple[Any, Any]]
CENTRES = [(25, 25), (25, 70), (70, 25), (70, 70)]
SPOT = (50, 48)
"""Where nothing is found."""


@pytest.fixture
def scene() -> np.ndarray:
    labels = discs((96, 96), CENTRES, (12, 12, 12, 8))
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


def ran(qtbot: Any, open_widget: Open, image: Any, show: bool = False) -> Any:
    viewer, widget = open_widget(image, show=show)
    widget.run()
    finish(qtbot, widget)
    return viewer, widget, viewer.layers["thing (dish)"]


def paint(labels: Any) -> np.ndarray:
    """Paint an object by hand; gives where it is."""
    labels.brush_size = 6
    labels.paint(SPOT, 99)
    return np.asarray(labels.data) == 99


def erase(labels: Any, centre: tuple[int, int]) -> int:
    """Erase the object at a place; gives its id."""
    identity = int(labels.data[centre])
    labels.fill(centre, 0)
    return identity


def slide(widget: Any) -> None:
    widget.class_threshold.value = 0.51


def reset(widget: Any) -> None:
    widget.thresholds.reset.native.click()


def points(widget: Any) -> None:
    widget.layer_options.points.native.click()


def enter(widget: Any) -> None:
    widget.classes[0].target.native.setText("cell")
    QTest.keyClick(widget.classes[0].target.native, Qt.Key.Key_Return)


def mask(widget: Any) -> None:
    widget.mask_threshold.value = 0.4


def again(widget: Any) -> None:
    widget.run()


def untick(widget: Any) -> None:
    widget.classes[0].keep.native.click()
    widget.classes[0].keep.native.click()


def enter_while_left_out(widget: Any) -> None:
    """Another name for a class that no objects have at the moment."""
    widget.classes[0].keep.native.click()
    enter(widget)
    widget.classes[0].keep.native.click()


@pytest.mark.parametrize(
    "act",
    [slide, reset, points, enter, enter_while_left_out, mask, again, untick],
)
def test_an_edit_outlives_whatever_the_person_does_next(
    qtbot: Any, open_widget: Open, scene: np.ndarray, act: Callable[[Any], None]
) -> None:
    viewer, widget, labels = ran(qtbot, open_widget, scene, show=True)
    mine = paint(labels)
    gone = erase(labels, (25, 70))
    act(widget)
    finish(qtbot, widget)
    qtbot.wait(500)
    name = "cell" if act in (enter, enter_while_left_out) else "thing"
    labels = viewer.layers[f"{name} (dish)"]
    assert (labels.data[mine] == 99).all()
    assert not labels.data[25, 70]
    # The table, the outlines, the number and the objects follow.
    ids = {1, 2, 3, 4, 99} - {gone}
    assert set(labels.features["index"]) == ids
    assert set(viewer.layers[f"{name} outlines (dish)"].features["index"]) == ids
    assert len(viewer.layers[f"{name} outlines (dish)"].data) == 4
    assert set(widget.objects().id.tolist()) == ids
    settle(qtbot, lambda: widget.classes[0].number.value == "4")
    assert "2 objects corrected" in widget.showing.corrections.said.value


def two_edited(qtbot: Any, open_widget: Open, monkeypatch: Any) -> Any:
    """An object painted in one class, one erased in the other; gives where it is."""
    viewer, widget = two_classes(qtbot, open_widget, monkeypatch)
    layers = viewer.layers
    layers["round (dish)"].paint((32, 10), 77)
    mine = layers["round (dish)"].data == 77
    erase(layers["rod (dish)"], (45, 50))
    settle(qtbot, lambda: widget.classes[1].number.value == "0")
    return layers, widget, mine


def test_edits_outlive_that_two_classes_become_one(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, widget, mine = two_edited(qtbot, open_widget, monkeypatch)
    typed(qtbot, widget.classes[1].target, "round")
    settle(qtbot, lambda: "rod (dish)" not in layers)
    labels = layers["round (dish)"]
    settle(qtbot, lambda: (labels.data[mine] == 77).all())
    assert not labels.data[45, 50]
    assert "2 objects corrected" in widget.showing.corrections.said.value


@pytest.mark.parametrize("now", [("both", "both"), ("rod", "round")])
def test_edits_outlive_that_a_recipe_names_classes_otherwise(
    qtbot: Any,
    open_widget: Open,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    now: tuple[str, str],
) -> None:
    layers, widget, mine = two_edited(qtbot, open_widget, monkeypatch)
    recipe = widget.recipe()
    rules = [
        rule.model_copy(update={"becomes": name})
        for rule, name in zip(recipe.classes.rules, now, strict=True)
    ]
    classes = recipe.classes.model_copy(update={"rules": tuple(rules)})
    place = tmp_path / "other.recipe.yaml"
    recipe.model_copy(update={"classes": classes}).save(place)
    widget.repeating.load(place)
    widget.run()
    finish(qtbot, widget)
    settle(qtbot, lambda: f"{now[0]} (dish)" in layers)
    qtbot.wait(500)
    assert (layers[f"{now[0]} (dish)"].data[mine] == 77).all()
    assert not layers[f"{now[1]} (dish)"].data[45, 50]
    assert "2 objects corrected" in widget.showing.corrections.said.value
    shown = [layer.name for layer in layers if layer.name.endswith(" (dish)")]
    assert {name.split()[0] for name in shown} == set(now)
    assert len(shown) == len(set(shown))


def test_the_edit_of_one_result_survives_another_model_on_the_image(
    qtbot: Any, open_widget: Open, make_model: Any, scene: np.ndarray
) -> None:
    viewer, widget, labels = ran(qtbot, open_widget, scene)
    mine = paint(labels)
    widget.choose("nuclei-unet")
    widget.choose("tiny")
    widget.assumptions.scale.value = 2  # another run, on the same image
    widget.run()
    finish(qtbot, widget)
    painted = [one for one in viewer.layers if "thing" in one.name and one.ndim == 2]
    assert any(
        isinstance(one.data, np.ndarray) and (one.data[mine] == 99).all()
        for one in painted
    )


def test_undo_takes_back_the_person_s_edit_and_nothing_else(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _viewer, widget, labels = ran(qtbot, open_widget, scene)
    before = labels.data.copy()
    paint(labels)
    settle(qtbot, lambda: 99 in set(labels.features["index"]))
    labels.undo()
    settle(qtbot, lambda: 99 not in set(labels.features["index"]))
    np.testing.assert_array_equal(labels.data, before)
    assert not widget.showing.corrections.visible
    # Once settings changed, undo pastes nothing of the earlier result.
    mine = paint(labels)
    widget.mask_threshold.value = 0.8
    qtbot.wait(500)
    shown = labels.data.copy()
    assert (shown != before).any()
    labels.undo()
    np.testing.assert_array_equal(labels.data, shown)
    assert (labels.data[mine] == 99).all()


def test_corrected_layers_are_left_alone_where_the_person_wants_new_ones(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget, labels = ran(qtbot, open_widget, scene)
    mine = paint(labels)
    settle(qtbot, lambda: widget.showing.corrections.said.value.startswith("1 object"))
    widget.showing.corrections.choice.value = NEW
    kept = labels.data.copy()
    widget.mask_threshold.value = 0.8
    settle(qtbot, lambda: "thing (dish), corrected" in viewer.layers)
    np.testing.assert_array_equal(labels.data, kept)
    assert labels.name == "thing (dish), corrected"
    fresh = viewer.layers["thing (dish)"]
    assert not (fresh.data[mine] == 99).any()
    assert len(fresh.features) == 4


def test_what_was_found_comes_back_when_corrections_are_discarded(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _viewer, widget, labels = ran(qtbot, open_widget, scene)
    before = labels.data.copy()
    paint(labels)
    erase(labels, (25, 25))
    settle(qtbot, lambda: "2 objects" in widget.showing.corrections.said.value)
    widget.showing.corrections.drop.native.click()
    settle(qtbot, lambda: np.array_equal(labels.data, before))
    assert len(widget.objects()) == 4


def test_outlines_that_are_deleted_moved_or_drawn_change_the_objects(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget, labels = ran(qtbot, open_widget, scene)
    outlines = viewer.layers["thing outlines (dish)"]
    gone = int(labels.data[70, 70])
    row = list(outlines.features["index"]).index(gone)
    outlines.selected_data = {row}
    outlines.remove_selected()
    assert not labels.data[70, 70]
    square = np.array([[44, 44], [44, 54], [54, 54], [54, 44]], float)
    outlines.add([square], shape_type="polygon")
    drawn = int(labels.data[49, 49])
    assert drawn not in (0, 1, 2, 3, 4)
    settle(qtbot, lambda: drawn in set(labels.features["index"]))
    widget.class_threshold.value = 0.3
    qtbot.wait(500)
    assert not labels.data[70, 70]
    assert labels.data[49, 49] == drawn
    assert len(outlines.data) == 4
    assert any(np.allclose(ring, square) for ring in outlines.data)


def test_an_erased_object_is_not_written_for_its_outline(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    viewer, _widget, labels = ran(qtbot, open_widget, scene)
    outlines = viewer.layers["thing outlines (dish)"]
    erase(labels, (25, 25))
    viewer.layers.selection = {labels, outlines}
    path = tmp_path / "objects.geojson"
    viewer.layers.save(str(path), selected=True, plugin="napari-imagec-ai")
    assert len(json.loads(path.read_text())["features"]) == 3


def test_outlines_that_were_taken_away_stay_away_until_asked_for(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget, _labels = ran(qtbot, open_widget, scene)
    viewer.layers.remove("thing outlines (dish)")
    widget.class_threshold.value = 0.6
    qtbot.wait(500)
    assert "thing outlines (dish)" not in viewer.layers
    widget.layer_options.outlines.native.click()
    widget.layer_options.outlines.native.click()
    settle(qtbot, lambda: "thing outlines (dish)" in viewer.layers)
