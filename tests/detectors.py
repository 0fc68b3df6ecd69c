"""Ideal outputs of detectors for scenes that are known, in every published layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

WINDOW = 64
PROTOTYPES = 4
STRIDE = 4

Box = tuple[float, float, float, float]


class SceneEngine:
    """An engine that finds bright rectangles, and says so in a YOLO layout.

    It stands in for a network: what it is given decides what it finds, so that windows
    of a large image see parts of objects as a network would. Class 0 is bright, class 1
    is half as bright.
    """

    name, device = "scene", "cpu"

    def __init__(self, layout: str = "objectness", masks: bool = True) -> None:
        self.layout, self.masks = layout, masks
        self.calls = 0
        self.metadata: Mapping[str, str] = {}

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give rows for the objects in the window, and noise below the floor."""
        from scipy import ndimage

        self.calls += 1
        window = inputs[0][0, 0]
        labels, _ = ndimage.label(np.abs(window - 114 / 255) > 0.05)
        rows = []
        for i, where in enumerate(ndimage.find_objects(labels), start=1):
            value = float(np.median(window[where][labels[where] == i]))
            # A darker object is a less sure one, so that thresholds have work to do.
            rows.append(self._row(where, int(value < 0.6), 0.9 - 0.01 * (i % 9)))
        return self._tensors(np.array(rows, np.float32), window.shape)

    def _row(self, where: Any, class_id: int, sure: float) -> list[float]:
        (y0, y1), (x0, x1) = ((part.start, part.stop) for part in where)
        scores = [0.01, 0.01]
        scores[class_id] = sure
        coefficients = [8.0, 0.0, 0.0, 0.0] if self.masks else []
        if self.layout == "end_to_end":
            return [x0, y0, x1, y1, sure, class_id, *coefficients]
        box = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]
        if self.layout == "objectness":
            return [*box, 1.0, *scores, *coefficients]
        return [*box, *scores, *coefficients]

    def _tensors(self, rows: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
        width = {"objectness": 7, "scores": 6, "end_to_end": 6}[self.layout]
        width += PROTOTYPES if self.masks else 0
        table = np.zeros((300 if self.layout == "end_to_end" else 252, width), "f4")
        table[: len(rows)] = rows.reshape(-1, width)
        if self.layout == "scores":
            table = table.T
        if not self.masks:
            return [table[None]]
        prototypes = np.zeros((1, PROTOTYPES, shape[0] // STRIDE, shape[1] // STRIDE))
        prototypes[:, 0] = (
            1  # the first one says yes everywhere: masks fill their boxes
        )
        return [table[None], prototypes.astype(np.float32)]

    def close(self) -> None:
        """Nothing is open."""


def detector_rdf(layout: str = "objectness", masks: bool = True) -> dict[str, Any]:
    """What of a description differs from a map's: inputs, outputs, config."""
    space = [{"type": "space", "id": axis, "size": WINDOW} for axis in "yx"]
    colours = {"type": "channel", "channel_names": ["red", "green", "blue"]}
    width = (7 if layout == "objectness" else 6) + (PROTOTYPES if masks else 0)
    count = 300 if layout == "end_to_end" else 252
    rows = [{"type": "index", "size": count}, {"type": "channel", "size": width}]
    if layout == "scores":
        rows.reverse()
    outputs: list[dict[str, Any]] = [
        {"id": "output0", "axes": [{"type": "batch"}, *rows]}
    ]
    if masks:
        small = [{**axis, "size": WINDOW // STRIDE} for axis in space]
        channel = {"type": "channel", "size": PROTOTYPES}
        outputs.append({"id": "output1", "axes": [{"type": "batch"}, channel, *small]})
    return {
        "inputs": [{"id": "images", "axes": [{"type": "batch"}, colours, *space]}],
        "outputs": outputs,
        "tags": ["yolov5"],
        "config": {
            "napari_imagec_ai": {"decoder": "yolo", "classes": ["round", "rod"]}
        },
    }


def scene(
    shape: tuple[int, int], boxes: Sequence[tuple[int, int, int, int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rectangles (y0, x0, y1, x1, class) on grey; gives image and labels."""
    image = np.full(shape, 114, np.uint8)
    labels = np.zeros(shape, np.int32)
    for i, (y0, x0, y1, x1, class_id) in enumerate(boxes, start=1):
        image[y0:y1, x0:x1] = 130 if class_id else 250
        labels[y0:y1, x0:x1] = i
    return image, labels
