"""File > Save: layers that were corrected by hand are written as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Shapes
from test_export_labels import found
from test_export_outlines import coco_to_labels, rois_to_labels

import napari_imagec_ai as ai
from napari_imagec_ai._napari.layers.writers import (
    objects_of,
    write_coco,
    write_geojson,
    write_rois,
)
from napari_imagec_ai.export.writing import table
from napari_imagec_ai.results.objects import Objects

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept:DeprecationWarning"
)


def features(objects: Objects) -> pd.DataFrame:
    columns = table(objects)
    return pd.DataFrame({"index": columns.pop("id"), **columns})


def labels_of(objects: Objects, **options: Any) -> Labels:
    return Labels(
        objects.as_labels(),
        name=f"{objects.classes[0]} (cells)",
        features=features(objects),
        **options,
    )


def shapes_of(objects: Objects) -> Shapes:
    rings = [
        np.hstack([np.tile(plane, (len(ring), 1)), ring])
        for plane, ring in zip(objects.planes, objects.as_polygons(), strict=True)
    ]
    name = f"{objects.classes[0]} outlines (cells)"
    return Shapes(rings, shape_type="polygon", name=name, features=features(objects))


def handed(*layers: Any) -> list[Any]:
    """Layers as napari hands them to a writer."""
    viewer = ViewerModel()
    for layer in layers:
        viewer.add_layer(layer)
    return [layer.as_layer_data_tuple() for layer in viewer.layers]


@pytest.mark.parametrize("axes", ["YX", "TYX", "TZYX"])
@pytest.mark.parametrize("which", ["labels", "shapes", "both"])
def test_layers_are_written_with_their_ids(
    axes: str, which: str, tmp_path: Path
) -> None:
    objects = found(axes)
    layers = [] if which == "shapes" else [labels_of(objects)]
    layers += [] if which == "labels" else [shapes_of(objects)]
    data = handed(*layers)
    expected = objects.as_labels()
    shape = objects_of(data).frame.shape
    cut = tuple(slice(size) for size in shape)
    (coco,) = write_coco(str(tmp_path / "größe 1.json"), data)
    np.testing.assert_array_equal(coco_to_labels(Path(coco), shape), expected[cut])
    (rois,) = write_rois(str(tmp_path / "größe 1.zip"), data)
    np.testing.assert_array_equal(rois_to_labels(Path(rois), shape), expected[cut])
    (geojson,) = write_geojson(str(tmp_path / "größe 1.geojson"), data)
    written = json.loads(Path(geojson).read_text(encoding="utf-8"))["features"]
    assert [f["id"] for f in written] == objects.id.tolist()
    assert {f["properties"]["classification"]["name"] for f in written} == {"thing"}
    sure = [f["properties"]["measurements"]["confidence"] for f in written]
    np.testing.assert_allclose(sure, objects.confidence, rtol=1e-5)


def test_what_was_painted_is_what_is_written() -> None:
    objects = found("YX")
    layer = labels_of(objects, scale=(0.5, 0.25), units=("um", "um"))
    layer.data[layer.data == 1] = 0
    layer.data[:4, :5] = 9
    made = objects_of(handed(layer))
    assert made.id.tolist() == [2, 9]
    assert made.features["area"].tolist() == [objects.features["area"][1], 20]
    assert made.frame.pixel_size == (0.5, 0.25)
    assert (made.frame.name, made.classes) == ("cells", ("thing",))


def test_an_outline_that_was_drawn_beside_labels_is_added() -> None:
    objects = found("YX")
    shapes = shapes_of(objects)
    shapes.add(np.array([[0, 0], [0, 3], [3, 3], [3, 0]]) - 0.5, shape_type="rectangle")
    made = objects_of(handed(labels_of(objects), shapes))
    assert made.id.tolist() == [1, 2, 3]
    assert made.features["area"][2] == 9


def test_layers_without_a_table_have_the_class_of_their_name() -> None:
    first = Labels(np.kron([[1, 0], [0, 2]], np.ones((4, 4), int)), name="nuclei")
    second = Labels(np.kron([[0, 1], [0, 0]], np.ones((4, 4), int)), name="rods")
    made = objects_of(handed(first, second))
    assert made.counts() == {"nuclei": 2, "rods": 1}
    assert made.id.tolist() == [1, 2, 3]


def test_rectangles_stay_boxes_and_ellipses_become_outlines(tmp_path: Path) -> None:
    corners = np.array([[4, 6], [4, 26], [14, 26], [14, 6]])
    boxes = Shapes([corners], shape_type="rectangle", name="boxes")
    made = objects_of(handed(boxes))
    assert not made.has_pixels
    assert made.boxes.tolist() == [[4.5, 6.5, 14.5, 26.5]]
    ellipse = Shapes(np.array([[9, 16], [5, 10]]), shape_type="ellipse", name="round")
    made = objects_of(handed(ellipse))
    assert made.features["area"][0] == pytest.approx(np.pi * 50, rel=0.05)


def test_lines_enclose_nothing() -> None:
    shapes = Shapes(name="mixed")
    shapes.add([[0, 0], [5, 5]], shape_type="line")
    shapes.add([[0, 0], [0, 4], [4, 4]], shape_type="path")
    shapes.add([[0, 0], [0, 4], [4, 4], [4, 0]], shape_type="polygon")
    assert len(objects_of(handed(shapes))) == 1


def test_layers_of_two_images_are_refused() -> None:
    layers = [Labels(np.ones((4, size), int)) for size in (4, 5)]
    with pytest.raises(ai.ImagecAIError, match=r"\(4, 4\) and \(4, 5\)"):
        objects_of(handed(*layers))


def test_volumes_are_rois_plane_by_plane_and_no_outlines(tmp_path: Path) -> None:
    objects = found("V")
    data = handed(labels_of(objects))
    (rois,) = write_rois(str(tmp_path / "a.zip"), data)
    labels = objects.as_labels()
    np.testing.assert_array_equal(rois_to_labels(Path(rois), labels.shape), labels)
    with pytest.raises(ai.ImagecAIError, match="volumes have labels"):
        write_geojson(str(tmp_path / "a.geojson"), data)


def test_nothing_to_write_is_told(tmp_path: Path) -> None:
    with pytest.raises(ai.ImagecAIError, match="nothing to write"):
        write_coco(str(tmp_path / "a.json"), [])
