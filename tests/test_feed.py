"""How images of any axes, channels and values become a network's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_imagec_ai.errors import EngineError, ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.model.description import Axis, FixedSize, FreeSize, TensorSpec
from napari_imagec_ai.run.feed.feed import clean, from_network, plan_feed

RNG = np.random.default_rng(0)


def spec(axes: str = "bcyx", channels: int | None = 1, names: str = "") -> TensorSpec:
    sizes = {"c": FreeSize() if channels is None else FixedSize(channels)}
    listed = tuple(names.split())
    return TensorSpec(
        "raw",
        tuple(
            Axis(a, sizes.get(a, FreeSize()), channel_names=listed if a == "c" else ())
            for a in axes
        ),
    )


def image(axes: str, *shape: int, **more: Any) -> ImageInput:
    data = RNG.integers(0, 255, shape).astype(np.uint8)
    return ImageInput(data, axes, name="it", **more)


# -- channels --------------------------------------------------------------------------


def test_a_grey_image_is_given_to_three_channels_and_the_run_says_so() -> None:
    grey = image("YX", 4, 5)
    feed = plan_feed(spec(channels=3), grey)
    np.testing.assert_array_equal(feed.read(()), np.stack([grey.data] * 3))
    assert feed.assumed == (
        "The grey image was given to all 3 channels of the network.",
    )


def test_a_colour_image_becomes_grey_by_luminance_and_the_run_says_so() -> None:
    colour = image("YXC", 4, 5, 3, rgb=True)
    feed = plan_feed(spec(), colour)
    expected = colour.data @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(feed.read(())[0], expected, rtol=1e-5)
    assert "luminance" in feed.assumed[0]


@pytest.mark.parametrize("channels", [3, None], ids=["three", "any"])
def test_alpha_is_dropped(channels: int | None) -> None:
    colour = image("YXC", 4, 5, 4, rgb=True)
    read = plan_feed(spec(channels=channels), colour).read(())
    np.testing.assert_array_equal(read, np.moveaxis(colour.data[..., :3], -1, 0))


@pytest.mark.parametrize(
    ("need", "have", "words"),
    [
        (2, 3, r"takes 2 channels, but 'it' has 3"),
        (1, 2, r"takes 1 channel, but 'it' has 2"),
        (4, 1, r"takes 4 channels, but 'it' has 1"),
    ],
)
def test_channels_that_do_not_match_are_told_by_number(
    need: int, have: int, words: str
) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        plan_feed(spec(channels=need), image("CYX", have, 4, 5))
    assert "choose which channel of the image" in str(caught.value)


def test_names_of_the_network_s_channels_are_told() -> None:
    with pytest.raises(ImageError, match=r"2 channels \(nuclei, actin\)"):
        plan_feed(spec(channels=2, names="nuclei actin"), image("CYX", 3, 4, 5))


def test_chosen_channels_are_read_in_the_order_chosen() -> None:
    many = image("CYX", 4, 5, 6)
    read = plan_feed(spec(channels=2), many, channels=[3, 0]).read(())
    np.testing.assert_array_equal(read, many.data[[3, 0]])


@pytest.mark.parametrize(
    ("channels", "words"),
    [([4], "channels 0 to 3"), ([-1], "channels 0 to 3"), ([0, 1], "but 2 were")],
    ids=["beyond", "negative", "too many"],
)
def test_chosen_channels_that_are_none_are_refused(
    channels: list[int], words: str
) -> None:
    with pytest.raises(ImageError, match=words):
        plan_feed(spec(), image("CYX", 4, 5, 6), channels=channels)


# -- planes and axes -------------------------------------------------------------------


def test_axes_that_the_network_lacks_are_planes() -> None:
    stack = image("TZYX", 2, 3, 4, 5)
    feed = plan_feed(spec(), stack)
    assert (feed.plane_axes, feed.shape) == ("TZ", (4, 5))
    assert len(list(feed.planes())) == 6
    np.testing.assert_array_equal(feed.read((1, 2))[0], stack.data[1, 2])


@pytest.mark.parametrize(
    ("wanted", "shape", "origin"),
    [
        (3, (1, 4, 5), (3, 0, 0)),
        (np.int64(3), (1, 4, 5), (3, 0, 0)),
        ((2, 5), (3, 4, 5), (2, 0, 0)),
        ([2, 5], (3, 4, 5), (2, 0, 0)),
    ],
    ids=["position", "numpy", "range", "list"],
)
def test_chosen_planes_keep_where_they_are(
    wanted: Any, shape: tuple[int, ...], origin: tuple[int, ...]
) -> None:
    frame = plan_feed(spec(), image("ZYX", 6, 4, 5), planes={"Z": wanted}).frame
    assert (frame.axes, frame.shape, frame.origin) == ("ZYX", shape, origin)


@pytest.mark.parametrize("wanted", [6, -1, (4, 4), (0, 7)])
def test_planes_that_are_not_there_are_refused_by_number(wanted: Any) -> None:
    with pytest.raises(ImageError, match=r"6 positions along Z.*choose from 0 to 5"):
        plan_feed(spec(), image("ZYX", 6, 4, 5), planes={"Z": wanted})


def test_a_volume_network_needs_a_volume() -> None:
    with pytest.raises(ImageError, match=r"takes volumes \('bczyx'\).*axes 'YX'"):
        plan_feed(spec("bczyx"), image("YX", 4, 5))


def test_a_network_without_an_image_axis_is_refused() -> None:
    with pytest.raises(ImageError, match="takes no image"):
        plan_feed(spec("bc"), image("YX", 4, 5))


AXES = ["bcyx", "bcxy", "byxc", "cyx", "yx", "byx", "xy", "xcy", "bczyx", "xyzc"]


@pytest.mark.parametrize("axes", AXES)
def test_the_network_gets_its_own_axes_and_its_answer_comes_back(axes: str) -> None:
    volume = "z" in axes
    channels = 3 if "c" in axes else 1
    source = image("CZYX" if volume else "CYX", channels, *((2,) * volume), 4, 5)
    given = spec(axes, channels)
    feed = plan_feed(given, source)
    tensor = feed.to_network(feed.read(()))
    sizes = {"b": 1, "c": channels, "z": 2, "y": 4, "x": 5}
    assert tensor.shape == tuple(sizes[letter] for letter in axes)
    back = from_network(tensor, given, feed.space)
    np.testing.assert_array_equal(back, source.data)


def test_x_before_y_is_transposed() -> None:
    grey = image("YX", 4, 5)
    feed = plan_feed(spec("bcxy"), grey)
    np.testing.assert_array_equal(feed.to_network(feed.read(()))[0, 0], grey.data.T)


def test_an_output_with_other_axes_than_described_is_told() -> None:
    with pytest.raises(EngineError, match=r"has 3 dimensions \(1, 4, 5\).*'bcyx'"):
        from_network(np.zeros((1, 4, 5)), spec(), "YX")


def test_an_output_with_several_batches_is_told() -> None:
    with pytest.raises(EngineError, match="2 elements along 'b', where 1"):
        from_network(np.zeros((2, 1, 4, 5)), spec(), "YX")


# -- pixels ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "uint64", "float16", "float64", ">u2", ">f4"]
)
def test_every_data_type_is_read_as_the_same_numbers(dtype: str) -> None:
    data = RNG.integers(0, 2 if dtype == "bool" else 99, (4, 5)).astype(dtype)
    data.flags.writeable = False
    read = plan_feed(spec(), ImageInput(data[::-1, ::2], "YX")).read(())
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read[0], data[::-1, ::2].astype(float))


def test_pixels_that_are_no_numbers_are_replaced_and_the_run_says_so() -> None:
    plane = np.array([[[1.0, np.nan, 5.0, np.inf]]], np.float32)
    cleaned, notice = clean(plane, "it")
    assert cleaned.tolist() == [[[1.0, 1.0, 5.0, 1.0]]]
    assert "2 pixels of 'it' were NaN or infinite" in notice
    assert np.isnan(plane[0, 0, 1])  # what was given stays as it is


def test_an_image_of_nan_is_refused() -> None:
    with pytest.raises(ImageError, match=r"no pixel that is a number.*another image"):
        clean(np.full((1, 2, 2), np.nan, np.float32), "it")


def test_a_constant_image_is_noticed() -> None:
    _, notice = clean(np.full((1, 2, 2), 7, np.float32), "it")
    assert notice.startswith("All pixels of 'it' have the same value (7)")


def test_a_black_plane_says_nothing_of_the_others() -> None:
    black = np.zeros((1, 2, 2), np.float32)
    _, notice = clean(black, "it", one_of_many=True)
    assert notice.startswith("Some planes of 'it' are blank")


def test_numbers_too_large_for_a_network_are_replaced_and_no_warning() -> None:
    huge = ImageInput(np.array([[1e300, 1.0, 2.0]]), "YX")
    cleaned, notice = clean(plan_feed(spec(), huge).read(()), "it")
    assert cleaned.tolist() == [[[1.0, 1.0, 2.0]]]
    assert notice
