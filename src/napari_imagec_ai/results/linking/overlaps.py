"""Follows objects by the pixels that they share with those of the next plane.

The pair that has most in common, by intersection over union, is taken first; each
object has one successor. Where objects have no pixels of their own, or may lie over
each other, their boxes stand for them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.objects import Objects

Rows = NDArray[np.intp]
Links = list[tuple[int, int]]
"""Row of an object, and row of the one that it becomes."""


def linked_by_overlap(
    objects: Objects,
    planes: list[Rows],
    least: float,
    most_missed: int,
    divisions: bool,
) -> Links:
    """Find which objects of following planes are one.

    Parameters
    ----------
    objects : Objects
        Of all planes.
    planes : list of (N,) int
        Rows of each plane, in order; planes may be empty.
    least : float
        Share of the smaller object that lies in the other.
    most_missed : int
        Planes in which an object may be missing.
    divisions : bool
        Whether an object may have two successors.
    """
    shared = _by_pixels(objects) if objects.label_image is not None else _by_boxes
    links: Links = []
    open_ends: list[list[int]] = []  # rows without a successor, the latest plane last
    for rows in planes:
        free = set(rows.tolist())
        for age, ends in enumerate(reversed(open_ends)):
            if not free or age > most_missed:
                break
            before = np.array(ends, np.intp)
            here = np.array(sorted(free), np.intp)
            found = _pairs(shared(objects, before, here), before, here, least)
            taken: dict[int, int] = {}
            for first, second in found:
                # Only from the plane before: a gap and a division at once is a guess.
                limit = 2 if divisions and age == 0 else 1
                if second in free and taken.get(first, 0) < limit:
                    links.append((first, second))
                    free.discard(second)
                    taken[first] = taken.get(first, 0) + 1
            ends[:] = [row for row in ends if row not in taken]
        open_ends.append(rows.tolist())
        open_ends = open_ends[-1 - most_missed :]
    return links


Shared = tuple[NDArray[np.float64], NDArray[np.float64]]
"""For each pair (A, B): share of the smaller one, and intersection over union."""


def _pairs(shared: Shared, before: Rows, here: Rows, least: float) -> Links:
    """Pairs that may be one, those with most in common first."""
    of_smaller, of_both = shared
    a, b = np.nonzero(of_smaller >= least)
    order = np.argsort(-of_both[a, b], kind="stable")
    return list(zip(before[a[order]].tolist(), here[b[order]].tolist(), strict=True))


def _shared(inside: NDArray[np.float64], a: NDArray[np.float64],
            b: NDArray[np.float64]) -> Shared:  # fmt: skip
    smaller = np.minimum(a[:, None], b[None])
    both = a[:, None] + b[None] - inside
    return inside / np.maximum(smaller, 1e-9), inside / np.maximum(both, 1e-9)


def _by_pixels(objects: Objects) -> Callable[[Objects, Rows, Rows], Shared]:
    """Count pixels of the label image, one plane at a time."""
    kept: dict[tuple[int, ...], NDArray[np.int32]] = {}
    start = np.asarray(objects.frame.origin[: objects.planes.shape[1]], np.int32)

    def plane(row: int) -> NDArray[np.int32]:
        index = tuple((objects.planes[row] - start).tolist())
        if index not in kept:
            whole = (slice(None),) * (len(objects.frame.shape) - len(index))
            while len(kept) > 4:
                del kept[next(iter(kept))]
            kept[index] = np.asarray(objects.labels_at((*index, *whole)))
        return kept[index]

    def shared(_: Objects, before: Rows, here: Rows) -> Shared:
        inside = np.zeros((len(before), len(here)))
        sizes: list[NDArray[np.float64]]
        sizes = [np.zeros(len(before)), np.zeros(len(here))]
        if not len(before) or not len(here):
            return _shared(inside, *sizes)
        numbers = []
        for side, rows in enumerate((before, here)):
            labels = plane(int(rows[0])).reshape(-1)
            highest = int(max(labels.max(initial=0), objects.id[rows].max()))
            lookup = np.zeros(highest + 1, np.int64)
            lookup[objects.id[rows]] = np.arange(1, len(rows) + 1)
            numbers.append(lookup[labels])
            sizes[side] = _counts(numbers[-1], len(rows))
        a, b = numbers
        both = (a > 0) & (b > 0)
        flat = (a[both] - 1) * len(here) + b[both] - 1
        inside += np.bincount(flat, minlength=inside.size).reshape(inside.shape)
        return _shared(inside, *sizes)

    return shared


def _counts(numbers: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    return np.bincount(numbers, minlength=count + 1)[1:].astype(np.float64)


def _by_boxes(objects: Objects, before: Rows, here: Rows) -> Shared:
    """Overlap of boxes."""
    half = objects.boxes.shape[1] // 2
    a, b = objects.boxes[before].astype(float), objects.boxes[here].astype(float)
    low = np.maximum(a[:, None, :half], b[None, :, :half])
    high = np.minimum(a[:, None, half:], b[None, :, half:])
    inside = np.clip(high - low, 0, None).prod(axis=-1)
    sizes = ((each[:, half:] - each[:, :half]).prod(axis=1) for each in (a, b))
    return _shared(inside, *sizes)
