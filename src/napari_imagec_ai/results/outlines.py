"""Outlines of labelled objects, exact to the pixel, and back.

Pixel centres lie at integers, so a pixel's corners lie at halves. Two outlines are
offered. The *crack* runs along the pixels' edges: it covers exactly their area. The
*smooth* one joins the middles of those edges, which cuts the corners of the stairs;
drawn again at pixel centres it gives the same pixels, and its area is half a pixel less
for each ring. Objects are connected by pixel edges (4-neighbours).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float32]
"""(P, 2) vertices (y, x) in pixels; closed, the first one is not repeated."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One connected part of an object: its outer ring, and rings around holes."""

    outer: Ring
    holes: tuple[Ring, ...] = ()

    def moved(self, shift: NDArray[np.float32]) -> Outline:
        """The same outline, (y, x) pixels further."""
        return Outline(self.outer + shift, tuple(hole + shift for hole in self.holes))


def trace(labels: NDArray[np.integer], smooth: bool = True) -> dict[int, list[Outline]]:
    """Trace the outline of every object.

    Parameters
    ----------
    labels : (Y, X) integer
        0 is background.
    smooth : bool
        The smooth outline instead of the crack; see the module.

    Returns
    -------
    dict of int to list of Outline
        For each id its connected parts, the largest first. Outer rings and holes turn
        in opposite directions.
    """
    label, corner, following = _edges(labels)
    if not len(label):
        return {}
    rings: dict[int, list[Ring]] = {}
    for identity, ring in _rings(label, corner, following, smooth):
        rings.setdefault(identity, []).append(ring)
    return {identity: _nest(found) for identity, found in sorted(rings.items())}


def _edges(
    labels: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Directed unit edges between a pixel and another label, the pixel on the right.

    Returns the pixel's label, the starting corner (in units of pixels, (N, 2)), and for
    each edge the one that follows it around the same pixel's object.
    """
    padded = np.pad(np.asarray(labels, np.int64), 1)
    width = padded.shape[1] + 1
    # Corner (y, x) is the upper left corner of padded pixel (y, x).
    sides = []
    for dy, dx, first, last in (
        (-1, 0, (0, 0), (0, 1)),  # upper side, to the right
        (0, 1, (0, 1), (1, 1)),  # right side, down
        (1, 0, (1, 1), (1, 0)),  # lower side, to the left
        (0, -1, (1, 0), (0, 0)),  # left side, up
    ):
        inner = padded[1:-1, 1:-1]
        other = padded[
            1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx
        ]
        y, x = np.nonzero((inner != other) & (inner != 0))
        label = inner[y, x]
        y, x = y + 1, x + 1
        sides.append(
            (
                label,
                (y + first[0]) * width + x + first[1],
                (y + last[0]) * width + x + last[1],
            )
        )
    label = np.concatenate([side[0] for side in sides])
    start = np.concatenate([side[1] for side in sides])
    end = np.concatenate([side[2] for side in sides])
    direction = np.repeat(np.arange(4), [len(side[0]) for side in sides])
    following = _follow(label, start, end, direction, width * (padded.shape[0] + 1))
    corners = np.stack(np.divmod(start, width), axis=1) - 1
    return label, corners, following


def _follow(
    label: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    direction: NDArray[np.int64],
    corners: int,
) -> NDArray[np.int64]:
    """For each edge the next one: same label, from where it ends, sharpest right turn.

    Where two pixels of an object meet only at a corner, turning right keeps them apart,
    as 4-neighbours are.
    """
    key = (label * corners + start) * 4 + direction
    order = np.argsort(key)
    ranked = key[order]
    following = np.full(len(label), -1, np.int64)
    for turn in (1, 0, 3):  # right, straight on, left
        wanted = (label * corners + end) * 4 + (direction + turn) % 4
        at = np.minimum(np.searchsorted(ranked, wanted), max(len(ranked) - 1, 0))
        fits = (ranked[at] == wanted) & (following < 0) if len(ranked) else at < 0
        following[fits] = order[at[fits]]
    return following


def _rings(
    label: NDArray[np.int64],
    corner: NDArray[np.int64],
    following: NDArray[np.int64],
    smooth: bool,
) -> Iterator[tuple[int, Ring]]:
    """Yield each closed chain of edges as a ring, with its label."""
    start = corner.astype(np.float32) - 0.5
    points = (start + start[following]) / 2 if smooth else start
    leaving = points[following] - points
    arriving = np.empty_like(leaving)
    arriving[following] = leaving
    turns = arriving[:, 0] * leaving[:, 1] != arriving[:, 1] * leaving[:, 0]
    first, rank = _chains(following)
    order = np.lexsort((rank, first))
    order = order[turns[order]]
    cuts = np.flatnonzero(np.diff(first[order])) + 1
    for chain in np.split(order, cuts):
        for ring in [points[chain]] if smooth else _unpinched(points[chain]):
            yield int(label[chain[0]]), ring


def _unpinched(ring: Ring) -> list[Ring]:
    """Cut a crack at the corners that it meets twice.

    There two pixels of one object meet only at a corner, and so do the two parts of
    background beside them. A ring that touches itself is no valid polygon, a hole that
    touches its ring at a point is.
    """
    if len(np.unique(ring, axis=0)) == len(ring):
        return [ring]
    rings: list[Ring] = []
    path: list[int] = []
    at: dict[tuple[float, float], int] = {}
    for i, corner in enumerate(map(tuple, ring.tolist())):
        if corner in at:
            loop, path = path[at[corner] :], path[: at[corner]]
            rings.append(ring[loop])
            for j in loop:
                del at[tuple(ring[j].tolist())]
        at[corner] = len(path)
        path.append(i)
    return [*rings, ring[path]]


def _chains(
    following: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which closed chain each edge is of, and its place along it.

    By pointer jumping (J. Wyllie, 1979): after k rounds each edge knows the 2^k ahead
    of it, so that no chain is walked edge by edge.
    """
    count = len(following)
    rounds = max(1, int(count - 1).bit_length())
    first, ahead = np.arange(count), following
    for _ in range(rounds):
        first = np.minimum(first, first[ahead])
        ahead = ahead[ahead]
    # Cut each chain open before its first edge, and count the steps to the cut.
    last = following == first
    ahead = np.where(last, np.arange(count), following)
    steps = np.where(last, 0, 1)
    for _ in range(rounds):
        steps = steps + steps[ahead]
        ahead = ahead[ahead]
    return first, -steps


def _nest(rings: list[Ring]) -> list[Outline]:
    """Put holes into the part that they lie in."""
    if len(rings) == 1:
        return [Outline(rings[0])]
    areas = [signed_area(ring) for ring in rings]
    outer = sorted((i for i, a in enumerate(areas) if a > 0), key=lambda i: -areas[i])
    holes: dict[int, list[Ring]] = {i: [] for i in outer}
    for i, area in enumerate(areas):
        if area > 0:
            continue
        inside = [j for j in outer if areas[j] > -area and _covers(rings[j], rings[i])]
        if inside:
            holes[inside[-1]].append(rings[i])
    return [Outline(rings[i], tuple(holes[i])) for i in outer]


def _covers(outer: Ring, ring: Ring) -> bool:
    y, x = (float(v) for v in ring[0])
    return cv2.pointPolygonTest(outer[:, ::-1].copy(), (x, y), False) >= 0


def signed_area(ring: Ring) -> float:
    """Area within a ring, in pixels; positive for outer rings, negative for holes."""
    y, x = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def draw(
    outlines: dict[int, list[Outline]], shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Fill outlines again: the inverse of :func:`trace`.

    Parameters
    ----------
    outlines : dict of int to list of Outline
        A pixel belongs to the object whose outline its centre lies in, the higher id
        where several do.
    shape : tuple of int
        Of the result (Y, X).
    """
    from skimage.draw import polygon

    labels = np.zeros(shape, np.int32)
    for identity in sorted(outlines):
        for outline in outlines[identity]:
            rows, columns = polygon(outline.outer[:, 0], outline.outer[:, 1], shape)
            inside = np.zeros(shape, bool) if outline.holes else None
            if inside is None:
                labels[rows, columns] = identity
                continue
            inside[rows, columns] = True
            for hole in outline.holes:
                rows, columns = polygon(hole[:, 0], hole[:, 1], shape)
                inside[rows, columns] = False
            labels[inside] = identity
    return labels
