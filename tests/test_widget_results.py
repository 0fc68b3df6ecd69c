"""Layers of a result: which there are, what they tell, how they follow the person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish
from napari.layers import Image, Points, Shapes
from qtpy.QtCore import Qt
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai._napari.layers import drawn_layers, many_shapes

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton
CENTRES = [(25, 25), (25, 70), (70, 25), (70, 70)]


@pytest.fixture
def scene() -> np.ndarray:
    labels = discs((96, 96), CENTRES, (12, 12, 12, 8))
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


def ran(qtbot: Any, open_widget: Open, image: Any, show: bool = True) -> Any:
    viewer, widget = open_widget(image, show=show)
    widget.run()
    finish(qtbot, widget)
    return viewer, widget


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.visible]


def test_boxes_and_points_come_when_asked_for(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    qtbot.mouseClick(widget.layer_options.button, LEFT)
    widget.layer_options.boxes.native.click()
    widget.layer_options.points.native.click()
    settle(qtbot, lambda: "thing points (dish)" in names(viewer))
    boxes, points = (viewer.layers[f"thing {k} (dish)"] for k in ("boxes", "points"))
    assert isinstance(boxes, Shapes)
    assert isinstance(points, Points)
    assert boxes.shape_type == ["rectangle"] * 4
    dish = viewer.layers["dish"]
    for centre in CENTRES:
        at = dish.data_to_world(centre)
        values = [points.data_to_world(point) for point in points.data]
        assert min(np.linalg.norm(np.subtract(at, value)) for value in values) < 0.5
        assert boxes.get_value(at, world=True)[0] is not None
    low, high = np.min(boxes.data[0], axis=0), np.max(boxes.data[0], axis=0)
    rows, columns = np.nonzero(viewer.layers["thing (dish)"].data == 1)
    np.testing.assert_allclose(low, (rows.min() - 0.5, columns.min() - 0.5))
    np.testing.assert_allclose(high, (rows.max() + 0.5, columns.max() + 0.5))
    widget.class_threshold.value = 1
    settle(qtbot, lambda: not len(points.data) and not len(boxes.data))
    widget.layer_options.outlines.native.click()
    settle(qtbot, lambda: "thing outlines (dish)" not in names(viewer))


def test_very_many_outlines_are_drawn_when_asked_for(
    qtbot: Any,
    open_widget: Open,
    scene: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawn_layers, "MAX_SHAPES", 3)
    viewer, widget = ran(qtbot, open_widget, scene)
    outlines = viewer.layers["thing outlines (dish)"]
    assert not len(outlines.data)
    assert "the Shapes layer has none above 3" in widget.status.value
    switch = widget.layer_options.many.native.text().removesuffix(" (slow)")
    assert f"'{switch}'" in widget.status.value  # called as it is in the form
    monkeypatch.setattr(many_shapes, "AT_ONCE", 3)
    widget.layer_options.many.native.click()
    words = "4 outlines are being drawn in the background"
    settle(qtbot, lambda: words in widget.status.value)
    settle(qtbot, lambda: not widget.results.drawing)
    assert len(outlines.data) == 4
    ids = [int(one) for one in outlines.features["index"]]
    assert ids == widget.objects().id.tolist()
    assert set(outlines.shape_type) == {"polygon"}
    # What is shown next ends what is still being drawn.
    widget.layer_options.many.native.click()
    widget.layer_options.many.native.click()
    widget.class_threshold.value = 1.0
    settle(qtbot, lambda: widget.classes[0].number.value == "0")
    settle(qtbot, lambda: not widget.results.drawing and not len(outlines.data))


def test_many_outlines_come_piece_by_piece_without_being_asked_for(
    qtbot: Any,
    open_widget: Open,
    scene: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawn_layers, "PIECEWISE", 2)
    monkeypatch.setattr(many_shapes, "AT_ONCE", 3)
    viewer, widget = ran(qtbot, open_widget, scene)
    assert "outlines" not in widget.status.value
    settle(qtbot, lambda: not widget.results.drawing)
    outlines = viewer.layers["thing outlines (dish)"]
    assert len(outlines.data) == len(outlines.features) == 4


def test_maps_of_the_network_are_shown_on_request(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    widget.layer_options.button.setChecked(True)
    qtbot.mouseClick(widget.layer_options.maps.native, LEFT)
    assert "Run the network first" in widget.status.value
    widget.run()
    finish(qtbot, widget)
    qtbot.mouseClick(widget.layer_options.maps.native, LEFT)
    (layer,) = [one for one in viewer.layers if one.name.startswith("probability")]
    assert isinstance(layer, Image)
    np.testing.assert_allclose(layer.data, scene, atol=1e-6)
    np.testing.assert_allclose(layer.scale, viewer.layers["dish"].scale)


def test_a_second_run_takes_the_place_of_the_first_unless_it_is_kept(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    before = list(viewer.layers)
    widget.assumptions.scale.value = 2
    widget.run()
    finish(qtbot, widget)
    assert list(viewer.layers) == before
    widget.layer_options.keep.value = True
    widget.run()
    finish(qtbot, widget)
    assert len(viewer.layers) == len(before) + 2
    assert viewer.layers[: len(before)] == before


def test_touching_objects_can_be_told_apart_by_colour_or_contour(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    labels = viewer.layers["thing (dish)"]
    places = [labels.data[centre] for centre in CENTRES]

    def colours() -> int:
        return len({tuple(labels.get_color(int(n))) for n in places})

    assert colours() == 1
    fill = widget.layer_options.fill
    fill.value = "colour for each object"
    settle(qtbot, lambda: colours() > 1)
    # A click marks nothing then, and another threshold leaves it so.
    widget.inspector.ask(viewer.layers["dish"].data_to_world(CENTRES[0]))
    widget.class_threshold.value = 0.4
    qtbot.wait(400)
    assert colours() > 1
    fill.value = "contours"
    settle(qtbot, lambda: labels.contour > 0 and colours() == 1)
    fill.value = "colour of the class"
    settle(qtbot, lambda: labels.contour == 0)


def test_what_the_person_set_in_napari_s_list_stays(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    labels = viewer.layers["thing (dish)"]
    labels.visible = False
    widget.classes[0].look.set_colour("#00ff00")
    qtbot.wait(100)
    assert not labels.visible
    assert tuple(labels.get_color(1))[:3] == (0, 1, 0)


def test_a_click_on_an_object_tells_what_it_is(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    labels, dish = viewer.layers["thing (dish)"], viewer.layers["dish"]
    identity = labels.data[25, 70]
    inspector = widget.inspector
    sentence = inspector.ask(dish.data_to_world((25, 70)))
    assert sentence.startswith(f"thing {identity}: confidence 0.9")
    assert widget.status.value == sentence
    assert viewer.status == sentence
    assert labels.selected_label == identity
    np.testing.assert_allclose(labels.colormap.map(int(identity))[:3], (1, 1, 1))
    assert inspector.ask(dish.data_to_world((0, 0))) == ""


def test_a_real_click_into_the_canvas_is_heard(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    dish = viewer.layers["dish"]
    viewer.scene.camera.center = (0.0, *dish.data_to_world((70, 25)))
    qtbot.wait(100)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.mouseClick(canvas, LEFT, pos=canvas.rect().center())
    expected = viewer.layers["thing (dish)"].data[70, 25]
    settle(qtbot, lambda: f"thing {expected}: " in widget.status.value)


def test_a_row_of_the_table_shows_its_object_and_back(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    stack = np.stack([scene * 0, scene, scene.T])
    viewer, widget = ran(qtbot, open_widget, stack)
    qtbot.mouseClick(widget.layer_options.button, LEFT)
    qtbot.mouseClick(widget.layer_options.table.native, LEFT)
    view, labels = widget.inspector.table.view, viewer.layers["thing (dish)"]
    settle(qtbot, view.isVisible)
    model = view.model()
    assert model.rowCount() == 8
    widget.class_threshold.value = 0.9  # rows and ids are then no longer the same
    widget.classes[0].handicap.value = 0.0
    settle(qtbot, lambda: model.rowCount() == len(labels.features))
    view.sortByColumn(3, Qt.SortOrder.AscendingOrder)  # by area, the smallest first
    view.selectRow(0)
    chosen = labels.features.sort_values("area").iloc[0]
    settle(qtbot, lambda: f"thing {chosen['index']}: " in widget.status.value)
    assert labels.selected_label == chosen["index"]
    assert viewer.dims.current_step[0] == chosen["z"]
    np.testing.assert_allclose(
        viewer.scene.camera.center[1:],
        [chosen["world_y"], chosen["world_x"]],
        atol=1e-5,
    )
    qtbot.mouseClick(widget.layer_options.table.native, LEFT)
    assert widget.inspector.ask(labels.data_to_world((1, 25, 25)))
    (row,) = view.selectionModel().selectedRows()
    assert int(model.data(row)) == labels.data[1, 25, 25]
