"""Outlines of labels and back, as laws over any label image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_imagec_ai.results.outlines import draw, signed_area, trace

LABELS = hnp.arrays(
    np.int32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.sampled_from([0, 0, 1, 1, 2, 7]),
)
SMOOTH = pytest.mark.parametrize("smooth", [True, False], ids=["smooth", "crack"])

RING = [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
DIAGONAL = [[1, 0], [0, 1]]
PINCHED = [[0, 1, 1], [1, 0, 1], [1, 1, 1]]
NESTED = np.pad(np.pad(np.pad([[3]], 1), 1, constant_values=3), 1)


@SMOOTH
@settings(deadline=None, max_examples=150)
@given(labels=LABELS)
def test_drawing_traced_outlines_gives_the_labels_back(
    smooth: bool, labels: np.ndarray
) -> None:
    np.testing.assert_array_equal(draw(trace(labels, smooth), labels.shape), labels)


@settings(deadline=None, max_examples=150)
@given(labels=LABELS)
def test_the_crack_of_an_object_has_its_number_of_pixels_as_area(
    labels: np.ndarray,
) -> None:
    found = trace(labels, smooth=False)
    areas = {
        identity: sum(signed_area(r) for p in parts for r in (p.outer, *p.holes))
        for identity, parts in found.items()
    }
    counts = np.bincount(labels.ravel())
    assert areas == {int(i): counts[i] for i in np.unique(labels) if i}


@SMOOTH
@settings(deadline=None, max_examples=100)
@given(labels=LABELS)
def test_each_part_connected_by_edges_has_one_outer_ring(
    smooth: bool, labels: np.ndarray
) -> None:
    parts = {i: len(parts) for i, parts in trace(labels, smooth).items()}
    ids = [int(i) for i in np.unique(labels) if i]
    assert parts == {i: ndimage.label(labels == i)[1] for i in ids}


@SMOOTH
@settings(deadline=None, max_examples=100)
@given(labels=LABELS)
def test_outer_rings_and_holes_turn_in_opposite_directions(
    smooth: bool, labels: np.ndarray
) -> None:
    for parts in trace(labels, smooth).values():
        for part in parts:
            assert signed_area(part.outer) > 0
            assert all(signed_area(hole) < 0 for hole in part.holes)


@SMOOTH
@settings(deadline=None, max_examples=150)
@given(labels=LABELS)
def test_no_ring_passes_a_point_twice(smooth: bool, labels: np.ndarray) -> None:
    """A polygon that touches itself is refused or mended by other programs."""
    for parts in trace(labels, smooth).values():
        for ring in (r for p in parts for r in (p.outer, *p.holes)):
            assert len(np.unique(ring, axis=0)) == len(ring)


@settings(deadline=None, max_examples=100)
@given(labels=LABELS)
def test_parts_come_largest_first(labels: np.ndarray) -> None:
    for parts in trace(labels, smooth=False).values():
        areas = [signed_area(part.outer) for part in parts]
        assert areas == sorted(areas, reverse=True)


def test_the_crack_of_a_pixel_is_the_square_around_its_centre() -> None:
    labels = np.zeros((5, 6), np.int32)
    labels[2, 3] = 4
    ring = trace(labels, smooth=False)[4][0].outer
    assert sorted(map(tuple, ring.tolist())) == [
        (1.5, 2.5),
        (1.5, 3.5),
        (2.5, 2.5),
        (2.5, 3.5),
    ]


def test_straight_edges_have_no_vertices_between_their_corners() -> None:
    labels = np.ones((40, 60), np.int32)
    assert len(trace(labels, smooth=False)[1][0].outer) == 4


@pytest.mark.parametrize(
    ("labels", "parts", "holes"),
    [
        pytest.param(RING, 1, 1, id="a hole"),
        pytest.param(DIAGONAL, 2, 0, id="pixels that meet at a corner"),
        pytest.param(PINCHED, 1, 1, id="a hole that leaks through a corner"),
        pytest.param(NESTED, 2, 1, id="an island in a lake"),
    ],
)
def test_parts_and_holes_are_told_apart(labels: object, parts: int, holes: int) -> None:
    (found,) = trace(np.asarray(labels), smooth=False).values()
    assert (len(found), sum(len(part.holes) for part in found)) == (parts, holes)


def test_a_hole_belongs_to_the_part_around_it() -> None:
    labels = np.zeros((12, 30), np.int32)
    labels[1:11, 1:11] = labels[2:9, 15:22] = 1
    labels[4:6, 17:19] = 0
    first, second = trace(labels)[1]
    assert (len(first.holes), len(second.holes)) == (0, 1)


@SMOOTH
def test_an_empty_image_has_no_outlines(smooth: bool) -> None:
    assert trace(np.zeros((4, 5), np.int32), smooth) == {}


def test_large_ids_do_not_run_over() -> None:
    labels = np.zeros((300, 400), np.int32)
    labels[10:20, 390:] = highest = np.iinfo(np.int32).max
    found = trace(labels)
    assert list(found) == [highest]
    np.testing.assert_array_equal(draw(found, labels.shape), labels)
