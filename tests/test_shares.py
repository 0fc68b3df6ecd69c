"""Large images in shares: the same to the last bit, here, on workers, and resumed."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile
import zarr
from conftest import CountingEngine, description, torchscript_network
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai.library import trust
from napari_imagec_ai.recipes.batch import on_worker
from napari_imagec_ai.recipes.batch.run_batch import Batch, run_batch
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.run.in_blocks import run_in_blocks
from napari_imagec_ai.run.in_blocks.mosaic import Mosaic, Piece
from napari_imagec_ai.run.in_blocks.run_in_blocks import (
    InShares,
    OneShare,
    SharedOut,
    Terms,
)
from napari_imagec_ai.run.predicting import predict_as
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.system.progress import Progress

Run = Callable[..., tuple[int, str, str]]
MakeModel = Callable[..., Path]
RNG = np.random.default_rng(5)

RANGE = {"id": "scale_range", "kwargs": {"min_percentile": 1, "max_percentile": 99.8}}
BLUR = "(x + x.roll([3], [2]) + x.roll([-3], [2]) + x.roll([3], [3])) / 4"


def spots(shape: tuple[int, ...], dtype: str = "uint16") -> np.ndarray:
    """Blurred spots on a grid that no block is a multiple of, with noise."""
    image = np.zeros(shape, np.float32)
    image[..., 20::37, 20::41] = 1
    image = gaussian_filter(image, (0,) * (len(shape) - 2) + (5, 5))
    noisy = 20_000 * image / image.max() + RNG.normal(1000, 100, shape)
    return noisy.astype(dtype)


def described(**changes: Any) -> dict[str, Any]:
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    rdf["inputs"][0]["preprocessing"] = [RANGE]
    rdf["outputs"][0]["axes"][1]["channel_names"] = ["foreground"]
    return rdf | changes


@pytest.fixture
def model(make_model: MakeModel) -> ai.Model:
    """A network that blurs, normalized by percentiles of the whole image."""
    network = partial(torchscript_network, returns=BLUR)
    return ai.load_model(make_model(network=network, **described()))


@pytest.fixture(autouse=True)
def _small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_in_blocks, "_PIXELS", 128 * 128)


IMAGES: dict[str, tuple[np.ndarray, str]] = {
    "plane": (spots((300, 420)), "YX"),
    "float with nan": (spots((300, 420), "float32"), "YX"),
    "planes": (spots((2, 260, 300)), "TYX"),
    "many small planes": (spots((5, 90, 120)), "TYX"),
}
IMAGES["float with nan"][0][7, 9] = np.nan


@pytest.mark.parametrize("name", IMAGES)
def test_shares_give_the_same_bits(name: str, model: ai.Model, tmp_path: Path) -> None:
    data, axes = IMAGES[name]
    image = ai.ImageInput(data, axes, name="it")
    whole = ai.predict(model, image, tile=96)
    terms = Terms(tmp_path, above=1000)
    found = predict_as(partial(InShares, terms=terms), model, image, tile=96)
    assert len(list(tmp_path.glob("*/share-*.json"))) > 2
    np.testing.assert_array_equal(
        found.maps["probability"][...], whole.maps["probability"]
    )
    assert found.network_calls == whole.network_calls
    assert found.assumed == whole.assumed
    # Nothing is left to do.
    steps: list[Progress] = []
    shared = partial(InShares, terms=terms)
    predict_as(shared, model, image, tile=96, progress=steps.append)
    assert len(steps) == 1
    assert steps[0].done == steps[0].total


def test_each_share_is_computed_apart_and_once(
    model: ai.Model, tmp_path: Path, counting_engine: CountingEngine
) -> None:
    image = ai.ImageInput(IMAGES["plane"][0], "YX")
    asked: Any = {"tile": 96, "engine": counting_engine}
    whole = ai.predict(model, image, **asked)
    calls, counting_engine.calls = counting_engine.calls, 0
    terms = Terms(tmp_path, above=1000, apart=True)
    with pytest.raises(SharedOut) as told:
        predict_as(partial(InShares, terms=terms), model, image, **asked)
    plan = told.value.plan
    assert counting_engine.calls == 0
    for share in reversed(plan.shares):
        one = partial(OneShare, plan=plan.only(share))
        predict_as(one, model, image, engine=counting_engine)
    assert counting_engine.calls == calls
    # A second machine that got the same share does nothing.
    predict_as(one, model, image, engine=counting_engine)
    assert counting_engine.calls == calls
    assert not plan.to_do()
    gathered = partial(run_in_blocks.Gathered, plan=plan)
    found = predict_as(gathered, model, image, **asked)
    assert counting_engine.calls == calls == found.network_calls
    np.testing.assert_array_equal(found.maps["probability"], whole.maps["probability"])


@pytest.mark.parametrize("asked", [{"seams": "blend"}, {"normalize": "range"}])
@pytest.mark.parametrize("name", IMAGES)
def test_shares_are_run_as_the_whole_is_asked_to_be(
    name: str, asked: Any, make_model: MakeModel, tmp_path: Path
) -> None:
    # Its values depend on the window, as those of instance normalization do.
    network = partial(torchscript_network, returns="x - x.mean()")
    rdf = described()
    del rdf["inputs"][0]["preprocessing"]
    model = ai.load_model(make_model(network=network, **rdf))
    data, axes = IMAGES[name]
    image = ai.ImageInput(data, axes, name="it")
    whole = ai.predict(model, image, tile=96, **asked)
    plain = ai.predict(model, image, tile=96)
    assert not np.array_equal(plain.maps["probability"], whole.maps["probability"])
    shared = partial(InShares, terms=Terms(tmp_path, above=1000))
    found = predict_as(shared, model, image, tile=96, **asked)
    assert len(list(tmp_path.glob("*/share-*.json"))) > 2
    np.testing.assert_array_equal(
        found.maps["probability"][...], whole.maps["probability"]
    )


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_what_only_the_whole_can_tell_is_not_shared_out(
    scale: float, make_model: MakeModel, tmp_path: Path
) -> None:
    rdf = described()
    if scale == 1.0:
        rdf["outputs"][0]["postprocessing"] = [
            {"id": "zero_mean_unit_variance", "kwargs": {}}
        ]
    model = ai.load_model(make_model(network=torchscript_network, **rdf))
    image = ai.ImageInput(IMAGES["plane"][0], "YX")
    dense = partial(InShares, terms=Terms(tmp_path / "shares", above=1000))
    found = predict_as(dense, model, image, tile=96, scale=scale)
    whole = ai.predict(model, image, tile=96, scale=scale)
    assert not (tmp_path / "shares").exists()
    np.testing.assert_array_equal(found.maps["probability"], whole.maps["probability"])


def test_a_mosaic_reads_as_the_whole() -> None:
    whole = RNG.random((2, 1, 40, 50)).astype(np.float32)
    pieces = [
        Piece((t, 0, y, x), whole[t : t + 1, :, y : y + 17, x : x + 23])
        for t in range(2)
        for y in range(0, 40, 17)
        for x in range(0, 50, 23)
    ]
    mosaic = Mosaic(whole.shape, pieces)
    assert (mosaic.ndim, mosaic.size) == (4, whole.size)
    for where in (
        ...,
        (),
        1,
        (0, slice(None), slice(5, 30), slice(20, 26)),
        (..., slice(3, 39, 4), slice(None, None, 7)),
        (1, 0, -1, -3),
        (slice(None), 0, slice(40, 60)),
    ):
        np.testing.assert_array_equal(mosaic[where], whole[where])
    np.testing.assert_array_equal(np.asarray(mosaic), whole)


# -- batches ---------------------------------------------------------------------------


@pytest.fixture
def slide(model: ai.Model, tmp_path: Path) -> Path:
    """A recipe, a large zarr image and a small one."""
    trust.remember(model)
    predict = RunSettings(tile=(96,))
    recipe = Recipe(model=describe_model(model), predict=predict)
    recipe.save(tmp_path / "recipe.yaml")
    data = IMAGES["plane"][0]
    stored = zarr.create_array(
        str(tmp_path / "slide.zarr"), shape=data.shape, chunks=(64, 64), dtype="uint16"
    )
    stored[...] = data
    tifffile.imwrite(tmp_path / "small.tif", data[:100, :110])
    return tmp_path


def results(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name.startswith(("slide.", "small.")) and "recipe" not in path.name
    }


def test_a_large_image_is_the_work_of_all_workers(slide: Path, run_cli: Run) -> None:
    argv = ("run", slide / "recipe.yaml", slide / "s*.[tz]*", "--json", "-o")
    assert run_cli(*argv, "whole", "--workers", 1)[0] == 0
    above = ("--split-above", 20_000)
    code, out, _ = run_cli(*argv, "one", "--workers", 1, *above)
    assert code == 0
    code, out, err = run_cli(
        *argv, "two", "--workers", 2, *above, "--scratch", slide / "shared"
    )
    assert code == 0, err
    assert len(results(Path("whole"))) == 6
    assert results(Path("one")) == results(Path("whole"))
    assert results(Path("two")) == results(Path("whole"))
    rows = {Path(row["image"]).stem: row for row in map(json.loads, out.splitlines())}
    assert rows["slide"]["objects"] > 50
    assert rows["slide"]["network_calls"] > 10
    assert rows["slide"]["total_seconds"] > rows["slide"]["network_seconds"] / 2
    # What was only needed on the way is gone.
    assert not (slide / "shared").exists()
    assert not list(Path("two/.imagec-ai-batch").glob("*.shares"))


def test_a_stopped_image_goes_on_with_the_next_share(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load(slide / "recipe.yaml")
    batch = Batch(recipe, slide / "out", split_above=20_000)
    image = slide / "slide.zarr"

    class PowerCut(BaseException):
        pass

    def cut(_: Path, progress: Any) -> None:
        if progress.total > 1 and progress.done >= progress.total // 2:
            raise PowerCut

    with pytest.raises(PowerCut):
        list(run_batch(batch, [image], progress=cut))
    kept = {
        path: path.stat().st_mtime_ns
        for path in (slide / "out").glob("**/share-*.json")
    }
    assert len(kept) > 1
    calls: list[int] = []

    def count(_: Path, progress: Any) -> None:
        calls.append(progress.done)
        for path, before in kept.items():
            assert path.stat().st_mtime_ns == before

    (done,) = run_batch(batch, [image], progress=count)
    assert done.report is not None, done.problem
    assert min(calls) > 1
    list(run_batch(replace(batch, folder=slide / "fresh"), [image]))
    assert results(slide / "out") == results(slide / "fresh")
    # Shares of other pixels are of no use.
    with pytest.raises(PowerCut):
        list(run_batch(replace(batch, again=True), [image], progress=cut))
    zarr.open(str(image), mode="r+")[:64, :64] = 0
    calls.clear()
    kept.clear()
    (done,) = run_batch(batch, [image], progress=count)
    assert min(calls) == 0
    assert results(slide / "out") != results(slide / "fresh")


def test_a_worker_that_dies_is_replaced(slide: Path) -> None:
    recipe = Recipe.load(slide / "recipe.yaml")
    batch = Batch(recipe, slide / "out", split_above=20_000)
    images = [slide / "slide.zarr", slide / "small.tif"]
    killed: list[int] = []

    def kill(_: Path, progress: Any) -> None:
        if not killed:
            worker = next(
                child
                for child in psutil.Process().children(recursive=True)
                if any("batch.serving" in part for part in child.cmdline())
            )
            killed.append(worker.pid)
            worker.kill()

    found = list(run_batch(batch, images, workers=2, progress=kill))
    assert killed
    assert [outcome.problem for outcome in found] == ["", ""]


def test_a_worker_that_always_dies_is_named(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch(Recipe.load(slide / "recipe.yaml"), slide / "out")
    monkeypatch.setattr(on_worker, "image_job", lambda *_: os._exit(1))
    (found,) = run_batch(batch, [slide / "small.tif"], workers=2)
    assert "The worker that had 'small.tif' died" in found.problem
    assert "3 times in all" in found.problem
    assert "try fewer workers, or smaller tiles" in found.problem


def test_a_disk_that_becomes_full_keeps_what_is_done(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch(Recipe.load(slide / "recipe.yaml"), slide / "out", split_above=20_000)
    write, limits = run_in_blocks.write_share, resource.getrlimit(resource.RLIMIT_FSIZE)
    written: list[int] = []

    def filling(folder: Path, share: Any, run: Any) -> None:
        if len(written) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            write(folder, share, run)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        written.append(share.number)

    monkeypatch.setattr(run_in_blocks, "write_share", filling)
    (full,) = run_batch(batch, [slide / "slide.zarr"])
    assert re.match(r"The disk of '.*' became full \(.*\); make room", full.problem)
    assert len(list((slide / "out").glob("**/share-*.json"))) == len(written) == 2
    monkeypatch.setattr(run_in_blocks, "write_share", write)
    done: list[int] = []
    (room,) = run_batch(
        batch, [slide / "slide.zarr"], progress=lambda _, at: done.append(at.done)
    )
    assert room.report is not None
    assert min(done) >= 2


def test_less_room_than_needed_is_told_before_the_run(
    slide: Path, model: ai.Model, counting_engine: CountingEngine, tmp_path: Path
) -> None:
    image = ai.ImageInput(IMAGES["plane"][0], "YX")
    usage = shutil.disk_usage(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        dense = partial(InShares, terms=Terms(tmp_path / "s", above=1000))
        with pytest.raises(ai.ImagecAIError, match=r"needed on the disk.*--scratch"):
            predict_as(dense, model, image, tile=96, engine=counting_engine)
        with pytest.raises(ai.ImagecAIError, match=r"needed on the disk.*TMPDIR"):
            ai.predict(model, image, tile=96, engine=counting_engine, memory=1e-6)
    assert counting_engine.calls == 0
