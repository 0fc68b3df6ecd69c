"""Measurements against scikit-image's, and against geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import discs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scenes import scattered
from scipy import ndimage
from skimage.measure import regionprops

from napari_imagec_ai.results.measure import measure

SIZES = pytest.mark.parametrize("radius", [20, 35.5, 60], ids=lambda r: f"r{r}")


def disc(radius: float) -> np.ndarray:
    side = round(2 * radius) + 9
    return discs((side, side), [(side / 2 + 0.2, side / 2 - 0.3)], [radius])


@settings(deadline=None, max_examples=60)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, max_side=8)),
    seed=st.integers(0, 1000),
)
def test_columns_are_those_of_scikit_image(mask: np.ndarray, seed: int) -> None:
    labels, count = ndimage.label(mask)
    image = np.random.default_rng(seed).integers(0, 60000, mask.shape).astype("u2")
    found = measure(labels.astype(np.int32), count, {"mean_intensity": image})
    axes = "zyx"[-mask.ndim :]
    for i, props in enumerate(regionprops(labels, intensity_image=image)):
        box = [found[f"box_{axis}{end}"][i] for end in "01" for axis in axes]
        centroid = [found[f"centroid_{axis}"][i] for axis in axes]
        assert found["area"][i] == props.area
        assert tuple(box) == props.bbox
        assert centroid == pytest.approx(props.centroid)
        assert found["mean_intensity"][i] == pytest.approx(props.intensity_mean)


def test_boxes_are_half_open() -> None:
    labels = np.zeros((8, 9), np.int32)
    labels[2:4, 5:9] = 1
    found = measure(labels, 1)
    box = [found[f"box_{side}"][0] for side in ("y0", "x0", "y1", "x1")]
    assert box == [2, 5, 4, 9]


@SIZES
def test_the_perimeter_of_a_disc_is_that_of_the_circle(radius: float) -> None:
    found = measure(disc(radius), 1)["perimeter"][0]
    assert found == pytest.approx(2 * math.pi * radius, rel=0.03)


@SIZES
def test_a_disc_is_round(radius: float) -> None:
    assert measure(disc(radius), 1)["circularity"][0] > 0.97


def test_a_square_is_less_round_than_a_disc_and_a_strip_less_still() -> None:
    labels = np.zeros((60, 160), np.int32)
    labels[5:55, 5:55], labels[20:30, 60:155] = 1, 2
    square, strip = measure(labels, 2)["circularity"]
    assert square == pytest.approx(math.pi / 4, abs=0.11)
    assert strip == pytest.approx(4 * math.pi * 950 / 210**2, abs=0.06)


@settings(deadline=None, max_examples=60)
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_circularity_lies_between_0_and_1(mask: np.ndarray) -> None:
    labels, count = ndimage.label(mask)
    found = measure(labels.astype(np.int32), count)["circularity"]
    assert ((found > 0) & (found <= 1)).all()


def test_a_neighbour_does_not_change_a_perimeter() -> None:
    labels = discs((60, 90), [(30, 28), (30, 62)], [18, 18])
    alone = np.where(labels == 1, 1, 0).astype(np.int32)
    touching = measure(labels, 2)["perimeter"][0]
    assert touching == pytest.approx(measure(alone, 1)["perimeter"][0])


@pytest.mark.parametrize(
    ("rows", "columns", "touches"),
    [
        pytest.param(slice(0, 3), slice(4, 7), True, id="top"),
        pytest.param(slice(4, 7), slice(0, 3), True, id="left"),
        pytest.param(slice(7, 10), slice(4, 7), True, id="bottom"),
        pytest.param(slice(4, 7), slice(9, 12), True, id="right"),
        pytest.param(slice(1, 9), slice(1, 11), False, id="one pixel away"),
    ],
)
def test_objects_at_the_edge_are_flagged(
    rows: slice, columns: slice, touches: bool
) -> None:
    labels = np.zeros((10, 12), np.int32)
    labels[rows, columns] = 1
    assert bool(measure(labels, 1)["touches_edge"][0]) is touches


def test_the_first_plane_of_a_volume_is_no_edge() -> None:
    labels = np.zeros((4, 10, 10), np.int32)
    labels[:, 3:6, 3:6] = 1
    assert measure(labels, 1)["touches_edge"][0] == 0


def test_volumes_have_voxels_but_no_perimeter() -> None:
    labels = np.ones((2, 3, 4), np.int32)
    found = measure(labels, 1)
    assert found["area"][0] == 24
    assert "perimeter" not in found


def test_nothing_gives_empty_columns() -> None:
    found = measure(np.zeros((5, 5), np.int32), 0, {"mean_intensity": np.ones((5, 5))})
    assert {len(column) for column in found.values()} == {0}
    assert "mean_intensity" in found


def test_rows_follow_the_ids() -> None:
    labels = scattered(3, (120, 120), 6)
    moved = np.array([0, 4, 6, 1, 2, 5, 3], np.int32)[labels]
    areas = measure(moved, 6)["area"]
    np.testing.assert_array_equal(areas, np.bincount(moved.ravel())[1:])
