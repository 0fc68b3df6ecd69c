"""The table of objects: subsets, pixels and outlines."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import discs
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import maps, prediction, scattered

import napari_imagec_ai as ai
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.objects import Objects


@pytest.fixture(scope="module")
def seven() -> Objects:
    return ai.decode(prediction(maps(scattered(1, (128, 128), 7), "foreground")))


def bare(count: int = 2, **changes: object) -> Objects:
    values: dict[str, object] = {
        "frame": Frame("YX", (10, 12), (1.0, 1.0)),
        "id": np.arange(1, count + 1, dtype=np.int32),
        "class_id": np.zeros(count, np.int32),
        "confidence": np.ones(count, np.float32),
        "boxes": np.tile(np.float32([1, 2, 3, 4]), (count, 1)),
        "classes": ("thing",),
    }
    return Objects(**(values | changes))  # type: ignore[arg-type]


def test_a_mask_keeps_ids_and_every_column_of_its_rows(seven: Objects) -> None:
    mask = seven.features["area"] > np.median(seven.features["area"])
    kept = seven[mask]
    assert len(kept) == 3
    np.testing.assert_array_equal(kept.id, seven.id[mask])
    np.testing.assert_array_equal(kept.boxes, seven.boxes[mask])
    for name, column in seven.features.items():
        np.testing.assert_array_equal(kept.features[name], column[mask])


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        pytest.param(2, [3], id="an int"),
        pytest.param(-1, [7], id="from the end"),
        pytest.param(np.int64(0), [1], id="an int of numpy"),
        pytest.param(slice(1, 3), [2, 3], id="a slice"),
        pytest.param([5, 0], [6, 1], id="a list"),
        pytest.param([False] * 6 + [True], [7], id="a list of bool"),
        pytest.param(np.zeros(7, bool), [], id="nothing"),
    ],
)
def test_rows_are_chosen_as_in_numpy(
    seven: Objects, rows: object, ids: list[int]
) -> None:
    kept = seven[rows]
    assert kept.id.tolist() == ids
    assert len(kept) == len(ids)


def test_a_mask_of_another_length_is_refused(seven: Objects) -> None:
    with pytest.raises(IndexError):
        seven[np.ones(6, bool)]


@settings(deadline=None, max_examples=40)
@given(mask=st.lists(st.booleans(), min_size=7, max_size=7))
def test_the_labels_of_a_subset_are_its_own_and_no_others(
    seven: Objects, mask: list[bool]
) -> None:
    kept = seven[np.array(mask)]
    whole = seven.as_labels()
    expected = np.where(np.isin(whole, kept.id), whole, 0)
    np.testing.assert_array_equal(kept.as_labels(), expected)


def test_labels_are_a_copy_that_may_be_painted_on(seven: Objects) -> None:
    before = seven.as_labels()
    seven.as_labels()[...] = 5
    np.testing.assert_array_equal(seven.as_labels(), before)


def test_an_object_without_pixels_does_not_break_the_others() -> None:
    labels = np.zeros((10, 12), np.int32)
    labels[1:3, 2:4] = 1
    np.testing.assert_array_equal(bare(3, label_image=labels).as_labels(), labels)


def test_boxes_alone_have_no_labels() -> None:
    with pytest.raises(ai.DecodeError, match="no pixels"):
        bare().as_labels()


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ai.DecodeError, match="'area' has 3 rows for 2 objects"):
        bare(features={"area": np.ones(3)})


def test_polygons_follow_the_rows_of_a_subset(seven: Objects) -> None:
    kept = seven[[4, 1]]
    for polygon, (y0, x0, y1, x1) in zip(kept.as_polygons(), kept.boxes, strict=True):
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        assert low.tolist() == [y0 - 0.5, x0 - 0.5]
        assert high.tolist() == [y1 - 0.5, x1 - 0.5]


def test_an_object_that_lost_its_pixels_has_an_empty_polygon() -> None:
    labels = np.zeros((10, 12), np.int32)
    labels[1:3, 2:4] = 2
    first, second = bare(2, label_image=labels).as_polygons()
    assert (len(first), len(second)) == (0, 8)


def test_counts_name_classes_without_objects_too() -> None:
    assert bare(2, classes=("thing", "other")).counts() == {"thing": 2, "other": 0}


def test_planes_of_a_stack_have_outlines() -> None:
    stack = np.stack([discs((48, 48), [(20, 20)], [8])] * 3)
    values = np.stack([maps(plane, "foreground") for plane in stack])
    found = ai.decode(prediction(values, axes="ZYX"))
    assert [len(ring) > 8 for ring in found.as_polygons()] == [True] * 3


def test_volumes_refuse_outlines_in_words() -> None:
    volume = discs((8, 32, 32), [(4, 16, 16)], [8], spacing=(2, 1, 1))
    found = ai.decode(prediction(maps(volume, "foreground"), axes="ZYX", space="ZYX"))
    assert len(found) == 1
    with pytest.raises(ai.DecodeError, match="volumes have labels"):
        found.as_polygons()


def test_a_subset_keeps_the_classes_of_its_rows() -> None:
    several = bare(3, class_id=np.array([0, 1, 2], np.int32), classes=("a", "b", "c"))
    assert several[[False, True, True]].counts() == {"a": 0, "b": 1, "c": 1}
