"""The image that is run is the one that the person sees and means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

Open = Callable[..., tuple[Any, Any]]
CENTRES = [(25, 25), (25, 70), (70, 25), (70, 70)]


def scene(count: int = 4) -> np.ndarray:
    labels = discs((96, 96), CENTRES[:count], (12, 11, 10, 8)[:count])
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


def run(qtbot: Any, widget: Any) -> None:
    widget.run_button.native.click()
    finish(qtbot, widget)


def found(widget: Any) -> int:
    return len(widget.results.label_layers[0].features)


def test_pixels_that_change_in_place_are_another_image(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(scene(4))
    run(qtbot, widget)
    dish = viewer.layers["dish"]
    dish.data[...] = scene(2)
    dish.refresh()
    run(qtbot, widget)
    assert found(widget) == 2


def test_counts_of_an_image_do_not_stand_beside_another(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(scene(4), show=True)
    run(qtbot, widget)
    row, bars = widget.classes[0], widget.thresholds.histogram
    assert row.number.value == "4"
    assert bars.isVisibleTo(widget.native)
    viewer.add_image(scene(2), name="other")
    settle(qtbot, lambda: "Ready." in widget.status.value)
    assert row.number.value == ""
    assert not bars.isVisibleTo(widget.native)
    viewer.layers.selection = {viewer.layers["dish"]}
    settle(qtbot, lambda: row.number.value == "4")
    assert any(bars.bars)


def test_pixels_that_change_during_a_run_are_told(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(np.stack([scene(4)] * 6))
    widget.run_button.native.click()
    viewer.layers["dish"].data[...] = 0
    finish(qtbot, widget)
    assert "have changed since" in widget.status.value


def test_another_pixel_size_counts_from_the_next_run_on(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(scene())
    run(qtbot, widget)
    dish = viewer.layers["dish"]
    dish.scale, dish.units = (0.65, 0.65), ("um", "um")
    run(qtbot, widget)
    labels = widget.results.label_layers[0]
    np.testing.assert_allclose(labels.scale, 0.65)
    assert any("micrometer" in name for name in labels.features)


def test_a_result_is_moved_along_with_its_image(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = open_widget(scene(), show=True)
    run(qtbot, widget)
    dish, labels = viewer.layers["dish"], viewer.layers["thing (dish)"]
    assert not widget.notice.visible
    dish.scale, dish.translate, dish.units = (2, 2), (10, 20), ("um", "um")
    assert widget.notice.visible
    assert "earlier state" in widget.notice.said.value
    widget.notice.move.native.click()
    np.testing.assert_allclose(labels.scale, dish.scale)
    np.testing.assert_allclose(labels.translate, dish.translate)
    settle(qtbot, lambda: "area_micrometer2" in labels.features)
    area = labels.features["area"] * 4
    np.testing.assert_allclose(labels.features["area_micrometer2"], area)
    outlines = viewer.layers["thing outlines (dish)"]
    np.testing.assert_allclose(outlines.translate, dish.translate)
    assert not widget.notice.visible
    dish.data = scene(2)
    assert "other pixels" in widget.notice.said.value
    widget.notice.again.native.click()
    finish(qtbot, widget)
    assert found(widget) == 2


def test_a_layer_that_is_renamed_stays_chosen(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = open_widget()
    for name, count in (("A", 4), ("B", 2), ("C", 1)):
        viewer.add_image(scene(count), name=name)
    viewer.layers.selection.active = viewer.layers["B"]
    widget.source.pin.value = True
    listed = widget.source.measured._listed
    widget.source.measured.boxes[listed.index("C")].value = True
    viewer.layers["B"].name = "B renamed"
    viewer.layers["C"].name = "C renamed"
    assert widget.image.value is viewer.layers["B renamed"]
    assert widget.source.measured.chosen() == ["C renamed"]
    run(qtbot, widget)
    assert found(widget) == 2
    features = widget.results.label_layers[0].features
    assert "mean_intensity_C renamed" in features


def test_a_layer_may_be_renamed_while_it_is_run(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = open_widget(np.stack([scene()] * 6))
    widget.run_button.native.click()
    viewer.layers["dish"].name = "bowl"
    finish(qtbot, widget)
    assert "is gone" not in widget.status.value
    assert widget.results.label_layers


def test_the_plane_that_is_shown_is_found_through_the_layer_s_transform(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget()
    stack = np.stack([scene(count) for count in (1, 2, 3, 4)])
    viewer.add_image(stack, name="stack", scale=(2, 1, 1), translate=(3, 0, 0))
    viewer.add_image(np.zeros((30, 96, 96)), name="finer", scale=(0.5, 1, 1))
    viewer.layers.selection.active = viewer.layers["stack"]
    widget.planes.value = "current plane"
    for plane in (2, 0):
        viewer.dims.set_point(0, 3 + 2 * plane)
        run(qtbot, widget)
        assert found(widget) == plane + 1
        labels = widget.results.label_layers[0]
        assert labels.translate[0] == pytest.approx(3 + 2 * plane)


def test_axes_belong_to_the_layer(open_widget: Open) -> None:
    viewer, widget = open_widget()
    viewer.add_image(np.stack([scene()] * 3), name="z")
    assert widget.axes.value == "ZYX"
    viewer.add_image(np.stack([scene()] * 3), name="t", axis_labels=("t", "y", "x"))
    assert widget.axes.value == "TYX"
    viewer.layers.selection.active = viewer.layers["z"]
    widget.axes.value = "CYX"
    viewer.layers.selection.active = viewer.layers["t"]
    assert widget.axes.value == "TYX"
    viewer.layers.selection.active = viewer.layers["z"]
    assert widget.axes.value == "CYX"


def test_layers_of_another_place_are_not_measured_pixel_by_pixel(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget()
    viewer.add_image(scene(), name="turned", rotate=30)
    viewer.add_image(scene(), name="large", scale=(2, 2))
    viewer.add_image(scene(), name="there", translate=(5, 0))
    viewer.add_image(scene(), name="fits")
    viewer.add_image(scene(), name="dish")
    listed = widget.source.measured._listed
    for box in widget.source.measured.boxes:
        box.value = True
    run(qtbot, widget)
    features = widget.results.label_layers[0].features
    measured = {name for name in features if name.startswith("mean_intensity_")}
    assert "mean_intensity_fits" in measured
    assert not measured & {f"mean_intensity_{name}" for name in listed[:3]}
    said = widget.source.measured.said.value
    assert "'fits' is mean intensity" in said
    assert all(f"'{name}' does not lie on 'dish'" in said for name in listed[:3])


def test_maps_are_no_images_to_run_by_accident(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = open_widget(scene(), show=True)
    run(qtbot, widget)
    widget.layer_options.maps.native.click()
    viewer.layers.selection.active = viewer.layers[-1]
    assert widget.image.value.name == "dish"


def test_channels_may_come_last(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = open_widget()
    both = np.stack([scene(3), scene(1)], -1)
    viewer.add_image(both, name="last", rgb=False)
    widget.axes.value = "YXC"
    widget.channels[0].value = ("last", 0)
    run(qtbot, widget)
    assert found(widget) == 3


def test_images_of_six_dimensions_are_refused_in_words(open_widget: Open) -> None:
    viewer, widget = open_widget()
    viewer.add_image(np.zeros((2, 2, 2, 2, 16, 16)), name="much")
    assert "more than 5 dimensions" in widget.status.value
    assert not widget.run_button.enabled


def test_the_sentence_of_another_image_does_not_stay(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget()
    empty = np.full((64, 64), np.nan, np.float32)
    viewer.add_image(empty, name="nan", contrast_limits=(0, 1))
    viewer.add_image(scene(), name="good")
    run(qtbot, widget)
    viewer.layers.selection.active = viewer.layers["nan"]
    run(qtbot, widget)
    assert "nan" in widget.status.value
    viewer.layers.selection.active = viewer.layers["good"]
    assert "nan" not in widget.status.value
    assert "4 of 4" in widget.status.value


def test_units_of_several_axes_are_brought_to_one(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget()
    stack = np.stack([scene()] * 3)
    viewer.add_image(stack, name="z", scale=(500, 0.5, 0.5), units=("nm", "um", "um"))
    assert widget.source.whole().image.pixel_size == pytest.approx((0.5, 0.5, 0.5))
