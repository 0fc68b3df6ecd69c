"""Reads the rows that YOLO networks give: boxes, confidences, classes, coefficients.

C classes, M mask prototypes, E numbers more (an angle, or key points), N rows:

=================  ============================  =======================================
name               rows                          a row
=================  ============================  =======================================
``objectness``     ``[1, N, 5 + C + E + M]``     cx cy w h, objectness, C scores, E, M
``scores``         ``[1, 4 + C + E + M, N]``     cx cy w h, C scores, E, M
``end_to_end``     ``[1, N, 6 + E + M]``         x0 y0 x1 y1, score, class, E, M
=================  ============================  =======================================

with prototypes ``[1, M, h, w]`` beside them, or none; :mod:`yolo_layout` tells them
apart. The first is that of YOLOv5 and YOLOX, the second that of YOLOv8 and later, and
of RT-DETR with its axes exchanged, the third that of exports with their own
suppression; rotated boxes have centre and sides there, too. Boxes are in pixels of the
window, or parts of it; scores are probabilities. Networks with separate tensors for
boxes, classes, scores and masks are read by `rcnn_tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results import rotated
from napari_imagec_ai.results.window_results import FLOOR, Candidates, Layout
from napari_imagec_ai.run.boxes.grid_rows import decoded
from napari_imagec_ai.run.boxes.yolo_layout import UNNAMED, find_layout, numbered

__all__ = ["UNNAMED", "find_layout", "finish_layout", "numbered", "read", "sound"]

Array = NDArray[Any]

_SEVERAL = 8
"""Boxes of which more than half cannot be wrong by chance."""


def read(
    layout: Layout, outputs: Sequence[Array], window: tuple[float, float]
) -> Candidates:
    """Read the candidates above the floor.

    Parameters
    ----------
    layout : Layout
        Of these outputs.
    outputs : sequence of array
        Of one call with one image.
    window : tuple of float
        (height, width) that the boxes lie in: the network's input, or a size that it
        was told.

    Raises
    ------
    DecodeError
        If what is read so cannot be boxes in this window.
    """
    array = np.asarray(outputs[layout.rows][0], np.float32)
    if not layout.rows_first:
        array = array.T
    if layout.grid:
        array = decoded(array, window)
    first = {"objectness": 5, "scores": 4, "end_to_end": 6}[layout.name]
    if layout.name == "end_to_end":
        confidence, class_id = array[:, 4], array[:, 5].round().astype(np.int32)
    else:
        scores = array[:, first : first + (layout.classes or 0)]
        class_id = scores.argmax(axis=1).astype(np.int32)
        confidence = scores[np.arange(len(scores)), class_id]
        if layout.name == "objectness":
            confidence = confidence * array[:, 4]
    kept = np.flatnonzero(confidence >= FLOOR)
    parts = layout.parts
    if parts is None:  # some exports give parts of the window
        parts = len(array) > 0 and bool(np.abs(array[:, :4]).max() <= 2)
    side = np.array([window[1], window[0]], np.float32) if parts else np.float32(1)
    numbers = array[kept, :4] * np.tile(side, 2) if parts else array[kept, :4]
    behind = array[kept, first + (layout.classes or 0) :]
    turned, points = None, None
    if layout.angles:
        turned = np.concatenate([numbers, behind[:, :1]], axis=1)
        boxes = rotated.around(rotated.corners(turned))
    else:
        centred = layout.centred or layout.name != "end_to_end"
        boxes = _corners(numbers, centred)
    if layout.points[0]:
        points = _points(behind, layout.points, side)
    found = Candidates(
        boxes=boxes,
        confidence=confidence[kept],
        class_id=class_id[kept],
        coefficients=array[kept, array.shape[1] - layout.masks :],
        rotated=turned,
        points=points,
    )
    return found[sound(boxes, found.confidence, window)]


def sound(
    boxes: NDArray[np.float32],
    sure: NDArray[np.float32],
    window: tuple[float, float],
) -> NDArray[np.int64]:
    """Rows whose boxes can be: upright, and not beside the window.

    Raises
    ------
    DecodeError
        If most of them cannot, or confidences are none: then they were read wrongly.
    """
    highest = float(sure.max(initial=0))
    if not np.isfinite(highest) or highest > 1.01:
        raise DecodeError(
            f"Expected confidences from 0 to 1, found {highest:.4g}: the numbers of "
            "each box mean something else; say the classes that the network has "
            "(--classes), or export it with probabilities."
        )
    low, high = boxes[:, :2], boxes[:, 2:]
    finite = np.isfinite(boxes).all(axis=1)
    upright = np.all(high > low, axis=1)
    inside = np.all((high > 0) & (low < np.asarray(window)), axis=1)
    good: NDArray[np.bool_] = np.asarray(finite & upright & inside)
    left = int(np.count_nonzero(good))
    most = len(good) >= _SEVERAL and 2 * left < len(good)
    if most or (finite.any() and left == 0):
        wrong = "are upside down" if not upright.all() else "lie beside its window"
        bad = len(good) - left
        raise DecodeError(
            f"{bad} of {len(good)} boxes that the network gives {wrong} "
            f"({window[1]:g} x {window[0]:g} pixels): the numbers of each box mean "
            "something else; say the classes that it has (--classes), or export it "
            "in another layout."
        )
    return np.flatnonzero(good)


def finish_layout(layout: Layout, found: Sequence[Candidates]) -> Layout:
    """Name the classes that came up in any window, where rows name theirs by number.

    Parameters
    ----------
    layout : Layout
        As it was told in one window.
    found : sequence of Candidates
        Of all windows.
    """
    count = 1 + max((int(each.class_id.max(initial=-1)) for each in found), default=-1)
    if layout.classes is not None or count <= len(layout.names):
        return layout
    return replace(layout, names=numbered(layout.names, count))


def _corners(boxes: NDArray[np.float32], centred: bool) -> NDArray[np.float32]:
    """Boxes in XY order as y0, x0, y1, x1."""
    if centred:
        half = boxes[:, 2:] / 2
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return np.ascontiguousarray(boxes[:, [1, 0, 3, 2]], np.float32)


def _points(behind: Array, shape: tuple[int, int], side: Any) -> NDArray[np.float32]:
    """Key points (N, K, 3): y, x, confidence; 1 where none is given."""
    count, numbers = shape
    values = behind[:, : count * numbers].reshape(-1, count, numbers)
    sure = values[..., 2:3] if numbers > 2 else np.ones_like(values[..., :1])
    there = values[..., :2] * side
    return np.concatenate([there[..., ::-1], sure], axis=-1).astype(np.float32)
