"""Mutex watershed: parts are put together, unless something surer keeps them apart.

Affinities of neighbours put two parts together, affinities of pixels that are farther
from each other keep two parts apart for good. The surest goes first. This is done on
small parts of objects instead of pixels, with the mean over all pairs of pixels that
two parts have: there are a thousand times fewer of them, and a few pixels in error
decide nothing.

Source: S. Wolf et al., "The Mutex Watershed: Efficient, Parameter-Free Image
Partitioning", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_imagec_ai.decoders.splitting.split_touching import Labels, Mask, compact

Map = NDArray[np.float32]
Offset = tuple[int, ...]

_AROUND = 5
"""Pixels along each side of the window that a top is the highest in."""

_DEEP, _SHARP = 0.5, 0.5
"""What depth counts beside borders, and pixels that both are smoothed by."""

SMOOTH = 1.5
"""Pixels that depths are smoothed by."""

_LEAST = 0.3
"""Affinities below this put nothing together, whatever keeps it apart."""


def pairs(
    offset: Offset, shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Pixels that have a partner in the image, and their partners."""
    here, there = [], []
    for step, size in zip(offset, shape, strict=True):
        before, after = min(max(-step, 0), size), max(size - max(step, 0), 0)
        here.append(slice(before, after))
        there.append(slice(max(before + step, 0), max(after + step, 0)))
    return tuple(here), tuple(there)


def put_together(
    parts: Labels,
    count: int,
    channels: Map,
    near: Mapping[int, Offset],
    far: Mapping[int, Offset],
    known: Mask,
) -> tuple[Labels, int]:
    """Put parts of objects together.

    Parameters
    ----------
    parts : int32
        Ids 1 to ``count``; 0 is background.
    count : int
        How many.
    channels : (C, ...) float32
        Affinities from 0 to 1; high values hold pixels together.
    near, far : mapping of int to tuple of int
        Channels that put together and channels that keep apart, with their offsets.
    known : bool
        Pixels that count: not those of holes that were filled.

    Returns
    -------
    labels, count
        Objects.
    """
    seen = np.where(known, parts, 0)
    together, holds = _edges(seen, count, channels, near)
    apart, parted = _edges(seen, count, channels, far)
    kept = holds >= _LEAST
    together, holds = together[kept], holds[kept]
    key = np.concatenate([together, apart])
    weight = np.concatenate([holds, 1 - parted])
    repulsive = np.arange(len(key)) >= len(together)
    # What keeps apart goes first where both are as sure.
    order = np.lexsort((~repulsive, -weight))
    root = _joined(key[order], repulsive[order], count)
    return compact(root[parts], count)


def pieces(
    mask: Mask,
    interior: Map,
    channels: Map,
    far: Mapping[int, Offset],
    sigmas: tuple[float, ...],
) -> tuple[Labels, int]:
    """Cut a mask into more pieces than there are objects.

    Parameters
    ----------
    mask : bool
        Pixels of objects.
    interior : float32
        How surely a pixel is not at the rim of its object.
    channels, far
        As for :func:`put_together`.
    sigmas : tuple of float
        Pixels along each axis that depths are smoothed by.
    """
    depth = ndimage.gaussian_filter(_depth(channels, far), sigmas)
    # Where a border was seen, the piece ends at it; in its gaps, where it is shallow.
    relief = ndimage.gaussian_filter(interior + _DEEP * depth, _SHARP)
    hills = ndimage.gaussian_filter(interior, sigmas) + depth
    hills[~mask] = -1
    highest = ndimage.maximum_filter(hills, _AROUND) == hills
    tops, count = ndimage.label(mask & highest)
    found = watershed(-relief, tops, mask=mask)
    rest, more = ndimage.label(mask & (found == 0))
    labels = np.where(rest > 0, rest + count, found).astype(np.int32)
    return labels, count + more


def _depth(channels: Map, far: Mapping[int, Offset]) -> Map:
    """How deep each pixel lies in its object, by how many of those far away are in it.

    Gaps in the borders do not change it: it has a hill for each object.
    """
    shape = channels.shape[1:]
    total, number = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for channel, offset in far.items():
        here, there = pairs(offset, shape)
        affinity = np.nan_to_num(channels[channel][here])
        for side in (here, there):
            total[side] += affinity
            number[side] += 1
    return np.asarray(total / np.maximum(number, 1), np.float32)


def _edges(
    parts: Labels, count: int, channels: Map, offsets: Mapping[int, Offset]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of parts that pairs of pixels lie in, and their mean affinity."""
    keys, sums, sizes = [], [], []
    for channel, offset in offsets.items():
        here, there = pairs(offset, parts.shape)
        a, b = parts[here], parts[there]
        both = (a != b) & (a > 0) & (b > 0)
        a, b = a[both].astype(np.int64), b[both].astype(np.int64)
        pair = np.minimum(a, b) * (count + 1) + np.maximum(a, b)
        known, inverse, many = np.unique(pair, return_inverse=True, return_counts=True)
        affinity = np.nan_to_num(channels[channel][here][both])
        keys.append(known)
        sums.append(np.bincount(inverse.reshape(-1), affinity, minlength=len(known)))
        sizes.append(many)
    if not keys:
        return np.zeros(0, np.int64), np.zeros(0)
    known, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    inverse = inverse.reshape(-1)
    total = np.bincount(inverse, np.concatenate(sums), minlength=len(known))
    number = np.bincount(inverse, np.concatenate(sizes), minlength=len(known))
    return known, total / np.maximum(number, 1)


def _joined(
    key: NDArray[np.int64], repulsive: NDArray[np.bool_], count: int
) -> NDArray[np.int32]:
    """Go through the pairs, the surest first; gives the part that each belongs to."""
    parent = list(range(count + 1))
    apart: dict[int, set[int]] = {}

    def find(part: int) -> int:
        while parent[part] != part:
            parent[part] = parent[parent[part]]
            part = parent[part]
        return part

    first, second = np.divmod(key, count + 1)
    for a, b, parts_them in zip(
        first.tolist(), second.tolist(), repulsive.tolist(), strict=True
    ):
        a, b = find(a), find(b)
        if a == b:
            continue
        if parts_them:
            apart.setdefault(a, set()).add(b)
            apart.setdefault(b, set()).add(a)
            continue
        mine, theirs = apart.get(a, set()), apart.get(b, set())
        if b in mine:
            continue
        if len(mine) < len(theirs):
            a, b, mine, theirs = b, a, theirs, mine
        parent[b] = a
        for other in theirs:
            apart[other].discard(b)
            apart[other].add(a)
        if theirs:
            apart.setdefault(a, mine).update(theirs)
            apart.pop(b)
    return np.array([find(part) for part in range(count + 1)], np.int32)
