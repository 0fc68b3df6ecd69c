"""Takes a foreground mask apart into objects, also where they touch.

The distance to the background has one hill for each roundish part. Two neighbouring
hills are one object if the ridge between them is nearly as high as the lower hill,
whatever the size: what counts is the neck's width relative to the part, not a number of
pixels. Pixels then go to hills: see :mod:`napari_imagec_ai.basins`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_imagec_ai.basins import Ground, basins, ridges, without_ledges

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]
Relief = NDArray[np.float32]


def components(mask: Mask) -> tuple[Labels, int]:
    """Label connected pixels (by edges or faces); gives labels and how many."""
    if mask.ndim == 2:
        count, labels = cv2.connectedComponents(
            np.ascontiguousarray(mask).view(np.uint8), connectivity=4
        )
        return np.asarray(labels, np.int32), count - 1
    found, number = ndimage.label(mask)
    return np.asarray(found, np.int32), int(number)


def fill_holes(mask: Mask) -> Mask:
    """Fill background that does not reach the border of the plane or volume."""
    if mask.ndim == 2:
        # Around the image is background, from which all that is open is reached.
        source = np.ascontiguousarray(mask).view(np.uint8)
        around = cv2.copyMakeBorder(source, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        cv2.floodFill(around, None, (0, 0), 2, flags=8)
        return np.asarray(around[1:-1, 1:-1] != 2)
    parts, closed = _backgrounds(~mask)
    closed[0] = True  # the foreground itself
    return np.asarray(closed[parts])


def fill_between(labels: Labels, count: int) -> Labels:
    """Fill holes in labelled regions, where only one of ``count`` lies around them."""
    parts, closed = _backgrounds(labels == 0)
    if not closed.any():
        return labels
    lowest, highest = _neighbourhood(labels, count, (3,) * labels.ndim)
    rim = (parts > 0) & (highest > 0)
    first = np.full(len(closed), count + 1, np.int32)
    last = np.zeros(len(closed), np.int32)
    np.minimum.at(first, parts[rim], lowest[rim])
    np.maximum.at(last, parts[rim], highest[rim])
    return labels + np.where(closed & (first == last), last, 0)[parts]


def close_gaps(labels: Labels, count: int, reach: tuple[int, ...]) -> Labels:
    """Let labelled regions grow until they meet, where the gap between them is narrow.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) int32
        Up to ``count``; not changed.
    count : int
        How many.
    reach : tuple of int
        How many pixels each may grow along each axis.
    """
    if count < 2:
        return labels
    # Across a gap that both can close, each sees the other from its own side.
    window = tuple(4 * r + 1 for r in reach)
    lowest, highest = _neighbourhood(labels, count, window)
    at = np.stack(np.nonzero((labels == 0) & (highest > lowest))) + 1
    grown = np.pad(labels, 1)
    for step in range(max(reach)):
        at = at[:, grown[tuple(at)] == 0]
        found = np.zeros(at.shape[1], np.int32)
        for axis in (a for a, r in enumerate(reach) if r > step):
            for side in (-1, 1):
                beside = at.copy()
                beside[axis] += side
                found = np.maximum(found, grown[tuple(beside)])
        grown[tuple(at)] = found
    return grown[(slice(1, -1),) * labels.ndim]


def _backgrounds(background: Mask) -> tuple[Labels, NDArray[np.bool_]]:
    """Parts of the background, also over corners, and which of them are closed."""
    parts: Labels
    if background.ndim == 2:
        count, found = cv2.connectedComponents(
            np.ascontiguousarray(background, np.uint8), connectivity=8
        )
        parts = np.asarray(found, np.int32)
    else:
        parts, number = ndimage.label(background, np.ones((3,) * background.ndim))
        count = int(number) + 1
    closed = np.ones(count, bool)
    closed[0] = False
    for axis in range(parts.ndim):
        for end in (0, -1):
            closed[parts.take(end, axis)] = False
    return parts, closed


def _neighbourhood(
    labels: Labels, count: int, window: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lowest and highest label in the window around each pixel.

    Where there is only background the lowest is above the highest.
    """
    turned = np.where(labels > 0, count + 1 - labels, 0)
    if labels.ndim == 2 and count < 1 << 24:  # whole numbers that a float32 can hold
        box = np.ones(window, np.uint8)
        highest = cv2.dilate(labels.astype(np.float32), box)
        lowest = count + 1 - cv2.dilate(turned.astype(np.float32), box)
    else:
        highest = ndimage.maximum_filter(labels, window)
        lowest = count + 1 - ndimage.maximum_filter(turned, window)
    return lowest, highest


def distance(mask: Mask, spacing: tuple[float, ...] | None = None) -> Relief:
    """Distance of each pixel to the background, in units of the smallest spacing."""
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    if mask.all():  # no background to be far from
        return np.full(mask.shape, float(max(mask.shape)), np.float32)
    step = np.asarray(spacing or (1.0,) * mask.ndim)
    if mask.ndim == 2 and np.allclose(step, step[0]):
        source = np.ascontiguousarray(mask, np.uint8)
        return np.asarray(cv2.distanceTransform(source, cv2.DIST_L2, 5), np.float32)
    step = step / step.min()
    if mask.ndim == 3 and step[1] == step[2]:
        return _volume_distance(mask, float(step[0]), float(step[1]))
    found = ndimage.distance_transform_edt(mask, sampling=tuple(step))
    return np.asarray(found, np.float32)


def _volume_distance(mask: Mask, between: float, within: float) -> Relief:
    """Distance in a volume, from the distances in its planes: several times faster."""
    flat = np.full(mask.shape, np.inf, np.float32)
    for plane, squared in zip(mask, flat, strict=True):
        if not plane.all():
            source = np.ascontiguousarray(plane, np.uint8)
            away = cv2.distanceTransform(source, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            squared[...] = (within * away) ** 2
    nearest = flat.copy()
    for planes in range(1, len(mask)):
        gap = np.float32((planes * between) ** 2)
        if gap >= nearest.max():
            break  # everything has something nearer
        np.minimum(nearest[planes:], flat[:-planes] + gap, out=nearest[planes:])
        np.minimum(nearest[:-planes], flat[planes:] + gap, out=nearest[:-planes])
    return np.sqrt(nearest)


def split_touching(
    mask: Mask,
    relief: Relief,
    neck: float,
    min_size: int = 0,
) -> tuple[Labels, int]:
    """Label the objects of a mask, taking touching ones apart.

    Parameters
    ----------
    mask : (Y, X) or (Z, Y, X) bool
        The foreground.
    relief : float32, as mask
        Height of each pixel, such as its :func:`distance`; one hill for each object.
        Outside of the mask not higher than anywhere in it.
    neck : float
        In (0, 1]: hills are kept apart where the ridge between them is lower than this
        part of the lower one.
    min_size : int
        Parts of fewer pixels join their neighbour; those that have none are left out.

    Returns
    -------
    labels, count
        Ids 1 to ``count``.
    """
    parts, number = components(mask)
    hills, marks, tops = _hills(parts, relief)
    several = _several(parts, hills, number, tops)
    at = np.flatnonzero(mask)
    ids = parts.reshape(-1)[at]
    if several.any():
        crowded = several[ids]
        ground = Ground(relief, at[crowded], ids[crowded])
        found, highest = basins(ground, hills, marks)
        height = np.zeros(highest + 1, np.float32)
        np.maximum.at(height, hills.reshape(-1)[tops], relief.reshape(-1)[tops])
        joined = _joined(ground, found, height, marks, neck, min_size)
        ids[crowded] = joined[found] + number
    return _labelled(mask.shape, at, ids, number + marks, min_size)


def without_small(
    labels: NDArray[np.integer], count: int, smallest: int
) -> tuple[Labels, int]:
    """Leave out objects of fewer pixels, or of none; the others keep their order."""
    at = np.flatnonzero(labels != 0)
    return _labelled(labels.shape, at, labels.reshape(-1)[at], count, smallest)


def compact(labels: NDArray[np.integer], highest: int) -> tuple[Labels, int]:
    """Renumber labels without gaps, in their order; gives labels and how many."""
    return without_small(labels, highest, 1)


def _labelled(
    shape: tuple[int, ...],
    at: NDArray[np.intp],
    ids: NDArray[Any],
    highest: int,
    smallest: int,
) -> tuple[Labels, int]:
    """A label image from the ids of some pixels, renumbered without small objects."""
    present = np.bincount(ids, minlength=highest + 1) >= max(smallest, 1)
    present[0] = False
    table = np.where(present, np.cumsum(present), 0).astype(np.int32)
    labels = np.zeros(shape, np.int32)
    labels.reshape(-1)[at] = table[ids]
    return labels, int(np.count_nonzero(present))


def smooth(relief: Relief, mask: Mask, sigma: float | tuple[float, ...]) -> Relief:
    """Smooth a relief with a Gaussian of ``sigma`` pixels (along each axis).

    It is 0 outside the mask.
    """
    sigmas = np.broadcast_to(sigma, relief.ndim)
    if relief.ndim == 2:
        # Lower is one pixel anyway, and 0 would mean: the same as along the other axis.
        y, x = np.maximum(sigmas, 0.05)
        blurred = cv2.GaussianBlur(relief, (0, 0), x, sigmaY=y)
    else:
        blurred = ndimage.gaussian_filter(relief, sigmas)
    np.copyto(blurred, 0, where=~mask)
    return np.asarray(blurred)


def _hills(parts: Labels, relief: Relief) -> tuple[Labels, int, NDArray[np.intp]]:
    """Label the local maxima of the relief; tells how many there are, and where.

    Those that touch at a corner are one, unless they are in different parts.
    """
    if relief.ndim == 2:
        highest: Any = cv2.dilate(relief, np.ones((3, 3), np.uint8))
    else:
        highest = ndimage.maximum_filter(relief, 3)
    tops = relief >= highest
    tops &= parts > 0
    tops &= relief > 0
    if relief.ndim == 2:
        count, found = cv2.connectedComponents(tops.view(np.uint8), connectivity=8)
        count -= 1
    else:
        found, count = ndimage.label(tops, np.ones((3,) * relief.ndim))
    hills, at = np.asarray(found, np.int32), np.flatnonzero(tops)
    whole = hills.reshape(-1)[at].astype(np.int64) << 32 | parts.reshape(-1)[at]
    each, label = np.unique(whole, return_inverse=True)
    if len(each) > count:
        hills.reshape(-1)[at] = label + 1
    return hills, len(each), at


def _several(
    parts: Labels, hills: Labels, number: int, tops: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Whether each part has more than one hill, by the part's label."""
    part, hill = parts.reshape(-1)[tops], hills.reshape(-1)[tops]
    highest, lowest = np.zeros(number + 1, np.int32), np.full(number + 1, 1 << 30)
    np.maximum.at(highest, part, hill)
    np.minimum.at(lowest, part, hill)
    several = highest > lowest
    several[0] = False
    return several


def _joined(
    ground: Ground,
    found: Labels,
    top: Relief,
    marks: int,
    neck: float,
    min_size: int,
) -> Labels:
    """Join basins over ridges that are nearly as high as the lower hill.

    Gives the new label of each; ``top`` has the height of their hills, those above
    ``marks`` have none.
    """
    first, second, height = ridges(ground, found, len(top) - 1)
    # Ledges first: until then, basins have neither their size nor their neighbours.
    named = without_ledges(first, second, len(top), marks)
    size = np.bincount(named[found], minlength=len(top)).tolist()
    heights, parent = top.tolist(), list(range(len(top)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    # Water rises from the lowest neck.
    a, b = named[first], named[second]
    for one, other, ridge in zip(
        *(c[a != b].tolist() for c in (a, b, height)), strict=True
    ):
        i, j = root(one), root(other)
        if i == j:
            continue
        low, high = (i, j) if heights[i] < heights[j] else (j, i)
        if ridge >= neck * heights[low] or min(size[i], size[j]) < min_size:
            parent[low] = high
            size[high] += size[low]
    table = np.arange(len(top), dtype=np.int32)
    table[: marks + 1] = [root(i) for i in range(marks + 1)]
    return table[named]
