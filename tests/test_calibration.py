"""Thresholds that meet what a person knows, found without the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import discs
from hypothesis import given
from hypothesis import strategies as st

import napari_imagec_ai as ai
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.calibration import Truth, calibrate, counted, shares
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.classifying import classify
from napari_imagec_ai.results.filters import Filter
from napari_imagec_ai.results.objects import Objects

SHAPE = (60, 60)
CENTRES = [(10, 10), (10, 40), (40, 10), (40, 40)]
SURE = (0.9, 0.8, 0.4, 0.3)


def scene(
    sure: Any = SURE, pixels: bool = True, radius: float = 5, of_class: Any = None
) -> Objects:
    """A disc for each confidence."""
    count = len(sure)
    labels = discs(SHAPE, CENTRES[:count], (radius,) * count)
    middle = np.array(CENTRES[:count], np.float32).reshape(count, 2)
    return Objects(
        frame=Frame("YX", SHAPE, (1.0, 1.0)),
        id=np.arange(1, count + 1, dtype=np.int32),
        class_id=np.zeros(count, np.int32)
        if of_class is None
        else np.array(of_class, np.int32),
        confidence=np.array(sure, np.float32),
        boxes=np.hstack([middle - radius, middle + radius + 1]).astype(np.float32),
        classes=("round", "rod"),
        label_image=labels if pixels else None,
        features={"area": np.linspace(10, 40, count)},
    )


def found(truth: Truth, objects: Objects | None = None, **rules: Any) -> Any:
    """Calibrate the class threshold alone."""
    objects = scene() if objects is None else objects
    class_map = ClassMap(**rules) if rules else ClassMap.identity(objects.classes)
    return calibrate(lambda _: objects, class_map, truth, (None,)), class_map


@given(
    st.lists(st.integers(0, 10_000), max_size=4).map(lambda c: [n / 1e4 for n in c]),
    st.integers(0, 6),
)
def test_no_class_threshold_meets_a_count_better(sure: list[float], known: int) -> None:
    objects = scene(sure)
    best, class_map = found(Truth(count=known), objects)
    counts = {len(classify(objects, class_map, t)) for t in np.linspace(0, 1, 101)} | {
        len(classify(objects, class_map, float(s))) for s in objects.confidence
    }
    assert best.count == len(classify(objects, class_map, best.class_threshold))
    assert abs(best.count - known) <= min(abs(n - known) for n in counts)
    assert best.score == -abs(best.count - known)


def test_objects_with_points_in_them_are_kept() -> None:
    best, class_map = found(Truth(points=np.array([(10, 10), (11, 41), (12.4, 38)])))
    kept = classify(scene(), class_map, best.class_threshold)
    assert list(kept.id) == [1, 2]
    assert best.score == pytest.approx(2 * 2 / (2 + 3))


def test_points_outside_of_objects_count_as_missed() -> None:
    best, _ = found(Truth(points=np.array([(10.0, 10.0), (55.0, 55.0)])))
    assert (best.count, best.score) == (1, pytest.approx(2 / 3))


@pytest.mark.parametrize("pixels", [True, False], ids=["pixels", "boxes"])
def test_labels_are_matched_by_how_much_they_share(pixels: bool) -> None:
    truth = discs(SHAPE, [(10, 10), (10, 41), (40, 25)], (5, 5, 5)) * 7
    best, _ = found(Truth(labels=truth), scene(pixels=pixels))
    assert best.count == 2
    assert best.score == pytest.approx(2 * 2 / (2 + 3))


def test_points_in_boxes_count_once() -> None:
    objects = scene((0.9, 0.85), pixels=False)
    objects.boxes[1] = objects.boxes[0]
    best, _ = found(Truth(points=np.array([(10.0, 10.0)])), objects)
    assert best.count == 1


def test_the_mask_threshold_is_chosen_with_it() -> None:
    truth = discs(SHAPE, CENTRES, (8, 8, 8, 8))
    radius = {0.2: 12.0, 0.4: 8.0, 0.8: 3.0}
    best = calibrate(
        lambda mask: scene(radius=radius[mask or 0.2]),
        ClassMap.identity(("round",)),
        Truth(labels=truth),
        radius,
    )
    assert best.mask_threshold == 0.4
    assert best.score == 1


def test_what_is_equally_good_stays_near_where_it_was() -> None:
    best = calibrate(
        lambda _: scene(),
        ClassMap.identity(("round",)),
        Truth(count=2),
        (0.1, 0.5, 0.9),
        0.6,
    )
    assert best.mask_threshold == 0.6


def test_handicaps_filters_and_classes_that_go_are_respected() -> None:
    objects = scene(of_class=(0, 1, 0, 1))
    rules = (
        ClassRule(source="round", becomes="a", handicap=0.3),
        ClassRule(source="rod", becomes=None),
    )
    best, class_map = found(Truth(count=1), objects, rules=rules)
    assert list(classify(objects, class_map, best.class_threshold).id) == [1]
    np.testing.assert_allclose(counted(objects, class_map), [0.6, 0.1], atol=1e-6)
    large = ClassRule(
        source="round", becomes="a", filters=(Filter(feature="area", minimum=30),)
    )
    best, class_map = found(Truth(count=2), scene(), rules=(large,))
    assert list(classify(scene(), class_map, best.class_threshold).id) == [3, 4]


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (Truth(), "one of"),
        (Truth(points=np.zeros((0, 2))), "no points"),
        (Truth(labels=np.zeros(SHAPE, np.int32)), "no labels"),
    ],
    ids=["nothing", "no points", "no labels"],
)
def test_without_anything_to_agree_with_it_is_refused(
    truth: Truth, message: str
) -> None:
    with pytest.raises(ai.DecodeError, match=message):
        found(truth)


def test_bars_are_as_high_as_there_are_objects() -> None:
    bars = shares(np.array([0.1, 0.1, 0.1, 0.1, 0.95]), bins=10)
    assert (bars[1], bars[9], sum(bar > 0 for bar in bars)) == (1, 0.5, 2)
    assert not any(shares(np.zeros(0)))
