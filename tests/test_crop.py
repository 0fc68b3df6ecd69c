"""A part of an image: read lazily, and where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import napari_imagec_ai as ai
from napari_imagec_ai.crop import corner, cropped

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
