"""A pinned image and a region of it: what is run, and where the result lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
from conftest import CountingEngine, discs, finish
from qtpy.QtCore import Qt
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai._napari.layers.writers import objects_of, write_rois
from napari_imagec_ai.recipes import session
from napari_imagec_ai.recipes.recipe import Recipe

Open = Callable[..., tuple[Any, Any]]
CENTRES = [(25, 25), (25, 70), (70, 25), (70, 70)]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> CountingEngine:
    counting = CountingEngine()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: counting)
    return counting


@pytest.fixture
def scene() -> np.ndarray:
    labels = discs((96, 96), CENTRES, (12,) * 4)
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


PLACED = {"scale": (0.5, 0.25), "translate": (10, -4), "rotate": 30, "shear": (0.2,)}


def place(layer: Any) -> None:
    """Give a layer all transforms at once, in the last two axes."""
    layer.translate = np.r_[np.zeros(layer.ndim - 2), PLACED["translate"]]
    if layer.ndim == 2:
        layer.scale, layer.rotate, layer.shear = (
            PLACED[key] for key in ("scale", "rotate", "shear")
        )
    else:
        layer.scale = (3, *PLACED["scale"])
        angle = np.radians(30)
        layer.rotate = np.array(
            [
                [1, 0, 0],
                [0, np.cos(angle), -np.sin(angle)],
                [0, np.sin(angle), np.cos(angle)],
            ]
        )
    layer.units = ("pixel",) * (layer.ndim - 2) + ("um", "um")


def box_around(layer: Any, y: Any, x: Any) -> np.ndarray:
    """Corners of a box of pixels, in the world's last two axes."""
    first = (0,) * (layer.ndim - 2)
    corners = [(y[0], x[0]), (y[0], x[1]), (y[1], x[1]), (y[1], x[0])]
    points = [layer.data_to_world((*first, *np.subtract(c, 0.5))) for c in corners]
    return np.asarray(points)[:, -2:]


def run(qtbot: Any, widget: Any) -> None:
    assert widget.run_button.enabled, widget.status.value
    widget.run()
    finish(qtbot, widget)


def test_a_pinned_image_stays(open_widget: Open, scene: np.ndarray) -> None:
    viewer, widget = open_widget(scene, show=True)
    widget.source.pin.native.click()
    viewer.add_image(scene.T.copy(), name="other")
    assert widget.image.value is viewer.layers["dish"]
    widget.source.pin.native.click()
    viewer.layers.selection.active = viewer.layers["dish"]
    viewer.layers.selection.active = viewer.layers["other"]
    assert widget.image.value is viewer.layers["other"]


@pytest.mark.parametrize("depth", [0, 3], ids=["2D", "stack"])
def test_only_the_box_around_the_selected_shapes_is_run_and_lies_there(
    depth: int,
    qtbot: Any,
    open_widget: Open,
    engine: CountingEngine,
    scene: np.ndarray,
) -> None:
    image = np.stack([scene] * depth) if depth else scene
    viewer, widget = open_widget(image)
    dish = viewer.layers["dish"]
    place(dish)
    # All of the image is drawn, too, but not selected.
    drawn = viewer.add_shapes(
        [box_around(dish, (5, 50), (10, 46)), box_around(dish, (0, 96), (0, 96))],
        shape_type="polygon",
        name="region",
    )
    drawn.selected_data = {0}
    widget.image.value = dish
    widget.source.region.where.value = "shapes that I drew"
    run(qtbot, widget)
    labels = widget.results.label_layers[0]
    assert labels.data.shape[-2:] == (45, 36)
    assert len(np.unique(labels.data)) == 1 + max(depth, 1)
    for pixel in ((0, 0), (20, 15), (44.5, 35.25)):
        first = (0,) * (dish.ndim - 2)
        there = labels.data_to_world((*first, *pixel))
        back = dish.world_to_data(there)
        np.testing.assert_allclose(back, (*first, *np.add(pixel, (5, 10))), atol=1e-6)
    # The table's positions are those of the whole image, and in the world.
    table = labels.features
    np.testing.assert_allclose(table["centroid_y"], 25, atol=0.5)
    np.testing.assert_allclose(table["centroid_x"], 25, atol=0.5)
    middle = table[[f"world_{a}" for a in ("z", "y", "x")[3 - dish.ndim :]]].iloc[-1]
    expected = dish.data_to_world((*(max(depth - 1, 0),) * (dish.ndim - 2), 25, 25))
    np.testing.assert_allclose(middle, expected, atol=0.3)


def test_a_region_without_a_shape_or_outside_is_said_beside_run(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    widget.source.region.where.value = "shapes that I drew"
    assert not widget.run_button.enabled
    assert "No shape is drawn" in widget.status.value
    dish = viewer.layers["dish"]
    far = viewer.add_shapes([box_around(dish, (200, 220), (0, 9))], name="far")
    widget.source.region.shapes.value = far
    widget.image.value = dish
    assert not widget.run_button.enabled
    assert "outside of 'dish'" in widget.status.value
    far.data = [box_around(dish, (0, 40), (0, 40))]
    qtbot.mouseClick(widget.run_button.native, Qt.MouseButton.LeftButton)
    finish(qtbot, widget)
    widget.source.region.shapes.value = viewer.layers["thing outlines (dish)"]
    assert "is a result" in widget.status.value
    widget.source.region.where.value = "whole image"
    assert widget.run_button.enabled


def test_what_the_window_shows_is_run(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    dish = viewer.layers["dish"]
    viewer.scene.camera.center = (0.0, *dish.data_to_world((25, 25)))
    viewer.scene.camera.zoom = 40
    qtbot.waitUntil(lambda: dish.corner_pixels[1][0] < 90, timeout=30_000)
    widget.source.region.where.value = "what the window shows"
    run(qtbot, widget)
    labels = widget.results.label_layers[0]
    corners = dish.corner_pixels
    assert labels.data.shape == tuple(corners[1] - corners[0] + 1)
    there = dish.world_to_data(labels.data_to_world((0, 0)))
    np.testing.assert_allclose(there, corners[0], atol=1e-6)


def test_another_region_of_the_same_image_takes_the_place_of_the_first(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    dish = viewer.layers["dish"]
    drawn = viewer.add_shapes([box_around(dish, (0, 50), (0, 50))], name="region")
    widget.image.value = dish
    widget.source.region.where.value = "shapes that I drew"
    run(qtbot, widget)
    drawn.data = [box_around(dish, (48, 96), (0, 96))]
    run(qtbot, widget)
    found = [layer for layer in viewer.layers if layer.name == "thing (dish)"]
    assert [layer.data.shape for layer in found] == [(48, 96)]
    assert len(viewer.layers["thing outlines (dish)"].data) == 2
    widget.layer_options.keep.value = True
    widget.source.region.where.value = "whole image"
    run(qtbot, widget)
    shapes = [one.data.shape for one in viewer.layers if one.name.startswith("thing (")]
    assert shapes == [(48, 96), (96, 96)]


def test_the_recipe_of_a_region_gives_the_same_bytes_everywhere(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path, run_cli: Any
) -> None:
    viewer, widget = open_widget(scene)
    dish = viewer.layers["dish"]
    dish.scale = (1, 1)
    place(dish)
    dish.scale, dish.units = (1, 1), ("pixel", "pixel")
    # A triangle and an ellipse: three discs lie in their box, two in them.
    triangle = box_around(dish, (8, 45), (8, 45))[[0, 1, 3]]
    shapes = [
        (triangle, "polygon"),
        (box_around(dish, (55, 85), (55, 85)), "ellipse"),
    ]
    viewer.add_shapes(shapes, name="region")
    widget.image.value = dish
    widget.source.region.where.value = "shapes that I drew"
    run(qtbot, widget)
    objects = widget.objects()
    assert objects.frame.shape == scene.shape
    assert sorted(objects.features["centroid_y"].round()) == [25, 70]
    labels = widget.results.label_layers[0]
    assert len(np.unique(labels.data)) == 3
    recipe = Recipe.model_validate(labels.metadata["napari_imagec_ai"])
    assert recipe.predict.region is not None
    tifffile.imwrite(tmp_path / "dish.tif", scene)
    image = ai.open_image(tmp_path / "dish.tif")
    tables = [
        ai.write(objects, tmp_path / "widget.csv"),
        ai.write(recipe.run(image), tmp_path / "python.csv"),
    ]
    saved = recipe.save(tmp_path / "r.yaml")
    assert run_cli("run", saved, tmp_path / "dish.tif", "-o", "out")[0] == 0
    tables.append(Path("out/dish.objects.csv"))
    first, *others = [table.read_bytes() for table in tables]
    assert first.count(b"\n") == 3
    assert others == [first, first]
    found = tifffile.imread("out/dish.labels.tif")
    assert found.shape == scene.shape
    assert found[25, 25] > 0
    assert found[25, 70] == 0


def test_corrected_layers_of_a_region_are_written_where_they_lie(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    viewer, widget = open_widget(scene)
    dish = viewer.layers["dish"]
    place(dish)
    drawn = viewer.add_shapes([box_around(dish, (5, 50), (48, 96))], name="region")
    widget.image.value = dish
    widget.source.region.where.value = "shapes that I drew"
    run(qtbot, widget)
    labels = widget.results.label_layers[0]
    labels.data[30:36, 2:8] = 7  # painted by hand: y 35 to 40, x 50 to 55
    outlines = viewer.layers["thing outlines (dish)"]
    saved = [layer.as_layer_data_tuple() for layer in (labels, outlines)]
    objects = objects_of(saved)
    assert objects.frame.shape == scene.shape
    middles = zip(*(objects.features[f"centroid_{axis}"] for axis in "yx"), strict=True)
    assert sorted((round(y, 1), round(x, 1)) for y, x in middles) == [
        (25, 70),
        (37.5, 52.5),
    ]
    assert (objects.as_labels()[35:41, 50:56] == 7).all()
    (path,) = write_rois(str(tmp_path / "a.zip"), saved)
    lefts = sorted(int(roi.left) for roi in roifile.roiread(path))
    assert lefts == [50, 59]
    # Outlines alone lie there, too, and on an image of the same size.
    alone = objects_of(saved[1:])
    assert alone.frame.shape == scene.shape
    np.testing.assert_allclose(alone.features["centroid_x"], 70, atol=0.1)
    # Layers of another region of the image go together with them.
    widget.layer_options.keep.value = True
    drawn.data = [box_around(dish, (50, 96), (10, 40))]
    run(qtbot, widget)
    other = widget.results.label_layers[0].as_layer_data_tuple()
    both = objects_of([saved[0], other])
    assert len(both) == 3
    assert both.as_labels()[70, 25] > 0
    assert len(np.unique(both.id)) == 3


def test_the_region_of_a_recipe_comes_back_and_can_be_drawn_and_removed(
    qtbot: Any, open_widget: Open, scene: np.ndarray, tmp_path: Path
) -> None:
    viewer, widget = open_widget(scene)
    dish = viewer.layers["dish"]
    place(dish)
    triangle = box_around(dish, (8, 45), (8, 45))[[0, 1, 3]]
    ellipse = box_around(dish, (55, 85), (55, 85))
    viewer.add_shapes([(triangle, "polygon"), (ellipse, "ellipse")], name="mine")
    viewer.layers.selection = {dish}
    region = widget.source.region
    region.where.value = "shapes that I drew"
    run(qtbot, widget)
    first = ai.write(widget.objects(), tmp_path / "first.csv").read_bytes()
    assert first.count(b"\n") == 3
    widget.repeating.save(tmp_path / "r.yaml")

    region.where.value = "whole image"
    viewer.layers.remove("mine")
    widget.repeating.load(tmp_path / "r.yaml")
    assert "not restored" not in widget.status.value
    assert region.where.value == "region of the recipe"
    assert region.place.value == "Y 8 to 84, X 8 to 84, in 2 shapes"
    run(qtbot, widget)
    again = ai.write(widget.objects(), tmp_path / "again.csv").read_bytes()
    assert again == first
    assert widget.recipe().predict.region == region.held

    region.draw.native.click()
    assert region.where.value == "shapes that I drew"
    run(qtbot, widget)
    assert len(widget.objects()) == 2
    drawn = widget.recipe().predict.region
    assert drawn.box == region.held.box
    for ours, theirs in zip(drawn.polygons, region.held.polygons, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.01)

    region.where.value = "whole image"
    run(qtbot, widget)
    assert len(widget.objects()) == 4
    region.where.value = "region of the recipe"  # it is still there
    run(qtbot, widget)
    assert len(widget.objects()) == 2


def test_what_a_person_drew_is_preferred_to_the_outlines_of_a_result(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    run(qtbot, widget)
    box = box_around(viewer.layers["dish"], (8, 45), (8, 45))
    viewer.add_shapes([box], name="mine")
    widget.source.region.where.value = "shapes that I drew"
    assert widget.source.region.shapes.value is viewer.layers["mine"]
    run(qtbot, widget)
    assert len(widget.objects()) == 1
