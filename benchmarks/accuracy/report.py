"""Tables and pictures of what an evaluation came to."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.calibration import BINS, expected_error
from benchmarks.accuracy.evaluate import Row, mean_average_precision
from benchmarks.accuracy.matching import IOUS, figures

_SIDE = 480
_TRUE, _FOUND = (60, 200, 60), (230, 60, 60)


def summary(rows: Sequence[Row]) -> list[str]:
    """Lines of markdown: figures over all images."""
    lines = _of_labels(rows) if rows[0].match is not None else _of_boxes(rows)
    confidence = np.concatenate([row.confidence for row in rows])
    right = np.concatenate([row.right for row in rows])
    error = expected_error(confidence, right)
    return [
        *lines,
        "",
        f"Expected calibration error {error:.3f} ({len(confidence)} objects).",
    ]


def _of_labels(rows: Sequence[Row]) -> list[str]:
    told = figures([row.match for row in rows if row.match is not None])
    heads = " | ".join(f"AP {iou:g}" for iou in IOUS)
    pooled = " | ".join(f"{value:.3f}" for value in told.precision)
    means = " | ".join(f"{value:.3f}" for value in told.mean_precision)
    return [
        f"{told.images} images, {told.true} objects, {told.found} found.",
        "",
        f"| | {heads} | F1 0.5 | panoptic quality | count error |",
        "| --- |" + " ---: |" * (len(IOUS) + 3),
        f"| all objects together | {pooled} | {told.f1:.3f} | {told.panoptic:.3f} | |",
        f"| mean over images | {means} | | | {told.count_error:.3f} |",
    ]


def _of_boxes(rows: Sequence[Row]) -> list[str]:
    half = mean_average_precision(rows, 0.5)
    many = [mean_average_precision(rows, t) for t in np.arange(0.5, 0.96, 0.05)]
    lines = [
        f"{len(rows)} images.",
        "",
        "| class | AP 0.5 | AP 0.5 to 0.95 | true | found | count error |",
        "| --- |" + " ---: |" * 5,
    ]
    for name in half:
        there = sum(row.counts[name][0] for row in rows)
        found = sum(row.counts[name][1] for row in rows)
        mean = float(np.mean([each[name] for each in many]))
        off = (found - there) / max(there, 1)
        row = f"{half[name]:.3f} | {mean:.3f} | {there} | {found} | {off:+.1%}"
        lines.append(f"| {name} | {row} |")
    whole = float(np.nanmean([list(each.values()) for each in many]))
    mean = float(np.nanmean(list(half.values())))
    return [*lines, f"| mean | {mean:.3f} | {whole:.3f} | | | |"]


def curve(rows: Sequence[Row]) -> list[str]:
    """Lines of markdown: how many objects of each confidence are right."""
    confidence = np.concatenate([row.confidence for row in rows])
    right = np.concatenate([row.right for row in rows])
    lines = ["| confidence | objects | right |", "| --- | ---: | ---: |"]
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    for each in range(BINS):
        mine = number == each
        if mine.any():
            span = f"{each / BINS:.1f} to {(each + 1) / BINS:.1f}"
            lines.append(f"| {span} | {mine.sum()} | {right[mine].mean():.2f} |")
    return lines


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write a row for each image, the worst first."""
    cells = [row.cells() for row in sorted(rows, key=lambda row: row.score)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(cells[0]))
        writer.writeheader()
        writer.writerows(cells)


def write_pictures(rows: Sequence[Row], folder: Path, count: int) -> None:
    """Show the worst images: what is there (green) beside what was found (red)."""
    for row in sorted(rows, key=lambda row: row.score)[:count]:
        grey = np.asarray(row.truth.image().data)
        if grey.ndim == 2 and row.labels is not None:
            truth, found = row.truth.label_image(), row.labels
            both = np.hstack(
                [_outlined(grey, truth, _TRUE), _outlined(grey, found, _FOUND)]
            )
        else:
            both = _boxed(grey, row)
        name = f"{row.score:.2f}_{row.truth.name}.png"
        iio.imwrite(folder / name, both)


def _shown(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    low, high = np.percentile(grey, (1, 99.8))
    shown = np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1) ** 0.7
    return np.asarray(np.rint(255 * shown), np.uint8)


def _outlined(
    grey: NDArray[np.generic], labels: NDArray[np.integer], colour: tuple[int, ...]
) -> NDArray[np.uint8]:
    gain = _SIDE / max(grey.shape)
    size = (round(grey.shape[1] * gain), round(grey.shape[0] * gain))
    small = cv2.resize(_shown(grey), size, interpolation=cv2.INTER_AREA)
    ids = cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    picture = np.repeat(small[..., None], 3, axis=2)
    picture[(cv2.dilate(ids, np.ones((3, 3), np.uint8)) != ids)] = colour
    return np.asarray(picture, np.uint8)


def _boxed(image: NDArray[np.generic], row: Row) -> NDArray[np.uint8]:
    if image.ndim == 3 and image.shape[0] in (3, 4):
        image = np.moveaxis(image, 0, -1)
    picture = np.ascontiguousarray(np.asarray(image, np.uint8)[..., :3])
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    for found in row.found.values():
        sure = found.found[found.scores >= 0.5]
        for boxes, colour in ((found.true, _TRUE), (sure, _FOUND)):
            for y0, x0, y1, x1 in np.rint(boxes).astype(int).tolist():
                cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 2)
    return picture
