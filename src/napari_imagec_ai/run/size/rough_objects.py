"""Objects as a network's output shows them at a glance: how large, how sure.

A look that is good enough to compare scales: no seam is drawn and no hole is filled.
Diameters are those of disks of the same area, in pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import special

from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import channel_roles, main_output
from napari_imagec_ai.results.boxes import nms

Map = NDArray[np.float32]

READABLE = (
    "foreground",
    "foreground_boundary",
    "foreground_boundary_distance",
    "three_class",
    "multi_class",
    "labels",
    "stardist",
    "cellpose",
)
"""Kinds of maps that objects can be read from at a glance."""

_SPECK = 3.0
"""Narrower (pixels of the network) is noise."""

_SLACK = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Rough:
    """Objects of one window.

    Attributes
    ----------
    diameter : (N,) float64
        In pixels of the network.
    confidence : (N,) float64
        In [0, 1].
    stable : float
        In [0, 1]: how little the foreground changes with the threshold.
    whole : (N,) bool
        Which lie in the window as a whole.
    """

    diameter: NDArray[np.float64]
    confidence: NDArray[np.float64]
    stable: float
    whole: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.diameter)


EMPTY = Rough(np.zeros(0), np.zeros(0), 0.0, np.zeros(0, bool))


def read_maps(model: Model, maps: Mapping[str, Map], factor: float) -> Rough:
    """Objects of maps (C, Y, X), after the description's postprocessing.

    Parameters
    ----------
    model : Model
        For its kind.
    maps : mapping of str to array
        By the output's name.
    factor : float
        Pixels of the maps for each of the network's input.
    """
    values = maps.get(main_output(model).id)
    if values is None:
        return EMPTY
    if model.kind == "labels":
        return _of_labels(np.rint(values[0]).astype(np.int32), factor)
    if model.kind == "stardist":
        return _of_stars(maps, values, factor)
    if model.kind == "cellpose":
        probable = special.expit(values[-1])
        return _of_foreground(probable, probable, factor)
    whole, interior = _foreground(model, values)
    return _of_foreground(whole, interior, factor)


def read_boxes(
    boxes: NDArray[np.float32],
    confidence: NDArray[np.float32],
    class_id: NDArray[Any],
    side: tuple[int, int],
) -> Rough:
    """Objects of boxes (N, 4) y0, x0, y1, x1 in pixels of the window."""
    sure = np.flatnonzero(confidence >= 0.25)
    sure = sure[nms(boxes[sure], confidence[sure], class_id[sure], 0.45)]
    boxes, confidence = boxes[sure], confidence[sure]
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    whole = np.all((boxes[:, :2] > 2) & (boxes[:, 2:] < np.array(side) - 2), axis=1)
    return Rough(
        np.sqrt(sides.prod(axis=1, dtype=np.float64)),
        confidence.astype(np.float64),
        1.0,
        np.asarray(whole),
    )


def _foreground(model: Model, values: Map) -> tuple[Map, Map]:
    """Probability of being in an object, and of being in one away from its rim."""
    roles = channel_roles(model)
    if values.min() < -_SLACK or values.max() > 1 + _SLACK:
        if values.min() >= 0 and values.max() <= 255:
            values = values / np.float32(255)
        elif model.kind in ("three_class", "multi_class"):
            values = special.softmax(values, axis=0)
        else:
            values = special.expit(values)
    if model.kind == "multi_class":
        background = roles.background if roles.background is not None else 0
        return (1 - values[background],) * 2
    inside = values[min(roles.foreground or 0, len(values) - 1)]
    if roles.boundary is None or roles.boundary >= len(values):
        return inside, inside
    rim = values[roles.boundary]
    if model.kind == "three_class":
        return np.minimum(inside + rim, 1), inside
    return inside, inside * (1 - rim)


def _of_foreground(whole: Map, interior: Map, factor: float) -> Rough:
    """Connected parts, divided among the hills of their distance to the outside."""
    whole = np.ascontiguousarray(whole, np.float32)
    inner = np.ascontiguousarray(interior >= 0.5).view(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(inner, connectivity=4)
    if count < 2:
        return EMPTY
    depth = cv2.distanceTransform(inner, cv2.DIST_L2, 5)
    smooth = cv2.GaussianBlur(depth, (0, 0), 1.0)
    around = cv2.dilate(smooth, np.ones((7, 7), np.uint8))
    tops = (smooth >= around) & (depth >= _SPECK * factor / 2)
    # Level tops are one.
    numbered, _, _, middles = cv2.connectedComponentsWithStats(
        tops.view(np.uint8), connectivity=8
    )
    at = np.rint(middles[1:]).astype(int)
    hills = np.bincount(parts[at[:, 1], at[:, 0]], minlength=count) if numbered else 0
    # All may be foreground: then the background has no pixel.
    area = np.maximum(stats[:, cv2.CC_STAT_AREA], 1).astype(np.float64)
    high = np.zeros(count)
    np.maximum.at(high, np.asarray(parts, np.int64).ravel(), depth.ravel())
    keep = (high >= _SPECK * factor / 2) & (np.arange(count) > 0)
    sure = np.bincount(parts.ravel(), whole.ravel(), minlength=count) / area
    share = np.maximum(np.asarray(hills), 1)
    # What the rim takes away is given back, as far as there is foreground.
    rim = float((whole >= 0.5).sum()) / max(float(inner.sum()), 1.0)
    diameter = np.sqrt(area * min(max(rim, 1.0), 2.5) / share * 4 / np.pi) / factor
    x, y, w, h = (stats[:, i] for i in range(4))
    height, width = whole.shape
    inside = (x > 0) & (y > 0) & (x + w < width) & (y + h < height)
    repeat = np.where(keep, share, 0)
    loose, tight = float((whole >= 0.3).sum()), float((whole >= 0.7).sum())
    return Rough(
        np.repeat(diameter, repeat),
        np.repeat(np.clip(sure, 0, 1), repeat),
        tight / max(loose, 1.0),
        np.repeat(inside, repeat),
    )


def _of_labels(labels: NDArray[np.int32], factor: float) -> Rough:
    area = np.bincount(np.clip(labels, 0, None).ravel())
    edge = np.zeros(len(area), bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        edge[line] = True
    ids = np.flatnonzero(area > (_SPECK * factor) ** 2 * np.pi / 4)
    ids = ids[ids > 0]
    diameter = np.sqrt(area[ids] * 4 / np.pi) / factor
    return Rough(diameter, np.ones(len(ids)), 1.0, ~edge[ids])


def _of_stars(maps: Mapping[str, Map], probable: Map, factor: float) -> Rough:
    """Stars at the tops of the probability."""
    others = [m for m in maps.values() if m is not probable and len(m) >= 3]
    channels = probable[1:] if len(probable) > 3 else others[0] if others else None
    if channels is None:
        return EMPTY
    sure = np.ascontiguousarray(probable[0])
    tops = (sure >= cv2.dilate(sure, np.ones((5, 5), np.uint8))) & (sure >= 0.4)
    y, x = np.nonzero(tops)
    rays = np.clip(channels[:, y, x], 0, None).astype(np.float64)
    area = 0.5 * np.sin(2 * np.pi / len(rays)) * (rays * np.roll(rays, 1, 0)).sum(0)
    radius = rays.max(axis=0, initial=0) * factor
    height, width = sure.shape
    whole = (np.minimum(x, width - 1 - x) > radius) & (
        np.minimum(y, height - 1 - y) > radius
    )
    loose, tight = float((sure >= 0.3).sum()), float((sure >= 0.7).sum())
    return Rough(
        np.sqrt(area * 4 / np.pi),
        sure[y, x].astype(float),
        tight / max(loose, 1),
        whole,
    )
