"""A part of an image: read lazily, and where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_imagec_ai as ai
from napari_imagec_ai.image.region import (
    Placed,
    Region,
    as_region,
    corner,
    cropped,
    region_from_text,
)

STACK = np.arange(2 * 3 * 20 * 30).reshape(2, 3, 20, 30)


class Recorder:
    """An array that notes what is read of it."""

    shape, dtype = STACK.shape, STACK.dtype

    def __init__(self) -> None:
        self.read: list[Any] = []

    def __getitem__(self, index: Any) -> Any:
        self.read.append(index)
        return STACK[index]


def test_only_what_is_asked_for_is_read() -> None:
    data = Recorder()
    image = cropped(ai.ImageInput(data, "TCYX"), {"Y": (5, 9), "X": (10, 17)})
    assert image.shape == (2, 3, 4, 7)
    assert not data.read
    plane = image.read("YX", {"T": 1, "C": 2})
    np.testing.assert_array_equal(plane, STACK[1, 2, 5:9, 10:17])
    part = image.read("YX", {"T": 0, "C": 0, "Y": slice(1, 3)})
    np.testing.assert_array_equal(part, STACK[0, 0, 6:8, 10:17])
    np.testing.assert_array_equal(np.asarray(image.data), STACK[:, :, 5:9, 10:17])


def test_what_reaches_over_the_edge_is_cut_off() -> None:
    image = ai.ImageInput(STACK[0, 0], "YX")
    box = {"Y": (-5, 8), "X": (25, 99)}
    assert cropped(image, box).shape == (8, 5)
    assert corner(image, box) == (0, 25)


def test_a_region_outside_of_the_image_is_refused() -> None:
    with pytest.raises(ai.ImageError, match="outside of 'dish'"):
        cropped(ai.ImageInput(STACK[0, 0], "YX", name="dish"), {"Y": (30, 40)})


def test_parts_are_told_apart_by_their_keys() -> None:
    image = ai.ImageInput(STACK[0, 0], "YX")
    keys = {image.key, *(cropped(image, {"Y": (0, n)}).key for n in (5, 6))}
    assert len(keys) == 3


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_placed_array_reads_as_the_whole_would(data: st.DataObject) -> None:
    shape = (5, 9)
    begin = [data.draw(st.integers(0, size - 1)) for size in shape]
    sizes = [
        data.draw(st.integers(1, size - first))
        for size, first in zip(shape, begin, strict=True)
    ]
    part = np.arange(1, np.prod(sizes) + 1).reshape(sizes)
    whole = np.zeros(shape, int)
    whole[tuple(slice(a, a + n) for a, n in zip(begin, sizes, strict=True))] = part
    index = tuple(
        data.draw(
            st.integers(-size, size - 1)
            | st.builds(
                slice,
                st.none() | st.integers(0, size + 2),
                st.none() | st.integers(0, size + 2),
                st.none() | st.integers(1, 4),
            )
        )
        for size in shape
    )
    placed = Placed(part, shape, begin)
    np.testing.assert_array_equal(placed[index], whole[index])
    np.testing.assert_array_equal(np.asarray(placed), whole)


def test_a_point_lies_in_one_of_the_polygons_or_in_none() -> None:
    ring = ((0, 0), (0, 10), (10, 10), (4, 5), (10, 0))  # open to below
    region = Region(box={"Y": (0, 20)}, polygons=(ring, ((15, 0), (19, 0), (17, 4))))
    points = np.array([(2, 5), (8, 5), (8, 1.5), (17, 1), (17, 5), (-1, 5)])
    assert region.holds(points).tolist() == [True, False, True, True, False, False]
    assert Region(box={"Y": (0, 20)}).holds(points).all()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"C": (0, 2)}, "a region lies along T, Z, Y and X, not 'C'"),
        ({"Y": (5, 5)}, "along Y a region ends after it begins"),
        ({"Y": 5}, "Expected a region such as"),
    ],
)
def test_what_is_no_region_is_told(what: Any, message: str) -> None:
    with pytest.raises(ai.ImageError, match=message):
        as_region(what)


def test_a_region_in_words() -> None:
    assert region_from_text("y=0:5, X=10:12").box == {"Y": (0, 5), "X": (10, 12)}
    for text in ("0:5", "Y=5:5", "Y=0-5", "C=0:1", ""):
        with pytest.raises(ai.ImageError, match="such as Y=0:512,X=100:612"):
            region_from_text(text)
