"""Runs a model on images with truth, as a person would: at default settings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import napari_imagec_ai as ai
from benchmarks.accuracy.boxes import Found, average_precision, hits
from benchmarks.accuracy.data import Truth
from benchmarks.accuracy.matching import IOUS, Match, f1, match, precision
from napari_imagec_ai.decoders.registry import class_threshold
from napari_imagec_ai.engines.opening_weights import open_engine


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What came of one image.

    Attributes
    ----------
    truth : Truth
    seconds : float
        For prediction and decoding.
    scale : float
        Pixels of the network for each of the image.
    match : Match or None
        Of label images.
    found : dict of str to Found
        Of boxes, by class.
    counts : dict of str to (int, int)
        Of boxes, by class: there, and found above the class threshold.
    confidence, right : arrays
        Of each object found: how sure, and whether it is one (IoU 0.5).
    labels : array or None
        What was found, for pictures.
    """

    truth: Truth
    seconds: float
    scale: float
    match: Match | None = None
    found: dict[str, Found] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    confidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    right: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    labels: NDArray[np.int32] | None = None

    @property
    def score(self) -> float:
        """Average precision at 0.5 of this image alone, to sort by."""
        if self.match is not None:
            return precision(*self.match.counts(0.5))
        there = sum(pair[0] for pair in self.counts.values())
        off = sum(abs(a - b) for a, b in self.counts.values())
        return 1 - off / max(there, 1)

    def cells(self) -> dict[str, Any]:
        """What a table says of it."""
        row: dict[str, Any] = {"image": self.truth.name}
        if self.match is not None:
            row |= {"true": self.match.true, "found": self.match.found}
            for iou in IOUS:
                row[f"AP {iou:g}"] = round(precision(*self.match.counts(iou)), 4)
            row["F1 0.5"] = round(f1(*self.match.counts(0.5)), 4)
        for name, (there, found) in self.counts.items():
            row |= {f"{name} true": there, f"{name} found": found}
        return row | {"scale": round(self.scale, 3), "seconds": round(self.seconds, 3)}


def evaluate(
    model: ai.Model, truths: Sequence[Truth], engine: str = "auto", **options: Any
) -> list[Row]:
    """Run the model on every image.

    Parameters
    ----------
    model : Model
        Which one.
    truths : sequence of Truth
        From :func:`benchmarks.accuracy.data.read_folder`.
    engine : str
        Which runtime.
    **options
        For :func:`napari_imagec_ai.predict`; none is what a person gets.
    """
    opened = open_engine(model, engine)
    threshold = class_threshold(model)
    try:
        return [_row(model, truth, opened, threshold, options) for truth in truths]
    finally:
        opened.close()


def _row(
    model: ai.Model,
    truth: Truth,
    engine: Any,
    threshold: float,
    options: dict[str, Any],
) -> Row:
    image = truth.image()
    began = time.perf_counter()
    prediction = ai.predict(model, image, engine=engine, **options)
    objects = ai.decode(prediction)
    seconds = time.perf_counter() - began
    scale = float(np.prod(prediction.scale) ** 0.5) if prediction.scale else 1.0
    assert isinstance(objects, ai.Objects)
    if truth.labels is None:
        return _boxes(truth, objects, threshold, seconds, scale)
    counted = ai.classify(objects, class_threshold=threshold)
    labels = counted.as_labels().squeeze()
    matched = match(truth.label_image(), labels)
    hit = {int(found) for _, found in matched.pairs}
    right = np.array([int(i) in hit for i in counted.id], bool)
    sure = counted.confidence.astype(np.float64)
    return Row(truth, seconds, scale, matched, {}, {}, sure, right, labels)


def _boxes(
    truth: Truth, objects: ai.Objects, threshold: float, seconds: float, scale: float
) -> Row:
    assert truth.boxes is not None
    kinds = np.array(truth.kinds)
    found, counts, sure, right = {}, {}, [], []
    for number, name in enumerate(objects.classes):
        mine = objects.class_id == number
        scores = objects.confidence[mine].astype(np.float64)
        found[name] = Found(
            truth.boxes[kinds == name], objects.boxes[mine].astype(np.float64), scores
        )
        counts[name] = (int((kinds == name).sum()), int((scores >= threshold).sum()))
        ordered, good = hits(found[name], 0.5)
        sure.append(ordered)
        right.append(good)
    return Row(
        truth,
        seconds,
        scale,
        None,
        found,
        counts,
        np.concatenate(sure),
        np.concatenate(right),
    )


def mean_average_precision(rows: Sequence[Row], least: float = 0.5) -> dict[str, float]:
    """Average precision of each class; its mean is the mAP."""
    names = list(rows[0].found)
    return {
        name: average_precision([row.found[name] for row in rows], least)
        for name in names
    }
