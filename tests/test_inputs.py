"""Networks with several inputs, channels of a choice, and pixels of another size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description, torchscript_network

import napari_imagec_ai as ai

MakeModel = Callable[..., Path]
RNG = np.random.default_rng(5)
FIRST, SECOND = RNG.random((2, 40, 50)).astype(np.float32)
TORCH = {"torchscript": {"source": "weights.pt"}}


def tensor(name: str, axes: str, shape: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "axes": axes, "shape": shape} | more


def any_size(axes: str = "bcyx", channels: int = 1) -> dict[str, Any]:
    least = {"b": 1, "c": channels}
    return {
        "min": [least.get(axis, 8) for axis in axes],
        "step": [0 if axis in "bc" else 8 for axis in axes],
    }


def made(make: MakeModel, returns: str, *inputs: Any, **more: Any) -> ai.Model:
    output = tensor("sum", "bcyx", any_size(), halo=[0, 0, 2, 2])
    rdf = {"inputs": list(inputs), "outputs": [output], "weights": TORCH} | more
    network = partial(torchscript_network, returns=returns)
    return ai.load_model(make(network=network, format_version="0.4.10", **rdf))


def image(data: Any, axes: str = "YX", **more: Any) -> ai.ImageInput:
    return ai.ImageInput(data, axes, name="it", **more)


# -- several inputs --------------------------------------------------------------------


@pytest.fixture
def two(make_model: MakeModel) -> ai.Model:
    first, second = (tensor(name, "bcyx", any_size()) for name in "ab")
    return made(make_model, "a, b -> a + 2 * b", first, second)


@pytest.mark.parametrize("tile", [None, 24])
def test_each_input_takes_an_image(two: ai.Model, tile: int | None) -> None:
    expected = FIRST + 2 * SECOND
    named = {"b": image(SECOND), "a": image(FIRST)}
    for given in (named, [image(FIRST), image(SECOND)]):
        found = ai.predict(two, given, tile=tile)
        np.testing.assert_allclose(found.maps["sum"][0], expected, rtol=1e-6)


def test_a_single_plane_goes_with_every_plane_of_a_stack(two: ai.Model) -> None:
    stack = np.stack([FIRST, FIRST * 3, FIRST * 5])
    found = ai.predict(two, {"a": image(stack, "TYX"), "b": image(SECOND)})
    expected = stack + 2 * SECOND
    np.testing.assert_allclose(found.maps["sum"][:, 0], expected, rtol=1e-6)
    # and stacks of one length go together
    found = ai.predict(
        two, {"a": image(stack, "TYX"), "b": image(stack, "TYX")}, planes={"T": (1, 3)}
    )
    np.testing.assert_allclose(found.maps["sum"][:, 0], 3 * stack[1:], rtol=1e-6)


def test_numbers_go_to_inputs_without_space(make_model: MakeModel) -> None:
    model = made(
        make_model,
        "x, n -> x * n[:, :1, None, None] + n[:, 1:, None, None]",
        tensor("x", "bcyx", any_size()),
        tensor("n", "bc", [1, 2]),
    )
    found = ai.predict(model, {"x": image(FIRST), "n": [3, 0.5]}, tile=24)
    np.testing.assert_allclose(found.maps["sum"][0], 3 * FIRST + 0.5, rtol=1e-6)
    with pytest.raises(ai.ImageError, match="Expected 2 numbers for the input 'n'"):
        ai.predict(model, [image(FIRST), [3, 4, 5]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (image(FIRST), r"takes 2 inputs: 'a' \(an image with 1 channels\)"),
        ({"a": image(FIRST), "c": image(FIRST)}, "'c' is none"),
        ([image(FIRST)] * 3, "'number 3' is none"),
        ([image(FIRST), image(SECOND[:20])], "images of one size for all inputs"),
        (FIRST, r"found an array of .* ImageInput\(array, axes\), .*'YX'"),
        ("cells.tif", r"found the path 'cells\.tif'; open it with open_image"),
        (5, "found int; give an ImageInput"),
        ([image(FIRST), 3.0], "Expected an image for the input 'b', found float"),
        ([image(FIRST), image(np.stack([SECOND] * 2), "TYX")], "images of one size"),
    ],
)
def test_what_does_not_fit_is_told(two: ai.Model, given: Any, message: str) -> None:
    with pytest.raises(ai.ImageError, match=message):
        ai.predict(two, given)


# -- channels --------------------------------------------------------------------------


def mixed(make: MakeModel, channels: int) -> ai.Model:
    """Gives channel 0 + 10 * channel 1 + 100 * channel 2 ... of its input."""
    weights = ", ".join(f"{10.0**i}" for i in range(channels))
    mix = f"(x * torch.tensor([{weights}])[None, :, None, None]).sum(1, keepdim=True)"
    return made(make, mix, tensor("x", "bcyx", any_size(channels=channels)))


def result(model: ai.Model, *args: Any, **more: Any) -> np.ndarray:
    return ai.predict(model, image(*args), **more).maps["sum"][0]


def test_channels_go_where_the_person_says(make_model: MakeModel) -> None:
    model, both = mixed(make_model, 2), np.stack([FIRST, SECOND])
    np.testing.assert_allclose(
        result(model, both, "CYX"), FIRST + 10 * SECOND, rtol=1e-6
    )
    np.testing.assert_allclose(
        result(model, both, "CYX", channels=(1, 0)), SECOND + 10 * FIRST, rtol=1e-6
    )
    np.testing.assert_allclose(
        result(model, both, "CYX", channels=(1,)), 11 * SECOND, rtol=1e-6
    )
    # -1 leaves a channel of the network empty
    np.testing.assert_allclose(
        result(model, both, "CYX", channels=(-1, 0)), 10 * FIRST, rtol=1e-6
    )
    for bad in ((0, 2), (-2, 0), (-1, -1), (0, 1, 0)):
        with pytest.raises(ai.ImageError):
            result(model, both, "CYX", channels=bad)


def test_grey_feeds_three_channels(make_model: MakeModel) -> None:
    found = result(mixed(make_model, 3), FIRST)
    np.testing.assert_allclose(found, 111 * FIRST, rtol=1e-6)


def test_transparency_is_no_channel(make_model: MakeModel) -> None:
    model = mixed(make_model, 4)
    rgba = RNG.random((40, 50, 4)).astype(np.float32)
    with pytest.raises(ai.ImageError, match="takes 4 channels, but 'it' has 3"):
        ai.predict(model, image(rgba, "YXC", rgb=True))
    # Four channels that are no colours are four channels.
    expected = rgba @ np.array([1, 10, 100, 1000], np.float32)
    np.testing.assert_allclose(result(model, rgba, "YXC"), expected, rtol=1e-6)


def test_layers_are_stacked_into_channels(make_model: MakeModel) -> None:
    from napari_imagec_ai.image.stack import stack_channels

    pair = np.stack([SECOND, FIRST])
    stacked = stack_channels([(image(FIRST), None), (image(pair, "CYX"), 0)], "both")
    assert (stacked.axes, stacked.shape) == ("CYX", (2, 40, 50))
    found = ai.predict(mixed(make_model, 2), stacked)
    np.testing.assert_allclose(found.maps["sum"][0], FIRST + 10 * SECOND, rtol=1e-6)
    with pytest.raises(ai.ImageError, match="one size"):
        stack_channels([(image(FIRST), None), (image(FIRST[:9]), None)], "both")


# -- pixel size ------------------------------------------------------------------------


def sized(make: MakeModel, unit: str | None = "micrometer") -> ai.Model:
    """A network for pixels of 0.5 micrometers that gives its input."""
    rdf = description(weights=TORCH)
    for axis in (*rdf["inputs"][0]["axes"][2:], *rdf["outputs"][0]["axes"][2:]):
        axis |= {"scale": 0.5} | ({"unit": unit} if unit else {})
    return ai.load_model(make(network=torchscript_network, **rdf))


SMOOTH = np.sin(np.linspace(0, 9, 120))[:, None] * np.cos(np.linspace(0, 7, 90))
SMOOTH = SMOOTH.astype(np.float32)


def test_images_are_brought_to_the_pixel_size_of_the_model(
    make_model: MakeModel,
) -> None:
    model = sized(make_model)
    fine = image(SMOOTH, pixel_size=(250, 250), unit="nanometer")
    found = ai.predict(model, fine, tile=32)
    # 60 x 45 pixels for the network, and maps that lie on the image again.
    assert (
        found.network_calls
        == ai.predict(model, image(SMOOTH[::2, ::2]), tile=32, scale=1).network_calls
    )
    assert found.maps["probability"].shape == (1, 120, 90)
    np.testing.assert_allclose(found.maps["probability"][0], SMOOTH, atol=0.06)
    assert "0.5 x 0.5 micrometer (YX); scale 0.5 x 0.5" in found.assumed[0]


@pytest.mark.parametrize(
    ("unit", "more"),
    [
        (None, {"pixel_size": (0.25, 0.25), "unit": "micrometer"}),
        ("micrometer", {"pixel_size": (0.25, 0.25)}),
        ("micrometer", {"pixel_size": (0.502, 0.5), "unit": "micrometer"}),
    ],
    ids=["model has no unit", "image has no unit", "same size"],
)
def test_nothing_is_resampled_without_knowing_better(
    unit: str | None, more: Any, make_model: MakeModel
) -> None:
    found = ai.predict(sized(make_model, unit), image(SMOOTH, **more))
    np.testing.assert_array_equal(found.maps["probability"][0], SMOOTH)
    assert found.assumed == ()


def test_the_person_may_choose_the_scale(make_model: MakeModel) -> None:
    model = sized(make_model)
    fine = image(SMOOTH, pixel_size=(0.25, 0.25), unit="micrometer")
    found = ai.predict(model, fine, scale=1)
    np.testing.assert_array_equal(found.maps["probability"][0], SMOOTH)
    found = ai.predict(model, fine, scale=(1, 0.5))
    np.testing.assert_allclose(found.maps["probability"][0], SMOOTH, atol=0.06)
    for bad in (0.0, (1, 1, 1), 1e4):
        with pytest.raises(ai.ImageError, match=r"scale from 0\.01 to 100"):
            ai.predict(model, fine, scale=bad)
