"""From ideal network outputs to objects."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import discs, match_f1
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scenes import CHANNELS, maps, pairs, prediction, scattered

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.pixels.unet import UNetSettings, default_settings
from napari_imagec_ai.decoders.registry import choose_decoder

KINDS = pytest.mark.parametrize("kind", CHANNELS)
LOGITS = pytest.mark.parametrize("logits", [False, True], ids=["probability", "logits"])


def decoded(values: np.ndarray, kind: str = "foreground", **changes: object) -> object:
    made = prediction(values, kind)
    return ai.decode(made, settings_with(default_settings(made.model), changes))


@KINDS
@LOGITS
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_scattered_discs_are_found(kind: str, logits: bool, seed: int) -> None:
    truth = scattered(seed, (112, 112), 6)
    found = ai.decode(prediction(maps(truth, kind, logits), kind))
    assert match_f1(truth, found.as_labels(), 0.7) == 1.0


@KINDS
@LOGITS
def test_touching_discs_come_apart(kind: str, logits: bool) -> None:
    truth = pairs()
    found = ai.decode(prediction(maps(truth, kind, logits), kind))
    assert match_f1(truth, found.as_labels(), 0.6) == 1.0


def test_a_drawn_boundary_parts_what_shape_would_not() -> None:
    truth = np.zeros((60, 80), np.int32)
    truth[10:50, 10:40], truth[10:50, 40:70] = 1, 2
    values = maps(truth, "foreground_boundary")
    assert len(decoded(values[:1])) == 1
    assert len(decoded(values, "foreground_boundary")) == 2


def test_splitting_can_be_turned_off() -> None:
    assert len(decoded(maps(pairs(), "foreground"), split=False)) == 3


@pytest.mark.parametrize(("fill", "area"), [(True, 676), (False, 576)])
def test_holes_are_filled_as_set(fill: bool, area: int) -> None:
    values = np.zeros((1, 48, 48))
    values[0, 10:36, 10:36] = 1
    values[0, 18:28, 18:28] = 0
    found = decoded(values, fill_holes=fill, split=False)
    assert found.features["area"].tolist() == [area]


@pytest.mark.parametrize(("smallest", "count"), [(0, 3), (4, 3), (5, 2), (101, 0)])
def test_specks_below_the_smallest_size_are_no_objects(
    smallest: int, count: int
) -> None:
    values = np.zeros((1, 48, 48))
    values[0, 2:12, 2:12] = values[0, 20:24, 20:24] = values[0, 40:42, 40:42] = 1
    assert len(decoded(values, min_size=smallest)) == count


@KINDS
def test_nothing_gives_no_objects_but_all_columns(kind: str) -> None:
    truth = scattered(0, (64, 64), 2)
    some = ai.decode(prediction(maps(truth, kind), kind))
    none = ai.decode(prediction(maps(np.zeros_like(truth), kind), kind))
    assert len(none) == 0
    assert none.boxes.shape == (0, 4)
    assert list(none.features) == list(some.features)
    assert not none.as_labels().any()


def test_a_full_mask_is_one_object() -> None:
    found = ai.decode(prediction(np.ones((1, 40, 50))))
    assert found.boxes.tolist() == [[0, 0, 40, 50]]


def test_a_higher_mask_threshold_gives_smaller_objects() -> None:
    y, x = np.mgrid[:64, :64]
    values = np.clip(1 - np.hypot(y - 32, x - 32) / 30, 0, 1)[None].astype("f4")
    areas = [
        decoded(values, mask_threshold=t).features["area"].item() for t in (0.2, 0.5)
    ]
    assert areas == [(values >= 0.2).sum(), (values >= 0.5).sum()]


def test_confidence_is_the_mean_probability_of_the_pixels() -> None:
    values = np.zeros((1, 32, 32))
    values[0, 8:16, 8:16], values[0, 8:16, 12:16] = 0.9, 0.7
    assert decoded(values).confidence == pytest.approx([0.8])


# -- activation and channels -----------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "logits", "words"),
    [
        ("foreground", False, "taken as probabilities"),
        ("foreground", True, "turned into probabilities: sigmoid"),
        ("foreground_boundary", True, "turned into probabilities: sigmoid"),
        ("three_class", True, "turned into probabilities: softmax"),
    ],
)
def test_an_assumed_activation_is_told(kind: str, logits: bool, words: str) -> None:
    found = ai.decode(prediction(maps(pairs(), kind, logits), kind))
    assert [sentence for sentence in found.assumed if words in sentence]


def test_nothing_is_assumed_where_the_description_has_a_sigmoid() -> None:
    steps = [{"id": "sigmoid"}]
    found = ai.decode(prediction(maps(pairs(), "foreground"), postprocessing=steps))
    assert found.assumed == ()


@pytest.mark.parametrize("kind", ["foreground", "foreground_boundary"])
def test_logits_give_the_same_objects_as_probabilities(kind: str) -> None:
    labels = [
        ai.decode(prediction(maps(pairs(), kind, logits), kind)).as_labels()
        for logits in (False, True)
    ]
    np.testing.assert_array_equal(*labels)


def test_a_softmax_of_the_description_gives_the_same_objects_as_ours() -> None:
    steps = [{"id": "softmax", "kwargs": {"axis": "channel"}}]
    theirs = prediction(
        maps(pairs(), "three_class"), "three_class", postprocessing=steps
    )
    ours = prediction(maps(pairs(), "three_class", logits=True), "three_class")
    np.testing.assert_array_equal(
        ai.decode(theirs).as_labels(), ai.decode(ours).as_labels()
    )


def test_channels_can_be_told() -> None:
    truth = pairs()
    swapped = maps(truth, "foreground_boundary")[::-1]
    found = decoded(swapped, "foreground_boundary", foreground=1, boundary=0)
    assert match_f1(truth, found.as_labels()) == 1.0


def test_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(ai.DecodeError, match=r"has 1 channels, but channel 3"):
        decoded(maps(pairs(), "foreground"), foreground=3)


def test_no_channel_at_all_is_refused() -> None:
    with pytest.raises(ai.DecodeError, match="Neither a foreground nor a boundary"):
        decoded(maps(pairs(), "foreground"), foreground=-1)


def test_the_description_sets_what_to_begin_with() -> None:
    made = prediction(maps(pairs(), "foreground"), mask_threshold=0.3, min_size=77)
    chosen = default_settings(made.model)
    assert (chosen.mask_threshold, chosen.min_size) == (0.3, 77)


def test_the_threshold_of_a_binarisation_becomes_the_mask_threshold() -> None:
    steps = [{"id": "sigmoid"}, {"id": "binarize", "kwargs": {"threshold": 0.4}}]
    made = prediction(maps(pairs(), "foreground"), postprocessing=steps)
    assert default_settings(made.model).mask_threshold == 0.4


@pytest.mark.parametrize("own", [{"min_size": "many"}, {"mask_threshold": 7}])
def test_settings_of_the_description_that_cannot_be_are_refused_in_words(
    own: dict[str, object],
) -> None:
    made = prediction(maps(pairs(), "foreground"), **own)
    with pytest.raises(ai.DecodeError, match="'Tiny'"):
        ai.decode(made)


@pytest.mark.parametrize(
    "change",
    [
        {"mask_threshold": 1.2},
        {"neck": -0.1},
        {"min_size": -1},
        {"activation": "relu"},
        {"maskthreshold": 0.5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_settings_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UNetSettings(**change)
    with pytest.raises(ai.ImagecAIError, match=f"'{next(iter(change))}' cannot be"):
        settings_with(UNetSettings(), change)


# -- planes, volumes, resolution -------------------------------------------------------


def test_ids_are_unique_over_a_stack_and_know_their_plane() -> None:
    stack = [scattered(i, (80, 80), 3) for i in range(3)]
    values = np.stack([maps(plane, "foreground") for plane in stack])
    found = ai.decode(prediction(values, axes="TYX"))
    assert found.id.tolist() == list(range(1, 10))
    assert found.plane_axes == "T"
    assert found.planes[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    labels = found.as_labels()
    assert [set(np.unique(plane)) - {0} for plane in labels] == [
        {1, 2, 3},
        {4, 5, 6},
        {7, 8, 9},
    ]


def test_part_of_a_stack_is_measured_on_its_own_planes() -> None:
    truth = discs((48, 48), [(24, 24)], [9])
    image = ai.ImageInput(
        np.arange(5)[:, None, None] * np.ones((5, 48, 48), np.uint8), "TYX"
    )
    values = np.stack([maps(truth, "foreground")] * 2)
    found = ai.decode(prediction(values, axes="TYX", origin=(2, 0, 0), image=image))
    assert found.planes[:, 0].tolist() == [2, 3]
    assert found.features["mean_intensity"].tolist() == [2, 3]


def test_every_channel_is_measured_whether_it_was_fed_or_not() -> None:
    truth = discs((48, 48), [(24, 24)], [9])
    data = np.stack([np.full((48, 48), value) for value in (3, 5, 8)])
    image = ai.ImageInput(data, "CYX")
    found = ai.decode(
        prediction(maps(truth, "foreground"), image=image, channels=(0, 2))
    )
    assert found.features["mean_intensity_0"].tolist() == [3]
    assert found.features["mean_intensity_2"].tolist() == [8]
    assert found.features["mean_intensity_1"].tolist() == [5]


def test_a_stack_with_another_spacing_along_z_runs_plane_by_plane() -> None:
    truth = pairs()
    values = np.stack([maps(truth, "foreground")] * 2)
    sizes = (3.0, 0.5, 0.5)
    found = ai.decode(prediction(values, axes="ZYX", pixel_size=sizes))
    assert len(found) == 12


def test_touching_balls_of_an_anisotropic_volume_are_two() -> None:
    spacing = (4.0, 1.0, 1.0)
    truth = discs((14, 48, 72), [(6, 24, 24), (7, 24, 46)], [12, 12], spacing)
    made = prediction(
        maps(truth, "foreground"), axes="ZYX", space="ZYX", pixel_size=spacing
    )
    found = ai.decode(made)
    assert match_f1(truth, found.as_labels(), 0.7) == 1.0
    assert found.boxes.shape == (2, 6)


def test_output_at_half_resolution_comes_back_at_the_size_of_the_image() -> None:
    truth = pairs(2)
    half = maps(truth[::2, ::2], "foreground")
    found = ai.decode(prediction(half, shape=truth.shape))
    assert found.as_labels().shape == truth.shape
    assert match_f1(truth, found.as_labels(), 0.7) == 1.0


def test_area_is_also_told_in_the_unit_of_the_image() -> None:
    made = prediction(
        maps(pairs(), "foreground"), pixel_size=(0.5, 0.25), unit="micrometer"
    )
    features = ai.decode(made).features
    np.testing.assert_allclose(features["area_micrometer2"], features["area"] / 8)


@pytest.mark.parametrize("hole", [10, 14])
def test_a_disc_with_a_filled_hole_is_one_object(hole: int) -> None:
    disc, inner = (discs((60, 60), [(30, 30)], [radius]) for radius in (20, hole))
    found = decoded(maps(np.where(inner, 0, disc), "foreground"))
    assert found.features["area"].tolist() == [(disc > 0).sum()]


@pytest.mark.parametrize(
    ("logits", "activation", "words"),
    [
        (False, "sigmoid", "once more"),
        (True, "none", "no probabilities"),
        (False, "none", ""),
        (True, "sigmoid", ""),
        (False, "auto", "taken as probabilities"),
    ],
)
def test_an_activation_that_does_not_fit_the_values_is_named(
    logits: bool, activation: str, words: str
) -> None:
    made = prediction(maps(pairs(), "foreground", logits))
    usual = choose_decoder(made.model).defaults(made.model)
    found = ai.decode(made, settings_with(usual, {"activation": activation}))
    told = " ".join(found.assumed)
    assert words in told
    assert bool(words) == bool(told)


def test_settings_can_be_changed_by_name() -> None:
    made = prediction(maps(pairs(), "foreground"))
    usual = default_settings(made.model)
    by_name = ai.decode(made, mask_threshold=0.7, min_size=30)
    whole = ai.decode(
        made, usual.model_copy(update={"mask_threshold": 0.7, "min_size": 30})
    )
    assert isinstance(by_name, ai.Objects)
    assert isinstance(whole, ai.Objects)
    np.testing.assert_array_equal(by_name.as_labels(), whole.as_labels())
    other = ai.decode(made, usual.model_copy(update={"min_size": 30}), min_size=40)
    assert isinstance(other, ai.Objects)
    assert (other.features["area"] >= 40).all()
    with pytest.raises(ai.DecodeError, match="'mask_treshold'"):
        ai.decode(made, mask_treshold=0.4)
