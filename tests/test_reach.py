"""The overlap of tiles, measured on networks whose reach is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description, torchscript_network

import napari_imagec_ai as ai
from napari_imagec_ai.model import learned

MakeModel = Callable[..., Path]
NOISE = np.random.default_rng(3).random((200, 300)).astype(np.float32)


def box(radius: int, dimensions: int = 2) -> Any:
    """A network in which every output pixel sees ``radius`` pixels to each side."""
    pool = f"torch.nn.functional.avg_pool{dimensions}d"
    expression = f"{pool}(x, {2 * radius + 1}, 1, {radius})"
    return partial(torchscript_network, returns=expression)


def without_halo(size: Any = None, axes: str = "yx", **more: Any) -> dict[str, Any]:
    """Tensors without a halo, of any size or of one."""
    rdf = description(weights={"torchscript": {"source": "weights.pt"}}, **more)
    space = [
        {"type": "space", "id": axis, "size": size or {"min": 16, "step": 16}}
        for axis in axes
    ]
    for side, name in (("inputs", "grey"), ("outputs", "foreground")):
        channel = {"type": "channel", "channel_names": [name]}
        rdf[side][0]["axes"] = [{"type": "batch"}, channel, *space]
    return rdf


def whole(model: ai.Model, data: np.ndarray) -> np.ndarray:
    """What the network gives for the whole image at once."""
    found = ai.predict(model, ai.ImageInput(data, "YX"), tile=1024)
    assert found.network_calls == 1
    return found.maps["probability"]


@pytest.mark.parametrize("radius", [0, 3, 20])
def test_tiles_overlap_as_far_as_the_network_looks(
    radius: int, make_model: MakeModel
) -> None:
    model = ai.load_model(make_model(network=box(radius), **without_halo()))
    found = ai.predict(model, ai.ImageInput(NOISE, "YX"), tile=96)
    assert found.network_calls > 1
    assert f"overlap by {radius}, {radius} pixels (YX)" in found.assumed[0]
    # Away from the image's own border, tiles then change nothing at all.
    inner = (0, *[slice(radius, -radius or None)] * 2)
    np.testing.assert_allclose(
        found.maps["probability"][inner], whole(model, NOISE)[inner], atol=1e-6
    )


def test_it_is_measured_once_and_kept_with_the_model(make_model: MakeModel) -> None:
    model = ai.load_model(make_model(network=box(5), **without_halo()))
    image = ai.ImageInput(NOISE, "YX")
    told: list[str] = []
    ai.predict(model, image, tile=96, progress=lambda p: told.append(p.message))
    assert "measuring how far the network looks" in told
    told.clear()
    again = ai.predict(model, image, tile=96, progress=lambda p: told.append(p.message))
    assert "measuring how far the network looks" not in told
    assert "overlap by 5, 5" in again.assumed[0]
    # Other weights under the same description are measured anew.
    (path,) = [w.file.path for w in model.weights.values()]
    assert path is not None
    box(9)(path)
    again = ai.predict(model, image, tile=96)
    assert "overlap by 9, 9" in again.assumed[0]


def test_an_image_of_one_window_needs_no_measuring(make_model: MakeModel) -> None:
    model = ai.load_model(make_model(network=box(5), **without_halo()))
    found = ai.predict(model, ai.ImageInput(NOISE, "YX"))
    assert (found.network_calls, found.assumed) == (1, ())
    assert learned.recall(model, "reach") == {}


def test_a_network_that_sees_all_of_a_small_window_is_told(
    make_model: MakeModel,
) -> None:
    model = ai.load_model(make_model(network=box(30), **without_halo(64)))
    found = ai.predict(model, ai.ImageInput(NOISE, "YX"))
    assert "overlap by 16, 16 pixels" in found.assumed[0]
    assert "objects at seams may differ" in found.assumed[0]


def test_what_an_image_shows_does_not_matter(make_model: MakeModel) -> None:
    model = ai.load_model(make_model(network=box(5), **without_halo()))
    blank = ai.ImageInput(np.zeros((200, 300), np.float32), "YX")
    found = ai.predict(model, blank, tile=160)
    assert any("overlap by 5, 5" in sentence for sentence in found.assumed)


@pytest.mark.parametrize("shift", [-12, 12])
def test_a_network_that_looks_to_one_side_is_seen_through(
    shift: int, make_model: MakeModel
) -> None:
    widths, part = ("[12, 0]", ":-12") if shift > 0 else ("[0, 12]", "12:")
    moved = f"torch.nn.functional.pad(x, {widths})[:, :, :, {part}]"
    rolled = partial(
        torchscript_network,
        returns=f"torch.nn.functional.avg_pool2d({moved}, 3, 1, 1)",
    )
    model = ai.load_model(make_model(network=rolled, **without_halo()))
    found = ai.predict(model, ai.ImageInput(NOISE, "YX"), tile=128)
    y, x = re.findall(r"overlap by (\d+), (\d+)", found.assumed[0])[0]
    assert int(y) == 1
    assert int(x) >= 13


def test_axes_may_differ_in_volumes(make_model: MakeModel) -> None:
    network = partial(
        torchscript_network,
        returns="torch.nn.functional.avg_pool3d(x, (3, 9, 5), 1, (1, 4, 2))",
    )
    model = ai.load_model(make_model(network=network, **without_halo(None, "zyx")))
    data = np.random.default_rng(0).random((40, 50, 60)).astype(np.float32)
    found = ai.predict(model, ai.ImageInput(data, "ZYX"), tile=32)
    assert "overlap by 1, 4, 2 pixels (ZYX)" in found.assumed[0]


def test_the_person_may_choose_the_overlap(make_model: MakeModel) -> None:
    model = ai.load_model(make_model(network=box(5), **without_halo()))
    image = ai.ImageInput(NOISE, "YX")
    found = ai.predict(model, image, tile=96, halo=24)
    assert found.assumed == ()
    assert found.network_calls > ai.predict(model, image, tile=96).network_calls
    with pytest.raises(ai.ImageError, match="halo size for each of the axes 'YX'"):
        ai.predict(model, image, halo=(1, 2, 3))
