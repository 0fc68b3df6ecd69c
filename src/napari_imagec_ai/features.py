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
        columns |= _roundness(area, perimeters(np.pad(labels, 1), count))
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


def _roundness(area: Column, perimeter: Column) -> dict[str, Column]:
    # A digital disc of a few pixels can come out rounder than round.
    ratio = 4 * math.pi * area / np.maximum(perimeter, 1e-9) ** 2
    return {"perimeter": perimeter, "circularity": np.minimum(1.0, ratio)}


def perimeters(padded: NDArray[np.integer], count: int) -> Column:
    """Length of the smooth outlines, from the labels of 2 x 2 neighbours.

    Parameters
    ----------
    padded : (Y, X) integer
        Labels with what lies around them: one row and column more at each side.
    count : int
        Highest label.
    """
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


class Sums:
    """Measures objects that are seen block by block; gives what :func:`measure` gives.

    Parameters
    ----------
    count : int
        How many objects there are in all.
    shape : tuple of int
        Of the plane or volume that the blocks are parts of.
    """

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._area = np.zeros(count)
        self._perimeter = np.zeros(count)
        self._position = np.zeros((len(shape), count))
        self._low = np.full((len(shape), count), np.inf)
        self._high = np.full((len(shape), count), -np.inf)
        self._pixels: dict[str, Column] = {}
        self._known = np.zeros(count, bool)

    def add(
        self,
        labels: NDArray[np.integer],
        where: tuple[slice, ...],
        intensity: Mapping[str, NDArray[np.generic]],
    ) -> None:
        """Take a block.

        Parameters
        ----------
        labels : integer
            Ids with what lies around the block: one pixel more at each side.
        where : tuple of slice
            The block in the plane or volume.
        intensity : mapping of str to array
            Pixels of the block, by the name of the column that their mean goes to.
        """
        inner = labels[(slice(1, -1),) * labels.ndim]
        ids = np.unique(inner)
        ids = ids[ids > 0]
        if not len(ids):
            return
        rows = ids - 1
        table = np.zeros(int(labels.max()) + 1, np.int32)
        table[ids] = np.arange(1, len(ids) + 1)
        own = table[inner]
        found = measure(own, len(ids), intensity)
        area = found["area"]
        self._area[rows] += area
        for i, name in enumerate("zyx"[3 - labels.ndim :]):
            start = where[i].start
            self._position[i, rows] += (found[f"centroid_{name}"] + start) * area
            low, high = found[f"box_{name}0"] + start, found[f"box_{name}1"] + start
            self._low[i, rows] = np.minimum(self._low[i, rows], low)
            self._high[i, rows] = np.maximum(self._high[i, rows], high)
        for name in intensity:
            sums = self._pixels.setdefault(name, np.zeros(len(self._area)))
            sums[rows] += found[name] * area
        if labels.ndim == 2:
            self._outline(labels, where)

    def _outline(self, labels: NDArray[np.integer], where: tuple[slice, ...]) -> None:
        """Add stretches of outline, those between two blocks to the second one."""
        ends = [
            part.stop == size for part, size in zip(where, self._shape, strict=True)
        ]
        seen = labels[tuple(slice(None) if end else slice(-1) for end in ends)]
        ids, inverse = np.unique(seen, return_inverse=True)
        lengths = perimeters(inverse.reshape(seen.shape) + 1, len(ids))
        inside = ids > 0
        self._perimeter[ids[inside] - 1] += lengths[inside]

    def fresh(self) -> NDArray[np.intp]:
        """Rows of the objects that were first seen since this was asked last."""
        new = (self._area > 0) & ~self._known
        self._known |= new
        return np.flatnonzero(new)

    def columns(self) -> dict[str, Column]:
        """The columns; see :func:`measure`."""
        names = "zyx"[3 - len(self._shape) :]
        area = np.maximum(self._area, 1)
        columns: dict[str, Column] = {"area": self._area}
        columns |= {
            f"centroid_{n}": self._position[i] / area for i, n in enumerate(names)
        }
        columns |= {f"box_{n}0": self._low[i] for i, n in enumerate(names)}
        columns |= {f"box_{n}1": self._high[i] for i, n in enumerate(names)}
        if len(names) == 2:
            columns |= _roundness(self._area, self._perimeter)
        columns["touches_edge"] = _touches_edge(columns, self._shape, names)
        return columns | {name: sums / area for name, sums in self._pixels.items()}
