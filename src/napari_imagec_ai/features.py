"""Measures labelled objects, all at once.

Lengths are in pixels. The perimeter follows the smooth outline (see
:mod:`napari_imagec_ai.outlines`) with Kulpa's factor, which takes out the mean error of
measuring a straight edge in steps of 0, 45 and 90 degrees (Z. Kulpa, "Area and
perimeter measurement of blobs in discrete binary pictures", 1977).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Column = NDArray[np.float64]

_KULPA = math.pi * (1 + math.sqrt(2)) / 8
"""Mean length of a unit vector over its length in 45 degree steps, 0.948."""


def measure(
    labels: NDArray[np.integer],
    count: int,
    intensity: Mapping[str, NDArray[np.generic]] | None = None,
) -> dict[str, Column]:
    """Measure the objects of one plane or volume.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) integer
        Ids 1 to ``count``, each of them present; 0 is background.
    count : int
        How many objects.
    intensity : mapping of str to array, optional
        Pixels of the same shape, by the name of the column that their mean goes to.

    Returns
    -------
    dict of str to (N,) float64
        ``area`` (pixels, or voxels in volumes), ``centroid_*`` and ``box_*0``,
        ``box_*1`` (half-open) along each axis, in 2D ``perimeter`` and ``circularity``
        (4 pi area / perimeter^2, at most 1), ``touches_edge`` (1 or 0), and the means.
    """
    names = "zyx"[3 - labels.ndim :]
    flat = np.flatnonzero(labels)
    ids = np.asarray(labels.reshape(-1)[flat], np.int64) - 1
    area = np.bincount(ids, minlength=count).astype(np.float64)
    columns: dict[str, Column] = {"area": area}
    for name, position in zip(names, np.unravel_index(flat, labels.shape), strict=True):
        columns[f"centroid_{name}"] = _mean(ids, position, area)
    columns.update(_boxes(labels, count, names))
    if labels.ndim == 2:
        perimeter = _perimeter(labels, count)
        columns["perimeter"] = perimeter
        # A digital disc of a few pixels can come out rounder than round.
        columns["circularity"] = np.minimum(
            1.0, 4 * math.pi * area / np.maximum(perimeter, 1e-9) ** 2
        )
    columns["touches_edge"] = _touches_edge(columns, labels.shape, names)
    for name, pixels in (intensity or {}).items():
        columns[name] = _mean(ids, np.asarray(pixels).reshape(-1)[flat], area)
    return columns


def _mean(ids: NDArray[np.int64], values: NDArray[np.generic], area: Column) -> Column:
    total = np.bincount(ids, weights=values, minlength=len(area))
    return np.asarray(total / np.maximum(area, 1))


def _boxes(labels: NDArray[np.integer], count: int, names: str) -> dict[str, Column]:
    found = ndimage.find_objects(labels, max_label=count)
    empty = (slice(0, 0),) * labels.ndim
    starts = [[s.start for s in box or empty] for box in found]
    stops = [[s.stop for s in box or empty] for box in found]
    low = np.asarray(starts, np.float64).reshape(count, labels.ndim)
    high = np.asarray(stops, np.float64).reshape(count, labels.ndim)
    columns = {f"box_{name}0": low[:, i] for i, name in enumerate(names)}
    columns |= {f"box_{name}1": high[:, i] for i, name in enumerate(names)}
    return columns


def _touches_edge(
    columns: Mapping[str, Column], shape: tuple[int, ...], names: str
) -> Column:
    touching = np.zeros(len(columns["area"]), bool)
    for name, size in zip(names, shape, strict=True):
        if name != "z":  # the first and last plane of a stack are not its border
            touching |= columns[f"box_{name}0"] <= 0
            touching |= columns[f"box_{name}1"] >= size
    return touching.astype(np.float64)


def _perimeter(labels: NDArray[np.integer], count: int) -> Column:
    """Length of the smooth outlines, from the labels of 2 x 2 neighbours."""
    padded = np.pad(labels, 1)
    a, b = padded[:-1, :-1], padded[:-1, 1:]
    c, d = padded[1:, :-1], padded[1:, 1:]
    mixed = np.flatnonzero((a != b) | (c != d) | (a != c))
    quad = np.stack([corner.reshape(-1)[mixed] for corner in (a, b, c, d)])
    length = np.zeros(count + 1)
    for i, label in enumerate(quad):
        same = quad == label
        members = same.sum(axis=0)
        # Each quad is a stretch of outline for each label in it: a cut corner where one
        # or three of the four pixels belong to it, a straight one where two neighbours
        # do, two cut corners where two opposite ones do. Shared among the members.
        opposite = same[3 - i] & (members == 2)
        stretch = np.where(members == 2, np.where(opposite, 2, math.sqrt(2)), 1)
        stretch = np.where(members == 4, 0, stretch) / math.sqrt(2)
        length += np.bincount(label, weights=stretch / members, minlength=count + 1)
    return np.asarray(length[1:] * _KULPA)
