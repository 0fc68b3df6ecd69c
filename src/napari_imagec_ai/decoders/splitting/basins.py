"""Which hill of a relief each pixel belongs to.

A watershed (S. Beucher and F. Meyer, 1993) in which every hill is a source. Water then
reaches each pixel from the highest pixel beside it, so that pixels are followed uphill.
What ends beside a top, on a ledge whose way up leads over a corner, goes where the
highest ridge around it leads; where a relief has level ground, whose water comes from
its edges, the pixels are flooded in the order of their height.

All images are flat: a plane or a volume with a rim of one pixel at each side, in C
order, so that a neighbour is a fixed step away. ``parts`` has the labels, from 1, of
the connected parts of a mask, and 0 outside and in the rim; the relief is nowhere
outside higher than inside.
"""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.splitting.ridges import root
from napari_imagec_ai.system.compiled import compiled

Labels = NDArray[np.int32]
Relief = NDArray[np.float32]
Steps = NDArray[np.int64]
Flags = NDArray[np.bool_]
Ways = NDArray[np.int8]

FLAT = 8
"""A few pixels on a level are a tie, whichever way they go; more are level ground."""


def steps_beside(shape: tuple[int, ...]) -> Steps:
    """Steps to the neighbours that share an edge or a face, those before first.

    Parameters
    ----------
    shape : tuple of int
        Of the plane or volume, with its rim.
    """
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return np.sort(np.array([s * sign for s in strides for sign in (-1, 1)], np.int64))


def steps_around(shape: tuple[int, ...]) -> Steps:
    """Steps to the neighbours that share a corner, too, those before first."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    ways = itertools.product((-1, 0, 1), repeat=len(shape))
    steps = [sum(map(math.prod, zip(way, strides, strict=True))) for way in ways]
    return np.sort(np.array([step for step in steps if step], np.int64))


@compiled
def ways_up(relief: Relief, beside: Steps, ways: Ways) -> None:
    """Find the highest pixel beside each one.

    Parameters
    ----------
    relief : float32
        Height of each pixel.
    beside : int64
        From :func:`steps_beside`.
    ways : int8
        Written, but in the rim: which step leads there; -1 where none is higher.
    """
    rim = beside[-1]
    if len(beside) == 4:  # as one expression, for many pixels in one instruction
        up, left, right, down = beside[0], beside[1], beside[2], beside[3]
        for at in range(rim, len(relief) - rim):
            best, way = relief[at], np.int8(-1)
            other = relief[at + up]
            best, way = (other, np.int8(0)) if other > best else (best, way)
            other = relief[at + left]
            best, way = (other, np.int8(1)) if other > best else (best, way)
            other = relief[at + right]
            best, way = (other, np.int8(2)) if other > best else (best, way)
            other = relief[at + down]
            ways[at] = np.int8(3) if other > best else way
    else:
        for at in range(rim, len(relief) - rim):
            best, way = relief[at], np.int8(-1)
            for k in range(len(beside)):
                if relief[at + beside[k]] > best:
                    best, way = relief[at + beside[k]], np.int8(k)
            ways[at] = way


@compiled
def _is_top(relief: Relief, around: Steps, at: int) -> bool:
    """Whether the pixel is above 0, and none around it is higher."""
    if not relief[at] > 0:
        return False
    for k in range(len(around)):  # noqa: SIM110 - compiled, this is many times faster
        if relief[at + around[k]] > relief[at]:
            return False
    return True


@compiled
def _top_before(
    tops: Labels, parts: Labels, around: Steps, parent: Labels, at: int
) -> int:
    """Join the tops of this part that touch the pixel and come before it.

    Gives their label; 0 if there are none.
    """
    own = 0
    for k in range(len(around) // 2):
        beside = at + around[k]
        if tops[beside] and parts[beside] == parts[at]:
            other = root(parent, tops[beside])
            if own == 0:
                own = other
            own, other = min(own, other), max(own, other)
            parent[other] = own
    return own


@compiled
def hilltops(
    relief: Relief, parts: Labels, ways: Ways, around: Steps, tops: Labels
) -> Steps:
    """Find and label the local maxima of each part; gives where they are.

    Parameters
    ----------
    relief : float32
        Height of each pixel; only what is above 0 can be a top.
    parts : int32
        Labels of the parts.
    ways : int8
        From :func:`ways_up`.
    around : int64
        From :func:`steps_around`.
    tops : int32
        Zeros, written: labels from 1. Those that touch, also at a corner, have one,
        unless they are in different parts.
    """
    parent, where = np.zeros(1024, np.int32), np.zeros(1024, np.int64)
    count, found = 0, 0
    for at in range(len(parts)):
        if ways[at] >= 0 or parts[at] == 0 or not _is_top(relief, around, at):
            continue
        own = _top_before(tops, parts, around, parent, at)
        if own == 0:
            count += 1
            if count == len(parent):
                parent = np.append(parent, np.zeros_like(parent))
            parent[count] = own = count
        if found == len(where):
            where = np.append(where, np.zeros_like(where))
        tops[at], where[found] = own, at
        found += 1
    named, names = np.zeros(count + 1, np.int32), 0
    for k in range(found):
        own = root(parent, tops[where[k]])
        if named[own] == 0:
            names += 1
            named[own] = names
        tops[where[k]] = named[own]
    return where[:found].copy()


@compiled
def _is_level(relief: Relief, beside: Steps, at: int) -> bool:
    """Whether a pixel beside this one is as high."""
    for k in range(len(beside)):  # noqa: SIM110 - compiled, this is many times faster
        if relief[at + beside[k]] == relief[at]:
            return True
    return False


@compiled
def climb(  # noqa: C901 - one loop, compiled as a whole
    relief: Relief,
    parts: Labels,
    tops: Labels,
    ways: Ways,
    beside: Steps,
    wanted: Flags,
    count: int,
    found: Labels,
    whole: Steps,
    level: Labels,
) -> Steps:
    """Follow each pixel uphill.

    Parameters
    ----------
    relief, parts, tops, ways, beside
        As for :func:`hilltops`.
    wanted : (parts + 1,) bool
        Parts that are looked at.
    count : int
        Of the hills.
    found : int32
        Zeros, written: the hill that each pixel of those parts belongs to. Labels above
        ``count`` are ledges, which belong to the hill that they have the highest of the
        :func:`~napari_imagec_ai.decoders.splitting.ridges.between` with.
    whole : (parts + 1,) int64
        Zeros, written: pixels of the other parts.
    level : (parts + 1,) int32
        Zeros, written: how many pixels of each part are level ledges.

    Returns
    -------
    (labels + 1,) int64
        Pixels of each hill and ledge.
    """
    size = np.zeros(2 * count + 64, np.int64)
    trail = np.empty(1 << 12, np.int64)
    highest = count
    for start in range(len(parts)):
        part = parts[start]
        if not wanted[part]:
            whole[part] += 1
            continue
        if found[start]:  # counted with the pixel below it, whose way led here
            continue
        above = start + beside[ways[start]]
        if ways[start] >= 0 and found[above]:  # so it is for most
            found[start] = found[above]
            size[found[above]] += 1
            continue
        at, length = start, 0
        while found[at] == 0 and ways[at] >= 0:
            if length == len(trail):
                trail = np.append(trail, np.empty_like(trail))
            trail[length] = at
            length += 1
            at += beside[ways[at]]
        own = found[at]
        if own == 0:
            own = tops[at]
            # Of a hill with two tops, which touch at a corner only, one is a ledge.
            if own == 0 or size[own]:
                highest += 1
                own = highest
                if own == len(size):
                    size = np.append(size, np.zeros_like(size))
                level[part] += _is_level(relief, beside, at)
            found[at] = own
            size[own] += 1
        size[own] += length
        for k in range(length):
            found[trail[k]] = own
    return size[: highest + 1].copy()


@compiled
def flood(
    relief: Relief,
    parts: Labels,
    tops: Labels,
    beside: Steps,
    wanted: Flags,
    found: Labels,
) -> None:
    """Give pixels to hills in the order of their height.

    Parameters
    ----------
    relief, parts, tops, beside
        As for :func:`climb`.
    wanted : (parts + 1,) bool
        Parts that are looked at.
    found : int32
        Written, in those parts only: the hill that each pixel belongs to.
    """
    shore = [(np.float32(0), 0, 0)]
    shore.clear()
    for at in range(len(parts)):
        if wanted[parts[at]]:
            found[at] = tops[at]
            if tops[at]:
                shore.append((-relief[at], len(shore), at))
    heapq.heapify(shore)
    age = len(shore)
    while shore:
        _, _, at = heapq.heappop(shore)
        for k in range(len(beside)):
            to = at + beside[k]
            if parts[to] == parts[at] and found[to] == 0:
                found[to] = found[at]
                heapq.heappush(shore, (-relief[to], age, to))
                age += 1
