"""Windows that are mixed where they overlap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from conftest import description, onnx_network, torchscript_network
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_imagec_ai as ai
from napari_imagec_ai.run.maps import stitch
from napari_imagec_ai.run.tiles.blending import Blend
from napari_imagec_ai.run.tiles.tiling import AxisLimits, Grid, pad_window, plan_tiles

MakeModel = Callable[..., Path]
RNG = np.random.default_rng(2)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_windows_count_for_adds_up_to_one(data: st.DataObject) -> None:
    dimensions = data.draw(st.integers(1, 3))
    most = {1: 400, 2: 90, 3: 30}[dimensions]
    shape = [data.draw(st.integers(1, most)) for _ in range(dimensions)]
    limits = [
        AxisLimits(data.draw(st.integers(9, 40)), 8, data.draw(st.integers(0, 4)))
        for _ in shape
    ]
    tiles = plan_tiles(shape, limits, data.draw(st.integers(1, 3000)))
    factor = data.draw(st.sampled_from([1.0, 2.0]))
    image = RNG.random(shape).astype(np.float32)
    blend = Blend(tiles)
    canvas = np.zeros([round(size * factor) for size in shape], np.float32)
    for tile in tiles:
        window = pad_window(image[tile.window], tile.pad)
        for axis in range(dimensions if factor > 1 else 0):
            window = window.repeat(2, axis)
        grid = Grid((factor,) * dimensions, (0,) * dimensions)
        blend.add(canvas, window, tile, grid, [0] * dimensions)
    for axis in range(dimensions if factor > 1 else 0):
        image = image.repeat(2, axis)
    np.testing.assert_allclose(canvas, image, atol=1e-6)


def described(axes: str = "yx") -> dict[str, Any]:
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    for side, name in (("inputs", "grey"), ("outputs", "foreground")):
        rdf[side][0]["axes"] = [
            {"type": "batch"},
            {"type": "channel", "channel_names": [name]},
            *({"type": "space", "id": a, "size": {"min": 8, "step": 8}} for a in axes),
        ]
    return rdf


@pytest.mark.parametrize(
    ("axes", "shape", "tile"),
    [("yx", (300, 260), (96, 96)), ("zyx", (40, 70, 60), (24, 32, 32))],
)
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_network_that_changes_nothing_gives_the_image(
    axes: str,
    shape: Any,
    tile: Any,
    on_disk: bool,
    make_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if on_disk:
        monkeypatch.setattr(stitch, "_SHARE", 0)
    folder = make_model(network=torchscript_network, **described(axes))
    data = RNG.random(shape).astype(np.float32)
    image = ai.ImageInput(data, axes.upper())
    found = ai.predict(ai.load_model(folder), image, tile=tile, seams="blend")
    values = found.maps["probability"]
    assert isinstance(values, zarr.Array) == on_disk
    assert found.network_calls > 4
    np.testing.assert_allclose(values[...][0], data, atol=1e-6)


def test_a_network_that_normalizes_each_window_shows_no_step(
    make_model: MakeModel,
) -> None:
    def network(path: Path) -> Path:
        return torchscript_network(path, "x - x.mean([2, 3], True)")

    model = ai.load_model(make_model(network=network, **described()))
    y, x = np.indices((256, 512)) / 100
    image = ai.ImageInput((y + x).astype(np.float32), "YX")
    steps = {}
    for seams in ("crop", "blend"):
        asked: Any = {"tile": (256, 128), "halo": 24, "seams": seams}
        values = ai.predict(model, image, **asked).maps["probability"][0]
        steps[seams] = np.abs(np.diff(values, axis=1) - 0.01).max()
    assert steps["crop"] > 0.5
    assert steps["blend"] < steps["crop"] / 20


def test_ids_are_never_mixed(make_model: MakeModel) -> None:
    rdf = description()
    rdf["config"]["napari_imagec_ai"] = {"kind": "labels"}
    labels = np.zeros((100, 100), np.float32)
    labels[30:60, 20:90] = 7
    model = ai.load_model(make_model(network=onnx_network, **rdf))
    image = ai.ImageInput(labels, "YX")
    values = ai.predict(model, image, tile=48, seams="blend").maps["probability"]
    np.testing.assert_array_equal(values[0] > 0, labels > 0)
    assert len(np.unique(values)) == 2


def test_blending_stays_with_the_recipe(tmp_path: Path, run_cli: Any) -> None:
    from conftest import ROOT

    from napari_imagec_ai.recipes.recipe import Recipe

    sample = ROOT / "src" / "napari_imagec_ai" / "data" / "nuclei.tif"
    argv = ("predict", ROOT / "models" / "nuclei-unet", sample, "-o", tmp_path)
    asked = ("--seams", "blend", "--memory", "1.5", "--tile", "256")
    assert run_cli(*argv, *asked)[0] == 0
    kept = Recipe.load(tmp_path / "nuclei.recipe.yaml").predict
    assert (kept.seams, kept.memory) == ("blend", 1.5)
    assert run_cli(*argv, "--memory", "-1")[0] == 1
