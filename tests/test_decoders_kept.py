"""What decoders keep between moves of a threshold: the same results, and no memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import discs
from scenes import prediction, scattered
from test_cellpose import flow_maps
from test_stardist import star_maps

import napari_imagec_ai as ai
from napari_imagec_ai.decoders import cache
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.flows import cellpose
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.decoders.stars import stardist
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for memory in (stardist._KEPT, cellpose._KEPT):
        memory.clear()
    yield
    for memory in (stardist._KEPT, cellpose._KEPT):
        memory.clear()


def crowd() -> np.ndarray:
    """Objects that overlap a little where they are proposed."""
    centres = [(20 + 17 * i, 20 + 17 * j) for i in range(6) for j in range(6)]
    return discs((130, 130), centres, [10.0] * 36)


def noisy(values: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (values * rng.normal(1, 0.15, values.shape)).astype(np.float32)


def star() -> Prediction:
    return prediction(noisy(star_maps(crowd())), "stardist")


def flows() -> Prediction:
    return prediction(noisy(flow_maps(crowd())), "cellpose")


def decoded(made: Prediction, **changes: Any) -> Objects:
    settings = choose_decoder(made.model).defaults(made.model)
    found = ai.decode(made, settings_with(settings, changes))
    assert isinstance(found, Objects)
    return found


MOVES = {
    "stardist": (
        star,
        [
            {"nms_threshold": 0.4},
            {"nms_threshold": 0.05},
            {"nms_threshold": 0.9},
            {"nms_threshold": 0.3, "prob_threshold": 0.3},
            {"nms_threshold": 0.7, "border": 10},
            {"nms_threshold": 0.05},
        ],
    ),
    "cellpose": (
        flows,
        [
            {"flow_threshold": 0.4},
            {"flow_threshold": 0.02},
            {"flow_threshold": 0.0},
            {"mask_threshold": 0.8, "flow_threshold": 0.02},
            {"min_size": 200},
            {"max_share": 0.01},
            {"flow_threshold": 0.4, "fill_holes": False},
        ],
    ),
}


@pytest.mark.parametrize("family", MOVES)
def test_moves_give_what_a_fresh_decoding_gives(family: str) -> None:
    make, moves = MOVES[family]
    made, seen = make(), set()
    for changes in moves:
        found = decoded(made, **changes)
        seen.add(found.as_labels().tobytes())
        alone = decoded(make(), **changes)
        np.testing.assert_array_equal(found.as_labels(), alone.as_labels())
        np.testing.assert_array_equal(found.confidence, alone.confidence)
    assert len(seen) > 2  # the moves did something


@pytest.mark.parametrize(
    ("family", "slow", "move"),
    [
        ("stardist", "shapes", {"nms_threshold": 0.6}),
        ("cellpose", "follow", {"flow_threshold": 0.2}),
        ("cellpose", "flow_errors", {"flow_threshold": 0.2}),
    ],
)
def test_a_moved_threshold_does_not_begin_anew(
    family: str, slow: str, move: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MOVES[family][0]()
    decoded(made)
    module = {"stardist": stardist, "cellpose": cellpose}[family]

    def never(*_: Any) -> Any:
        raise AssertionError("this was done before")

    monkeypatch.setattr(module, slow, never)
    assert len(decoded(made, **move)) > 0


def test_other_maps_of_the_same_run_are_decoded_themselves() -> None:
    made = star()
    whole = decoded(made)
    half = made.maps["probability"].copy()
    half[0, :, 65:] = 0
    other = decoded(replace(made, maps={"probability": half}))
    assert 0 < len(other) < len(whole)


def test_planes_are_kept_apart() -> None:
    values = star_maps(scattered(2, (90, 90), 7))
    stack = np.stack([values, values[..., ::-1].copy() * 0])
    made = prediction(stack, "stardist", axes="TYX")
    for threshold in (0.4, 0.5):
        assert set(decoded(made, nms_threshold=threshold).planes[:, 0]) == {0}


@pytest.mark.parametrize("family", MOVES)
def test_nothing_is_kept_when_the_prediction_is_gone(family: str) -> None:
    make, _ = MOVES[family]
    memory = {"stardist": stardist, "cellpose": cellpose}[family]._KEPT
    made = make()
    decoded(made)
    assert len(memory) == 1
    del made
    gc.collect()
    assert len(memory) == 0


def test_there_is_room_for_so_much_and_the_oldest_goes() -> None:
    memory: cache.Kept[bytes] = cache.Kept(len, room=10)
    maps, asked = [np.zeros(3)], []

    def make(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    for size in (4, 5, 4, 3, 5, 4, 11, 11):
        assert len(memory.get(maps, size, lambda size=size: make(size))) == size
    # The 3 took the place of the 5, which was asked for before the 4.
    assert asked == [4, 5, 3, 5, 4, 11, 11]
