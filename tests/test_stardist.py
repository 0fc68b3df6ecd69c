"""Star-convex shapes: agreement with StarDist, ideal scenes, and output that is odd."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, discs, match_f1
from pydantic import ValidationError
from scenes import prediction, scattered

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.decoders.stars.star_shapes import circle, golden_spiral
from napari_imagec_ai.decoders.stars.stardist import StarDistSettings, default_settings
from napari_imagec_ai.model.description import Model, Step
from napari_imagec_ai.model.steps.steps import make_transform
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

# Written by tools/make_stardist_cases.py, where the entries are explained.
STORED = dict(np.load(ROOT / "tests" / "data" / "stardist_cases.npz"))
CASES = json.loads(STORED["cases"].tobytes())
UNIT = 0.25
RAYS = 32


# -- ideal maps ------------------------------------------------------------------------


def star_maps(
    labels: np.ndarray,
    rays: int = RAYS,
    grid: tuple[int, ...] | None = None,
    anisotropy: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """What an ideal network says of labels: probability and distances.

    A pixel's probability is the higher, the farther it is from the rim; a distance is
    found by walking along its ray.
    """
    cells = tuple(slice(None, None, g) for g in grid or (1,) * labels.ndim)
    spread = circle(rays) if labels.ndim == 2 else golden_spiral(rays, anisotropy)
    start = np.stack([axis[cells] for axis in np.indices(labels.shape)])
    own = labels[cells]
    padded = np.pad(labels, 1)
    limits = np.array(labels.shape).reshape(-1, *[1] * labels.ndim)
    found = []
    for vector in spread.vectors:
        step = vector.reshape(-1, *[1] * labels.ndim)
        going, length = own > 0, np.zeros(own.shape, np.float32)
        while going.any():
            at = np.rint(start + (length + 0.25) * step).astype(int)
            inside = ((at >= -1) & (at <= limits)).all(axis=0)
            at = np.clip(at, -1, limits) + 1
            going &= inside & (padded[tuple(at)] == own)
            length[going] += 0.25
        found.append(length)
    distances = np.stack(found)
    depth = np.sqrt(distances.min(axis=0) * distances.mean(axis=0))
    highest = np.zeros(int(labels.max()) + 1)
    np.maximum.at(highest, own, depth)
    probability = depth / np.maximum(highest[own], 1)
    return np.concatenate([probability[None], distances]).astype(np.float32)


def made(
    values: np.ndarray, hints: Any = None, kind: Any = "stardist", **more: Any
) -> Prediction:
    """A prediction; ``hints`` is what the description has under ``config.stardist``."""
    found = prediction(values, kind, **more)
    if hints is None:
        return found
    model = replace(found.model, hints={**found.model.hints, "stardist": hints})
    return replace(found, model=model)


def decoded(found: Prediction, **changes: Any) -> Objects:
    objects = ai.decode(found, settings_with(default_settings(found.model), changes))
    assert isinstance(objects, Objects)
    return objects


def in_volume(values: np.ndarray, hints: Any = None) -> Prediction:
    return made(values, hints, axes="ZYX", space="ZYX")


def model_with(hints: Any = None, steps: Any = (), **own: Any) -> Model:
    return made(np.zeros((33, 8, 8)), hints, postprocessing=steps, **own).model


# -- the original ----------------------------------------------------------------------


def stored(case: dict[str, Any]) -> np.ndarray:
    """The maps of a case; pixels that are not stored have probability 0."""
    name = case["name"]
    size = [-(-s // g) for s, g in zip(case["shape"], case["grid"], strict=True)]
    values = np.zeros((1 + case["rays"], *size), np.float32)
    flat = values.reshape(len(values), -1)
    cells = STORED[f"{name} cells"]
    flat[0, cells] = STORED[f"{name} prob"] / np.float32(65535)
    flat[1:, cells] = STORED[f"{name} dist"].T * np.float32(UNIT)
    return values


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
    axes = "ZYX"[-len(case["shape"]) :]
    hints = {
        "config": {"grid": case["grid"], "anisotropy": case["anisotropy"] or None},
        "thresholds": {"prob": case["prob"], "nms": case["nms"]},
    }
    shape = tuple(case["shape"])
    found = decoded(made(stored(case), hints, axes=axes, space=axes, shape=shape))
    truth = STORED[f"{case['name']} labels"]
    overlaps = best_overlaps(truth, found.as_labels())
    assert abs(len(found) - len(overlaps)) <= 0.01 * len(overlaps)
    assert overlaps.mean() >= 0.98
    if len(shape) == 2:
        assert overlaps.mean() >= 0.999


# -- ideal scenes ----------------------------------------------------------------------


def touching() -> np.ndarray:
    return discs((90, 120), [(30, 30), (30, 51), (60, 40), (60, 80)], [11, 10, 12, 14])


def of_several_sizes() -> np.ndarray:
    centres = [(10, 10), (30, 40), (60, 100), (100, 40)]
    return discs((130, 140), centres, [5, 10, 25, 20])


def cut() -> np.ndarray:
    return discs((64, 64), [(4, 30), (30, 4), (60, 60), (32, 34)], [11, 10, 9, 12])


@pytest.mark.parametrize(
    "labels",
    [scattered(3, (112, 112), 6), touching(), of_several_sizes(), cut()],
    ids=["isolated", "touching", "sizes", "cut by the border"],
)
@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_ideal_scenes(labels: np.ndarray, grid: tuple[int, int]) -> None:
    values = star_maps(labels, grid=grid)
    found = decoded(made(values, shape=labels.shape), border=0)
    assert match_f1(labels, found.as_labels(), 0.8) == 1.0


def test_the_border_of_the_output_proposes_nothing() -> None:
    values = star_maps(discs((40, 40), [(0, 20)], [8]))
    assert len(decoded(made(values), border=0)) == 1
    with_border = decoded(made(values), border=2)
    # Pixels farther inside still propose it.
    assert len(with_border) == 1
    assert len(decoded(made(values), border=8)) == 0


@pytest.mark.parametrize("space", ["YX", "ZYX"])
def test_nothing_gives_no_objects_but_all_columns(space: str) -> None:
    shape = (40, 40) if space == "YX" else (10, 30, 30)
    middle = [tuple(size / 2 for size in shape)]
    labels = discs(shape, middle, [4])
    some, none = (
        decoded(made(star_maps(part), axes=space, space=space), border=0)
        for part in (labels, np.zeros_like(labels))
    )
    assert len(some) == 1
    assert len(none) == 0
    assert none.boxes.shape == (0, 2 * len(space))
    assert list(none.features) == list(some.features)
    assert not none.as_labels().any()


def test_a_map_smaller_than_its_borders_gives_nothing() -> None:
    assert len(decoded(made(np.ones((33, 3, 3))))) == 0


def test_planes_are_decoded_one_by_one() -> None:
    scenes = [scattered(seed, (80, 80), count) for seed, count in ((1, 2), (2, 4))]
    values = np.stack([star_maps(labels) for labels in scenes])
    found = decoded(made(values, axes="TYX"))
    assert found.planes[:, 0].tolist() == [0, 0, 1, 1, 1, 1]
    assert len(np.unique(found.id)) == 6
    for labels, plane in zip(scenes, found.as_labels(), strict=True):
        assert match_f1(labels, plane, 0.8) == 1.0


@pytest.mark.parametrize("anisotropy", [1.0, 2.0])
def test_volumes(anisotropy: float) -> None:
    spacing = (anisotropy, 1.0, 1.0)
    centres = [(9, 14, 14), (9, 14, 32), (10, 34, 22)]
    labels = discs((20, 50, 50), centres, [8, 9, 10], spacing)
    values = star_maps(labels, 32, anisotropy=spacing)
    found = decoded(in_volume(values, {"config": {"anisotropy": spacing}}))
    assert match_f1(labels, found.as_labels(), 0.7) == 1.0


def test_a_polygon_is_drawn_along_its_rays() -> None:
    values = np.zeros((1 + 4, 21, 31), np.float32)
    values[0, 10, 15] = 0.9
    values[1:, 10, 15] = [9.2, 5.2, 4.2, 3.2]  # right, down, left, up
    found = decoded(made(values))
    assert found.boxes.tolist() == [[7, 11, 16, 25]]
    labels = found.as_labels()
    assert labels[10, 11:25].all()
    assert labels[7:16, 15].all()
    assert not labels[15, 16]


def test_distances_are_pixels_of_the_image() -> None:
    for grid in (1, 4):
        values = np.zeros((33, 64 // grid, 64 // grid), np.float32)
        values[0, 32 // grid, 32 // grid] = 0.9
        values[1:] = 10
        found = decoded(made(values, shape=(64, 64)))
        assert found.boxes.tolist() == [[22, 22, 43, 43]]


@pytest.mark.parametrize("hints", [None, {"config": {"grid": [2, 2]}}])
@pytest.mark.parametrize("size", [(80, 81), (81, 79)])
def test_sizes_that_the_grid_does_not_divide(size: tuple[int, int], hints: Any) -> None:
    labels = discs((90, 90), [(20, 20), (72, 20), (30, 70)], [9, 6, 7])[
        : size[0], : size[1]
    ]
    values = star_maps(labels, grid=(2, 2))
    for ends in ((None, None), tuple(n // 2 for n in size)):
        part = values[:, : ends[0], : ends[1]]
        found = decoded(made(part, hints, shape=size))
        assert match_f1(labels, found.as_labels(), 0.8) == 1.0


def test_output_that_was_repeated_up_to_the_size_of_the_image() -> None:
    labels = scattered(5, (96, 96), 5)
    coarse = star_maps(labels, grid=(2, 2))
    values = coarse.repeat(2, 1).repeat(2, 2)
    values[0, 1::2], values[0, :, 1::2] = 0, 0
    found = decoded(made(values, {"config": {"grid": [2, 2]}}))
    expected = decoded(made(coarse, shape=labels.shape), border=1)
    np.testing.assert_array_equal(found.as_labels(), expected.as_labels())


# -- suppression -----------------------------------------------------------------------


def two_circles(apart: int, *radii: float) -> np.ndarray:
    """Two proposals, of which the second is less sure, and their distances."""
    values = np.zeros((33, 61, 91), np.float32)
    for x, sure, radius in zip((40, 40 + apart), (0.9, 0.7), radii, strict=True):
        values[0, 30, x] = sure
        values[1:, 30, x] = radius
    return values


@pytest.mark.parametrize(
    ("apart", "radii", "share"),
    [
        (10, (10, 10), 0.391),  # two circles, at the distance of their radius
        (6, (10, 10), 0.624),
        (12, (8, 20), 1.0),  # the smaller one is within the larger one
        (20, (20, 5), 0.455),
        (20, (5, 20), 0.455),
    ],
)
def test_overlap_is_a_part_of_the_smaller_one(
    apart: int, radii: tuple[float, float], share: float
) -> None:
    found = made(two_circles(apart, *radii))
    assert len(decoded(found, nms_threshold=max(share - 0.04, 0))) == 1
    assert len(decoded(found, nms_threshold=min(share + 0.04, 1))) == 2


def test_the_surer_one_is_on_top() -> None:
    found = decoded(made(two_circles(10, 10, 10)), nms_threshold=0.9)
    assert found.confidence == pytest.approx([0.9, 0.7])
    labels = found.as_labels()
    assert labels[30, 45] == 1
    assert found.features["area"][0] > found.features["area"][1]


def test_objects_that_are_covered_are_none() -> None:
    found = decoded(made(two_circles(2, 12, 5)), nms_threshold=1.0)
    assert found.id.tolist() == [1]
    assert found.confidence == pytest.approx([0.9])


def test_confidence_is_the_probability_of_the_pixel_that_proposed() -> None:
    values = star_maps(scattered(2, (80, 80), 3))
    values[0] *= np.float32(0.8)
    assert decoded(made(values)).confidence == pytest.approx([0.8] * 3, abs=1e-6)


def test_a_class_threshold_does_as_a_higher_probability_threshold() -> None:
    case = CASES[0]
    shape = tuple(case["shape"])
    values = stored(case)
    low = decoded(made(values, shape=shape), prob_threshold=0.45)
    for threshold in (0.55, 0.7):
        high = decoded(made(values, shape=shape), prob_threshold=threshold)
        kept = ai.classify(low, class_threshold=threshold)
        assert len(kept) < len(low)
        np.testing.assert_array_equal(kept.as_labels(), high.as_labels())
        np.testing.assert_array_equal(kept.features["area"], high.features["area"])


# -- channels --------------------------------------------------------------------------


def classed(labels: np.ndarray) -> np.ndarray:
    """Ideal maps with probabilities of a background and three classes."""
    class_of = np.arange(labels.max() + 1) % 3 + 1
    class_of[0] = 0
    heads = [(class_of[labels] == number) * 0.9 + 0.02 for number in range(4)]
    return np.concatenate([star_maps(labels), np.stack(heads)]).astype(np.float32)


def as_outputs(found: Prediction, **parts: np.ndarray) -> Prediction:
    """The same prediction with several outputs."""
    (spec,) = found.model.outputs
    model = replace(
        found.model, outputs=tuple(replace(spec, id=name) for name in parts)
    )
    return replace(found, model=model, maps=parts)


def test_classes_from_further_channels() -> None:
    labels = scattered(4, (112, 112), 6)
    values = classed(labels)
    values[33] += 2  # the background's: an object is of a class nevertheless
    names = ["a", "b", "c"]
    found = decoded(made(values, {"config": {"n_classes": 3}}, classes=names))
    assert found.classes == tuple(names)
    centres = found.features["centroid_y"], found.features["centroid_x"]
    there = labels[tuple(c.round().astype(int) for c in centres)]
    np.testing.assert_array_equal(found.class_id, there % 3)
    assert len(set(found.class_id)) == 3


def test_classes_without_names_are_numbered() -> None:
    values = classed(scattered(4, (112, 112), 6))
    found = decoded(made(values), class_channels=4)
    assert found.classes == ("class 1", "class 2", "class 3")


@pytest.mark.parametrize(
    "order", [("prob", "dist", "prob_class"), ("prob_class", "dist", "prob")]
)
def test_several_outputs_are_as_one(order: tuple[str, ...]) -> None:
    values = classed(scattered(4, (112, 112), 6))
    found = made(values)
    parts = {"prob": values[:1], "dist": values[1:33], "prob_class": values[33:]}
    apart = as_outputs(found, **{name: parts[name] for name in order})
    one, several = (decoded(each, class_channels=4, rays=32) for each in (found, apart))
    np.testing.assert_array_equal(several.as_labels(), one.as_labels())
    np.testing.assert_array_equal(several.class_id, one.class_id)


def test_outputs_that_are_not_needed_are_left_alone() -> None:
    values = star_maps(scattered(4, (80, 80), 3))
    found = made(values)
    more = as_outputs(found, output=values, features=np.zeros((7, 20, 20)))
    assert len(decoded(more, rays=RAYS)) == 3


def test_logits_become_probabilities_and_that_is_told() -> None:
    values = star_maps(scattered(4, (80, 80), 3))
    values[0] = values[0] * 0.98 + 0.01
    logits = values.copy()
    logits[0] = np.log(values[0] / (1 - values[0]))
    plain, turned = decoded(made(values)), decoded(made(logits))
    np.testing.assert_array_equal(plain.as_labels(), turned.as_labels())
    assert plain.assumed == ()
    assert "sigmoid" in " ".join(turned.assumed)


def test_numbers_that_are_none_do_not_spoil_the_rest() -> None:
    values = star_maps(discs((40, 40), [(20, 20)], [8]))
    strange = values.copy()
    strange[0, 20, 20] = np.nan
    strange[3, 19] = np.nan
    strange[4, 21] = -np.inf
    strange[5:7, 5] = np.inf
    found = decoded(made(strange))
    assert len(found) == 1
    assert match_f1(found.as_labels(), decoded(made(values)).as_labels(), 0.8) == 1.0
    assert found.assumed == ()


# -- what does not fit -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "changes"),
    [(33, {"rays": 64}), (33, {"rays": 32, "class_channels": 4}), (3, {}), (1, {})],
)
def test_channels_that_do_not_fit_are_refused(
    channels: int, changes: dict[str, int]
) -> None:
    with pytest.raises(ai.DecodeError, match=rf"Expected .*\({channels}, 20, 30\)"):
        decoded(made(np.zeros((channels, 20, 30))), **changes)


def test_the_refusal_says_what_was_expected() -> None:
    words = r"one channel for the probability, 32 for the distances and 4 for the"
    with pytest.raises(ai.DecodeError, match=words):
        decoded(made(np.zeros((33, 20, 20))), rays=32, class_channels=4)


def test_outputs_of_different_sizes_are_refused() -> None:
    found = made(np.zeros((33, 20, 20)))
    apart = as_outputs(found, prob=np.zeros((1, 20, 20)), dist=np.zeros((32, 10, 10)))
    with pytest.raises(ai.DecodeError, match=r"same pixels.*\(32, 10, 10\)"):
        decoded(apart)


@pytest.mark.parametrize(
    "rays",
    [
        {"name": "Rays_Octo", "kwargs": {"n_level": 2}},
        {"name": "Rays_Explicit", "kwargs": {"vertices0": [[1, 0, 0]] * 32}},
        {"name": "Rays_Explicit", "kwargs": {"vertices0": "none"}},
        {"name": "Rays_Explicit", "kwargs": None},
    ],
)
def test_rays_that_are_not_known_are_refused(rays: Any) -> None:
    found = in_volume(np.zeros((33, 8, 8, 8)), {"config": {"rays_json": rays}})
    with pytest.raises(ai.DecodeError, match=rays["name"]):
        decoded(found)


def test_explicit_rays_are_followed() -> None:
    corners = 2 * np.concatenate([np.eye(3), -np.eye(3)])
    rays = {"name": "Rays_Explicit", "kwargs": {"vertices0": corners.tolist()}}
    values = np.zeros((7, 24, 24, 24), np.float32)
    values[0, 12, 11, 10] = 0.9
    values[1:, 12, 11, 10] = [2.2, 3.2, 4.2, 5.2, 6.2, 7.2]
    found = decoded(in_volume(values, {"config": {"rays_json": rays}}))
    assert found.boxes.tolist() == [[7, 5, 3, 15, 15, 15]]
    # Eight corners of boxes, a sixth of each.
    volume = (2.2 + 5.2) * (3.2 + 6.2) * (4.2 + 7.2) / 6
    assert found.features["area"] == pytest.approx([volume], rel=0.1)


@pytest.mark.parametrize(
    "changes",
    [{"prob_threshold": 0}, {"nms_threshold": 1.1}, {"border": -1}, {"rays": -2}],
)
def test_settings_have_limits(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StarDistSettings(**changes)


# -- descriptions ----------------------------------------------------------------------

STEP = {
    "id": "stardist_postprocessing",
    "kwargs": {
        "prob_threshold": 0.62,
        "nms_threshold": 0.25,
        "n_rays": 32,
        "grid": [2, 2],
        "b": [[3, 3], [3, 3]],
    },
}


def test_thresholds_come_from_the_description() -> None:
    hints = {
        "config": {"n_rays": 32, "n_classes": None, "anisotropy": [2.0, 1.0, 1.0]},
        "thresholds": {"prob": 0.479071, "nms": 0.3},
    }
    settings = default_settings(model_with(hints))
    assert settings.prob_threshold == 0.479071
    assert settings.nms_threshold == 0.3
    assert (settings.rays, settings.class_channels, settings.anisotropy) == (32, 0, 2.0)


def test_thresholds_come_from_the_step() -> None:
    settings = default_settings(
        model_with({"thresholds": {"prob": 0.4, "nms": 0.3}}, [STEP])
    )
    assert settings.prob_threshold == 0.62
    assert settings.nms_threshold == 0.25
    assert (settings.border, settings.rays) == (3, 32)


def test_what_the_description_says_to_this_package_comes_first() -> None:
    hints = {"thresholds": {"prob": 0.4, "nms": 0.3}}
    assert default_settings(model_with(hints, nms_threshold=0.7)).nms_threshold == 0.7


@pytest.mark.parametrize(
    "hints",
    [
        {},
        None,
        "stardist",
        {"thresholds": [0.5], "config": 3},
        {"thresholds": {"prob": "high", "nms": None}, "config": {"n_rays": "many"}},
        {"config": {"anisotropy": [0, 1, 1], "grid": ["a"]}},
    ],
)
def test_descriptions_without_sense_leave_what_is_usual(hints: Any) -> None:
    assert default_settings(model_with(hints)) == StarDistSettings()


def test_thresholds_out_of_range_are_brought_into_it() -> None:
    settings = default_settings(model_with({"thresholds": {"prob": 1.0, "nms": -1}}))
    assert (settings.prob_threshold, settings.nms_threshold) == (0.99, 0.0)


def test_the_step_makes_the_kind_and_is_left_to_the_decoder() -> None:
    model = model_with(steps=[STEP], kind=None)
    assert model.kind == "stardist"
    assert not [problem for problem in model.problems if "step" in problem]
    assert choose_decoder(model).name == "stardist"
    values = np.random.default_rng(0).random((33, 8, 8), np.float32)
    step = Step(STEP["id"], STEP["kwargs"])
    same = make_transform([step], values, "cyx")(values)
    np.testing.assert_array_equal(same, values)
