"""Measures labelled objects, all at once.

Lengths are in pixels. The perimeter follows the smooth outline (see
:mod:`napari_imagec_ai.outlines`) with Kulpa's factor, which takes out the mean error of
measuring a straight edge in steps of 0, 45 and 90 degrees (Z. Kulpa, "Area and
perimeter measurement of blobs in discrete binary pictures", 1977).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

_KULPA = math.pi * (1 + math.sqrt(2)) / 8
"""Mean length of a unit vector over its length in 45 degree steps, 0.948."""

_SHARES = np.sqrt(0.5) / [1, 2**0.5, 3, math.inf, math.inf, 1, 3, math.inf]
"""Length of outline that a pixel adds in a quad, by how many others are of its label.

The second four are for those to whose label the pixel in the other corner belongs, too.
Each quad is a stretch of outline for each label in it: a cut corner where one or three
of the four pixels belong to it, a straight one where two neighbours do, two cut corners
where two opposite ones do. It is shared among them.
"""


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
    flat = np.flatnonzero(labels != 0)
    ids = labels.reshape(-1)[flat]
    first = _run_starts(flat, ids, labels.shape)
    length = np.diff(np.append(first, len(flat)))
    runs = _Runs(ids[first].astype(np.intp) - 1, count)
    area = runs.total(length)
    columns: dict[str, Column] = {"area": area}
    starts = np.unravel_index(flat[first], labels.shape)
    stops = [start + 1 for start in starts[:-1]] + [starts[-1] + length]
    for name, low, high in zip(names, starts, stops, strict=True):
        middle = runs.total(length * ((low + high - 1) / 2))
        columns[f"centroid_{name}"] = middle / np.maximum(area, 1)
    for name, low in zip(names, starts, strict=True):
        columns[f"box_{name}0"] = np.where(area > 0, runs.lowest(low), 0)
    for name, high in zip(names, stops, strict=True):
        columns[f"box_{name}1"] = np.where(area > 0, -runs.lowest(-high), 0)
    if labels.ndim == 2:
        columns |= _roundness(area, perimeters(_padded(labels, count), count))
    columns["touches_edge"] = _touches_edge(columns, labels.shape, names)
    for name, pixels in (intensity or {}).items():
        values = np.asarray(pixels).reshape(-1)[flat]
        sums = np.add.reduceat(values, first, dtype=np.float64) if len(first) else first
        columns[name] = runs.total(sums) / np.maximum(area, 1)
    return columns


def _run_starts(
    flat: NDArray[np.intp], ids: NDArray[np.integer], shape: tuple[int, ...]
) -> NDArray[np.intp]:
    """Where pixels of the same object, next to each other along the last axis, begin.

    There are ten or more times fewer of these runs than pixels.
    """
    new = np.ones(len(flat), bool)
    np.not_equal(flat[1:] - flat[:-1], 1, out=new[1:])
    new[1:] |= ids[1:] != ids[:-1]
    lines = np.searchsorted(flat, np.arange(0, math.prod(shape), shape[-1]))
    new[lines[lines < len(flat)]] = True
    return np.flatnonzero(new)


class _Runs:
    """Adds up what is known of each run to what is known of each object."""

    def __init__(self, rows: NDArray[np.intp], count: int) -> None:
        self._rows, self._count = rows, count

    def total(self, values: NDArray[Any]) -> Column:
        """The sum for each object."""
        return np.bincount(self._rows, values, self._count).astype(np.float64)

    def lowest(self, values: NDArray[Any]) -> Column:
        """The lowest value for each object."""
        found = np.full(self._count, np.inf)
        np.minimum.at(found, self._rows, values)
        return found


def _padded(labels: NDArray[np.integer], count: int) -> NDArray[np.integer]:
    """Labels with a rim of background, in a type that is compared fast."""
    small = "uint16" if count < 1 << 16 else "int32"
    padded: NDArray[np.integer] = np.zeros([n + 2 for n in labels.shape], small)
    padded[1:-1, 1:-1] = labels
    return padded


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
    across = padded[:, :-1] != padded[:, 1:]
    mixed = across[:-1] | across[1:]
    mixed |= padded[:-1, :-1] != padded[1:, :-1]
    y, x = np.divmod(np.flatnonzero(mixed), mixed.shape[1])
    at, flat, line = y * padded.shape[1] + x, padded.reshape(-1), padded.shape[1]
    # In order around the quad, so that two next to each other share an edge.
    quad = [flat[at + step] for step in (0, 1, line + 1, line)]
    before, opposite = np.equal(quad, np.roll(quad, 1, 0)), np.equal(quad[:2], quad[2:])
    length = np.zeros(count + 1)
    for i, label in enumerate(quad):
        corner = opposite[i % 2].view(np.uint8)
        others = before[i].view(np.uint8) + before[(i + 1) % 4].view(np.uint8) + corner
        share = _SHARES[others + 4 * corner]
        length += np.bincount(label, weights=share, minlength=count + 1)
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
