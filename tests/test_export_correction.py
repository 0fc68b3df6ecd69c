"""What a person corrected by hand is the truth, and is measured anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scenes import drawn, maps, prediction, scattered
from test_export_labels import found
from test_export_outlines import LABELS, named

import napari_imagec_ai as ai
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.correction import large
from napari_imagec_ai.results.correction.read_back import (
    joined,
    read_labels,
    read_outlines,
)
from napari_imagec_ai.results.objects import Objects

SIZE, UNIT = (0.5, 0.25), "micrometer"


@pytest.fixture(scope="module")
def image() -> ai.ImageInput:
    rng = np.random.default_rng(3)
    return ai.ImageInput(rng.random((90, 110)), "YX", SIZE, UNIT, "cells")


@pytest.fixture(scope="module")
def four(image: ai.ImageInput) -> Objects:
    values = maps(scattered(5, (90, 110), 4), "foreground")
    objects = ai.decode(prediction(values, pixel_size=SIZE, unit=UNIT, image=image))
    return replace(
        objects,
        class_id=np.array([0, 1, 0, 1], np.int32),
        classes=("nucleus", "debris"),
    )


def same(one: Objects, other: Objects, rtol: float = 1e-6) -> None:
    for name in ("id", "class_id", "planes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("confidence", "boxes"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol)
    assert one.classes == other.classes
    assert list(one.features) == list(other.features)
    for name, column in one.features.items():
        np.testing.assert_allclose(column, other.features[name], rtol=rtol)
    np.testing.assert_array_equal(one.as_labels(), other.as_labels())


# -- labels ----------------------------------------------------------------------------


def test_labels_that_were_not_touched_give_the_same_objects(
    four: Objects, image: ai.ImageInput
) -> None:
    same(read_labels(four.as_labels(), four, image=image), four)


@pytest.mark.parametrize("axes", ["TYX", "ZYX", "TZYX", "V"])
def test_stacks_and_volumes_come_back(axes: str) -> None:
    objects = found(axes)
    again = read_labels(objects.as_labels(), objects)
    without = [name for name in objects.features if "intensity" not in name]
    features = {name: objects.features[name] for name in without}
    same(again, replace(objects, features=features))


@pytest.mark.parametrize("name", ["a.labels.tif", "a.ome.tif", "a.imagej.tif"])
@pytest.mark.parametrize("axes", ["YX", "TYX", "V"])
def test_files_come_back(name: str, axes: str, tmp_path: Path) -> None:
    objects = found(axes)
    path = ai.write(objects, tmp_path / name)
    np.testing.assert_array_equal(
        read_labels(path, objects).as_labels(), objects.as_labels()
    )


@settings(deadline=None, max_examples=60)
@given(labels=LABELS)
def test_any_labels_are_taken_as_they_are(labels: np.ndarray) -> None:
    objects = read_labels(labels, Frame("YX", labels.shape, (1.0, 1.0)))
    np.testing.assert_array_equal(objects.as_labels(), labels)
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    assert objects.id.tolist() == ids.tolist()
    assert objects.features["area"].tolist() == counts.tolist()
    assert set(objects.confidence.tolist()) <= {1.0}


def test_objects_that_were_erased_are_gone(four: Objects) -> None:
    labels = four.as_labels()
    labels[labels == 2] = 0
    assert read_labels(labels, four).id.tolist() == [1, 3, 4]


def test_a_half_that_was_cut_off_keeps_the_class_of_the_whole(four: Objects) -> None:
    labels = four.as_labels()
    y, _ = np.nonzero(labels == 2)
    lower = labels == 2
    lower[: int(np.median(y))] = False
    labels[lower] = 9
    again = read_labels(labels, four)
    assert again.id.tolist() == [1, 2, 3, 4, 9]
    assert [again.classes[i] for i in again.class_id[[1, 4]]] == ["debris", "debris"]
    assert again.confidence[4] == four.confidence[1]
    area = again.features["area"]
    assert area[1] + area[4] == four.features["area"][1]
    assert area[4] == lower.sum()


def test_what_was_drawn_on_nothing_is_sure(four: Objects) -> None:
    labels = four.as_labels()
    labels[:3, -3:] = 8
    again = read_labels(labels, four, classes="mitosis")
    assert again.classes == ("nucleus", "debris", "mitosis")
    assert (again.class_id[-1], again.confidence[-1]) == (2, 1.0)
    assert again.boxes[-1].tolist() == [0, 107, 3, 110]
    assert read_labels(labels, four).class_id[-1] == 0


def test_classes_by_id_come_before_all_others(four: Objects) -> None:
    again = read_labels(four.as_labels(), four, classes={3: "mitosis"})
    names = [again.classes[i] for i in again.class_id]
    assert names == ["nucleus", "debris", "mitosis", "debris"]


def test_an_id_that_was_painted_into_another_plane_is_a_new_object() -> None:
    objects = found("TYX")
    labels = objects.as_labels()
    assert not labels[0, :2, :2].any()
    labels[0, :2, :2] = 3  # that of an object in the second plane
    again = read_labels(labels, objects)
    assert again.id.tolist() == [1, 2, 7, 3, 4, 5, 6]
    assert again.planes[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert (again.as_labels() > 0).sum() == (labels > 0).sum()


def test_every_channel_is_measured_that_was(four: Objects) -> None:
    pixels = np.random.default_rng(0).random((3, 90, 110))
    image = ai.ImageInput(pixels, "CYX")
    labels = four.as_labels()
    columns = read_labels(labels, four.frame, image=image).features
    for channel in range(3):
        expected = [pixels[channel][labels == n].mean() for n in four.id]
        np.testing.assert_allclose(columns[f"mean_intensity_{channel}"], expected)
    before = replace(four, features={"mean_intensity_1": four.confidence})
    columns = read_labels(labels, before, image=image).features
    assert [name for name in columns if "intensity" in name] == ["mean_intensity_1"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda labels: labels[:-1], r"expected the shape \(90, 110\).*\(89, 110\)"),
        (lambda labels: labels - 1, "whole numbers"),
        (lambda labels: labels + 0.5, "whole numbers"),
        (lambda labels: labels.astype(np.int64) << 40, "whole numbers"),
    ],
)
def test_what_are_no_labels_of_the_image_is_refused(
    change: Callable[[np.ndarray], np.ndarray], told: str, four: Objects
) -> None:
    with pytest.raises(ai.ImageError, match=told):
        read_labels(change(four.as_labels()), four)


# -- outlines --------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(labels=LABELS)
def test_outlines_that_were_not_touched_keep_holes_and_parts(
    labels: np.ndarray,
) -> None:
    objects = drawn(labels)
    again = read_outlines(objects.as_polygons(), objects, ids=objects.id.tolist())
    np.testing.assert_array_equal(again.as_labels(), labels)


def test_outlines_give_the_same_table(four: Objects, image: ai.ImageInput) -> None:
    ids = four.id.tolist()
    same(read_outlines(four.as_polygons(), four, ids=ids, image=image), four)


def test_outlines_of_a_stack_lie_in_their_planes() -> None:
    objects = found("TYX")
    rings = [
        np.hstack([np.full((len(ring), 1), plane), ring])
        for plane, ring in zip(objects.planes[:, 0], objects.as_polygons(), strict=True)
    ]
    again = read_outlines(rings, objects, ids=objects.id.tolist())
    np.testing.assert_array_equal(again.as_labels(), objects.as_labels())
    np.testing.assert_array_equal(again.planes, objects.planes)


def test_an_outline_that_was_moved_is_measured_where_it_is(four: Objects) -> None:
    rings = four.as_polygons()
    rings[0] = rings[0] + np.array([3, 2], np.float32)
    again = read_outlines(rings, four, ids=four.id.tolist())
    np.testing.assert_array_equal(again.boxes[0], four.boxes[0] + [3, 2, 3, 2])
    assert again.features["area"][0] == four.features["area"][0]
    assert again.confidence[0] == four.confidence[0]


def test_outlines_may_overlap_and_each_keeps_its_pixels() -> None:
    square = np.array([[1, 1], [1, 6], [6, 6], [6, 1]]) - 0.5
    frame = Frame("YX", (20, 20), (1.0, 1.0))
    again = read_outlines([square, square + 2], frame, classes="cell")
    assert again.features["area"].tolist() == [25, 25]
    assert again.boxes.tolist() == [[1, 1, 6, 6], [3, 3, 8, 8]]
    assert (again.id.tolist(), again.classes) == ([1, 2], ("cell",))


def test_an_id_that_is_used_twice_is_given_once(four: Objects) -> None:
    ring = four.as_polygons()[1]
    ids = [2, 2, 0, float("nan")]
    again = read_outlines([ring, ring + 1, ring + 2, ring + 3], four, ids=ids)
    assert again.id.tolist() == [2, 5, 6, 7]
    # The new ones lie on the one that they were copied from.
    assert [again.classes[i] for i in again.class_id] == ["debris"] * 4


def test_what_lies_beyond_the_image_is_cut_off(four: Objects) -> None:
    square = np.array([[-4, -4], [-4, 4], [4, 4], [4, -4]]) - 0.5
    again = read_outlines([square, square - 20], four)
    assert again.boxes.tolist() == [[0, 0, 4, 4]]


def test_outlines_in_planes_that_are_not_there_are_left_out() -> None:
    objects = found("TYX")
    square = np.array([[0, 1, 1], [0, 1, 6], [0, 6, 6], [0, 6, 1]]) - [0, 0.5, 0.5]
    again = read_outlines([square - [1, 0, 0], square, square - [-9, 0, 0]], objects)
    assert again.planes.tolist() == [[0]]


def test_boxes_stay_boxes() -> None:
    boxes = named()
    corners = [outlines[0].outer for outlines in boxes.as_outlines()]
    again = read_outlines(corners, boxes, ids=[1, 2])
    np.testing.assert_allclose(again.boxes, boxes.boxes)
    assert not again.has_pixels
    assert again.features["area"].tolist() == [84, 480]
    np.testing.assert_array_equal(again.class_id, boxes.class_id)


def test_lines_are_refused_with_what_was_expected(four: Objects) -> None:
    with pytest.raises(ai.ImageError, match=r"at least 3 points with the axes YX"):
        read_outlines([np.zeros((2, 2))], four)


# -- several layers --------------------------------------------------------------------


def test_layers_of_classes_go_together_again(four: Objects) -> None:
    parts = [four[four.class_id == i] for i in range(2)]
    layers = [read_labels(p.as_labels(), p) for p in parts]
    again = joined(layers)
    np.testing.assert_array_equal(again.as_labels(), four.as_labels())
    assert sorted(again.id.tolist()) == [1, 2, 3, 4]
    assert again.counts() == four.counts()


@settings(deadline=None, max_examples=40)
@given(
    several=hnp.arrays(np.int32, (2, 6, 7), elements=st.sampled_from([0, 1, 2])),
)
def test_ids_of_several_layers_become_different(several: np.ndarray) -> None:
    both = joined([drawn(labels) for labels in several])
    assert len(set(both.id.tolist())) == len(both)
    expected = sum(len(np.unique(labels[labels > 0])) for labels in several)
    assert len(both) == expected
    assert (both.as_labels() > 0).sum() == (several > 0).any(axis=0).sum()


# -- larger than memory ----------------------------------------------------------------


class Watched:
    """A label image that notes how much of it was read at once."""

    def __init__(self, labels: np.ndarray) -> None:
        self._labels, self.most = labels, 0
        self.shape, self.dtype = labels.shape, labels.dtype

    def __getitem__(self, place: Any) -> np.ndarray:
        part = self._labels[place]
        self.most = max(self.most, part.size)
        return part


def test_large_labels_are_measured_block_by_block(
    four: Objects, image: ai.ImageInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted = four.as_labels().astype(np.uint16)
    painted[painted == four.id[0]] = 0
    painted[60:64, 40:90] = 900  # a new one, through many blocks
    expected = read_labels(painted, four, image=image)
    assert 900 in expected.id
    monkeypatch.setattr(large, "LARGE", 1000)
    monkeypatch.setattr(large, "SIDE", {2: 24})
    watched = Watched(painted)
    objects = read_labels(watched, four, image=image)
    assert watched.most <= 26 * 26
    same(objects, expected)
    assert [round(float(n), 9) for n in objects.features["perimeter"]] == [
        round(float(n), 9) for n in expected.features["perimeter"]
    ]
    wrong = painted.astype(float)
    wrong[80, 100] = 0.5
    with pytest.raises(ai.ImageError, match="these are no labels"):
        read_labels(Watched(wrong), four)
