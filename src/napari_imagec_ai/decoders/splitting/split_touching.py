"""Takes a foreground mask apart into objects, also where they touch.

The distance to the background has one hill for each roundish part. Two neighbouring
hills are one object if the ridge between them is nearly as high as the lower hill,
whatever the size: what counts is the neck's width relative to the part, not a number of
pixels. Pixels then go to hills: see :mod:`napari_imagec_ai.decoders.splitting.basins`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_imagec_ai.decoders.splitting import basins, relabel, ridges
from napari_imagec_ai.decoders.splitting.bands import Band, bands_of
from napari_imagec_ai.system import threads

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


def compile_splitting() -> None:
    """Compile what :func:`split_touching` needs, where that was not done before."""
    for ndim in (2, 3):
        mask = np.ones((8,) * ndim, bool)
        split_touching(mask, distance(mask), 1.0)


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
    pieces = threads.map_parts(
        lambda band: _split(band, parts, relief, neck, min_size),
        bands_of(parts, number),
    )
    labels = np.zeros(parts.shape, np.int32)
    count = 0
    for piece in pieces:
        count = piece.number_from(count)
    threads.map_parts(lambda piece: piece.write(labels), pieces)
    return labels, count


def without_small(
    labels: NDArray[np.integer], count: int, smallest: int
) -> tuple[Labels, int]:
    """Leave out objects of fewer pixels, or of none; the others keep their order."""
    return _renumbered(np.array(labels, np.int32), count, smallest)


def _renumbered(labels: Labels, count: int, smallest: int) -> tuple[Labels, int]:
    """The same in place, for labels that nobody else has."""
    flat = labels.reshape(-1)
    table = _table(relabel.sizes(flat, count), smallest)
    relabel.rename(flat, table)
    return labels, int(table.max(initial=0))


def compact(labels: NDArray[np.integer], highest: int) -> tuple[Labels, int]:
    """Renumber labels without gaps, in their order; gives labels and how many."""
    return without_small(labels, highest, 1)


def smooth(relief: Relief, mask: Mask, sigma: float | tuple[float, ...]) -> Relief:
    """Smooth a relief with a Gaussian of ``sigma`` pixels (along each axis).

    It is 0 outside the mask.
    """
    sigmas = np.broadcast_to(sigma, relief.ndim)
    if relief.ndim != 2:
        blurred = ndimage.gaussian_filter(relief, sigmas)
        np.copyto(blurred, 0, where=~mask)
        return np.asarray(blurred)
    # Lower is one pixel anyway, and 0 would mean: the same as along the other axis.
    y, x = np.maximum(sigmas, 0.05)
    margin = math.ceil(4 * y) + 1
    smoothed = np.empty(relief.shape, np.float32)

    def blur(rows: slice) -> None:
        first = max(rows.start - margin, 0)
        part = relief[first : rows.stop + margin]
        found = cv2.GaussianBlur(part, (0, 0), x, sigmaY=y)
        own = smoothed[rows]
        own[...] = found[rows.start - first :][: len(own)]
        np.copyto(own, 0, where=~mask[rows])

    threads.map_parts(blur, threads.slabs(relief.shape))
    return smoothed


def carry(
    mask: Mask, before: Labels, highest: int, smallest: int
) -> tuple[Labels, int]:
    """Label a mask as one that is nearly the same was labelled.

    Parameters
    ----------
    mask : (Y, X) or (Z, Y, X) bool
        The foreground.
    before : int32
        Labels of the other mask; pixels that had none get one that is beside them, or
        a new one where there is none.
    highest : int
        The highest of those labels.
    smallest : int
        Objects of fewer pixels are left out.

    Returns
    -------
    labels, count
        Ids 1 to ``count``.
    """
    labels = np.empty(mask.shape, np.int32)
    volume = labels.shape if labels.ndim == 3 else (1, *labels.shape)
    flags = np.ascontiguousarray(mask).reshape(volume)
    if relabel.carry_over(flags, before.reshape(volume), labels.reshape(volume)):
        fresh, count = components(mask & (labels == 0))
        np.add(labels, fresh + highest, out=labels, where=fresh > 0)
        highest += count
    return _renumbered(labels, highest, smallest)


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """What was found in a band: labels of parts, and of the basins of others."""

    band: Band
    parts: Labels
    found: Labels
    of_parts: Labels
    of_basins: Labels

    def number_from(self, count: int) -> int:
        """Number the labels through from here; gives the last one."""
        for table in (self.of_parts, self.of_basins):
            mine = int(table.max(initial=0))
            table[table > 0] += count
            count += mine
        return count

    def write(self, labels: Labels) -> None:
        """Write the labels into the whole."""
        self.band.write(self.parts, self.found, self.of_parts, self.of_basins, labels)


def _split(
    band: Band, parts: Labels, relief: Relief, neck: float, min_size: int
) -> _Piece:
    """Take apart the parts of a band."""
    own, hills = band.cut(parts, relief)
    beside, around = basins.steps_beside(own.shape), basins.steps_around(own.shape)
    flat, levels = own.reshape(-1), hills.reshape(-1)
    ways, tops = np.empty(flat.shape, np.int8), np.zeros_like(flat)
    basins.ways_up(levels, beside, ways)
    where = basins.hilltops(levels, flat, ways, around, tops)
    number, several = int(flat.max(initial=0)), _several(flat[where], tops[where])
    several.resize(number + 1, refcheck=False)
    found, marks = np.zeros_like(flat), int(tops[where].max(initial=0))
    whole, level = np.zeros(number + 1, np.int64), np.zeros(number + 1, np.int32)
    size = basins.climb(
        levels, flat, tops, ways, beside, several, marks, found, whole, level
    )
    if level.max(initial=0) > basins.FLAT:
        basins.flood(levels, flat, tops, beside, level > basins.FLAT, found)
        size = np.bincount(found, minlength=len(size))
    height = np.zeros(len(size), np.float32)
    np.maximum.at(height, tops[where], levels[where])
    joined = _joined(levels, found, beside, height, size, marks, neck, min_size)
    return _Piece(band, own, found.reshape(own.shape), _table(whole, min_size), joined)


def _several(part: Labels, hill: Labels) -> Mask:
    """Whether each part has more than one hill, from the part and the hill of tops."""
    highest = np.zeros(int(part.max(initial=0)) + 1, np.int32)
    lowest = np.full(len(highest), 1 << 30, np.int32)
    np.maximum.at(highest, part, hill)
    np.minimum.at(lowest, part, hill)
    return highest > lowest


def _joined(
    relief: Relief,
    found: Labels,
    beside: NDArray[np.int64],
    height: Relief,
    size: NDArray[np.int64],
    marks: int,
    neck: float,
    min_size: int,
) -> Labels:
    """Label of each basin, 0 for those of too few pixels."""
    lower, upper, ridge = ridges.between(relief, found, beside, len(size) - 1)
    order = np.argsort(-ridge, kind="stable")
    root = ridges.join(
        lower[order], upper[order], ridge[order], height, size, marks, neck, min_size
    )
    alone = np.where(root == np.arange(len(root)), size, 0)
    return _table(alone, min_size)[root]


def _table(size: NDArray[np.int64], smallest: int) -> Labels:
    """Labels from 1 for what has so many pixels, 0 for what has fewer."""
    present = size >= max(smallest, 1)
    present[0] = False
    return np.where(present, np.cumsum(present), 0).astype(np.int32)
