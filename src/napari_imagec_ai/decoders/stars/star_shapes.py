"""Star-convex shapes: polygons and polyhedra that rays from a centre span.

A facet joins neighbouring rays (two in 2D, three in 3D), and the rays of all shapes
point the same way: which facet lies in the direction of a pixel, and where on it, does
not depend on how long the rays are. It is looked up in a table of offsets from the
centre. With the shares a, b (and c) of the facet's rays that lead to a pixel, and their
lengths r, the pixel is in the shape where a / r_a + b / r_b (+ c / r_c) <= 1.

Sources: U. Schmidt et al., "Cell Detection with Star-Convex Polygons", 2018; M. Weigert
et al., "Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy",
2020.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

Lengths = NDArray[np.float32]
Points = NDArray[np.int64]

_REACH = {2: 256, 3: 40}
"""Farthest offset that a table has, by the number of axes."""

_CHUNK = 1 << 22
"""Numbers in one array while a table is made."""


@dataclass(frozen=True, slots=True, eq=False)
class Rays:
    """Directions of rays.

    Attributes
    ----------
    vectors : (R, D) float32
        Of length 1, in pixels along the axes ([z,] y, x).
    facets : (F, D) int
        Neighbouring rays.
    normals : (F, D) float32
        Of all facets, that with the largest product with an offset lies there.
    shares : (F, D, D) float32
        Make an offset into how far along each of the facet's rays it is.
    volumes : (F,) float32
        Of the facet with the centre, for rays of length 1.
    """

    vectors: NDArray[np.float32]
    facets: NDArray[np.intp]
    normals: NDArray[np.float32]
    shares: NDArray[np.float32]
    volumes: NDArray[np.float32]


@functools.lru_cache(maxsize=8)
def circle(count: int) -> Rays:
    """Rays in a plane: the first along x, then turning from x to y."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return rays_through(np.stack([np.sin(angle), np.cos(angle)], axis=1))


@functools.lru_cache(maxsize=8)
def golden_spiral(count: int, anisotropy: tuple[float, float, float]) -> Rays:
    """Rays in space, spread evenly: along a spiral from the lowest z to the highest.

    Parameters
    ----------
    count : int
        How many, from 4.
    anisotropy : tuple of float
        How much larger than others a pixel is along z, y and x.
    """
    z = np.linspace(-1, 1, count)
    angle = (3 - math.sqrt(5)) * np.pi * np.arange(count)
    around = np.sqrt(np.maximum(1 - z**2, 0))
    ball = np.stack([z, around * np.sin(angle), around * np.cos(angle)], axis=1)
    return rays_through(ball / np.asarray(anisotropy))


def rays_through(points: NDArray[np.floating]) -> Rays:
    """Rays from the origin through points (R, D) that are the corners of a hull.

    Raises
    ------
    ValueError
        If the origin is not within the hull.
    """
    try:
        hull = ConvexHull(points)
    except (RuntimeError, ValueError) as error:  # of which the first is Qhull's own
        raise ValueError("the rays lie in one plane, or are too few") from error
    away = -hull.equations[:, -1:]
    if (away <= 0).any():
        raise ValueError("the rays leave a side free")
    vectors = points / np.linalg.norm(points, axis=1, keepdims=True)
    corners = vectors[hull.simplices]  # (F, D rays, D axes)
    volumes = np.abs(np.linalg.det(corners)) / math.factorial(points.shape[1])
    # Where rays meet, as in a pole, qhull may leave slivers.
    real = volumes > 1e-9
    return Rays(
        vectors.astype(np.float32),
        np.asarray(hull.simplices[real], np.intp),
        (hull.equations[:, :-1] / away)[real].astype(np.float32),
        np.linalg.inv(corners[real].transpose(0, 2, 1)).astype(np.float32),
        volumes[real].astype(np.float32),
    )


class FacetTable:
    """Which facet lies at an offset from the centre, and the shares of its rays.

    Parameters
    ----------
    rays : Rays
        Their directions.
    reach : sequence of int
        Farthest offset along each axis.
    """

    def __init__(self, rays: Rays, reach: Sequence[int]) -> None:
        self.rays, self.reach = rays, tuple(reach)
        self.shape = tuple(2 * r + 1 for r in self.reach)
        grids = [np.arange(-r, r + 1, dtype=np.float32) for r in self.reach]
        offsets = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1)
        self.ray, self.share = _facets_at(rays, offsets.reshape(-1, len(grids)))
        size = np.array([1, *self.shape[:0:-1]], np.int64)
        self.strides = np.cumprod(size)[::-1]
        self.middle = int(self.strides @ np.asarray(self.reach))

    def depth(self, index: NDArray[np.integer], length: Lengths) -> Lengths:
        """How deep offsets lie: 0 in the centre, 1 on the surface.

        Parameters
        ----------
        index : (...) int
            Places in the table.
        length : (R,) or (K, R) float32
            Of the rays; of several shapes, those of the first axis of ``index``.
        """
        inverse = 1 / length
        total = np.zeros(index.shape, np.float32)
        for ray, share in zip(self.ray, self.share, strict=True):
            at: NDArray[np.intp] = ray[index].astype(np.intp)
            if length.ndim == 2:
                at += (np.arange(len(length)) * length.shape[1])[:, None]
            total += share[index] * inverse.take(at)
        return total

    def drawn(self, length: Lengths, low: Points, high: Points) -> NDArray[np.bool_]:
        """One shape in the box of offsets from ``low`` to below ``high``."""
        reach = np.asarray(self.reach)
        if (low < -reach).any() or (high > reach + 1).any():
            return _drawn_anew(self.rays, length, low, high)
        axes = (
            np.arange(int(a), int(b)) * int(stride)
            for a, b, stride in zip(low, high, self.strides, strict=True)
        )
        index = functools.reduce(np.add.outer, axes) + self.middle
        return np.asarray(self.depth(index, length) <= 1)


def _drawn_anew(
    rays: Rays, length: Lengths, low: Points, high: Points
) -> NDArray[np.bool_]:
    """The same without a table, for shapes that are too large for one."""
    mask = np.zeros(tuple(high - low), bool)
    step = max(_CHUNK // len(rays.facets) // mask[0].size, 1)
    for first in range(0, len(mask), step):
        slab = mask[first : first + step]
        axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        axes[0] = axes[0][first : first + step]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        ray, share = _facets_at(rays, offsets.reshape(-1, len(low)).astype(np.float32))
        slab[...] = ((share / length[ray]).sum(axis=0) <= 1).reshape(slab.shape)
    return mask


def _facets_at(
    rays: Rays, offsets: NDArray[np.float32]
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Rays (D, N) of the facet at each offset, and how far along each of them."""
    space = offsets.shape[1]
    ray = np.empty((space, len(offsets)), np.int16)
    share = np.empty((space, len(offsets)), np.float32)
    step = max(_CHUNK // len(rays.facets), 1)
    for start in range(0, len(offsets), step):
        part = slice(start, start + step)
        facet = np.argmax(offsets[part] @ rays.normals.T, axis=1)
        ray[:, part] = rays.facets[facet].T
        share[:, part] = np.einsum("nij,nj->in", rays.shares[facet], offsets[part])
    return ray, share


@functools.lru_cache(maxsize=4)
def _table(rays: Rays, reach: tuple[int, ...]) -> FacetTable:
    return FacetTable(rays, reach)


def table_for(rays: Rays, extent: NDArray[np.floating]) -> FacetTable:
    """A table as far as shapes extend along each axis, or as far as tables go."""
    farthest = _REACH[len(extent)]
    exponents = np.ceil(np.log2(np.maximum(extent, 15) + 1)).astype(int)
    return _table(rays, tuple(min(1 << int(e), farthest) for e in exponents))


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Star-convex shapes, the surest first.

    Attributes
    ----------
    rays : Rays
        Their directions.
    centres : (D, K) int
        In pixels of the image.
    lengths : (K, R) float32
        Of their rays.
    low, high : (D, K) float32
        How far they reach from their centres along each axis; ``low`` is below 0.
    volume : (K,) float32
        Area or volume.
    """

    rays: Rays
    centres: Points
    lengths: Lengths
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    volume: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: NDArray[np.integer]) -> Shapes:
        return Shapes(
            self.rays,
            self.centres[:, rows],
            self.lengths[rows],
            self.low[:, rows],
            self.high[:, rows],
            self.volume[rows],
        )

    @property
    def table(self) -> FacetTable:
        """A table that is large enough for most of them."""
        farthest = np.maximum(self.high, -self.low).max(axis=1, initial=1)
        return table_for(self.rays, farthest)


def shapes(rays: Rays, centres: Points, lengths: Lengths) -> Shapes:
    """Measure shapes from their centres (D, K) and the lengths (R, K) of their rays."""
    low = np.zeros(centres.shape, np.float32)
    high = np.zeros(centres.shape, np.float32)
    for vector, length in zip(rays.vectors, lengths, strict=True):
        for axis, part in enumerate(vector):
            end = high if part > 0 else low
            further = np.maximum if part > 0 else np.minimum
            further(end[axis], part * length, out=end[axis])
    volume = np.zeros(centres.shape[1], np.float32)
    for facet, size in zip(rays.facets, rays.volumes, strict=True):
        corner = size * lengths[facet[0]]
        for ray in facet[1:]:
            corner *= lengths[ray]
        volume += corner
    return Shapes(rays, centres, np.ascontiguousarray(lengths.T), low, high, volume)


def draw(found: Shapes, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Draw shapes into an image, the first on top, with ids from 1 in their order."""
    labels = np.zeros(shape, np.int32)
    size, table = np.asarray(shape), found.table
    starts = found.centres + np.ceil(found.low).astype(np.int64)
    stops = found.centres + np.floor(found.high).astype(np.int64) + 1
    starts, stops = np.maximum(starts, 0), np.minimum(stops, size[:, None])
    for row in reversed(range(len(found))):
        start, stop = starts[:, row], stops[:, row]
        if (start < stop).all():
            centre = found.centres[:, row]
            mask = table.drawn(found.lengths[row], start - centre, stop - centre)
            labels[tuple(map(slice, start, stop))][mask] = row + 1
    return labels
