"""Non-maximum suppression of star-convex shapes.

Of two shapes that share more than a part of the smaller one, the surer one stays. As
most of the candidates lie in the same few objects, one shape that stays is compared
with all around it at once. What two shapes share is counted in points: those of the
second one that lie in the first, or pixels of the first that lie in the second where
that is much larger. A few points decide clear cases, more of them the others.

Source: U. Schmidt et al., "Cell Detection with Star-Convex Polygons", 2018.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.stars.star_shapes import FacetTable, Rays, Shapes

Rows = NDArray[np.int32]
Shares = NDArray[np.float32]

_FINE = {2: 12.0, 3: 7.0}
"""Shapes that reach less far (pixels) are compared on finer pixels."""

_CLEAR = 0.25
"""A few points tell what two shapes share to much less than this."""

_LARGER = 2.0
"""Of shapes this much larger, too few points lie in the smaller one."""

_PIXELS = 128
"""Pixels of a shape that are looked for in much larger ones."""


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Points that stand for equal parts of each facet with the centre.

    Attributes
    ----------
    corners : (D, F) int
        Rays of the facets.
    vectors : (D, P, F, D axes) float32
        What the points have of each ray.
    volumes : (F,) float32
        Of the facets, for rays of length 1.
    """

    corners: NDArray[np.intp]
    vectors: NDArray[np.float32]
    volumes: Shares

    @classmethod
    def of(cls, rays: Rays, count: int, mixed: Sequence[tuple[float, ...]]) -> _Points:
        """On so many facets, if there are; ``mixed`` is how far along its rays."""
        chosen = slice(None, None, max(len(rays.facets) // count, 1))
        corners = rays.facets[chosen].T
        # Half of the volume is nearer to the centre than the second number says.
        shells = np.array([0.25, 0.75]) ** (1 / len(corners))
        parts = np.multiply.outer(shells, mixed).reshape(-1, len(corners))
        vectors = parts.T[:, :, None, None] * rays.vectors[corners][:, None]
        return cls(corners, vectors.astype(np.float32), rays.volumes[chosen])


_FEW: dict[int, tuple[int, Sequence[tuple[float, ...]]]] = {
    2: (8, [(0.5, 0.5)]),
    3: (16, [(1 / 3, 1 / 3, 1 / 3)]),
}
"""Points for a first look, by the number of axes: facets, and where on them."""

_MANY: dict[int, Sequence[tuple[float, ...]]] = {
    2: [(0.75, 0.25), (0.25, 0.75)],
    3: [(2 / 3, 1 / 6, 1 / 6), (1 / 6, 2 / 3, 1 / 6), (1 / 6, 1 / 6, 2 / 3)],
}


class _Suppression:
    """Compares shapes; all arrays are about the same shapes."""

    def __init__(self, found: Shapes, threshold: float, known: KnownShares) -> None:
        self.found, self.threshold, self.known = found, threshold, known
        self.low = found.centres + found.low
        self.high = found.centres + found.high
        self.table: FacetTable = found.table
        space, rays = len(found.centres), found.rays
        self.few = _Points.of(rays, *_FEW[space])
        self.many = _Points.of(rays, len(rays.facets), _MANY[space])

    def beaten(self, row: int, others: Rows) -> Rows:
        """Those of the others that share too much with one shape."""
        volume = np.minimum(self.found.volume[row], self.found.volume[others])
        common = np.ones(len(others), np.float32)
        for low, high in zip(self.low, self.high, strict=True):
            side = np.minimum(high[row], high[others])
            side -= np.maximum(low[row], low[others])
            common *= np.maximum(side, 0)
        near: Rows = others[common > self.threshold * volume]
        return self._share_too_much(row, near) if len(near) else near

    def _share_too_much(self, row: int, others: Rows) -> Rows:
        share = self.known.look_up(row, others, self.threshold, self._measure)
        return others[share > self.threshold]

    def _measure(self, row: int, others: Rows, many: bool) -> Shares:
        """What others share with one shape, told by a few points of each or by many."""
        picture = _Picture(self, row)
        share = np.empty(len(others), np.float32)
        larger = self.found.volume[others] > _LARGER * self.found.volume[row]
        if larger.any():
            share[larger] = picture.share_of_pixels(others[larger])
        points = self.many if many else self.few
        share[~larger] = picture.share_of_points(others[~larger], points)
        return share


class KnownShares:
    """What pairs of shapes share, as far as anybody asked.

    Which pairs are compared depends on the threshold, what they share does not: another
    threshold needs only those pairs that are new, and a closer look at some.
    """

    def __init__(self) -> None:
        self._rows: dict[int, tuple[Rows, Shares, Shares]] = {}
        self._lock = threading.Lock()

    def look_up(
        self,
        row: int,
        others: Rows,
        threshold: float,
        measure: Callable[[int, Rows, bool], Shares],
    ) -> Shares:
        """What others share with one shape.

        Parameters
        ----------
        row : int
            The shape.
        others : (N,) int32
            The others, each once.
        threshold : float
            That they are compared with: near it, many points have to tell.
        measure : callable
            Measures it, by a few points or by many.
        """
        with self._lock:
            known = self._rows.get(row)
        few, many = np.full((2, len(others)), np.nan, np.float32)
        if known is not None:
            rows, *told = known
            at = np.minimum(np.searchsorted(rows, others), len(rows) - 1)
            seen = rows[at] == others
            few[seen], many[seen] = (share[at[seen]] for share in told)
        new = np.isnan(few)
        if new.any():
            few[new] = measure(row, others[new], False)
        near = np.abs(few - threshold) < _CLEAR
        unclear = near & np.isnan(many)
        if unclear.any():
            many[unclear] = measure(row, others[unclear], True)
        if new.any() or unclear.any():
            self._keep(row, known, others, few, many)
        return np.where(near, many, few)

    def _keep(
        self,
        row: int,
        known: tuple[Rows, Shares, Shares] | None,
        *columns: NDArray[Any],
    ) -> None:
        if known is not None:
            old = ~np.isin(known[0], columns[0])
            pairs = zip(known, columns, strict=True)
            columns = tuple(np.concatenate([a[old], b]) for a, b in pairs)
        order = np.argsort(columns[0])
        others, few, many = (column[order] for column in columns)
        with self._lock:
            self._rows[row] = (others, few, many)


class _Picture:
    """One shape, drawn, that others are compared with."""

    def __init__(self, whole: _Suppression, row: int) -> None:
        found = whole.found
        self.found, self.table, self.row = found, whole.table, row
        low, high = found.low[:, row], found.high[:, row]
        extent = np.maximum(np.maximum(-low, high), 1)
        # Small shapes on finer pixels, those that no table is large enough for on
        # coarser ones.
        fine = max(_FINE[len(low)] / float(extent.max()), 1.0)
        self.scale = min(fine, float((self.table.reach / extent).min()))
        first = np.floor(low * self.scale).astype(np.int64) - 1
        stop = np.ceil(high * self.scale).astype(np.int64) + 2
        self.first, self.size = first, stop - first
        length = found.lengths[row] * np.float32(self.scale)
        self.mask = self.table.drawn(length, first, stop)

    def share_of_points(self, others: Rows, points: _Points) -> Shares:
        """Part of the smaller of both that is shared, by points of the others."""
        found = self.found
        length = found.lengths[others]
        corners = [length.take(corner, axis=1) for corner in points.corners]
        count, facets = points.vectors.shape[1:3]
        index = np.zeros((count, len(others), facets), np.float32)
        for axis, size in enumerate(self.size):
            centre = found.centres[axis, others] - found.centres[axis, self.row]
            start = (centre * self.scale - self.first[axis]).astype(np.float32)
            at = np.empty(index.shape, np.float32)
            at[...] = start[:, None]
            for corner, part in zip(corners, points.vectors, strict=True):
                at += (part[:, None, :, axis] * np.float32(self.scale)) * corner
            np.rint(at, out=at)
            # Around the picture there is a rim that is not in the shape.
            np.clip(at, 0, size - 1, out=at)
            index *= size
            index += at
        inside = self.mask.reshape(-1).take(index.astype(np.intp))
        weight = functools.reduce(np.multiply, corners) * points.volumes
        part = np.einsum("pkf,kf->k", inside, weight) / (count * weight.sum(axis=1))
        volume = found.volume[others]
        return np.asarray(part * np.maximum(volume / found.volume[self.row], 1))

    def share_of_pixels(self, others: Rows) -> Shares:
        """The same by pixels of this shape, for much larger others."""
        found = self.found
        place = np.flatnonzero(self.mask)
        chosen = np.linspace(0, len(place) - 1, min(_PIXELS, len(place))).round()
        pixels = np.stack(np.unravel_index(place[chosen.astype(int)], self.mask.shape))
        pixels = (pixels + self.first[:, None]) / self.scale
        apart = found.centres[:, others] - found.centres[:, [self.row]]
        offset = pixels[:, None, :] - apart[:, :, None]
        farthest = np.maximum(np.abs(offset).max(axis=(1, 2)), 1)
        scale = min(self.scale, float((self.table.reach / farthest).min()))
        index = np.full(offset.shape[1:], self.table.middle, np.int64)
        for stride, axis in zip(self.table.strides, offset, strict=True):
            index += int(stride) * np.rint(axis * scale).astype(np.int64)
        length = found.lengths[others] * np.float32(scale)
        inside = self.table.depth(index, length) <= 1
        return np.asarray(inside.mean(axis=1), np.float32)


def suppress(
    found: Shapes,
    cells: NDArray[np.integer],
    shape: tuple[int, ...],
    step: tuple[float, ...],
    threshold: float,
    known: KnownShares | None = None,
) -> Rows:
    """Rows of the shapes that stay.

    Parameters
    ----------
    found : Shapes
        The surest first.
    cells : (D, K) int
        Where each lies in the map that they were read from.
    shape : tuple of int
        Of that map.
    step : tuple of float
        Pixels of the image for each of the map.
    threshold : float
        Most that two shapes may share, as a part of the smaller one.
    known : KnownShares, optional
        What was found out about these shapes before; more is added.
    """
    comparison = _Suppression(found, threshold, known or KnownShares())
    # The candidates that are left, where they are: those around are found in a slice.
    waiting = np.full(shape, -1, np.int32)
    waiting[tuple(cells)] = np.arange(len(found), dtype=np.int32)
    left = np.ones(len(found), bool)
    kept: list[int] = []
    first = np.floor((comparison.low.T - found.high.max(axis=1, initial=0)) / step)
    last = np.ceil((comparison.high.T - found.low.min(axis=1, initial=0)) / step)
    starts, stops = np.maximum(first, 0).astype(int), last.astype(int) + 1
    row = 0
    while row < len(found) and left[row]:
        kept.append(row)
        left[row] = False
        waiting[tuple(cells[:, row])] = -1
        window = waiting[tuple(map(slice, starts[row], stops[row]))]
        lost = comparison.beaten(row, window[window >= 0])
        left[lost] = False
        waiting[tuple(cells[:, lost])] = -1
        row += int(left[row:].argmax())
    return np.asarray(kept, np.int32)
