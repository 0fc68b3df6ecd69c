"""Ideal outputs of detectors for scenes that are known, in every published layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

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


# -- Mask R-CNN ------------------------------------------------------------------------

TORCHVISION = ("boxes", "labels", "scores", "masks")
DETECTRON2 = ("bboxes", "classes", "masks", "scores", "shape")

SIDE = 128
"""Window of the stand-in for Mask R-CNN."""


@dataclass(frozen=True)
class Thing:
    """An object of a scene; those of one channel must not touch."""

    pixels: np.ndarray
    class_id: int
    channel: int


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    """Pixels whose middle lies in a disc."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 < radius**2
    return np.asarray(inside)


def rectangle(shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """Pixels of a box y0, x0, y1, x1."""
    inside = np.zeros(shape, bool)
    inside[box[0] : box[2], box[1] : box[3]] = True
    return inside


def things_image(shape: tuple[int, int], things: Sequence[Thing]) -> np.ndarray:
    """Draw objects on grey, each in its channel: (Y, X, 3) uint8."""
    image = np.full((*shape, 3), 114, np.uint8)
    for thing in things:
        image[thing.pixels, thing.channel] = 130 if thing.class_id else 250
    return image


class TableEngine:
    """An engine that finds what :func:`things_image` drew, and gives a tensor for each.

    Parameters
    ----------
    names : sequence of str
        What it gives, in this order.
    masks : str
        ``box``: 28 x 28 for each box; ``window``: booleans of the window, ``channel``:
        probabilities of the window with an axis for a channel.
    first : int
        Number of the first class.
    """

    name, device = "tables", "cpu"

    def __init__(
        self, names: Sequence[str] = TORCHVISION, masks: str = "box", first: int = 1
    ) -> None:
        self.names, self.masks, self.first = names, masks, first
        self.calls = 0
        self.seen: list[np.ndarray] = []

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give tables of the objects in the window, the surest first."""
        self.calls += 1
        self.seen.append(inputs[0])
        window = inputs[0].reshape(3, *inputs[0].shape[-2:])
        boxes, classes, masks = [], [], []
        for plane in window:
            labels, _ = ndimage.label(np.abs(plane - 114 / 255) > 0.05)
            for i, (y, x) in enumerate(ndimage.find_objects(labels), start=1):
                mask = labels == i
                boxes.append([x.start, y.start, x.stop, y.stop])
                classes.append(self.first + int(np.median(plane[mask]) < 0.6))
                masks.append(self._mask(mask, (y, x)))
        count, shape = len(boxes), window.shape[1:]
        empty = {"box": (0, 1, 28, 28), "channel": (0, 1, *shape)}
        scores = 0.9 - 0.01 * (np.arange(count) % 9)
        tables = {
            "box": np.array(boxes, np.float32).reshape(-1, 4),
            "class": np.array(classes, np.int64),
            "label": np.array(classes, np.int64),
            "score": scores.astype(np.float32),
            "mask": np.array(masks)
            if masks
            else np.zeros(empty.get(self.masks, (0, *shape)), np.float32),
            "shape": np.array(shape, np.int64),
        }
        return [
            next(table for word, table in tables.items() if word in name)
            for name in self.names
        ]

    def _mask(self, mask: np.ndarray, box: Any) -> np.ndarray:
        if self.masks == "window":
            return mask
        if self.masks == "channel":
            return mask[None].astype(np.float32)
        # The pixel that each middle of 28 parts of the box lies in.
        rows, columns = (
            (part.start + (np.arange(28) + 0.5) / 28 * (part.stop - part.start))
            for part in box
        )
        return mask[np.ix_(rows.astype(int), columns.astype(int))][None].astype("f4")

    def close(self) -> None:
        """Nothing is open."""


def table_rdf(
    names: Sequence[str] = TORCHVISION, classes: Sequence[str] = ("round", "rod")
) -> dict[str, Any]:
    """What of a description differs from a map's: inputs, outputs, config."""
    space = [{"type": "space", "id": axis, "size": SIDE} for axis in "yx"]
    colours = {"type": "channel", "channel_names": ["red", "green", "blue"]}
    rows = {"type": "index", "size": {"min": 0}}
    wide = {"box": {"type": "channel", "size": 4}}
    outputs = []
    for name in names:
        axes = [rows, *(axis for word, axis in wide.items() if word in name)]
        if "mask" in name:
            axes += [{**axis, "size": 28} for axis in space]
        outputs.append({"id": name, "axes": axes})
    return {
        "inputs": [{"id": "image", "axes": [colours, *space]}],
        "outputs": outputs,
        "tags": ["mask-rcnn"],
        "config": {"napari_imagec_ai": {"classes": list(classes)}},
    }


class Fixed(TableEngine):
    """An engine that always gives the same."""

    def __init__(self, tables: Sequence[np.ndarray]) -> None:
        super().__init__()
        self.tables = list(tables)

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give them."""
        return self.tables


def fixed_tables(numbers: Sequence[int]) -> list[np.ndarray]:
    """Boxes side by side with these classes, in torchvision's order."""
    count = len(numbers)
    left = 10.0 * np.arange(count)
    boxes = np.stack([left, left * 0, left + 8, left * 0 + 8], axis=1)
    return [
        boxes.astype(np.float32),
        np.array(numbers, np.int64),
        np.full(count, 0.8, np.float32),
        np.ones((count, 1, 28, 28), np.float32),
    ]
