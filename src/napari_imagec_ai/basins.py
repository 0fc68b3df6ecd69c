"""Which hill of a relief each pixel belongs to, and how high the ridges between are.

A watershed (S. Beucher and F. Meyer, 1993) in which every hill is a source. Water then
reaches each pixel from the highest pixel beside it, so that all pixels can be followed
uphill at the same time instead of one after the other. What ends beside a top, on a
ledge whose way up leads over a corner, goes where the highest ridge around it leads;
where a relief has level ground, whose water comes from its edges, the pixels are
flooded one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

Labels = NDArray[np.int32]
Relief = NDArray[np.float32]
Positions = NDArray[np.intp]

_FLAT = 8
"""A few pixels on a level are a tie, whichever way they go; more are level ground."""

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Pixels of a relief that are looked at: whole connected parts of its mask.

    Attributes
    ----------
    relief : float32
        Height of each pixel; outside of the mask not higher than anywhere in it.
    at : (N,) intp
        The pixels, as positions in the flat relief, in order.
    part : (N,) int32
        Label of the connected part that each is in.
    """

    relief: Relief
    at: Positions
    part: Labels


def basins(ground: Ground, hills: Labels, count: int) -> tuple[Labels, int]:
    """Hill of each pixel.

    Parameters
    ----------
    ground : Ground
        Where.
    hills : int32, shaped as the relief
        Labels of the hilltops, 1 to ``count``; every part has one.
    count : int
        How many.

    Returns
    -------
    (N,) int32, int
        Labels of the basins, and the highest one. Those above ``count`` are ledges,
        which belong to the basin that they have the highest :func:`ridges` with.
    """
    at, steps = ground.at, _steps(ground.relief.shape)
    ways = _ways_up(ground.relief).reshape(-1)[at]
    ways |= ways == 0  # what is no number has no way up, either
    rank = np.empty(ground.relief.size, np.int32)  # only asked for where it is set
    rank[at] = np.arange(len(at), dtype=np.int32)
    up = rank[at + steps[ways]].astype(np.intp)
    roots = np.flatnonzero(ways & 1)
    label = hills.reshape(-1)[at[roots]]
    # Of a hill with two tops, which touch at a corner only, one is a ledge, too.
    ledge = np.ones(len(roots), bool)
    ledge[np.unique(label, return_index=True)[1]] = False
    ledge |= label == 0
    level = np.bincount(ground.part[roots[ledge & (ways[roots] > 1)]])
    highest = count + int(np.count_nonzero(ledge))
    label[ledge] = np.arange(count + 1, highest + 1)
    up = _ends(up)
    number = np.zeros(len(at), np.int32)
    number[roots] = label
    found = number[up]
    if level.max(initial=0) > _FLAT:
        for mine in _each(ground.part, np.flatnonzero(level > _FLAT)):
            highest = _flood(found, ground, hills, mine, highest)
    return found, highest


def _ends(following: Positions) -> Positions:
    """Where each chain ends, the last of which is followed by itself."""
    while True:
        further = following[following]
        if np.array_equal(further, following):
            return following
        following = further


def _each(labels: Labels, wanted: Positions) -> list[Positions]:
    """Where each of the wanted labels is."""
    chosen = np.zeros(int(labels.max()) + 1, bool)
    chosen[wanted] = True
    at = np.flatnonzero(chosen[labels])
    at = at[np.argsort(labels[at], kind="stable")]
    return np.split(at, np.flatnonzero(np.diff(labels[at])) + 1)


def _flood(
    found: Labels, ground: Ground, hills: Labels, mine: Positions, highest: int
) -> int:
    """Flood one part pixel by pixel; gives the highest label."""
    where = np.unravel_index(ground.at[mine], hills.shape)
    first = [int(position.min()) for position in where]
    inner = tuple(p - low for p, low in zip(where, first, strict=True))
    box = tuple(
        slice(low, int(p.max()) + 1) for p, low in zip(where, first, strict=True)
    )
    mask = np.zeros([s.stop - s.start for s in box], bool)
    mask[inner] = True
    # Tops that touch at a corner only are one hill, but not yet one basin.
    tops, count = ndimage.label(mask & (hills[box] > 0))
    at = np.flatnonzero(tops)
    hill, first_of = np.unique(hills[box].reshape(-1)[at], return_index=True)
    named = tops.reshape(-1)[at[first_of]]
    number = np.zeros(count + 1, np.int32)
    number[named] = hill
    others = np.flatnonzero(number[1:] == 0) + 1
    number[others] = np.arange(highest + 1, highest + 1 + len(others))
    flooded = watershed(-ground.relief[box], tops, mask=mask)
    found[mine] = number[flooded[inner]]
    return highest + len(others)


def _steps(shape: tuple[int, ...]) -> Positions:
    """Distance in the flat relief to go, by the ways up that :func:`_ways_up` found."""
    stride = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    each = [sign * step for step in stride for sign in (-1, 1)]
    steps = np.zeros(1 << (len(each) + 1), np.intp)
    for ways in range(0, len(steps), 2):
        first = next((i for i in range(len(each)) if ways >> (i + 1) & 1), None)
        steps[ways] = 0 if first is None else each[first]
    return steps


def _ways_up(relief: Relief) -> NDArray[np.uint8]:
    """Which of a pixel and its neighbours (by edges or faces) are the highest of them.

    The lowest bit is the pixel itself, the others the one before and the one after it
    along each axis.
    """
    sides = []
    for axis in range(relief.ndim):
        before, after = [slice(None)] * relief.ndim, [slice(None)] * relief.ndim
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        sides += [(tuple(after), tuple(before)), (tuple(before), tuple(after))]
    if relief.ndim == 2:
        highest: Any = cv2.dilate(relief, _CROSS)
    else:
        highest = relief.copy()
        for here, there in sides:
            np.maximum(highest[here], relief[there], out=highest[here])
    ways: NDArray[np.uint8] = np.equal(relief, highest).view(np.uint8)
    for bit, (here, there) in enumerate(sides, start=1):
        ways[here] |= (relief[there] == highest[here]).view(np.uint8) << bit
    return ways


def ridges(
    ground: Ground, found: Labels, highest: int
) -> tuple[Labels, Labels, Relief]:
    """Pairs of neighbouring basins, and the height of the ridge between them.

    Parameters
    ----------
    ground : Ground
        Where.
    found : (N,) int32
        Basin of each pixel, from 1.
    highest : int
        Of the labels.

    Returns
    -------
    lower, upper, height
        Labels of both, and the height; the highest ridge first.
    """
    at, shape = ground.at, ground.relief.shape
    image = np.zeros(ground.relief.size, np.int32)
    image[at] = found
    keys, heights = [], []
    level = ground.relief.reshape(-1)
    step = 1
    for size in reversed(shape):
        own = at[: np.searchsorted(at, len(image) - step)]
        beside = image[own + step]
        mine = found[: len(own)]
        edge = np.flatnonzero((beside != mine) & (beside != 0))
        here = own[edge]
        edge = edge[(here // step) % size != size - 1]  # the next one starts a new line
        here, a, b = own[edge], mine[edge], beside[edge]
        low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b)
        keys.append(low * (highest + 1) + high)
        heights.append(np.minimum(level[here], level[here + step]))
        step *= size
    key, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    height = np.full(len(key), -np.inf, np.float32)
    np.maximum.at(height, inverse, np.concatenate(heights))
    order = np.argsort(-height, kind="stable")
    lower, upper = np.divmod(key[order], highest + 1)
    return lower.astype(np.int32), upper.astype(np.int32), height[order]


def without_ledges(
    first: Labels, second: Labels, count: int, marks: int
) -> NDArray[np.int32]:
    """Give ledges to the basins that they have the highest ridges with.

    Parameters
    ----------
    first, second : int32
        Neighbours, those with the highest ridge between them first.
    count : int
        How many labels there are, from 0.
    marks : int
        Those above are ledges.

    Returns
    -------
    (count,) int32
        The basin of each label.
    """
    basin = np.arange(count)
    while True:
        a, b = basin[first], basin[second]
        open_ = np.flatnonzero((a != b) & (np.maximum(a, b) > marks))
        if not len(open_):
            return basin.astype(np.int32)
        a, b = a[open_], b[open_]
        # Every ledge goes over its highest ridge: the last that is written counts.
        goes = np.arange(count)
        both = np.stack([a, b], axis=1)[::-1].reshape(-1)
        goes[both] = np.stack([b, a], axis=1)[::-1].reshape(-1)
        goes[: marks + 1] = np.arange(marks + 1)
        # Two that go to each other become one.
        mutual = (goes[goes] == np.arange(count)) & (goes > np.arange(count))
        goes[mutual] = np.flatnonzero(mutual)
        basin = _ends(goes)[basin]
