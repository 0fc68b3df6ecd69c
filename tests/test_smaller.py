"""Not enough memory for a window; and several windows in one call."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import CountingEngine, description, onnx_network, torchscript_network
from scipy import ndimage

import napari_imagec_ai as ai
from napari_imagec_ai.engines.opening_weights import open_engine
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.maps.smaller_windows import covered, halved
from napari_imagec_ai.run.predicting import predict_as
from napari_imagec_ai.run.tiles.tiling import AxisLimits, Grid, plan_tiles
from napari_imagec_ai.run.tiles.window_limits import Geometry

MakeModel = Callable[..., Path]
GREY = np.random.default_rng(3).random((150, 210)).astype(np.float32)


class Blurring(CountingEngine):
    """Looks 4 pixels far; runs out of memory on windows of more pixels than it may."""

    def __init__(self, most: float, after: int = 0) -> None:
        super().__init__()
        self.most, self.after = most, after
        self.sizes: list[int] = []

    def run(self, inputs: Any) -> list[Any]:
        (array,) = super().run(inputs)
        self.sizes.append(math.prod(array.shape[2:]))
        if self.calls > self.after and self.sizes[-1] > self.most:
            raise MemoryError
        return [ndimage.uniform_filter(array, (1, 1, 9, 9), mode="reflect")]


def blurred() -> np.ndarray:
    return np.asarray(ndimage.uniform_filter(GREY, 9, mode="reflect"))


@pytest.mark.parametrize(
    ("most", "after"), [(64**2, 0), (64**2, 3), (40**2, 2), (40**2, 5)]
)
def test_a_run_goes_on_with_smaller_windows_where_the_memory_was_not_enough(
    most: int, after: int, make_model: MakeModel
) -> None:
    model = ai.load_model(make_model())
    engine = Blurring(most, after)
    done: list[tuple[int, int]] = []
    found = ai.predict(
        model,
        ai.ImageInput(np.stack([GREY, GREY]), "ZYX"),
        engine=engine,
        tile=96,
        progress=lambda step: done.append((step.done, step.total)),
    )
    for plane in found.maps["probability"]:
        np.testing.assert_allclose(plane[0], blurred(), atol=1e-6)
    smaller = 48 if most == 64**2 else 32
    notice = next(s for s in found.assumed if "memory was not enough" in s)
    assert "windows of 96 x 96 pixels; from there on they had 48 x 48" in notice
    assert engine.sizes.count(96**2) == after + 1  # what was done was not done again
    assert engine.sizes[-1] == smaller**2
    assert done[-1][0] == done[-1][1]
    assert [n for n, _ in done] == sorted(n for n, _ in done)


def test_it_stops_where_no_smaller_window_is_taken(make_model: MakeModel) -> None:
    model = ai.load_model(make_model())
    with pytest.raises(
        ai.EngineError, match=r"on windows of 16 x 16 pixels, .*--tile 16,16"
    ):
        ai.predict(model, ai.ImageInput(GREY, "YX"), engine=Blurring(0), tile=96)
    rdf = description()
    for axis in rdf["inputs"][0]["axes"][2:]:
        axis["size"] = 64
    fixed = ai.load_model(make_model("fixed", **rdf))
    with pytest.raises(
        ai.EngineError, match=r"windows of 64 x 64 pixels, and none"
    ) as raised:
        ai.predict(fixed, ai.ImageInput(GREY, "YX"), engine=Blurring(0))
    assert "--tile" not in str(raised.value)


def test_numbers_of_the_whole_image_count_each_pixel_once(
    make_model: MakeModel,
) -> None:
    output = {"id": "mean", "axes": [{"type": "batch"}, {"type": "channel", "size": 1}]}
    outputs = [*description()["outputs"], output]
    model = ai.load_model(make_model(outputs=outputs))

    class Two(Blurring):
        def run(self, inputs: Any) -> list[Any]:
            (array,) = super().run(inputs)
            return [array, np.ones((1, 1), np.float32)]

    found = ai.predict(
        model, ai.ImageInput(GREY, "YX"), engine=Two(64**2, after=3), tile=96
    )
    np.testing.assert_allclose(found.vectors["mean"], 1.0, rtol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("left", [1, 2, 4])
def test_what_is_left_is_covered_once(dimensions: int, left: int) -> None:
    limits = (AxisLimits(16, 8, 5, 4, 2),) * dimensions
    grids = (Grid((1.0,) * dimensions, (0,) * dimensions),)
    geometry = Geometry(limits, grids, (0,) * dimensions, 1 << 20)
    shape = (117, 90, 70)[:dimensions]
    tiles = plan_tiles(shape, limits, 1 << 20, (56,) * dimensions)[-left:]
    expected, count = np.zeros(shape, int), np.zeros(shape, int)
    for tile in tiles:
        expected[tile.core] += 1
    sizes = halved(tiles[0].shape, limits)
    assert sizes == (32,) * dimensions  # 28 is none that the network takes
    jobs = covered(tiles, shape, geometry, sizes)
    assert jobs
    for job in jobs:
        assert len({str((tile.window, tile.pad)) for tile in job}) == 1
        assert job[0].shape == sizes
        for tile in job:
            count[tile.core] += 1
    np.testing.assert_array_equal(count, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits other processes")
def test_torchscript_that_really_has_too_little_memory_goes_on(
    make_model: MakeModel,
) -> None:
    import resource

    folder = make_model(network=None, weights={"torchscript": {"source": "w.pt"}})
    greedy = "x.repeat(1, 1500, 1, 1).mean(dim=1, keepdim=True)"
    torchscript_network(folder / "w.pt", greedy)
    model = ai.load_model(folder)
    engine: Any = open_engine(model)
    grey = np.tile(GREY, (4, 2))[:512, :400]
    ai.predict(model, ai.ImageInput(grey[:32, :32], "YX"), engine=engine)
    used = psutil.Process(engine.pid).memory_info().vms
    most = used + (600 << 20)  # a window of 512 takes 3 GB, one of 256 takes 400 MB
    resource.prlimit(engine.pid, resource.RLIMIT_AS, (most, most))
    found = ai.predict(model, ai.ImageInput(grey, "YX"), engine=engine, tile=512)
    np.testing.assert_allclose(found.maps["probability"][0], grey, rtol=1e-4)
    assert any("memory was not enough" in sentence for sentence in found.assumed)
    engine._bury()  # nobody else is to have so little
    engine.close()


# -- several windows in one call -------------------------------------------------------


@pytest.mark.parametrize("many", [2, 3, 64])
@pytest.mark.parametrize("network", [onnx_network, torchscript_network])
def test_windows_in_one_call_give_the_same(
    many: int, network: Any, make_model: MakeModel, tmp_path: Path
) -> None:
    suffix = "onnx" if network is onnx_network else "torchscript"
    source = f"weights.{'onnx' if network is onnx_network else 'pt'}"
    folder = make_model(network=network, weights={suffix: {"source": source}})
    model, image = ai.load_model(folder), ai.ImageInput(GREY, "YX")
    told = []
    found = predict_as(
        partial(DenseRun, batch=many),
        model,
        image,
        tile=48,
        progress=lambda step: told.append(step.done),
    )
    np.testing.assert_array_equal(found.maps["probability"][0], GREY)
    windows = ai.predict(model, image, tile=48).network_calls
    assert found.network_calls == math.ceil(windows / many)
    assert told[-1] == windows


def test_a_batch_that_is_too_large_is_halved_before_the_windows_are(
    make_model: MakeModel,
) -> None:
    class Batches(Blurring):
        def run(self, inputs: Any) -> list[Any]:
            found = super().run(inputs)
            if len(inputs[0]) > 2:
                raise ai.EngineError("CUDA out of memory. Tried to allocate 2 GiB.")
            return found

    engine = Batches(math.inf)
    found = predict_as(
        partial(DenseRun, batch=8),
        ai.load_model(make_model()),
        ai.ImageInput(GREY, "YX"),
        engine=engine,
        tile=48,
    )
    np.testing.assert_allclose(found.maps["probability"][0], blurred(), atol=1e-6)
    assert set(engine.sizes) == {48**2}
    assert found.assumed == ()


def test_a_network_for_one_window_is_given_one(make_model: MakeModel) -> None:
    folder = make_model(network=partial(onnx_network, shape=(1, 1, "y", "x")))
    found = predict_as(
        partial(DenseRun, batch=4),
        ai.load_model(folder),
        ai.ImageInput(GREY, "YX"),
        tile=48,
    )
    np.testing.assert_array_equal(found.maps["probability"][0], GREY)


def test_on_a_gpu_windows_go_in_batches_where_the_description_allows_it(
    make_model: MakeModel,
) -> None:
    class Gpu(CountingEngine):
        device = "cuda"
        most = 0

        def run(self, inputs: Any) -> list[Any]:
            self.most = max(self.most, len(inputs[0]))
            return super().run(inputs)

    image, gpu = ai.ImageInput(GREY, "YX"), Gpu()
    ai.predict(ai.load_model(make_model()), image, engine=gpu, tile=48)
    assert gpu.most > 1
    large = ai.ImageInput(np.tile(GREY, (16, 16))[:1100, :1100], "YX")
    wide = Gpu()
    ai.predict(ai.load_model(make_model("wide")), large, engine=wide, tile=1024)
    assert wide.most == 1  # copied back at once, they take longer
    cpu = Gpu()
    cpu.device = "cpu"
    ai.predict(ai.load_model(make_model("again")), image, engine=cpu, tile=48)
    assert cpu.most == 1
