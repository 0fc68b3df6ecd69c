"""Flows: agreement with Cellpose, ideal scenes, and output that is odd."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, discs, match_f1
from pydantic import ValidationError
from scenes import prediction, scattered
from scipy import special

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.flows import follow_flows
from napari_imagec_ai.decoders.flows.cellpose import CellposeSettings, default_settings
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.model.description import Model, Step
from napari_imagec_ai.model.steps.steps import make_transform
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

# Written by tools/make_cellpose_cases.py, where the entries are explained.
STORED = dict(np.load(ROOT / "tests" / "data" / "cellpose_cases.npz"))
CASES = json.loads(STORED["cases"].tobytes())
UNIT = 0.125
SURE = 3.0


# -- ideal maps ------------------------------------------------------------------------


def flow_maps(labels: np.ndarray) -> np.ndarray:
    """What an ideal network says of round objects: flows and a cell probability."""
    grid = np.indices(labels.shape, np.float32)
    maps = np.zeros((labels.ndim + 1, *labels.shape), np.float32)
    maps[-1] = np.where(labels > 0, SURE, -SURE)
    for number in range(1, int(labels.max()) + 1):
        mine = labels == number
        if mine.any():
            there = grid[:, mine]
            to_centre = there.mean(axis=1, keepdims=True) - there
            length = np.maximum(np.linalg.norm(to_centre, axis=0), 1)
            maps[:-1, mine] = 5 * to_centre / length
    return maps


def made(values: np.ndarray, kind: Any = "cellpose", **more: Any) -> Prediction:
    return prediction(values, kind, **more)


def decoded(found: Prediction, **changes: Any) -> Objects:
    objects = ai.decode(found, settings_with(default_settings(found.model), changes))
    assert isinstance(objects, Objects)
    return objects


def in_volume(values: np.ndarray, **more: Any) -> Prediction:
    return made(values, axes="ZYX", space="ZYX", **more)


def model_with(steps: Any = (), **own: Any) -> Model:
    return made(np.zeros((3, 8, 8)), postprocessing=steps, **own).model


def ball(shape: tuple[int, ...] = (48, 48), radius: float = 12) -> np.ndarray:
    return discs(shape, [tuple(size / 2 for size in shape)], [radius])


# -- the original ----------------------------------------------------------------------


def best_overlaps(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """For each object of the truth, the best IoU of any that was found."""
    n, k = int(truth.max()) + 1, int(found.max()) + 1
    pairs = truth.astype(np.int64) * k + found
    both = np.bincount(pairs.ravel(), minlength=n * k).reshape(n, k)
    union = both.sum(1)[:, None] + both.sum(0)[None] - both
    iou = both[1:, 1:] / np.maximum(union[1:, 1:], 1)
    return np.asarray(iou.max(axis=1))[both[1:].sum(axis=1) > 0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_objects_are_those_of_the_original(case: dict[str, Any]) -> None:
    values = STORED[f"{case['name']} maps"] * np.float32(UNIT)
    found = decoded(
        made(values) if values.ndim == 3 else in_volume(values),
        mask_threshold=float(special.expit(case["cellprob_threshold"])),
        flow_threshold=case["flow_threshold"],
        min_size=case["min_size"],
    )
    truth = STORED[f"{case['name']} labels"]
    overlaps = best_overlaps(truth, found.as_labels())
    assert abs(len(found) - len(overlaps)) <= 0.01 * len(overlaps)
    assert overlaps.mean() >= 0.98
    if values.ndim == 3:
        assert overlaps.mean() >= 0.995


# -- ideal scenes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        scattered(3, (112, 112), 6),
        discs((90, 120), [(30, 30), (30, 51), (60, 40), (60, 80)], [11, 10, 12, 14]),
        discs((130, 140), [(10, 10), (30, 40), (60, 100), (100, 40)], [5, 10, 25, 20]),
        discs((64, 64), [(4, 30), (30, 4), (60, 60), (32, 34)], [11, 10, 9, 12]),
    ],
    ids=["isolated", "touching", "sizes", "cut by the border"],
)
def test_ideal_scenes(labels: np.ndarray) -> None:
    found = decoded(made(flow_maps(labels)))
    assert match_f1(labels, found.as_labels(), 0.95) == 1.0


def test_volumes() -> None:
    labels = discs(
        (24, 50, 60), [(11, 16, 16), (12, 16, 36), (12, 36, 26)], [9, 10, 10]
    )
    found = decoded(in_volume(flow_maps(labels)))
    assert match_f1(labels, found.as_labels(), 0.95) == 1.0


@pytest.mark.parametrize("space", ["YX", "ZYX"])
def test_nothing_gives_no_objects_but_all_columns(space: str) -> None:
    labels = ball((30, 30, 30)[-len(space) :], 8)
    some, none = (
        decoded(made(flow_maps(part), axes=space, space=space))
        for part in (labels, np.zeros_like(labels))
    )
    assert len(some) == 1
    assert len(none) == 0
    assert none.boxes.shape == (0, 2 * len(space))
    assert list(none.features) == list(some.features)
    assert not none.as_labels().any()


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_planes_are_decoded_one_by_one(axes: str) -> None:
    scenes = [scattered(seed, (80, 80), count) for seed, count in ((1, 2), (2, 4))]
    values = np.stack([flow_maps(labels) for labels in scenes])
    found = decoded(made(values, axes=axes))
    assert found.planes[:, 0].tolist() == [0, 0, 1, 1, 1, 1]
    for labels, plane in zip(scenes, found.as_labels(), strict=True):
        assert match_f1(labels, plane, 0.95) == 1.0


def test_a_coarser_output_lies_on_the_image() -> None:
    labels = scattered(3, (112, 112), 6)
    found = decoded(made(flow_maps(labels[::2, ::2]), shape=labels.shape))
    assert match_f1(labels, found.as_labels(), 0.8) == 1.0


# -- settings --------------------------------------------------------------------------


def test_a_higher_mask_threshold_gives_smaller_objects() -> None:
    labels = ball()
    values = flow_maps(labels)
    depth = 12 - np.hypot(*(np.indices(labels.shape) - 24))
    values[2] = depth
    areas = []
    for threshold in (0.1, 0.5, 0.9):
        found = decoded(made(values), mask_threshold=threshold, flow_threshold=0)
        inside = (depth > special.logit(threshold)).sum()
        areas.append(found.features["area"].item())
        assert areas[-1] <= inside
        assert areas[-1] > 0.9 * min(inside, (labels > 0).sum())
    assert areas == sorted(areas, reverse=True)


def test_confidence_is_the_mean_probability_of_the_pixels() -> None:
    values = flow_maps(ball())
    values[2, :, 24:] /= 3
    found = decoded(made(values))
    inside = found.as_labels() > 0
    expected = special.expit(values[2])[inside].mean()
    assert found.confidence == pytest.approx([expected], rel=1e-5)


def test_objects_whose_flows_disagree_with_their_shape_go() -> None:
    labels = discs((60, 120), [(30, 30), (30, 90)], [14, 14])
    values = flow_maps(labels)
    # Half of the second one is pushed to and fro across the way to its centre.
    odd = (labels == 2) & (np.indices(labels.shape)[0] % 2 == 0)
    values[:2, odd] = np.stack([-values[1], values[0]])[:, odd]
    assert len(decoded(made(values), flow_threshold=0)) == 2
    kept = decoded(made(values), flow_threshold=0.4)
    assert kept.features["centroid_x"] == pytest.approx([30], abs=1)
    assert len(decoded(made(values), flow_threshold=3)) == 2


@pytest.mark.parametrize(("smallest", "count"), [(0, 2), (60, 1), (1000, 0)])
def test_specks_below_the_smallest_size_are_no_objects(
    smallest: int, count: int
) -> None:
    values = flow_maps(discs((60, 60), [(12, 12), (36, 36)], [4, 12]))
    assert len(decoded(made(values), min_size=smallest)) == count


@pytest.mark.parametrize("fill", [True, False])
def test_holes_are_filled_as_set(fill: bool) -> None:
    values = flow_maps(ball())
    values[2, 20, 30] = -SURE
    found = decoded(made(values), fill_holes=fill)
    labels = found.as_labels()
    assert (labels[20, 30] == 1) == fill
    assert labels[20, 29] == labels[21, 30] == 1
    assert found.confidence == pytest.approx([special.expit(SURE)])


def test_objects_that_cover_too_much_are_left_out() -> None:
    values = flow_maps(ball((30, 30), 13))
    assert len(decoded(made(values))) == 0
    assert len(decoded(made(values), max_share=0.7)) == 1


def test_long_ways_need_many_steps() -> None:
    labels = ball((160, 160), 60)
    values = flow_maps(labels)
    whole = decoded(made(values), max_share=1.0)
    assert whole.features["area"] == pytest.approx([(labels > 0).sum()], rel=0.01)
    short = decoded(made(values), max_share=1.0, steps=20, flow_threshold=0)
    assert short.features["area"].max(initial=0) < 0.5 * (labels > 0).sum()


def test_channels_can_be_told() -> None:
    labels = scattered(3, (112, 112), 6)
    values = flow_maps(labels)[[2, 1, 0]]
    found = decoded(made(values), cellprob=0, flow_x=1, flow_y=2)
    assert match_f1(labels, found.as_labels(), 0.95) == 1.0


def test_logits_are_the_custom_and_probabilities_are_told() -> None:
    values = flow_maps(scattered(3, (112, 112), 6))
    logits = decoded(made(values))
    values[2] = special.expit(values[2])
    probabilities = decoded(made(values))
    np.testing.assert_array_equal(logits.as_labels(), probabilities.as_labels())
    assert logits.confidence == pytest.approx(probabilities.confidence)
    assert logits.assumed == ()
    assert "as probabilities" in " ".join(probabilities.assumed)


def test_other_outputs_are_left_alone() -> None:
    found = made(flow_maps(scattered(3, (112, 112), 6)))
    (spec,) = found.model.outputs
    outputs = (spec, replace(spec, id="style"), replace(spec, id="downsampled_1"))
    more = {**found.maps, "downsampled_1": np.zeros((32, 56, 56), np.float32)}
    found = replace(found, model=replace(found.model, outputs=outputs), maps=more)
    assert len(decoded(found)) == 6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_numbers_that_are_none_do_not_spoil_the_rest(value: float) -> None:
    labels = discs((60, 120), [(30, 30), (30, 90)], [14, 14])
    values = flow_maps(labels)
    values[0, 28:31, 88:92] = value
    found = decoded(made(values), flow_threshold=0)
    overlaps = best_overlaps(labels, found.as_labels())
    assert overlaps[0] > 0.95
    values[2, :, 60:] = np.nan
    assert len(decoded(made(values))) == 1


# -- what does not fit -----------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
def test_flows_without_a_probability_are_refused(channels: int) -> None:
    with pytest.raises(ai.DecodeError, match=rf"Expected.*\({channels}, 20, 30\)"):
        decoded(made(np.zeros((channels, 20, 30))))


def test_flows_in_planes_are_refused_for_a_volume() -> None:
    with pytest.raises(ai.DecodeError, match=r"'ZYX'.*has 3 channels"):
        decoded(in_volume(np.zeros((3, 8, 8, 8))))


@pytest.mark.parametrize(
    "changes",
    [
        {"mask_threshold": 0},
        {"mask_threshold": 1},
        {"flow_threshold": -1},
        {"steps": 0},
    ],
)
def test_settings_have_limits(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CellposeSettings(**changes)


# -- descriptions ----------------------------------------------------------------------

STEP = {
    "id": "cellpose_flow_dynamics",
    "kwargs": {
        "cellprob_threshold": -1.0,
        "flow_threshold": 0.8,
        "min_size": 40,
        "do_3D": False,
    },
}


def test_thresholds_come_from_the_step() -> None:
    settings = default_settings(model_with([STEP]))
    assert settings.mask_threshold == pytest.approx(special.expit(-1.0))
    assert settings.flow_threshold == 0.8
    assert settings.min_size == 40


def test_arguments_without_sense_leave_what_is_usual() -> None:
    kwargs = {"cellprob_threshold": "low", "flow_threshold": None, "min_size": []}
    step = {"id": "cellpose_flow_dynamics", "kwargs": kwargs}
    assert default_settings(model_with([step])) == CellposeSettings()


@pytest.mark.parametrize(("threshold", "expected"), [(-9, 0.01), (9, 0.99), (0, 0.5)])
def test_logits_become_a_mask_threshold_within_its_range(
    threshold: float, expected: float
) -> None:
    step = {**STEP, "kwargs": {"cellprob_threshold": threshold}}
    assert default_settings(model_with([step])).mask_threshold == expected


def test_the_step_makes_the_kind_and_is_left_to_the_decoder() -> None:
    model = model_with([STEP], kind=None)
    assert model.kind == "cellpose"
    assert not [problem for problem in model.problems if "step" in problem]
    assert choose_decoder(model).name == "cellpose"
    values = np.random.default_rng(0).random((3, 8, 8), np.float32)
    step = Step(STEP["id"], STEP["kwargs"])
    same = make_transform([step], values, "cyx")(values)
    np.testing.assert_array_equal(same, values)


# -- following -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 50), (2, 3, 50)])
def test_pixels_go_with_the_flow_up_to_the_edge(shape: tuple[int, ...]) -> None:
    flow = np.zeros((len(shape), *shape), np.float32)
    flow[-1] = 0.5
    start = np.array([[0] * len(shape), [1] * (len(shape) - 1) + [40]], np.float32).T
    end = follow_flows.follow(flow, start, 30)
    np.testing.assert_allclose(end[-1], [15, 49])
    np.testing.assert_array_equal(end[:-1], start[:-1])


def test_pixels_that_met_still_end_where_each_of_them_would() -> None:
    rng = np.random.default_rng(0)
    labels = scattered(1, (64, 64), 3)
    flow = flow_maps(labels)[:2] / 5
    start = np.stack(np.nonzero(labels)).astype(np.float32)
    order = rng.permutation(start.shape[1])
    together = follow_flows.follow(flow, start, 100)
    apart = [follow_flows.follow(flow, start[:, [i]], 100)[:, 0] for i in order[:50]]
    away = np.abs(together[:, order[:50]] - np.stack(apart, axis=1))
    # None of them rests; a pixel from the centre they are there.
    assert away.max() < 1.5


@pytest.mark.parametrize("longest", [1, 13, 40])
def test_the_way_of_sampling_makes_no_difference(
    longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    shape = (7, 12, 13)
    coarse = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    place = np.stack([rng.uniform(0, n - 1, (2, 30)) for n in shape]).astype(np.float32)
    usual = follow_flows._sampler(coarse)(place)
    monkeypatch.setattr(follow_flows, "_LONGEST", longest)
    # OpenCV rounds places to a part of a pixel.
    np.testing.assert_allclose(follow_flows._sampler(coarse)(place), usual, atol=0.15)


def test_an_image_that_is_longer_than_opencv_takes() -> None:
    labels = discs((24, 33_000), [(12, 12), (12, 32_960)], [9, 9])
    found = decoded(made(flow_maps(labels)))
    assert match_f1(labels, found.as_labels(), 0.95) == 1.0


def test_ideal_flows_have_no_error() -> None:
    labels = scattered(3, (112, 112), 6)
    values = flow_maps(labels)[:2] / 5
    errors = follow_flows.flow_errors(labels, 6, values)
    assert (errors < 0.1).all()
    np.testing.assert_allclose(
        follow_flows.flow_errors(labels, 6, -values), 4, atol=0.5
    )


def test_a_bow_has_its_centre_on_it() -> None:
    y, x = np.indices((60, 60)) - 30
    away = np.hypot(y, x)
    labels = ((away < 22) & (away > 14) & (x > -6)).astype(np.int32)
    errors = follow_flows.flow_errors(labels, 1, np.zeros((2, 60, 60), np.float32))
    # No pixel without a flow, all of length 1.
    assert errors == pytest.approx([1.0], abs=0.02)


# -- another convention ----------------------------------------------------------------


def test_flows_away_from_the_centres_are_seen_and_told() -> None:
    labels = scattered(3, (120, 130), 9)
    values = flow_maps(labels)
    usual = decoded(made(values))
    values[:2] *= -1
    turned = decoded(made(values))
    np.testing.assert_array_equal(turned.as_labels(), usual.as_labels())
    assert any("lead away from the centres" in s for s in turned.assumed)
    assert not any("lead away" in s for s in usual.assumed)
    told = decoded(made(values), direction="outward")
    assert len(told) == len(usual)
    assert not any("lead away" in s for s in told.assumed)
    # What a person says counts: then there is little to find.
    assert len(decoded(made(values), direction="inward")) < len(usual)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_taken_for_another_convention(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 2, (3, 90, 90)).astype(np.float32)
    assert not any("lead away" in s for s in decoded(made(values)).assumed)


def test_the_direction_is_seen_in_large_images_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = scattered(3, (120, 130), 9)
    values = flow_maps(labels)
    values[:2] *= -1
    usual = decoded(made(values))
    monkeypatch.setattr("napari_imagec_ai.decoders.decoding.LARGE", 1 << 10)
    monkeypatch.setattr("napari_imagec_ai.decoders.in_blocks.SIDE", {2: 64})
    monkeypatch.setattr("napari_imagec_ai.decoders.in_blocks.OVERLAP", {2: 30})
    found = decoded(made(values))
    assert len(found) == len(usual) == 9
    assert any("lead away" in s for s in found.assumed)
