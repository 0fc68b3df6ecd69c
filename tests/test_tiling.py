"""The laws of tiling, for any shape, window and overlap."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.output_scale import scaled_size
from napari_imagec_ai.model.rdf import read_rdf
from napari_imagec_ai.run.tiles.tiling import (
    AxisLimits,
    Grid,
    Tile,
    pad_window,
    place,
    plan_tiles,
)
from napari_imagec_ai.run.tiles.window_limits import declared_halo, geometry


def plain(dimensions: int) -> Grid:
    """A result of the window's own size."""
    return Grid((1.0,) * dimensions, (0,) * dimensions)


@st.composite
def plans(draw: st.DrawFn, align: bool = True) -> tuple[Any, ...]:
    """Shape, limits, tiles: whatever networks and images come together."""
    dimensions = draw(st.integers(1, 3))
    most = {1: 400, 2: 90, 3: 30}[dimensions]
    shape = [draw(st.integers(1, most)) for _ in range(dimensions)]
    limits = [
        AxisLimits(
            min=draw(st.integers(1, 40)),
            step=draw(st.sampled_from([0, 1, 3, 8, 16])),
            halo=draw(st.integers(0, 12)),
            align=draw(st.sampled_from([1, 2, 4, 8])) if align else 1,
        )
        for _ in shape
    ]
    tile = draw(st.none() | st.just([draw(st.integers(1, 64)) for _ in shape]))
    budget = draw(st.integers(1, 5000))
    try:
        tiles = plan_tiles(shape, limits, budget, tile)
    except ImageError:
        # Only a window without room between its halos may be refused.
        assert any(limit.min <= 2 * limit.halo for limit in limits)
        assume(False)
    assume(len(tiles) < 3000)
    return shape, limits, tiles


law = settings(max_examples=150, deadline=None)


@law
@given(plans())
def test_cores_partition_the_image(plan: tuple[Any, ...]) -> None:
    shape, _, tiles = plan
    count = np.zeros(shape, int)
    for tile in tiles:
        count[tile.core] += 1
    assert (count == 1).all()


@law
@given(plans())
def test_every_window_with_its_padding_is_a_size_that_the_network_takes(
    plan: tuple[Any, ...],
) -> None:
    _, limits, tiles = plan
    for tile in tiles:
        for limit, window, pad in zip(limits, tile.window, tile.pad, strict=True):
            size = window.stop - window.start + pad
            assert pad >= 0
            assert size >= limit.min
            assert size == limit.min or (size - limit.min) % limit.step == 0


@law
@given(plans())
def test_halos_are_kept_on_inner_sides(plan: tuple[Any, ...]) -> None:
    shape, limits, tiles = plan
    for tile, axis in itertools.product(tiles, range(len(shape))):
        core, window, halo = tile.core[axis], tile.window[axis], limits[axis].halo
        if core.start > 0:
            assert core.start - window.start >= halo
        if core.stop < shape[axis]:
            assert window.stop - core.stop >= halo


@law
@given(plans())
def test_stitching_what_a_network_gives_back_is_the_image(
    plan: tuple[Any, ...],
) -> None:
    shape, _, tiles = plan
    image = np.arange(np.prod(shape), dtype=float).reshape(shape)
    canvas = np.full(shape, np.nan)
    for tile in tiles:
        window = pad_window(image[tile.window], tile.pad)
        place(canvas, window, tile, plain(len(shape)), [0] * len(shape))
    np.testing.assert_array_equal(canvas, image)


@law
@given(plans())
def test_windows_begin_on_the_grid_where_there_is_room_for_it(
    plan: tuple[Any, ...],
) -> None:
    shape, limits, tiles = plan
    for tile, axis in itertools.product(tiles, range(len(shape))):
        limit, window = limits[axis], tile.window[axis]
        size = window.stop - window.start + tile.pad[axis]
        room = size - 2 * limit.halo
        if room >= limit.align:
            assert window.start % limit.align == 0


@law
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([0.5, 2.0, 0.25]))
def test_a_network_that_changes_the_scale_is_stitched_without_seams(
    height: int, width: int, factor: float
) -> None:
    limits = [AxisLimits(16, 16, 4, 4)] * 2
    tiles = plan_tiles((height, width), limits, 32 * 32)
    image = np.random.default_rng(0).random((height, width))

    grid = Grid((factor, factor), (0, 0))

    def network(x: np.ndarray) -> np.ndarray:
        if factor > 1:
            return x.repeat(2, 0).repeat(2, 1)
        return x[:: round(1 / factor), :: round(1 / factor)]

    # The whole image in one window, which is what tiles must agree with.
    pad = (-height % 16, -width % 16)
    size = (scaled_size(height, factor), scaled_size(width, factor))
    whole = network(pad_window(image, pad))[: size[0], : size[1]]
    canvas = np.full(size, np.nan)
    for tile in tiles:
        window = pad_window(image[tile.window], tile.pad)
        place(canvas, network(window), tile, grid, (0, 0))
    np.testing.assert_array_equal(canvas, whole)


@law
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 7))
def test_a_network_that_loses_its_rim_still_fills_the_image(
    height: int, width: int, lost: int
) -> None:
    image = np.random.default_rng(0).random((height, width))
    padded = np.pad(image, lost, mode="symmetric")
    grid = Grid((1.0, 1.0), (-2 * lost,) * 2)
    assert grid.lost == (lost, lost)
    canvas = np.full(image.shape, np.nan)
    for tile in plan_tiles(padded.shape, [AxisLimits(16, 4, lost, 4)] * 2, 24 * 24):
        window = pad_window(padded[tile.window], tile.pad)
        result = window[lost:-lost, lost:-lost]
        assert result.shape == grid.size(window.shape)
        place(canvas, result, tile, grid, (lost, lost))
    np.testing.assert_array_equal(canvas, image)


def test_an_image_of_one_window_is_one_call() -> None:
    (tile,) = plan_tiles((100, 90), [AxisLimits(16, 16, 8, 16)] * 2, 1 << 20)
    assert tile == Tile(
        (slice(0, 100), slice(0, 90)), (slice(0, 100), slice(0, 90)), (12, 6)
    )
    assert tile.pixels == 112 * 96


def test_windows_stay_within_the_budget() -> None:
    tiles = plan_tiles((1000, 1000), [AxisLimits(32, 32, 16, 32)] * 2, 256 * 256)
    assert max(tile.pixels for tile in tiles) <= 256 * 256


def test_a_window_without_a_core_is_refused_in_words() -> None:
    with pytest.raises(ImageError, match="nothing between halos of 16"):
        plan_tiles((100,), [AxisLimits(32, 0, 16)], 1 << 20)


def test_padding_mirrors_as_often_as_needed() -> None:
    padded = pad_window(np.array([1, 2, 3]), [7])
    assert padded.tolist() == [1, 2, 3, 3, 2, 1, 1, 2, 3, 3]


# -- what a description asks of windows ------------------------------------------------


def test_limits_are_read_from_the_description(make_model: Any) -> None:
    model = read_rdf(make_model() / "rdf.yaml")
    halo = declared_halo(model, "YX")
    assert halo == (4, 4)
    found = geometry(model, "YX", halo)
    assert found.limits == (AxisLimits(16, 16, 4, 16),) * 2
    assert found.grids == (Grid((1.0, 1.0), (0, 0)),)
    assert found.margin == (0, 0)


def test_a_description_without_a_halo_says_nothing_of_it(make_model: Any) -> None:
    axes = [
        {"type": "batch"},
        {"type": "channel", "channel_names": ["a"]},
        {"type": "space", "id": "y", "size": {"min": 0, "step": 16}},
        {"type": "space", "id": "x", "size": {"min": 16, "step": 16}},
    ]
    tensors = {"inputs": [{"id": "raw", "axes": axes}], "outputs": [{"axes": axes}]}
    model = read_rdf(make_model(**tensors) / "rdf.yaml")
    assert declared_halo(model, "YX") is None
    found = geometry(model, "YX", (0, 0))
    # A smallest size of 0 means that the first one is a step.
    assert [(limit.min, limit.step) for limit in found.limits] == [(16, 16)] * 2


def test_a_fixed_window_keeps_room_between_its_halos(make_model: Any) -> None:
    tensor = {"axes": "bcyx", "shape": [1, 1, 64, 64], "halo": [0, 0, 40, 40]}
    folder = make_model(
        format_version="0.4.10",
        inputs=[tensor | {"name": "a"}],
        outputs=[tensor | {"name": "b"}],
    )
    model = read_rdf(folder / "rdf.yaml")
    found = geometry(model, "YX", declared_halo(model, "YX"))
    assert len(plan_tiles((200, 200), found.limits, found.budget)) > 1
