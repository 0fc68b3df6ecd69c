"""Images of any axes and data type, and those that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput


@pytest.mark.parametrize(
    ("shape", "axes", "words"),
    [
        ((4, 4), "YQ", "axes out of 'TCZYX'"),
        ((4, 4), "YY", "each at most once"),
        ((4, 4), "ZY", "Y and X among them"),
        ((4, 4), "ZYX", r"2 dimensions \(4, 4\), but axes 'ZYX' name 3"),
        ((0, 4), "YX", r"has no pixels: its shape is \(0, 4\)"),
    ],
    ids=["unknown", "twice", "no X", "too many", "empty"],
)
def test_axes_that_do_not_fit_the_pixels_are_refused(
    shape: tuple[int, ...], axes: str, words: str
) -> None:
    with pytest.raises(ImageError, match=words):
        ImageInput(np.zeros(shape), axes, name="it")


@pytest.mark.parametrize("dtype", ["complex64", "datetime64[s]", "U3", "O"])
def test_pixels_that_are_no_numbers_are_refused_by_type(dtype: str) -> None:
    data = np.zeros((4, 4), dtype)
    with pytest.raises(ImageError, match="integer, float or boolean pixels, found"):
        ImageInput(data, "YX")


@pytest.mark.parametrize("size", [(1.0,), (1.0, 0.0), (1.0, float("nan")), (-1, 1)])
def test_pixel_sizes_that_are_none_are_refused(size: Any) -> None:
    with pytest.raises(ImageError, match="Expected 2 pixel sizes above 0"):
        ImageInput(np.zeros((4, 4)), "YX", size)


def test_colour_needs_three_channels() -> None:
    with pytest.raises(ImageError, match="red, green and blue"):
        ImageInput(np.zeros((4, 4)), "YX", rgb=True)
    with pytest.raises(ImageError, match="red, green and blue"):
        ImageInput(np.zeros((4, 4, 2)), "YXC", rgb=True)


def test_lists_and_small_letters_are_taken() -> None:
    image = ImageInput([[1, 2], [3, 4]], "yx")
    assert (image.axes, image.shape, image.pixel_size) == ("YX", (2, 2), (1.0, 1.0))


def test_the_frame_is_in_order_and_has_no_channels() -> None:
    image = ImageInput(np.zeros((2, 3, 4, 5)), "XCYT", (0.1, 0.2), "micrometer", "it")
    frame = image.frame
    assert (frame.axes, frame.shape) == ("TYX", (5, 4, 2))
    assert (frame.pixel_size, frame.unit) == ((0.2, 0.1), "micrometer")
    assert (frame.space, frame.origin) == ("YX", (0, 0, 0))


def test_reading_puts_axes_in_the_order_asked_for() -> None:
    data = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    image = ImageInput(data, "XCY")
    np.testing.assert_array_equal(image.read("YX", {"C": 1}), data[:, 1].T)
    part = image.read("ZCYX", {"Y": slice(1, 3)})
    np.testing.assert_array_equal(part[0], data[:, :, 1:3].transpose(1, 2, 0))


def test_big_endian_pixels_are_read_in_the_machine_s_order() -> None:
    part = ImageInput(np.array([[1, 258]], ">u2"), "YX").read("YX", {})
    assert part.dtype.isnative
    assert part.tolist() == [[1, 258]]


def test_only_what_is_read_is_taken_from_lazy_pixels() -> None:
    class Lazy:
        shape, dtype = (9, 4, 4), np.dtype("uint8")
        asked: list[Any] = []  # noqa: RUF012

        def __getitem__(self, index: Any) -> np.ndarray:
            self.asked.append(index)
            return np.zeros(self.shape, self.dtype)[index]

    image = ImageInput(Lazy(), "ZYX")
    assert image.read("YX", {"Z": 3}).shape == (4, 4)
    assert Lazy.asked == [(3, slice(None), slice(None))]


def test_the_same_pixels_have_the_same_key_and_others_another() -> None:
    data = np.zeros((4, 4))
    assert ImageInput(data, "YX").key == ImageInput(data, "YX").key
    assert ImageInput(data, "YX").key != ImageInput(data.copy(), "YX").key
