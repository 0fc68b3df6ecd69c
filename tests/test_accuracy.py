"""The measures of the accuracy benchmark are those of the field."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.boxes import Found, average_precision
from benchmarks.accuracy.calibration import expected_error, fitted_curve
from benchmarks.accuracy.data import read_folder
from benchmarks.accuracy.matching import figures, match, precision
from conftest import ROOT
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError


def labels_of(seed: int, shift: int = 0) -> NDArray[np.int32]:
    """Disks at random, those of another shift a little off."""
    rng = np.random.default_rng(seed)
    image = np.zeros((200, 240), np.int32)
    for number in range(1, 26):
        x, y = int(rng.integers(10, 230)), int(rng.integers(10, 190))
        off = (rng.integers(-shift, shift + 1, 2) if shift else np.zeros(2)).astype(int)
        radius = int(rng.integers(5, 14))
        if shift and rng.random() < 0.15:
            continue
        cv2.circle(image, (x + int(off[0]), y + int(off[1])), radius, number, -1)
    return image


def by_hand(truth: NDArray[np.int32], found: NDArray[np.int32]) -> list[float]:
    """IoU of every pair of 0.5 and more, by the definition."""
    ious = []
    for one in set(np.unique(truth)) - {0}:
        for other in set(np.unique(found)) - {0}:
            a, b = truth == one, found == other
            iou = (a & b).sum() / (a | b).sum()
            if iou >= 0.5:
                ious.append(float(iou))
    return sorted(ious)


def test_pairs_are_those_of_the_definition() -> None:
    truth, found = labels_of(1), labels_of(1, shift=3)
    matched = match(truth, found)
    assert sorted(matched.iou) == pytest.approx(by_hand(truth, found))
    hits, false, missed = matched.counts(0.7)
    assert hits == sum(iou >= 0.7 for iou in by_hand(truth, found))
    assert hits + missed == len(np.unique(truth)) - 1
    assert hits + false == len(np.unique(found)) - 1


def test_label_measures_are_those_of_stardist() -> None:
    matching = pytest.importorskip("stardist.matching").matching
    for seed in range(4):
        truth, found = labels_of(seed), labels_of(seed, shift=4)
        ours = match(truth, found)
        for iou in (0.5, 0.7, 0.9):
            theirs = matching(truth, found, thresh=iou)
            assert ours.counts(iou) == (theirs.tp, theirs.fp, theirs.fn)
            assert precision(*ours.counts(iou)) == pytest.approx(theirs.accuracy)
        whole = figures([ours])
        theirs = matching(truth, found, thresh=0.5)
        assert whole.f1 == pytest.approx(theirs.f1)
        assert whole.panoptic == pytest.approx(theirs.panoptic_quality)


def test_an_object_in_two_halves_is_found_once() -> None:
    truth = np.zeros((4, 8), int)
    truth[:, :] = 1
    found = truth.copy()
    found[:, 4:] = 2
    assert match(truth, found).counts(0.5) == (1, 1, 0)


def test_nothing_found_where_nothing_is_is_right() -> None:
    empty = np.zeros((8, 8), int)
    assert figures([match(empty, empty)]).precision[0] == 1.0


def boxes_of(seed: int) -> list[Found]:
    """Boxes of several images, some found, some doubled, some from nowhere."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(6):
        corner = rng.uniform(0, 300, (int(rng.integers(0, 9)), 2))
        true = np.hstack([corner, corner + rng.uniform(20, 60, corner.shape)])
        near = true + rng.normal(0, 5, true.shape)
        corner = rng.uniform(0, 300, (5, 2))
        stray = np.hstack([corner, corner + rng.uniform(20, 60, corner.shape)])
        found = np.vstack([near, near + 2, stray])
        images.append(Found(true, found, rng.permutation(len(found)) / 40 + 0.1))
    return images


def by_coco(images: list[Found], least: float) -> float:
    """The same by pycocotools."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")

    def xywh(box: NDArray[np.float64]) -> list[float]:
        y0, x0, y1, x1 = box.tolist()
        return [x0, y0, x1 - x0, y1 - y0]

    truths, found = [], []
    for number, image in enumerate(images, start=1):
        for box in image.true:
            size = xywh(box)
            truths.append(
                {
                    "id": len(truths) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": size,
                    "area": size[2] * size[3],
                    "iscrowd": 0,
                }
            )
        for box, score in zip(image.found, image.scores, strict=True):
            found.append(
                {
                    "image_id": number,
                    "category_id": 1,
                    "bbox": xywh(box),
                    "score": float(score),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        there = coco.COCO()
        there.dataset = {
            "images": [{"id": n} for n in range(1, len(images) + 1)],
            "annotations": truths,
            "categories": [{"id": 1}],
        }
        there.createIndex()
        told = evaluation.COCOeval(there, there.loadRes(found), "bbox")
        told.evaluate()
        told.accumulate()
    row = int(np.flatnonzero(np.isclose(told.params.iouThrs, least))[0])
    return float(told.eval["precision"][row, :, 0, 0, 2].mean())


@pytest.mark.parametrize("least", [0.5, 0.75])
def test_box_measures_are_those_of_coco(least: float) -> None:
    for seed in range(5):
        images = boxes_of(seed)
        expected = by_coco(images, least)
        assert average_precision(images, least) == pytest.approx(expected, abs=1e-9)


def test_a_curve_makes_confidence_a_share() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1, 4000)
    right = rng.random(4000) < np.clip((sure - 0.3) ** 2 * 2, 0, 1)
    curve = np.array(fitted_curve(sure, right))
    assert (np.diff(curve, axis=0) >= 0).all()
    assert curve.min() >= 0
    assert curve.max() <= 1
    before = expected_error(sure, right)
    after = expected_error(np.interp(sure, curve[:, 0], curve[:, 1]), right)
    assert before > 0.2
    assert after < 0.04


def test_the_expected_error_is_the_gap_of_the_bins() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.2, 0.2])
    right = np.array([True, True, False, False, False, False])
    assert expected_error(confidence, right) == pytest.approx((4 * 0.4 + 2 * 0.2) / 6)


def test_a_folder_is_evaluated_as_a_person_would_see_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    for name in ("one", "two"):
        labels = np.zeros((256, 256), np.uint16)
        for number in range(1, 15):
            x, y = (int(v) for v in rng.integers(20, 236, 2))
            if not labels[y - 18 : y + 19, x - 18 : x + 19].any():
                cv2.circle(labels, (x, y), 12, number, -1)
        bright = cv2.GaussianBlur((labels > 0) * 160.0, (0, 0), 1.2)
        grey = np.clip(bright + rng.normal(20, 3, labels.shape), 0, 255)
        iio.imwrite(tmp_path / f"{name}.png", grey.astype(np.uint8))
        iio.imwrite(tmp_path / f"{name}.labels.png", labels)
    out = tmp_path / "out"
    model = str(ROOT / "models" / "nuclei-unet")
    args = [
        "--data",
        str(tmp_path),
        "--model",
        model,
        "--out",
        str(out),
        "--worst",
        "1",
    ]
    assert main(args) == 0
    told = capsys.readouterr().out
    assert "2 images" in told
    first = next(line for line in told.splitlines() if line.startswith("| all objects"))
    assert float(first.split("|")[2]) > 0.9
    assert len((out / "images.csv").read_text().splitlines()) == 3
    assert len(list(out.glob("*.png"))) == 1


def test_a_folder_without_truth_is_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ImageError, match="images with truth"):
        read_folder(tmp_path)
    assert main(["--data", str(tmp_path)]) == 1
    assert "images with truth" in capsys.readouterr().err
