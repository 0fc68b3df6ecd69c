"""Measures labelled objects, all at once.

Lengths are in pixels. The perimeter follows the smooth outline (see
:mod:`napari_imagec_ai.results.outlines`) with Kulpa's factor, which takes out the mean
error of measuring a straight edge in steps of 0, 45 and 90 degrees (Z. Kulpa, "Area and
perimeter measurement of blobs in discrete binary pictures", 1977).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.system import threads
from napari_imagec_ai.system.compiled import compiled

Column = NDArray[np.float64]
Counts = NDArray[np.int64]
Labels = NDArray[np.int32]

_KULPA = math.pi * (1 + math.sqrt(2)) / 8
"""Mean length of a unit vector over its length in 45 degree steps, 0.948."""

_SLABS = 8
"""Into so many parts an image is cut, at most, to be measured."""

_FAR = np.iinfo(np.int64).max


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
    own = np.ascontiguousarray(labels, np.int32)
    lines = own.reshape(-1, own.shape[-1])
    given = intensity or {}
    pixels = [np.asarray(values).reshape(lines.shape) for values in given.values()]
    cuts = threads.slabs(lines.shape, max(1 << 19, -(-lines.size // _SLABS)))

    def take(cut: slice) -> tuple[Counts, Counts, Counts, Column]:
        middle, low = np.zeros((4, count + 1), np.int64), np.full((3, count + 1), _FAR)
        high = np.zeros((3, count + 1), np.int64)
        sums = np.zeros((len(pixels), count + 1))
        _tally(lines, cut.start, cut.stop, own.shape[-2], middle, low, high)
        for values, into in zip(pixels, sums, strict=True):
            _add_up(lines[cut], _plain(values[cut]), into)
        return middle, low, high, sums

    middles, lows, highs, totals = zip(*threads.map_parts(take, cuts), strict=True)
    middle, low, high = sum(middles)[:, 1:], np.min(lows, 0), np.max(highs, 0)
    area = middle[3].astype(np.float64)
    some = np.maximum(area, 1)
    columns: dict[str, Column] = {"area": area}
    for axis, name in enumerate(names, start=3 - len(names)):
        columns[f"centroid_{name}"] = middle[axis] / (2 * some)
        columns[f"box_{name}0"] = np.where(area > 0, low[axis, 1:], 0.0)
        columns[f"box_{name}1"] = high[axis, 1:].astype(np.float64)
    if labels.ndim == 2:
        columns |= _roundness(area, _perimeters(own, count, rim=True))
    columns["touches_edge"] = _touches_edge(columns, labels.shape, names)
    total = sum(totals)
    for name, sums in zip(given, total, strict=True):
        columns[name] = sums[1:] / some
    return columns


def compile_measuring() -> None:
    """Compile what :func:`measure` needs, where that was not done before."""
    for dtype in (np.uint8, np.float64):
        measure(np.ones((2, 2), np.int32), 1, {"mean": np.ones((2, 2), dtype)})


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Pixels as compiled loops take them: exact, and in the native order."""
    exact = values.dtype.itemsize < 4 or values.dtype == np.float32
    return np.ascontiguousarray(values, np.float32 if exact else np.float64)


@compiled
def _tally(
    lines: Labels,
    start: int,
    stop: int,
    rows: int,
    middle: Counts,
    low: Counts,
    high: Counts,
) -> None:
    """Add up where the pixels of each label are, in some lines.

    Parameters
    ----------
    lines : (Z * Y, X) int32
        Labels.
    start, stop : int
        The lines.
    rows : int
        Lines of a plane.
    middle : (4, labels + 1) int64
        Added to: twice the sums of Z, Y and X, and the number of pixels.
    low, high : (3, labels + 1) int64
        Brought up to date: least and last position + 1 along each axis.
    """
    width = lines.shape[1]
    for line in range(start, stop):
        z, y = line // rows, line % rows
        x = 0
        while x < width:
            label = lines[line, x]
            first = x
            x += 1
            if label == 0:
                continue
            while x < width and lines[line, x] == label:
                x += 1
            run = x - first
            middle[0, label] += 2 * run * z
            middle[1, label] += 2 * run * y
            middle[2, label] += run * (first + x - 1)
            middle[3, label] += run
            low[0, label] = min(low[0, label], z)
            low[1, label] = min(low[1, label], y)
            low[2, label] = min(low[2, label], first)
            high[0, label] = z + 1
            high[1, label] = max(high[1, label], y + 1)
            high[2, label] = max(high[2, label], x)


@compiled
def _add_up(lines: Labels, values: NDArray[np.floating], into: Column) -> None:
    """Add up the values of the pixels of each label."""
    height, width = lines.shape
    for y in range(height):
        for x in range(width):
            if lines[y, x]:
                into[lines[y, x]] += values[y, x]


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


def perimeters(labels: NDArray[np.integer], count: int) -> Column:
    """Length of the smooth outlines, from the labels of 2 x 2 neighbours.

    Parameters
    ----------
    labels : (Y, X) integer
        Labels with what lies around them: one row and column more at each side.
    count : int
        Highest label.
    """
    return _perimeters(np.ascontiguousarray(labels, np.int32), count, rim=False)


def _perimeters(labels: Labels, count: int, *, rim: bool) -> Column:
    """Also along the edge of the image, where it has a ``rim`` of background."""
    cuts = threads.slabs(labels.shape, max(1 << 19, -(-labels.size // _SLABS)))

    def walk(cut: slice) -> Counts:
        pieces = np.zeros((2, count + 1), np.int64)
        last = cut.stop + 1 if rim and cut.stop == len(labels) else cut.stop
        _outline(labels, max(cut.start, 0 if rim else 1), last, not rim, pieces)
        return pieces

    straight, corner = np.sum(threads.map_parts(walk, cuts), axis=0)[:, 1:]
    return np.asarray((straight + math.sqrt(0.5) * corner) * _KULPA)


@compiled
def _outline(
    labels: Labels, start: int, stop: int, inner: bool, pieces: Counts
) -> None:
    """Count pieces of outline between some rows and those before them.

    Each quad of pixels is a piece of outline for each label in it: a cut corner where
    one or three of the four pixels belong to it, a straight one where two neighbours
    do, two cut corners where two opposite ones do.

    Parameters
    ----------
    labels : (Y, X) int32
        Labels; around them is background.
    start, stop : int
        The rows; from 0 to the height, which lies below the last one.
    inner : bool
        Leave out what lies between the first and last column and the background.
    pieces : (2, labels + 1) int64
        Added to: straight ones, cut corners.
    """
    height, width = labels.shape
    for y in range(start, stop):
        above, below = y > 0, y < height
        a = d = np.int32(0)
        if inner:
            a = labels[y - 1, 0] if above else np.int32(0)
            d = labels[y, 0] if below else np.int32(0)
        for x in range(1 if inner else 0, width if inner else width + 1):
            b = labels[y - 1, x] if above and x < width else np.int32(0)
            c = labels[y, x] if below and x < width else np.int32(0)
            if a != b or b != c or c != d:
                for k in range(4):
                    own = a if k == 0 else b if k == 1 else c if k == 2 else d
                    seen = (k > 0 and own == a) or (k > 1 and own == b)
                    if own == 0 or seen or (k > 2 and own == c):
                        continue
                    of_it = (a == own) + (b == own) + (c == own) + (d == own)
                    if of_it != 2:
                        pieces[1, own] += 1
                    elif (a == own) == (c == own):
                        pieces[1, own] += 2
                    else:
                        pieces[0, own] += 1
            a, d = b, c


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
