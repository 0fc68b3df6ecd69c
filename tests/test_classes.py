"""Class threshold, handicaps, filters and the person's own classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import napari_imagec_ai as ai
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.classifying import classify
from napari_imagec_ai.results.filters import Filter
from napari_imagec_ai.results.objects import Objects

CLASSES = ("round", "long", "junk")


def table(
    confidence: list[float],
    class_id: list[int] | None = None,
    area: list[float] | None = None,
    **features: list[float],
) -> Objects:
    count = len(confidence)
    columns = {"area": area or [50.0] * count, **features}
    return Objects(
        frame=Frame("YX", (10, 12), (1.0, 1.0)),
        id=np.arange(11, 11 + count, dtype=np.int32),
        class_id=np.asarray(class_id or [0] * count, np.int32),
        confidence=np.asarray(confidence, np.float32),
        boxes=np.zeros((count, 4), np.float32),
        classes=CLASSES,
        features={name: np.asarray(column) for name, column in columns.items()},
    )


def named(found: Objects) -> dict[int, str]:
    """The class of each id."""
    return {
        int(i): found.classes[c] for i, c in zip(found.id, found.class_id, strict=True)
    }


def rule(becomes: str | None = "cell", **more: object) -> ClassMap:
    made = ClassRule(source="round", becomes=becomes, **more)  # type: ignore[arg-type]
    return ClassMap(rules=(made,), class_threshold=0.0)


SURE = st.lists(st.floats(0, 1, width=32), max_size=12)


@settings(deadline=None, max_examples=80)
@given(confidence=SURE, low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_raised_threshold_keeps_a_subset_with_the_same_ids(
    confidence: list[float], low: float, high: float
) -> None:
    low, high = sorted((low, high))
    objects = table(confidence)
    few = named(classify(objects, class_threshold=high))
    many = named(classify(objects, class_threshold=low))
    assert few.items() <= many.items() <= named(objects).items()


@settings(deadline=None, max_examples=80)
@given(
    confidence=st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6),
    targets=st.lists(st.sampled_from(["a", "b", None]), min_size=3, max_size=3),
    threshold=st.floats(0, 1),
)
def test_rows_of_what_is_kept_are_those_of_the_same_id(
    confidence: list[float], targets: list[str | None], threshold: float
) -> None:
    objects = table(confidence, [0, 1, 2, 0, 1, 2], [1.0, 2, 3, 4, 5, 6])
    rules = tuple(
        ClassRule(source=s, becomes=t) for s, t in zip(CLASSES, targets, strict=True)
    )
    kept = classify(objects, ClassMap(rules=rules, class_threshold=threshold))
    rows = kept.id - 11
    np.testing.assert_array_equal(kept.confidence, objects.confidence[rows])
    np.testing.assert_array_equal(kept.features["area"], objects.features["area"][rows])
    assert named(kept) == {
        11 + i: targets[i % 3]
        for i in range(6)
        if targets[i % 3] and objects.confidence[i] >= np.float32(threshold)
    }


def test_an_object_at_the_threshold_stays() -> None:
    assert len(classify(table([0.6]), class_threshold=0.6)) == 1


def test_without_a_map_objects_below_one_half_go() -> None:
    assert named(classify(table([0.4, 0.6], [0, 1]))) == {12: "long"}


def test_the_given_objects_are_not_changed() -> None:
    objects = table([0.1, 0.9])
    classify(objects, rule("cell"), 0.5)
    assert (objects.classes, objects.id.tolist()) == (CLASSES, [11, 12])


def test_two_classes_merge_under_one_name() -> None:
    both = ClassMap(
        rules=(
            ClassRule(source="round", becomes="cell"),
            ClassRule(source="long", becomes="cell"),
        )
    )
    found = classify(table([1, 1, 1], [0, 1, 2]), both)
    assert found.classes == ("cell", "junk")
    assert found.counts() == {"cell": 2, "junk": 1}


def test_a_class_that_becomes_none_goes() -> None:
    found = classify(table([1, 1], [0, 1]), rule(None))
    assert named(found) == {12: "long"}
    assert "round" not in found.classes


def test_a_class_without_a_rule_stays_what_it_is() -> None:
    assert named(classify(table([1, 1], [0, 2]), rule("cell"))) == {
        11: "cell",
        12: "junk",
    }


def test_a_rule_for_a_class_that_the_model_lacks_does_nothing() -> None:
    other = ClassMap(rules=(ClassRule(source="worm", becomes="animal"),))
    assert named(classify(table([1]), other)) == {11: "round"}


def test_a_handicap_is_taken_off_one_class_only() -> None:
    chosen = ClassMap(
        rules=(ClassRule(source="round", becomes="round", handicap=0.25),),
        class_threshold=0.5,
    )
    found = classify(table([0.7, 0.8, 0.7], [0, 0, 1]), chosen)
    assert found.id.tolist() == [12, 13]
    assert found.confidence == pytest.approx([0.8, 0.7])


def test_a_negative_handicap_favours_a_class() -> None:
    chosen = rule("round", handicap=-0.25)
    assert len(classify(table([0.3]), chosen, 0.5)) == 1


def test_the_given_threshold_goes_before_that_of_the_map() -> None:
    assert len(classify(table([0.3]), rule("cell"), 0.5)) == 0


# -- filters ---------------------------------------------------------------------------

SMALL = Filter(feature="area", maximum=10, becomes="small")
MIDDLE = Filter(feature="area", maximum=100, becomes="middle")


def test_an_object_takes_the_class_of_the_first_filter_that_it_meets() -> None:
    objects = table([1, 1, 1], area=[5, 50, 500])
    found = classify(objects, rule(filters=(SMALL, MIDDLE), otherwise="large"))
    assert named(found) == {11: "small", 12: "middle", 13: "large"}


def test_the_order_of_filters_counts() -> None:
    objects = table([1, 1], area=[5, 50])
    found = classify(objects, rule(filters=(MIDDLE, SMALL)))
    assert named(found) == {11: "middle", 12: "middle"}


def test_objects_that_meet_no_filter_go_without_an_otherwise() -> None:
    objects = table([1, 1], area=[5, 500])
    assert named(classify(objects, rule(filters=(SMALL,)))) == {11: "small"}


def test_a_filter_without_a_class_of_its_own_gives_that_of_the_rule() -> None:
    plain = Filter(feature="area", maximum=10)
    assert named(classify(table([1], area=[5]), rule(filters=(plain,)))) == {11: "cell"}


def test_a_filter_that_becomes_none_takes_objects_out() -> None:
    out = Filter(feature="area", maximum=10, becomes=None)
    objects = table([1, 1], area=[5, 50])
    found = classify(objects, rule(filters=(out,), otherwise="cell"))
    assert named(found) == {12: "cell"}


@pytest.mark.parametrize(
    ("area", "meets"), [(9.9, False), (10, True), (20, True), (20.1, False)]
)
def test_both_limits_of_a_filter_are_included(area: float, meets: bool) -> None:
    both = Filter(feature="area", minimum=10, maximum=20)
    assert len(classify(table([1], area=[area]), rule(filters=(both,)))) == int(meets)


def test_all_filters_must_be_met_where_asked() -> None:
    chosen = rule(
        filters=(
            Filter(feature="area", minimum=10),
            Filter(feature="circularity", minimum=0.8),
        ),
        require_all=True,
        otherwise="rest",
    )
    objects = table([1] * 3, area=[5, 50, 50], circularity=[0.9, 0.9, 0.5])
    assert named(classify(objects, chosen)) == {11: "rest", 12: "cell", 13: "rest"}


def test_confidence_can_be_filtered_by() -> None:
    doubtful = Filter(feature="confidence", maximum=0.5, becomes="doubtful")
    chosen = rule(filters=(doubtful,), otherwise="sure")
    assert named(classify(table([0.2, 0.9]), chosen)) == {11: "doubtful", 12: "sure"}


def test_filters_of_one_class_leave_the_others_alone() -> None:
    objects = table([1, 1], [0, 1], [50, 5])
    assert named(classify(objects, rule(filters=(SMALL,)))) == {12: "long"}


def test_an_unknown_column_is_refused_with_those_that_there_are() -> None:
    lost = rule(filters=(Filter(feature="weight"),))
    with pytest.raises(ai.DecodeError, match=r"'weight'.*confidence, area"):
        classify(table([1]), lost)


# -- what cannot be --------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_class_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ai.DecodeError, match="from 0 to 1"):
        classify(table([1]), class_threshold=threshold)


def test_two_rules_for_one_class_are_refused() -> None:
    twice = ClassRule(source="round", becomes="a")
    with pytest.raises(ValidationError, match="more than one rule for round"):
        ClassMap(rules=(twice, twice))


@pytest.mark.parametrize(
    "made",
    [
        lambda: ClassMap(class_threshold=1.5),
        lambda: ClassRule(source="a", becomes="b", handicap=2),
        lambda: Filter(feature="area", minium=3),
    ],
    ids=["class threshold", "handicap", "a misspelt name"],
)
def test_rules_that_cannot_be_are_refused(made: object) -> None:
    with pytest.raises(ValidationError):
        made()  # type: ignore[operator]


def test_classes_stand_in_the_order_of_the_rules_each_once() -> None:
    chosen = rule("cell", filters=(SMALL, MIDDLE, SMALL), otherwise="cell")
    assert classify(table([]), chosen).classes == (
        "cell",
        "small",
        "middle",
        "long",
        "junk",
    )


def test_filters_that_must_all_be_met_name_no_classes() -> None:
    chosen = rule("cell", filters=(SMALL,), require_all=True, otherwise="rest")
    found = classify(table([1], area=[5]), chosen)
    assert found.classes == ("cell", "rest", "long", "junk")
