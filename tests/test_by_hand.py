"""Corrections by hand stay when objects are found anew."""

from __future__ import annotations

import numpy as np
import pytest

from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.results.correction.kept_corrections import (
    laid_over,
    noticed,
    renamed,
)
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.objects import Objects


def frame_of(axes: str) -> Frame:
    """A frame of 40 x 60 pixels, with three planes where there are any."""
    shape = (3, 40, 60)[-len(axes) :]
    return Frame(axes, shape, (1.0,) * sum(axis in "ZYX" for axis in axes))


def found(*boxes: tuple[int, int, int, int], ids: list[int] | None = None) -> Objects:
    """Rectangles (y0, x0, y1, x1) as objects of the class 'thing'."""
    labels = np.zeros((40, 60), np.int32)
    for n, (y0, x0, y1, x1) in zip(ids or range(1, 99), boxes, strict=False):
        labels[y0:y1, x0:x1] = n
    return read_labels(labels, frame_of("YX"), classes="thing")


A, B, C = (2, 2, 12, 12), (2, 20, 12, 30), (20, 20, 32, 32)


def test_what_was_not_changed_is_no_correction() -> None:
    shown = found(A, B)
    assert noticed(shown, shown.as_labels(), "thing") is None
    # An edit that was undone is none either.
    now = shown.as_labels()
    now[30:34, 30:34] = 9
    once = noticed(shown, now, "thing")
    assert once is not None
    assert noticed(shown, shown.as_labels(), "thing") is None


def test_a_painted_object_stays_when_others_are_found() -> None:
    shown = found(A, B)
    now = shown.as_labels()
    now[30:36, 40:46] = 7
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    assert len(by_hand) == 1
    after = laid_over(found(A, B, C), by_hand)
    assert sorted(after.id.tolist()) == [1, 2, 3, 7]
    assert (after.as_labels()[30:36, 40:46] == 7).all()
    row = after.id.tolist().index(7)
    assert after.confidence[row] == 1.0  # a person is sure
    assert after.features["area"][row] == 36


def test_an_erased_object_stays_erased_under_any_number() -> None:
    shown = found(A, B)
    now = shown.as_labels()
    now[now == 1] = 0
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    assert by_hand.erased == 1
    larger = (1, 1, 13, 13)
    after = laid_over(found(C, larger, B), by_hand)
    assert not after.as_labels()[1:13, 1:13].any()
    assert len(after) == 2


def test_a_corrected_object_keeps_its_pixels_and_others_give_way() -> None:
    shown = found(A, B)
    now = shown.as_labels()
    now[2:12, 12:18] = 1
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    # Half of another object lies where the person drew: it loses that part only.
    beside = (2, 15, 12, 34)
    after = laid_over(found(A, beside), by_hand)
    labels = after.as_labels()
    assert (labels[2:12, 2:18] == 1).all()
    other = labels[5, 30]
    assert other not in (0, 1)
    assert after.features["area"][after.id.tolist().index(other)] == 10 * 16


def test_an_id_that_is_found_for_another_object_becomes_a_new_one() -> None:
    shown = found(A, B)
    now = shown.as_labels()
    now[2:12, 12:15] = 1
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    after = laid_over(found(C, A, ids=[1, 2]), by_hand)
    assert len(after) == 2
    assert len(set(after.id.tolist())) == 2
    assert after.as_labels()[5, 13] == 1
    assert after.as_labels()[25, 25] not in (0, 1)


def test_corrections_add_up_and_later_ones_count() -> None:
    shown = found(A, B, C)
    now = shown.as_labels()
    now[now == 3] = 0
    first = noticed(shown, now, "thing")
    assert first is not None
    shown = laid_over(found(A, B, C), first)
    now = shown.as_labels()
    now[2:12, 30:33] = 2
    second = noticed(shown, now, "thing", first)
    assert second is not None
    assert len(second) == 2
    after = laid_over(found(A, B, C), second)
    np.testing.assert_array_equal(after.as_labels(), now)


@pytest.mark.parametrize("frame", [frame_of("TYX"), frame_of("ZYX")])
def test_planes_and_volumes_are_corrected_like_flat_images(frame: Frame) -> None:
    labels = np.zeros(frame.shape, np.int32)
    labels[1, 2:12, 2:12], labels[2, 20:30, 20:30] = 1, 2
    volumes = frame.axes == "ZYX"
    shown = read_labels(labels, frame, classes="thing", volumes=volumes)
    now = shown.as_labels()
    now[1, 4:8, 30:34] = 5
    now[2] = 0
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    after = laid_over(shown, by_hand)
    np.testing.assert_array_equal(after.as_labels(), now)


def test_intensities_of_corrected_objects_are_measured() -> None:
    grey = np.full((40, 60), 3.0, np.float32)
    image = ImageInput(grey, "YX")
    labels = found(A, B).as_labels()
    shown = read_labels(labels, frame_of("YX"), classes="thing", image=image)
    now = shown.as_labels()
    now[30:34, 30:34] = 9
    by_hand = noticed(shown, now, "thing", None, image)
    assert by_hand is not None
    after = laid_over(shown, by_hand)
    np.testing.assert_allclose(after.features["mean_intensity"], 3.0)


def test_corrections_follow_a_class_to_its_new_name() -> None:
    shown = found(A)
    now = shown.as_labels()
    now[30:34, 30:34] = 9
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    assert renamed(by_hand, "cell").kept.classes == ("cell",)
