"""Networks that take larger windows than their description says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description, onnx_network, torchscript_network

import napari_imagec_ai as ai
from napari_imagec_ai.model import learned

MakeModel = Callable[..., Path]
GREY = np.random.default_rng(9).random((200, 260)).astype(np.float32)
IMAGE = ai.ImageInput(GREY, "YX")

FIXED_ONNX = partial(onnx_network, shape=(1, 1, 64, 64), expression="double")
FREE_TORCH = partial(torchscript_network, returns="x * 2")
# Looks as if it took any size, and gives another result for another one.
SIZE_TORCH = partial(
    torchscript_network, returns="x * 2 + x.mean(dim=(2, 3), keepdim=True) * x.shape[3]"
)
STUCK_TORCH = partial(torchscript_network, returns="x.reshape(1, 1, 64, 64) * 2")


def made(make: MakeModel, network: Any, scale: float = 2.0, **changes: Any) -> ai.Model:
    """A network for windows of 64 pixels, with test tensors."""
    torch = network is not FIXED_ONNX
    weights = {"torchscript": {"source": "weights.pt"}} if torch else None
    rdf = description(**({"weights": weights} if weights else {}), **changes)
    rdf["inputs"][0] |= {"test_tensor": {"source": "in.npy"}}
    rdf["outputs"][0] |= {"test_tensor": {"source": "out.npy"}}
    for axis in rdf["inputs"][0]["axes"][2:]:
        axis["size"] = 64
    folder = make(network=network, **rdf)
    x = np.random.default_rng(0).random((1, 1, 64, 64)).astype(np.float32)
    np.save(folder / "in.npy", x)
    np.save(folder / "out.npy", x * scale)
    return ai.load_model(folder)


@pytest.mark.parametrize("network", [FIXED_ONNX, FREE_TORCH], ids=["onnx", "torch"])
def test_a_network_that_can_is_given_larger_windows(
    network: Any, make_model: MakeModel
) -> None:
    model = made(make_model, network)
    fixed = ai.predict(model, IMAGE, larger_tiles=False)
    assert fixed.network_calls > 12
    told: list[str] = []
    found = ai.predict(model, IMAGE, progress=lambda step: told.append(step.message))
    assert found.network_calls == 1
    assert "trying larger tiles" in told
    np.testing.assert_allclose(found.maps["probability"][0], 2 * GREY, rtol=1e-6)
    np.testing.assert_allclose(fixed.maps["probability"][0], 2 * GREY, rtol=1e-6)
    # It is known from then on, also to an engine that is opened anew.
    assert learned.recall(model, "sizes")[found.engine]["step"] == 64
    assert ai.predict(model, IMAGE).network_calls == 1


@pytest.mark.parametrize(
    ("network", "scale"),
    [(STUCK_TORCH, 2.0), (FREE_TORCH, 3.0), (FIXED_ONNX, 3.0)],
    ids=["takes no other size", "fails its test", "fails its test (onnx)"],
)
def test_one_that_cannot_keeps_its_window(
    network: Any, scale: float, make_model: MakeModel
) -> None:
    model = made(make_model, network, scale)
    found = ai.predict(model, IMAGE)
    assert found.network_calls > 12
    assert learned.recall(model, "sizes")[found.engine]["step"] == 0
    np.testing.assert_allclose(found.maps["probability"][0], 2 * GREY, rtol=1e-6)


def test_one_that_depends_on_its_window_keeps_it(make_model: MakeModel) -> None:
    model = made(make_model, SIZE_TORCH)
    x = np.load(model.folder / "in.npy")
    np.save(model.folder / "out.npy", x * 2 + x.mean() * 64)
    assert all(result.passed for result in ai.test_model(model))
    assert ai.predict(model, IMAGE).network_calls > 12


def test_without_test_tensors_nothing_is_tried(make_model: MakeModel) -> None:
    model = made(make_model, FREE_TORCH)
    (model.folder / "out.npy").unlink()
    model = ai.load_model(model.folder)
    assert ai.predict(model, IMAGE).network_calls > 12


@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_a_published_network_runs_with_larger_windows(
    engine: str, shared: Path
) -> None:
    model = ai.load_model(shared / "models" / "unet2d_nuclei_broad")
    sample = ai.open_image(Path(ai.__file__).parent / "data" / "nuclei.tif")
    wide = np.tile(np.asarray(sample.data), (1, 2))
    image = ai.ImageInput(wide[:, :900], "YX")
    fixed = ai.predict(model, image, engine=engine, larger_tiles=False)
    found = ai.predict(model, image, engine=engine)
    assert found.network_calls < fixed.network_calls
    # Away from the seams of the small windows they agree.
    one, other = found.maps["probability"][0], fixed.maps["probability"][0]
    np.testing.assert_allclose(one[:, :300], other[:, :300], atol=2e-3)
    assert np.mean(np.abs(one - other)) < 1e-3
