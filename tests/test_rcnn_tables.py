"""Mask R-CNN's tables: which output is what, what the classes are, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from detectors import SIDE, TORCHVISION, Fixed, fixed_tables, table_rdf

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.boxes.rcnn import RcnnSettings

EMPTY = np.full((SIDE, SIDE, 3), 114, np.uint8)


def run(
    make_model: Any, engine: Fixed, names: Sequence[str] = TORCHVISION
) -> ai.Prediction:
    """Predict with a stand-in that gives the same for every image."""
    model = ai.load_model(make_model("tables", network=None, **table_rdf(names)))
    return ai.predict(model, ai.ImageInput(EMPTY, "YXC", rgb=True), engine=engine)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 0, 1), (2, 1, 3, 0)])
@pytest.mark.parametrize("numbers", [[1, 2, 1], [1, 2], [1], []])
def test_outputs_without_names_are_told_by_their_shapes(
    make_model: Any, order: Sequence[int], batch: bool, numbers: Sequence[int]
) -> None:
    tables = fixed_tables(numbers)
    given = [tables[i][None] if batch else tables[i] for i in order]
    given.append(np.array([SIDE, SIDE]))
    rdf = table_rdf([*"abcd", "size"])
    rdf["config"]["napari_imagec_ai"] |= {"kind": "boxes_masks", "decoder": "rcnn"}
    model = ai.load_model(make_model("unnamed", network=None, **rdf))
    image = ai.ImageInput(EMPTY, "YXC", rgb=True)
    raw = ai.predict(model, image, engine=Fixed(given))
    assert "by their shapes" in " ".join(raw.assumed)
    objects = ai.decode(raw)
    assert objects.boxes.tolist() == [
        [0, 10 * i, 8, 10 * i + 8] for i in range(len(numbers))
    ]
    assert objects.confidence == pytest.approx([0.8] * len(numbers))
    assert [n + 1 for n in objects.class_id] == numbers


@pytest.mark.parametrize(
    ("output", "names", "numbers", "expected", "said"),
    [
        # Told: background is named, 0 occurs, or the highest is the number of names.
        ("labels", ["background", "a", "b"], [1, 1], ["a", "a"], ""),
        ("classes", ["__background__", "a"], [1], ["a"], ""),
        ("labels", ["a", "b"], [0, 1], ["a", "b"], ""),
        ("classes", ["a", "b"], [0, 0], ["a", "a"], ""),
        ("classes", ["a", "b"], [1, 2], ["a", "b"], ""),
        ("classes", ["a"], [1], ["a"], ""),
        # Assumed, by whose names these are.
        ("labels", ["a", "b", "c"], [2, 1], ["b", "a"], "from 1"),
        ("classes", ["a", "b", "c"], [2, 1], ["c", "b"], "from 0"),
        ("labels", [], [17], ["class 17"], "have no names"),
        ("labels", ["a"], [3, 1], ["class 3", "a"], "names 1 classes"),
    ],
)
def test_the_first_class_is_told_or_assumed_and_that_is_said(
    make_model: Any,
    output: str,
    names: list[str],
    numbers: list[int],
    expected: list[str],
    said: str,
) -> None:
    rdf = table_rdf(("boxes", output, "scores", "masks"), names)
    model = ai.load_model(make_model("classes", network=None, **rdf))
    image = ai.ImageInput(EMPTY, "YXC", rgb=True)
    raw = ai.predict(model, image, engine=Fixed(fixed_tables(numbers)))
    objects = ai.decode(raw)
    assert [objects.classes[i] for i in objects.class_id] == expected
    sentences = " ".join(raw.assumed)
    assert said in sentences
    assert bool(said) == ("lasses" in sentences)


def test_a_network_of_one_class_needs_no_classes(make_model: Any) -> None:
    names = ("boxes", "scores", "masks")
    boxes, _, scores, masks = fixed_tables([1, 1])
    raw = run(make_model, Fixed([boxes, scores, masks]), names)
    assert ai.decode(raw).class_id.tolist() == [0, 0]


def test_boxes_without_masks_have_pixels_when_asked(make_model: Any) -> None:
    names = TORCHVISION[:3]
    raw = run(make_model, Fixed(fixed_tables([1, 2])[:3]), names)
    assert raw.model.kind == "boxes"
    assert not ai.decode(raw).has_pixels
    filled = ai.decode(raw, RcnnSettings(fill_boxes=True))
    assert filled.features["area"].tolist() == [64, 64]


def test_rows_that_are_no_objects_are_left_out(make_model: Any) -> None:
    tables = fixed_tables([1] * 5)
    tables[0][1] = 0  # as tables of a fixed length are filled up
    tables[0][2] = np.nan
    tables[2][3] = 0.01
    tables[2][4] = np.nan
    raw = run(make_model, Fixed(tables))
    assert ai.decode(raw).boxes.tolist() == [[0, 0, 8, 8]]


@pytest.mark.parametrize(
    ("number", "table", "found"),
    [
        (0, np.zeros((2, 5), np.float32), r"'boxes' \[2, 5\]"),
        (2, np.zeros((2, 80), np.float32), r"'scores' \[2, 80\]"),
        (3, np.zeros((2, 3, 28, 28), np.float32), r"'masks' \[2, 3, 28, 28\]"),
        (3, np.full((2, 1, 28, 28), -7, np.float32), "sigmoid"),
    ],
)
def test_other_tables_are_refused_with_what_was_expected(
    make_model: Any, number: int, table: np.ndarray, found: str
) -> None:
    tables = fixed_tables([1, 2])
    tables[number] = table
    with pytest.raises(ai.DecodeError, match=found) as error:
        run(make_model, Fixed(tables))
    assert str(error.value).startswith("Expected")
    assert "choose another model" in str(error.value)
