"""GeoJSON: valid polygons, in pixels whose corners are whole numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scenes import drawn, maps, prediction, scattered
from skimage.draw import polygon2mask

import napari_imagec_ai as ai
from napari_imagec_ai.export import writing
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import signed_area


@pytest.fixture(scope="module")
def four() -> Objects:
    return ai.decode(prediction(maps(scattered(5, (90, 110), 4), "foreground")))


@pytest.fixture(scope="module")
def stack() -> Objects:
    planes = [scattered(i, (64, 72), 2) for i in range(3)]
    values = np.stack([maps(plane, "foreground") for plane in planes])
    return ai.decode(prediction(values, axes="ZYX"))


def rings(feature: dict[str, object]) -> list[list[np.ndarray]]:
    """Polygons of a feature: outer ring and holes, (N, 2) as (x, y)."""
    geometry = feature["geometry"]
    several = geometry["type"] == "MultiPolygon"  # type: ignore[index]
    found = geometry["coordinates"]  # type: ignore[index]
    return [[np.array(r) for r in p] for p in (found if several else [found])]


def test_the_square_of_a_pixel_lies_between_whole_numbers() -> None:
    labels = np.zeros((5, 6))
    labels[2, 3] = 1
    (feature,) = writing.geojson(drawn(labels))["features"]
    ring = rings(feature)[0][0]
    assert ring.min(axis=0).tolist() == [3, 2]
    assert ring.max(axis=0).tolist() == [4, 3]


LABELS = hnp.arrays(
    np.int32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.sampled_from([0, 1, 1, 4]),
)


@settings(deadline=None, max_examples=60)
@given(labels=LABELS)
def test_rings_are_closed_and_simple_and_turn_as_their_part_does(
    labels: np.ndarray,
) -> None:
    for feature in writing.geojson(drawn(labels))["features"]:
        for polygon in rings(feature):
            for i, ring in enumerate(polygon):
                assert ring[0].tolist() == ring[-1].tolist()
                assert len(np.unique(ring[:-1], axis=0)) == len(ring) - 1 >= 4
                assert (signed_area(ring[:-1, ::-1]) > 0) is (i == 0)


@settings(deadline=None, max_examples=60)
@given(labels=LABELS)
def test_the_polygons_cover_the_pixels_of_the_object(labels: np.ndarray) -> None:
    for feature in writing.geojson(drawn(labels))["features"]:
        covered = np.zeros(labels.shape, int)
        for outer, *holes in rings(feature):
            for ring, step in [(outer, 1), *((hole, -1) for hole in holes)]:
                covered += step * polygon2mask(labels.shape, ring[:, ::-1] - 0.5)
        np.testing.assert_array_equal(covered, labels == feature["id"])


def test_features_tell_class_and_measurements(tmp_path: Path, four: Objects) -> None:
    path = ai.write(four, tmp_path / "a.geojson")
    collection = json.loads(path.read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection"
    for row, feature in enumerate(collection["features"]):
        properties = feature["properties"]
        assert feature["id"] == four.id[row]
        assert properties["classification"] == {"name": "thing", "color": [0, 194, 255]}
        assert properties["measurements"]["area"] == four.features["area"][row]


def test_features_of_a_stack_know_their_plane(stack: Objects) -> None:
    found = writing.geojson(stack)["features"]
    planes = [feature["geometry"]["plane"]["z"] for feature in found]
    assert planes == [0, 0, 1, 1, 2, 2]


def test_values_that_are_no_numbers_are_left_out_as_qupath_wants() -> None:
    objects = drawn([[1, 2]])
    lost = Objects(
        **{
            f: getattr(objects, f)
            for f in ("frame", "id", "class_id", "confidence", "boxes", "classes")
        },
        features={"ratio": np.array([np.nan, 1.0])},
    )
    first, second = writing.geojson(lost)["features"]
    assert "ratio" not in first["properties"]["measurements"]
    assert second["properties"]["measurements"]["ratio"] == 1
