"""Images that are read, stitched and decoded in blocks: the same as in one piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import zarr
from conftest import description, discs, torchscript_network
from scenes import maps, prediction, scattered
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai.decoders import decoding, in_blocks
from napari_imagec_ai.image import blocks
from napari_imagec_ai.image.blocks import Blocks
from napari_imagec_ai.model.steps import statistics
from napari_imagec_ai.results import objects as objects_module
from napari_imagec_ai.run.maps import resample as resampling
from napari_imagec_ai.run.maps import sources, stitch
from napari_imagec_ai.run.maps.resample import resample, resample_part

MakeModel = Callable[..., Path]
RNG = np.random.default_rng(11)
GREY = (RNG.normal(1000, 200, (150, 210)).clip(0) + 4000).astype(np.uint16)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat everything as large."""
    monkeypatch.setattr(sources, "LARGE", 1000)
    monkeypatch.setattr(decoding, "LARGE", 1000)
    monkeypatch.setattr(objects_module, "LARGE", 1000)
    monkeypatch.setitem(blocks.SIDE, 2, 64)
    monkeypatch.setitem(blocks.SIDE, 3, 24)
    monkeypatch.setattr(stitch, "_SHARE", 0)


def as_blocks(x: np.ndarray) -> Blocks:
    whole = x.dtype.kind in "ui"
    values = (0, 65535) if whole else None
    read = lambda where: x[(slice(None), *where)]  # noqa: E731
    return Blocks(x.shape, read, values)


# -- statistics ------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2)], ids=["all", "by channel"])
@pytest.mark.parametrize("kind", ["uint16", "float32", "ties", "constant"])
def test_statistics_of_blocks_are_those_of_the_whole(
    kind: str, axes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(blocks.SIDE, 2, 40)
    x: Any = np.stack([GREY, GREY // 3])
    if kind == "float32":
        x = (x / 7).astype(np.float32)
    elif kind == "ties":
        x = np.round(x / 500).astype(np.float32)
    elif kind == "constant":
        x = np.full_like(x, 7)
    for found, expected in zip(
        statistics.moments(as_blocks(x), axes), statistics.moments(x, axes), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    wanted = [0, 1, 12.3, 50, 99.8, 100]
    for stepped in (False, True):
        for found, expected in zip(
            statistics.percentiles(as_blocks(x), wanted, axes, stepped=stepped),
            statistics.percentiles(x, wanted, axes, stepped=stepped),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-6)


# -- runs ------------------------------------------------------------------------------

STEPS: dict[str, Any] = {
    "nothing": [],
    "variance": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": "cyx"}}],
    "percentiles": [
        {"id": "scale_linear", "kwargs": {"gain": 0.5, "offset": 3}},
        {
            "id": "scale_range",
            "kwargs": {"min_percentile": 1, "max_percentile": 99.8, "axes": "yx"},
        },
        {"id": "zero_mean_unit_variance", "kwargs": {}},
    ],
}


def made(make: MakeModel, steps: Any = (), **config: Any) -> ai.Model:
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    rdf["inputs"][0]["preprocessing"] = list(steps)
    rdf["config"]["napari_imagec_ai"] |= config
    return ai.load_model(make(network=torchscript_network, **rdf))


ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda x: x,
    "dask": lambda x: dask.array.from_array(x, chunks=(50, 70)),
    "zarr": lambda x: zarr.array(x, chunks=(64, 64)),
    "float with nan": lambda x: np.where(x == x[3, 3], np.nan, x.astype(np.float32)),
}


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("steps", STEPS)
def test_a_run_in_blocks_gives_the_same_maps(
    steps: str, array: str, make_model: MakeModel, request: pytest.FixtureRequest
) -> None:
    model = made(make_model, STEPS[steps])
    image = ai.ImageInput(ARRAYS[array](GREY), "YX", name="it")
    whole = ai.predict(model, image, tile=64)
    request.getfixturevalue("small_blocks")
    found = ai.predict(model, image, tile=64)
    values = found.maps["probability"]
    assert isinstance(values, zarr.Array)
    np.testing.assert_allclose(values[:], whole.maps["probability"], atol=2e-5)
    assert found.assumed == whole.assumed


@pytest.mark.parametrize("scale", [2.72, 0.6, (0.7, 1.9)], ids=["up", "down", "both"])
@pytest.mark.parametrize("steps", STEPS)
def test_an_image_at_another_size_is_run_in_blocks_too(
    steps: str,
    scale: Any,
    make_model: MakeModel,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = made(make_model, STEPS[steps])
    image = ai.ImageInput(ARRAYS["float with nan"](GREY), "YX", name="it")
    whole = ai.predict(model, image, tile=64, scale=scale)
    request.getfixturevalue("small_blocks")
    monkeypatch.setattr(sources, "resample", None)  # never as one piece
    monkeypatch.setattr(stitch, "resample", None)
    found = ai.predict(model, image, tile=64, scale=scale)
    expected = whole.maps["probability"]
    assert found.maps["probability"].shape == expected.shape
    off = np.abs(found.maps["probability"][:] - expected).max()
    assert off < 1e-4 * np.abs(expected).max()
    assert found.scale == whole.scale


@pytest.mark.parametrize("labels", [False, True], ids=["values", "ids"])
@pytest.mark.parametrize("shape", [(300, 71), (40, 33), (97, 400), (150, 105), (1, 1)])
def test_a_part_of_a_resampled_image_is_that_of_the_whole(
    shape: tuple[int, int], labels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampling, "_MOST", 3000)
    array = np.stack([GREY, GREY[::-1]]).astype(np.float32)
    whole = resample(array, shape, labels=labels)
    y, x = shape
    read = lambda at: array[(slice(None), *at)]  # noqa: E731
    parts = [slice(0, y), slice(y // 3, max(y // 2, y // 3 + 1)), slice(y - 1, y)]
    for part in parts:
        where = (part, slice(x // 2, x))
        found = resample_part(read, GREY.shape, shape, where, labels=labels)
        expected = whole[(slice(None), *where)]
        np.testing.assert_allclose(found, expected, rtol=0 if labels else 1e-5)


def test_stacks_at_another_size_lie_on_the_disk_plane_by_plane(
    make_model: MakeModel, request: pytest.FixtureRequest
) -> None:
    model = made(make_model)
    stack = ai.ImageInput(np.stack([GREY, GREY[::-1], GREY[:, ::-1]]), "TYX")
    whole = ai.predict(model, stack, tile=64, scale=1.5)
    request.getfixturevalue("small_blocks")
    found = ai.predict(model, stack, tile=64, scale=1.5)
    np.testing.assert_allclose(
        found.maps["probability"][:], whole.maps["probability"], rtol=1e-5
    )


def test_planes_and_channels_are_kept_apart_in_blocks(
    make_model: MakeModel, small_blocks: None
) -> None:
    stack = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])[:, None]
    found = ai.predict(made(make_model), ai.ImageInput(stack, "TCYX"), tile=64)
    np.testing.assert_array_equal(found.maps["probability"][:], stack)


# -- objects ---------------------------------------------------------------------------


def scene(shape: Any, count: int, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Discs (balls) here and there, and a probability map of them."""
    rng = np.random.default_rng(4)
    centres = rng.uniform(0, shape, (count * 3, len(shape)))
    radii = rng.uniform(4, largest, count * 3)
    kept: list[int] = []
    for i in range(len(centres)):
        away = np.linalg.norm(centres[kept] - centres[i], axis=1)
        if np.all(away > radii[kept] + radii[i] + 4):
            kept.append(i)
    labels = discs(shape, centres[kept][:count], radii[kept][:count])
    soft = gaussian_filter((labels > 0).astype(np.float32), 0.8)
    return labels, soft


def of_foreground(make_model: MakeModel, axes: str) -> ai.Model:
    """A model whose maps are a plain foreground: the image as it is."""
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    for side, name in (("inputs", "grey"), ("outputs", "foreground")):
        rdf[side][0]["axes"] = [
            {"type": "batch"},
            {"type": "channel", "channel_names": [name]},
            *(
                {"type": "space", "id": a.lower(), "size": {"min": 8, "step": 8}}
                for a in axes
            ),
        ]
    return ai.load_model(make_model(network=torchscript_network, **rdf))


def steep(soft: np.ndarray) -> np.ndarray:
    """The same objects with edges of no width, that each threshold puts there."""
    return np.where(soft >= 0.5, 0.95 + 0.04 * soft, 0.02 * soft).astype(np.float32)


# Parts of a plain foreground that fade at their edges are taken at levels of their own,
# which a part that was cut cannot tell: they are exact where blocks see all of them.
@pytest.mark.parametrize(
    ("shape", "axes", "largest", "overlap", "fading"),
    [
        ((300, 420), "YX", 26.0, 56, True),
        # Smaller than the largest object, which then has to be put together.
        ((300, 420), "YX", 26.0, 16, False),
        ((60, 70, 80), "ZYX", 9.0, 8, True),
    ],
    ids=["plane", "plane put together", "volume put together"],
)
def test_objects_found_in_blocks_are_those_found_at_once(
    shape: Any,
    axes: str,
    largest: float,
    overlap: int,
    fading: bool,
    make_model: MakeModel,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = of_foreground(make_model, axes)
    truth, soft = scene(shape, 40, largest)
    seen = soft if fading else steep(soft)
    image = ai.ImageInput(seen, axes, pixel_size=(0.5,) * len(axes), unit="micrometer")
    raw = ai.predict(model, image)
    whole = ai.decode(raw)
    request.getfixturevalue("small_blocks")
    monkeypatch.setitem(in_blocks.OVERLAP, len(axes), overlap)
    found = ai.decode(raw)
    assert isinstance(found.label_image, zarr.Array)
    assert len(found) == len(whole) == len(np.unique(truth)) - 1
    order = [int(whole.label_image[tuple(at)]) - 1 for at in _inside(found)]
    assert sorted(order) == list(range(len(whole)))
    same = np.mean((found.as_labels() > 0) == (whole.as_labels() > 0))
    assert same > 0.9999
    for name, column in whole.features.items():
        np.testing.assert_allclose(
            found.features[name], column[order], rtol=0.02, atol=0.02, err_msg=name
        )
    np.testing.assert_allclose(found.boxes, whole.boxes[order], atol=1)
    np.testing.assert_allclose(found.confidence, whole.confidence[order], atol=0.01)
    labels = found.as_labels()
    for row in (0, 5):
        box = found.boxes[row].astype(int)
        half = len(box) // 2
        inner = tuple(slice(box[i], box[half + i]) for i in range(half))
        mine = np.count_nonzero(labels[inner] == found.id[row])
        assert mine == found.features["area"][row]


def test_fading_objects_that_no_block_sees_whole_are_put_together(
    make_model: MakeModel,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth, soft = scene((300, 420), 40, 26.0)
    raw = ai.predict(of_foreground(make_model, "YX"), ai.ImageInput(soft, "YX"))
    whole = ai.decode(raw).as_labels()
    request.getfixturevalue("small_blocks")
    monkeypatch.setitem(in_blocks.OVERLAP, 2, 16)
    found = ai.decode(raw).as_labels()
    assert found.max() == whole.max() == len(np.unique(truth)) - 1
    for identity in range(1, found.max() + 1):
        mine = found == identity
        # One object of the truth, and the same one of the whole with nearly its edge.
        assert len(np.unique(truth[mine & (truth > 0)])) == 1
        (other,) = np.unique(whole[mine & (whole > 0)])
        theirs = whole == other
        assert (mine & theirs).sum() / (mine | theirs).sum() > 0.8


def _inside(objects: ai.Objects) -> Any:
    """A pixel of each object."""
    labels = objects.as_labels()
    for identity in objects.id:
        yield np.argwhere(labels == identity)[0]


def test_ids_are_unique_over_all_planes(
    make_model: MakeModel, small_blocks: None
) -> None:
    _, soft = scene((200, 200), 12, 14)
    stack = np.stack([soft, soft.T, np.zeros_like(soft)])
    found = ai.decode(ai.predict(made(make_model), ai.ImageInput(stack, "TYX")))
    single = ai.decode(
        ai.predict(made(partial(make_model, "b")), ai.ImageInput(soft, "YX"))
    )
    assert len(found) == 2 * len(single)
    assert sorted(found.id) == list(range(1, len(found) + 1))
    assert np.bincount(found.planes[:, 0]).tolist() == [len(single)] * 2


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("foreground", "turned into probabilities: sigmoid"),
        ("three_class", "turned into probabilities: softmax"),
        ("multi_class", "turned into probabilities: softmax"),
        ("affinities", "turned into probabilities: sigmoid"),
    ],
)
def test_the_whole_map_tells_whether_it_holds_probabilities(
    kind: str,
    words: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = scattered(3, (200, 200), 9)
    class_of = np.minimum(np.arange(truth.max() + 1), 1)
    values = maps(truth, kind, logits=True, class_of=class_of)
    # In whole blocks these could be probabilities.
    values[:, 130:] = 0.25
    if "class" in kind:
        values[0, 130:] = 0.75
    raw = prediction(values, kind, classes=["thing"])
    raw = replace(raw, assumed=("It was assumed.",))
    whole = ai.decode(raw)
    request.getfixturevalue("small_blocks")
    monkeypatch.setitem(in_blocks.OVERLAP, 2, 8)
    found = ai.decode(raw)
    assert isinstance(found.label_image, zarr.Array)
    # Beside what a part is faint, each block tells for itself.
    said = [s for s in whole.assumed if "half their confidence" not in s]
    assert list(found.assumed) == said
    assert sum(words in sentence for sentence in found.assumed) == 1
    np.testing.assert_array_equal(found.as_labels() > 0, whole.as_labels() > 0)


def test_outlines_are_traced_block_by_block(
    make_model: MakeModel, request: pytest.FixtureRequest
) -> None:
    _, soft = scene((200, 260), 20, 14)
    stack = np.stack([soft, soft[::-1]])
    objects = ai.decode(ai.predict(made(make_model), ai.ImageInput(stack, "TYX")))
    whole = objects[::2].as_outlines()
    request.getfixturevalue("small_blocks")
    found = objects[::2].as_outlines()
    assert len(found) == len(whole) > 10
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_allclose(one[0].outer, other[0].outer)
