"""Distances, classes, affinities and labels: what is special about each of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from conftest import description, discs, match_f1, torchscript_network
from scenes import depths, maps, pairs, prediction
from scipy import special

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.pixels.unet import UNET
from napari_imagec_ai.decoders.registry import (
    choose_decoder,
)
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction


def found_in(made: Prediction, **changes: object) -> Objects:
    """What the model's own decoder finds, with some of its settings changed."""
    usual = choose_decoder(made.model).defaults(made.model)
    found = ai.decode(made, settings_with(usual, changes))
    assert isinstance(found, Objects)
    return found


def told(found: Objects, words: str) -> bool:
    return any(words in sentence for sentence in found.assumed)


# -- distances -------------------------------------------------------------------------


def scaled(depth: np.ndarray, labels: np.ndarray, unit: str) -> np.ndarray:
    if unit == "of its object":
        highest = np.zeros(labels.max() + 1)
        np.maximum.at(highest, labels, depth)
        return np.where(labels > 0, depth / np.maximum(highest[labels], 1e-9), 0)
    if unit == "negative outside":
        return np.asarray(depth - depths((labels == 0).astype(np.int32)))
    return np.asarray(special.expit(depth) if unit == "squashed" else depth)


@pytest.mark.parametrize(
    "unit", ["pixels", "of its object", "negative outside", "squashed"]
)
@pytest.mark.parametrize("kind", ["foreground", "foreground_boundary_distance"])
def test_distances_part_objects_whatever_their_unit(kind: str, unit: str) -> None:
    # No neck: the shape tells nothing.
    truth = np.zeros((60, 100), np.int32)
    truth[10:50, 10:40], truth[10:50, 40:70], truth[10:50, 70:80] = 1, 2, 3
    own = kind if kind != "foreground" else "foreground_distance"
    values = maps(truth, own)
    values[-1] = scaled(depths(truth), truth, unit)
    made = prediction(
        values,
        kind,
        names=["foreground", "distance"] if kind == "foreground" else None,
        postprocessing=[{"id": "sigmoid"}] if unit == "squashed" else [],
    )
    assert match_f1(truth, found_in(made).as_labels(), 0.9) == 1.0


def test_a_distance_is_never_taken_for_a_logit() -> None:
    values = maps(pairs(), "foreground_boundary_distance")
    assert values[-1].max() > 5
    found = found_in(prediction(values, "foreground_boundary_distance"))
    assert told(found, "values from 0.03 to 0.97) was taken as probabilities")


def test_a_distance_alone_is_refused() -> None:
    made = prediction(maps(pairs(), "foreground"))
    with pytest.raises(ai.DecodeError, match="only channel"):
        found_in(made, foreground=-1, distance=0)


# -- membranes -------------------------------------------------------------------------


def squares() -> np.ndarray:
    """Four cells side by side, far from the edges of the image."""
    truth = np.zeros((80, 80), np.int32)
    truth[15:40, 15:40], truth[15:40, 40:65] = 1, 2
    truth[40:65, 15:40], truth[40:65, 40:65] = 3, 4
    return truth


def test_membranes_are_shared_out_and_what_lies_around_touches_the_edge() -> None:
    truth = squares()
    found = found_in(prediction(maps(truth, "membranes"), "boundary"))
    assert sorted(found.features["area"])[:4] == pytest.approx([625] * 4, rel=0.01)
    assert sorted(found.features["touches_edge"]) == [0, 0, 0, 0, 1]
    assert found.as_labels().all()


def test_a_smudge_in_a_cell_is_filled_but_not_the_net_of_membranes() -> None:
    truth = squares()
    seen = truth.copy()
    seen[22:30, 22:30] = 0
    values = maps(seen, "membranes", whole=truth)
    found = found_in(prediction(values, "boundary"))
    assert sorted(found.features["area"])[:4] == pytest.approx([625] * 4, rel=0.01)


def test_a_wide_gap_between_objects_is_left_open() -> None:
    values = maps(discs((60, 90), [(30, 22), (30, 64)], [12, 12]), "boundary")
    assert not found_in(prediction(values, "boundary")).as_labels()[:, 42:46].any()


# -- which channel, and is it a probability? -------------------------------------------


@pytest.mark.parametrize(("kind", "own"), [("foreground", 1), ("boundary", 1)])
def test_two_logits_of_which_one_is_no_object_are_a_softmax(
    kind: str, own: int
) -> None:
    one = maps(pairs(), kind, logits=True)[0]
    # Both are shifted: a sigmoid would not give the same.
    made = prediction(
        np.stack([4 - one / 2, 4 + one / 2]), kind, names=["channel0", "channel1"]
    )
    found = found_in(made)
    assert told(found, "probabilities: softmax")
    assert told(found, f"Channel 0 was taken as background and channel {own} as {kind}")
    expected = found_in(prediction(maps(pairs(), kind), kind))
    np.testing.assert_array_equal(found.as_labels(), expected.as_labels())


NUMBERED = ["channel0", "channel1"]
SENTENCE = (
    "Channel 0 was taken as foreground and channel 1 as boundary: the description does "
    "not say."
)


@pytest.mark.parametrize(
    ("names", "own", "changes", "assumed"),
    [
        (NUMBERED, {}, {}, True),
        (["foreground", "boundary"], {}, {}, False),
        (NUMBERED, {"boundary": 1}, {}, False),
        (NUMBERED, {}, {"foreground": 1, "boundary": 0}, False),
    ],
    ids=["no names", "names", "config", "a person"],
)
def test_channels_that_nobody_named_are_told(
    names: list[str], own: dict[str, Any], changes: dict[str, Any], assumed: bool
) -> None:
    values = maps(pairs(), "foreground_boundary")
    made = prediction(values, "foreground_boundary", names=names, **own)
    assert (SENTENCE in found_in(made, **changes).assumed) == assumed


def test_logits_are_logits_whatever_range_was_declared() -> None:
    made = prediction(maps(pairs(), "foreground", logits=True))
    output = replace(made.model.outputs[0], data_range=(0.0, 1.0))
    made = replace(made, model=replace(made.model, outputs=(output,)))
    assert told(found_in(made), "probabilities: sigmoid")


def test_a_threshold_of_logits_becomes_one_of_probabilities() -> None:
    steps = [{"id": "binarize", "kwargs": {"threshold": 0.0}}]
    values = maps(pairs(), "foreground", logits=True)
    made = prediction(values, postprocessing=steps)
    assert choose_decoder(made.model).defaults(made.model).mask_threshold == 0.5
    assert len(found_in(made)) == 6


# -- classes ---------------------------------------------------------------------------


def classes_of(*planes: np.ndarray, **own: Any) -> Prediction:
    names = [f"class {n}" for n in range(1, len(planes))]
    return prediction(np.stack(planes), "multi_class", **{"classes": names, **own})


def square(value: float, start: int, stop: int) -> np.ndarray:
    plane = np.zeros((40, 40))
    plane[start:stop, start:stop] = value
    return plane


@pytest.mark.parametrize(("threshold", "count"), [(0.5, 1), (0.6, 0)])
def test_the_mask_threshold_is_for_any_class(threshold: float, count: int) -> None:
    made = classes_of(
        1 - square(0.55, 10, 30), square(0.3, 10, 30), square(0.25, 10, 30)
    )
    found = found_in(made, mask_threshold=threshold)
    assert found.class_id.tolist() == [0] * count
    assert found.confidence == pytest.approx([0.3] * count)


def test_without_a_background_a_class_must_reach_the_threshold() -> None:
    made = classes_of(
        square(0.9, 2, 10),
        square(0.4, 14, 24),
        square(0.8, 26, 38),
        classes=list("abc"),
    )
    found = found_in(made, background=-1)
    assert found.counts() == {"a": 1, "b": 0, "c": 1}


def test_objects_of_two_classes_do_not_merge_where_they_touch() -> None:
    first, second = np.zeros((2, 40, 60))
    first[10:30, 10:30], second[10:30, 30:50] = 1, 1
    found = found_in(classes_of(1 - first - second, first, second))
    assert found.class_id.tolist() == [0, 1]
    assert found.features["area"].tolist() == [400, 400]


def test_a_hole_is_filled_and_a_nested_class_stays() -> None:
    cell, nucleus = square(1, 5, 35) - square(1, 10, 20), square(1, 22, 30)
    cell -= nucleus
    found = found_in(classes_of(1 - cell - nucleus, cell, nucleus))
    assert found.features["area"].tolist() == [900 - 64, 64]
    assert found.confidence.tolist() == [1, 1]


def test_a_number_of_classes_that_does_not_fit_is_refused() -> None:
    made = classes_of(*np.zeros((5, 40, 40)), classes=["a", "b", "c"])
    with pytest.raises(
        ai.DecodeError, match=r"Expected 4 names .* besides the background, found 3"
    ):
        found_in(made)


def test_another_background_moves_the_classes() -> None:
    first, second = square(1, 2, 12), square(1, 20, 34)
    found = found_in(classes_of(first, second, 1 - first - second), background=2)
    assert found.features["area"].tolist() == [100, 196]


# -- affinities ------------------------------------------------------------------------


def test_high_values_may_part_pixels() -> None:
    values = 1 - maps(pairs(), "affinities")
    found = found_in(prediction(values, "affinities"), attractive=False)
    assert match_f1(pairs(), found.as_labels(), 0.9) == 1.0


def test_the_description_tells_offsets_and_for_which_algorithm() -> None:
    down, right = 1 - maps(pairs(), "affinities")
    far = np.full_like(down, 0.5)
    made = prediction(np.stack([far, right, far, down]), "affinities")
    offsets = [[0, -9], [0, -1], [-9, 0], [-1, 0]]
    hints = {**made.model.hints, "mws": {"offsets": offsets}}
    model = replace(made.model, hints=hints, source=b"mws: offsets")
    found = found_in(replace(made, model=model))
    assert match_f1(pairs(), found.as_labels(), 0.9) == 1.0
    assert told(found, "taken to part pixels")


def test_a_false_cut_in_an_object_does_not_take_pixels_away() -> None:
    values = maps(discs((48, 48), [(24, 24)], [16]), "affinities")
    values[0, 20, 18:28] = 0
    found = found_in(prediction(values, "affinities"))
    assert found.features["area"].tolist() == [
        (discs((48, 48), [(24, 24)], [16])).sum()
    ]


def test_offsets_longer_than_the_image_tell_nothing() -> None:
    made = prediction(np.ones((2, 20, 20)), "affinities")
    hints = {"offsets": [[30, 0], [0, -30]]}
    model = replace(made.model, hints={**made.model.hints, **hints})
    assert len(found_in(replace(made, model=model))) == 0


def test_an_axis_without_affinities_is_refused() -> None:
    made = prediction(np.zeros((1, 20, 20)), "affinities")
    with pytest.raises(ai.DecodeError, match="none of them along X"):
        found_in(made)


# -- labels ----------------------------------------------------------------------------


def test_parts_of_one_id_stay_one_object() -> None:
    ids = np.zeros((1, 40, 40))
    ids[0, 5:10, 5:10] = ids[0, 20:25, 20:25] = 70
    ids[0, 30:36, 5:11], ids[0, 0, 0:2] = 9, -1
    found = found_in(prediction(ids, "labels"))
    assert found.id.tolist() == [1, 2]
    assert found.features["area"].tolist() == [36, 50]
    assert found.confidence.tolist() == [1, 1]


def test_the_ids_of_two_planes_are_told_apart() -> None:
    ids = maps(pairs(), "labels")
    found = found_in(prediction(np.stack([ids, ids]), "labels", axes="TYX"))
    assert found.id.tolist() == list(range(1, 13))
    assert found.planes[:, 0].tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize("value", [0.7, 1e9, np.nan])
def test_what_are_no_labels_is_refused(value: float) -> None:
    values = np.where(maps(pairs(), "labels") > 0, value, 0)
    with pytest.raises(ai.DecodeError, match="these are no labels"):
        found_in(prediction(values, "labels"))


# -- resolution ------------------------------------------------------------------------


def test_the_smallest_size_is_in_pixels_of_the_image() -> None:
    values = np.zeros((1, 40, 40))
    values[0, 4:8, 4:8] = values[0, 20:28, 20:28] = 1  # 64 and 256 of the image's
    made = prediction(values, shape=(80, 80))
    assert [len(found_in(made, min_size=n)) for n in (64, 65, 257)] == [2, 1, 0]


def test_classes_stay_with_their_objects_where_one_vanishes() -> None:
    first, second = np.zeros((2, 40, 40))
    first[4, 4:30], second[20:30, 20:30] = 1, 1  # every second row is left out
    made = classes_of(1 - first - second, first, second, shape=(20, 20))
    found = found_in(made)
    assert found.class_id.tolist() == [1]


# -- outputs ---------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", ["unet", "semantic", "affinities", "labels"])
def test_each_output_that_is_a_map_can_be_decoded(decoder: str) -> None:
    made = prediction(np.zeros((2, 104, 116)), "foreground_boundary", decoder=decoder)
    spec = made.model.outputs[0]
    other = replace(spec, id="other")
    model = replace(made.model, classes=(), outputs=(spec, other))
    values = np.stack([pairs() > 0] * 2).astype(np.float32)
    both = {**made.maps, "other": values}
    made = replace(made, model=model, maps=both)
    assert len(found_in(made)) == 0
    assert len(found_in(made, output="other")) > 0
    with pytest.raises(ai.DecodeError, match=r"'third'.*'probability', 'other'"):
        found_in(made, output="third")


# -- maps of bytes ---------------------------------------------------------------------


@pytest.mark.parametrize("told", [{"type": "uint8"}, {"range": [0, 255]}], ids=str)
def test_values_from_0_to_255_are_divided(told: Any, make_model: Any) -> None:
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    rdf["outputs"][0]["data"] = told
    threshold = {"id": "binarize", "kwargs": {"threshold": 76.5}}
    rdf["outputs"][0]["postprocessing"] = [threshold]
    network = partial(torchscript_network, returns="255 * x")
    model = ai.load_model(make_model(network=network, **rdf))
    values = np.zeros((32, 48), np.float32)
    values[8:20, 8:20] = 0.9
    values[8:20, 30:42] = 0.2
    raw = ai.predict(model, ai.ImageInput(values, "YX"))
    settings: Any = UNET.defaults(model)
    assert settings.mask_threshold == pytest.approx(0.3)
    (found,) = [ai.decode(raw)]
    assert [len(found), round(float(found.confidence[0]), 3)] == [1, 0.9]
