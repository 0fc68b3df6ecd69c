"""Images that are written to while they are read, and memory that is not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import zarr
from conftest import CountingEngine, description

import napari_imagec_ai as ai
from napari_imagec_ai.image.opening_files import open_image
from napari_imagec_ai.model.rdf import read_rdf
from napari_imagec_ai.run.maps import sources
from napari_imagec_ai.run.tiles.tiling import plan_tiles
from napari_imagec_ai.run.tiles.window_limits import (
    declared_halo,
    geometry,
    most_pixels,
)

MakeModel = Callable[..., Path]
GREY = np.random.default_rng(1).integers(1, 200, (200, 260)).astype(np.uint16)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zarr array that is read window by window."""
    monkeypatch.setattr(sources, "LARGE", 1000)
    path = tmp_path / "slide.zarr"
    made = zarr.create_array(
        str(path), shape=GREY.shape, chunks=(64, 64), dtype="uint16"
    )
    made[...] = GREY
    return path


def written(path: Path) -> None:
    zarr.open_array(str(path), mode="r+")[100:, 100:] = 7


def resized(path: Path) -> None:
    zarr.open_array(str(path), mode="r+").resize((100, 120))


def half_a_chunk(path: Path) -> None:
    for chunk in (path / "c").glob("3/*"):
        chunk.write_bytes(chunk.read_bytes()[:20])


@pytest.mark.parametrize("change", [written, resized, half_a_chunk])
def test_an_image_that_is_still_written_to_is_told(
    change: Callable[[Path], None], stored: Path, make_model: MakeModel
) -> None:
    model = ai.load_model(make_model())
    image = open_image(stored)
    changed: list[int] = []

    def meanwhile(step: Any) -> None:
        if step.done == 2 and not changed:
            changed.append(1)
            change(stored)

    def run() -> ai.Prediction:
        return ai.predict(model, image, tile=48, progress=meanwhile)

    if change is half_a_chunk:
        with pytest.raises(ai.ImageError, match=r"'slide' cannot be read.*written to"):
            run()
    else:
        assert any("was written to while" in said for said in run().assumed)
    assert changed


def test_an_image_that_is_left_alone_is_not_suspected(
    stored: Path, make_model: MakeModel
) -> None:
    model = ai.load_model(make_model())
    found = ai.predict(model, open_image(stored), tile=48)
    assert not [said for said in found.assumed if "written to" in said]
    np.testing.assert_array_equal(found.maps["probability"][0], GREY)


def test_a_window_that_cannot_fit_is_refused_before_the_run(
    make_model: MakeModel, counting_engine: CountingEngine
) -> None:
    model = ai.load_model(make_model())
    image = ai.ImageInput(GREY[:100, :100], "YX")
    with pytest.raises(ai.EngineError, match=r"smaller tiles, such as --tile \d+,"):
        ai.predict(model, image, tile=96, engine=counting_engine, memory=2.5e-4)
    assert counting_engine.calls == 0


def test_a_plane_that_cannot_fit_is_refused_before_it_is_read(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rdf = description()
    by_row = {"id": "zero_mean_unit_variance", "kwargs": {"axes": "x"}}
    rdf["inputs"][0]["preprocessing"] = [by_row]  # needs the plane in one piece
    model = ai.load_model(make_model(**rdf))
    endless = dask.array.zeros((60_000, 60_000), np.uint8, chunks=(2000, 2000))
    image = ai.ImageInput(endless, "YX", name="slide")
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(".")
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 50))
        words = r"'slide' .*needs about .* GB.*--scale"
        with pytest.raises(ai.ImageError, match=words):
            ai.predict(model, image, scale=4)
    model = ai.load_model(make_model("other"))  # in parts, with its maps on the disk
    with pytest.raises(ai.ImageError, match=r"GB are needed on the disk"):
        ai.predict(model, image, scale=100)


def test_less_memory_makes_smaller_windows(
    make_model: MakeModel, counting_engine: CountingEngine
) -> None:
    sizes: dict[float, int] = {}
    run = counting_engine.run

    model = ai.load_model(make_model())
    image = ai.ImageInput(np.zeros((1200, 1200), np.uint8), "YX")
    for memory in (16.0, 0.3):

        def counted(inputs: Any, memory: float = memory) -> Any:
            sizes[memory] = max(sizes.get(memory, 0), inputs[0].size)
            return run(inputs)

        counting_engine.run = counted  # type: ignore[method-assign]
        ai.predict(model, image, engine=counting_engine, memory=memory)
    assert sizes[16.0] >= 1200**2
    assert sizes[0.3] <= most_pixels(2, 0.3) < 2**18


def test_tiles_of_a_free_network_compute_little_twice(make_model: MakeModel) -> None:
    rdf = description()
    for axis in rdf["outputs"][0]["axes"][2:]:
        axis["halo"] = 32
    model = read_rdf(make_model(**rdf) / "rdf.yaml")
    shape = geometry(model, "YX", declared_halo(model, "YX") or (0, 0))
    for memory in (None, 2.0):
        budget = most_pixels(2, memory)
        tiles = plan_tiles((2048, 2048), shape.limits, budget)
        assert sum(tile.pixels for tile in tiles) <= 1.25 * 2048**2
