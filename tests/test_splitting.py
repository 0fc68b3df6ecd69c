"""Touching objects come apart, single ones stay whole, at any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import discs, match_f1
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scenes import pairs
from scipy import ndimage
from skimage.segmentation import watershed

from napari_imagec_ai.decoders.splitting import bands
from napari_imagec_ai.decoders.splitting.split_touching import (
    close_gaps,
    compact,
    components,
    distance,
    fill_between,
    fill_holes,
    smooth,
    split_touching,
)

NECK = 0.96


def split(mask: np.ndarray, spacing: tuple[float, ...] | None = None) -> np.ndarray:
    relief = smooth(distance(mask, spacing), mask, 1.0)
    return split_touching(mask, relief, NECK)[0]


def wiggly_ellipse(size: float = 1.0) -> np.ndarray:
    """An ellipse whose outline has ten shallow bumps."""
    side = round(100 * size)
    y, x = np.mgrid[:side, :side] / size - 50
    angle = np.arctan2(y / 25, x / 38)
    return np.hypot(y / 25, x / 38) < 1 + 0.03 * np.cos(10 * angle)


@pytest.mark.parametrize("gap", [1.3, 1.5, 1.7, 1.9], ids=lambda g: f"{g} radii apart")
@pytest.mark.parametrize("angle", [0, 0.4, 0.8], ids=lambda a: f"{a} rad")
def test_two_overlapping_discs_come_apart(gap: float, angle: float) -> None:
    step = 14 * gap / 2 * np.array([np.sin(angle), np.cos(angle)])
    truth = discs((90, 90), [45 - step, 45 + step], [14, 14])
    found = split(truth > 0)
    assert match_f1(truth, found, 0.8) == 1.0


@pytest.mark.parametrize("size", [0.6, 1.0, 2.0], ids=lambda s: f"x{s}")
def test_an_ellipse_with_a_wiggly_outline_stays_whole(size: float) -> None:
    assert split(wiggly_ellipse(size)).max() == 1


@pytest.mark.parametrize("scale", [1, 2, 3], ids=lambda s: f"x{s}")
def test_the_count_does_not_depend_on_the_size_in_pixels(scale: int) -> None:
    assert split(pairs(scale) > 0).max() == 6


def test_three_discs_in_a_row_are_three() -> None:
    truth = discs((50, 120), [(25, 25), (25, 52), (25, 79)], [15, 15, 15])
    assert match_f1(truth, split(truth > 0), 0.8) == 1.0


def test_a_small_disc_on_a_large_one_comes_off() -> None:
    truth = discs((90, 110), [(45, 40), (45, 76)], [28, 10])
    assert match_f1(truth, split(truth > 0), 0.8) == 1.0


def test_a_neck_of_zero_never_takes_apart_by_shape() -> None:
    mask = pairs() > 0
    _, count = split_touching(mask, distance(mask), 0.0)
    assert count == ndimage.label(mask)[1]


def test_parts_below_the_smallest_size_join_their_neighbour() -> None:
    mask = discs((90, 110), [(45, 40), (45, 76)], [28, 10]) > 0
    relief = smooth(distance(mask), mask, 1.0)
    assert split_touching(mask, relief, NECK, min_size=500)[1] == 1


def test_touching_balls_of_an_anisotropic_volume_are_two() -> None:
    spacing = (4.0, 1.0, 1.0)
    truth = discs((14, 48, 72), [(6, 24, 24), (7, 24, 46)], [12, 12], spacing)
    found = split(truth > 0, spacing)
    assert match_f1(truth, found, 0.8) == 1.0


def test_distance_is_in_units_of_the_smallest_spacing() -> None:
    mask = np.zeros((9, 60, 60), bool)
    mask[2:7, 5:55, 5:55] = True
    assert distance(mask, (3.0, 0.5, 0.5))[4, 30, 30] == pytest.approx(3 * 3 / 0.5)


def test_distance_in_a_plane_follows_the_spacing_too() -> None:
    mask = np.zeros((41, 41), bool)
    mask[10:31, 10:31] = True
    assert distance(mask, (1.0, 3.0))[20, 20] == pytest.approx(11, rel=0.02)


@pytest.mark.parametrize("shape", [(20, 30), (6, 20, 30)], ids=["a plane", "a volume"])
@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
def test_an_empty_mask_is_nothing_and_a_full_one_is_one(
    shape: tuple[int, ...], full: bool
) -> None:
    mask = np.full(shape, full)
    labels, count = split_touching(mask, distance(mask), NECK)
    assert count == int(full)
    np.testing.assert_array_equal(labels, mask.astype(np.int32))


MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=3, max_side=10))


@settings(deadline=None, max_examples=80)
@given(mask=MASKS)
def test_every_pixel_of_the_mask_and_no_other_gets_one_of_the_ids(
    mask: np.ndarray,
) -> None:
    labels, count = split_touching(mask, distance(mask), NECK)
    np.testing.assert_array_equal(labels > 0, mask)
    assert set(np.unique(labels[mask])) == set(range(1, count + 1))


CORNERED = np.ones((5, 2, 10), bool)
"""Two tops of a hill touch at a corner, and another hill comes between them."""
CORNERED[2, 1, 1] = CORNERED[3, 0, 0] = False
CORNERED[4, 1, :2] = False


@settings(deadline=None, max_examples=80)
@example(mask=CORNERED)
@given(mask=MASKS)
def test_every_object_is_connected(mask: np.ndarray) -> None:
    labels, count = split_touching(mask, distance(mask), NECK)
    assert all(ndimage.label(labels == i)[1] == 1 for i in range(1, count + 1))


@st.composite
def hills(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A mask, and heights for it: from its shape, with level ground, or any."""
    mask = draw(MASKS)
    kind = draw(st.sampled_from(["shape", "level", "any"]))
    if kind == "shape":
        sigma = draw(st.sampled_from([0.3, 0.6, 1.0]))
        return mask, smooth(distance(mask), mask, sigma)
    heights = st.integers(0, 3) if kind == "level" else st.floats(-1, 1, width=32)
    heights = draw(hnp.arrays(np.float32, mask.shape, elements=heights))
    return mask, np.where(mask, heights, -np.inf if kind == "any" else 0)


TWICE = np.array(
    [
        [1, 0, 1, 1, 1],
        [1, 1, 0, 1, 1],
        [1, 0, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 0, 1],
        [1, 1, 1, 1, 1],
    ],
    bool,
)
"""A hill of six pixels, two of which were passed on the way up from others."""


@settings(deadline=None, max_examples=150)
@example(made=(TWICE, smooth(distance(TWICE), TWICE, 0.3)), neck=1.0, smallest=7)
@given(
    made=hills(), neck=st.sampled_from([0, 0.5, 0.96, 1]), smallest=st.integers(0, 9)
)
def test_no_object_is_smaller_than_what_counts_as_one(
    made: tuple[np.ndarray, np.ndarray], neck: float, smallest: int
) -> None:
    mask, relief = made
    labels, count = split_touching(mask, relief, neck, smallest)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    assert (sizes >= max(smallest, 1)).all()


@settings(deadline=None, max_examples=80)
@given(mask=MASKS)
def test_components_are_connected_by_edges_or_faces(mask: np.ndarray) -> None:
    expected, number = ndimage.label(mask)
    labels, count = components(mask)
    assert count == number
    assert len(set(zip(expected.ravel(), labels.ravel(), strict=True))) <= number + 1


@settings(deadline=None, max_examples=80)
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_holes_are_background_that_has_no_way_out(mask: np.ndarray) -> None:
    # The way out may lead over corners: 8-neighbours.
    outside = np.pad(~mask, 1, constant_values=True)
    parts, _ = ndimage.label(outside, np.ones((3, 3)))
    expected = parts[1:-1, 1:-1] != parts[0, 0]
    np.testing.assert_array_equal(fill_holes(mask), expected)


@settings(deadline=None, max_examples=60)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=8)),
    between=st.sampled_from([0.5, 1.0, 3.0]),
)
def test_distance_in_a_volume_is_the_nearest_of_all_planes(
    mask: np.ndarray, between: float
) -> None:
    if mask.all() or not mask.any():
        return
    step = np.array([between, 1, 1]) / min(between, 1)
    expected = ndimage.distance_transform_edt(mask, step)
    found = distance(mask, (between, 1.0, 1.0))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("sigmas", [(3.0, 1.5), (1.0, 4.0, 2.0)], ids=str)
def test_smoothing_reaches_as_far_as_asked_along_each_axis(
    sigmas: tuple[float, ...],
) -> None:
    middle = (20,) * len(sigmas)
    spike = np.zeros((41,) * len(sigmas), np.float32)
    spike[middle] = 1
    found = smooth(spike, np.ones(spike.shape, bool), sigmas)
    for axis, sigma in enumerate(sigmas):
        along = found[(*middle[:axis], slice(None), *middle[axis + 1 :])]
        spread = (along * (np.arange(41) - 20) ** 2).sum() / along.sum()
        assert np.sqrt(spread) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("depth", [(), (3,)], ids=["a plane", "a volume"])
def test_a_hole_is_filled_where_one_object_lies_around_it(depth: tuple[int]) -> None:
    plane = np.ones((9, 14), np.int32)
    plane[:, 7:] = 2
    plane[2:4, 2:4], plane[4:6, 6:8], plane[0, 12] = 0, 0, 0
    labels = np.broadcast_to(plane, (*depth, 9, 14)).copy()
    if depth:
        labels[[0, -1], 2:4, 2:4] = 1
    found = fill_between(labels, 2)
    inner = found[1] if depth else found
    assert (inner[2:4, 2:4] == 1).all()
    assert not inner[4:6, 6:8].any()
    assert inner[0, 12] == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_narrow_gap_is_shared_and_a_wide_one_left(axis: int) -> None:
    row = np.repeat([1, 0, 2, 0, 3], [5, 4, 6, 7, 5]).astype(np.int32)
    labels = np.broadcast_to(row, (6, 6, len(row))).swapaxes(axis, 2).copy()
    closed = close_gaps(labels, 3, (2, 2, 2)).swapaxes(axis, 2)
    expected = np.repeat([1, 2, 0, 3], [7, 8, 7, 5])
    np.testing.assert_array_equal(closed, np.broadcast_to(expected, closed.shape))


def test_compact_closes_gaps_and_keeps_the_order() -> None:
    labels, count = compact(np.array([[0, 7, 3], [9, 3, 0]], np.int32), 9)
    assert count == 3
    assert labels.tolist() == [[0, 2, 1], [3, 1, 0]]


@pytest.mark.parametrize("shape", [(80, 90), (20, 30, 25)], ids=["a plane", "a volume"])
def test_pixels_go_to_the_hill_that_a_watershed_gives_them_to(shape: Any) -> None:
    noise = np.random.default_rng(5).normal(size=shape)
    relief = ndimage.gaussian_filter(noise, 2.5).astype(np.float32)
    relief -= relief.min() - 1
    mask = np.ones(shape, bool)
    found, count = split_touching(mask, relief, 1.0)
    # Over edges or faces, as objects are connected; a top may touch one over a corner.
    tops = (relief == ndimage.maximum_filter(relief, 3)).astype(np.int32)
    expected = watershed(-relief, ndimage.label(tops)[0], mask=mask)
    assert count == expected.max() > 5
    pairs_of = expected.astype(np.int64) * (count + 1) + found
    both = np.bincount(pairs_of.ravel(), minlength=(count + 1) ** 2)
    same = both.reshape(count + 1, count + 1).max(axis=1).sum()
    assert same > 0.999 * found.size


def test_level_ground_between_two_hills_is_shared() -> None:
    relief = np.full((30, 100), -1, np.float32)
    relief[5:25, 10:90] = -0.5
    relief[15, 20], relief[15, 79] = 3, 2
    found, count = split_touching(relief > -1, relief, NECK)
    assert count == 2
    assert np.bincount(found.ravel())[1:] == pytest.approx([800, 800], abs=20)


def test_water_comes_over_a_ledge_by_the_highest_ridge() -> None:
    relief = np.array([[9, 5, 1, 3, 1, 4, 8]], np.float32).repeat(3, 0)
    relief[1] += 0.5
    relief[0, 3] = (
        3.7  # higher than all beside it, and lower than what is at the corner
    )
    relief[1, 4] = 3.8
    labels, count = split_touching(relief > 0, relief, NECK)
    assert count == 2
    assert labels[0, 3] == labels[1, 4] == labels[1, 6]


def test_hills_of_objects_that_touch_at_a_corner_are_two() -> None:
    mask = np.zeros((24, 24), bool)
    mask[2:12, 2:12] = mask[12:22, 12:22] = True
    relief = np.where(mask, 1, 0).astype(np.float32)
    relief[11, 11] = relief[12, 12] = relief[3, 3] = relief[20, 20] = 2
    labels, count = split_touching(mask, relief, NECK)
    assert count == 4
    assert not set(labels[:12, :12].ravel()) & set(labels[12:, 12:].ravel()) - {0}


@pytest.mark.parametrize("shape", [(90, 70), (24, 30, 30)], ids=["plane", "volume"])
@pytest.mark.parametrize("rows", [1, 7, 20])
def test_how_a_mask_is_shared_out_among_threads_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], rows: int
) -> None:
    random = np.random.default_rng(rows)
    mask = ndimage.gaussian_filter(random.normal(size=shape), 3) > 0
    mask[:, 5:8] = True  # one part that is everywhere
    relief = smooth(distance(mask), mask, 1.0)
    whole, expected = split_touching(mask, relief, NECK, 5)
    cuts = [slice(a, min(a + rows, shape[0])) for a in range(0, shape[0], rows)]
    monkeypatch.setattr(bands, "slabs", lambda shape: cuts)
    shared, count = split_touching(mask, relief, NECK, 5)
    assert count == expected > 3
    both = np.unique(np.stack([whole.ravel(), shared.ravel()]), axis=1)
    assert both.shape[1] == count + 1, "the same objects, by other numbers"
    assert set(np.unique(shared)) == set(range(count + 1))
