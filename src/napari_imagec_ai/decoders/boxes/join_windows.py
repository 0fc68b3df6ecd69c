"""Boxes of windows that overlap: who answers for which, and parts of one object.

Each window answers for the boxes whose centre lies in its core. A box that an inner
border cut gives way to the whole one next door; parts of an object that is larger than
the overlap are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.boxes import area, intersection, iou
from napari_imagec_ai.results.window_results import WindowResult

_CUT = 2.0
"""A box this near (pixels of the window) to an inner border was cut by it."""

_COVERED = 0.7
"""A cut box gives way to a whole one that covers this much of it."""

_JOINED = 0.5
"""Cut boxes are one object where their parts in the shared strip overlap this much."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaneBoxes:
    """Boxes of one plane, in pixels of the image.

    ``sources`` has, for each box, the window and the row there that it came from; a box
    that was joined has several.
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    sources: tuple[tuple[tuple[int, int], ...], ...]

    def __getitem__(self, rows: NDArray[np.int64]) -> PlaneBoxes:
        return PlaneBoxes(
            self.boxes[rows],
            self.confidence[rows],
            self.class_id[rows],
            tuple(self.sources[i] for i in rows),
        )


def join_windows(
    windows: Sequence[WindowResult], each: Sequence[PlaneBoxes]
) -> PlaneBoxes:
    """Boxes that windows answer for, those cut by inner borders put together."""
    kept = []
    for window, found in zip(windows, each, strict=True):
        middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        inside = np.ones(len(found.boxes), bool)
        for axis, part in enumerate(window.core):
            inside &= (middle[:, axis] >= part.start) & (middle[:, axis] < part.stop)
        # A part of a large object counts whatever its centre: its other parts decide.
        large = _is_cut(window, windows, found.boxes) & _is_large(window, found.boxes)
        kept.append(found[np.flatnonzero(inside | large)])
    everything = concatenated(kept)
    owner = np.repeat(np.arange(len(kept)), [len(f.boxes) for f in kept])
    cut = np.zeros(len(owner), bool)
    for number, window in enumerate(windows):
        mine = owner == number
        cut[mine] = _is_cut(window, windows, everything.boxes[mine])
    group = _groups(windows, everything, owner, cut)
    alone = np.bincount(group, minlength=len(group))[group] == 1
    rows = np.flatnonzero(~_covered(everything, owner, cut & alone, ~cut))
    return _merged(everything[rows], group[rows])


def _covered(
    found: PlaneBoxes,
    owner: NDArray[np.int64],
    parts: NDArray[np.bool_],
    wholes: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which parts lie in a whole box of their class that another window saw."""
    covered = np.zeros(len(parts), bool)
    whole = np.flatnonzero(wholes)
    for i in np.flatnonzero(parts):
        others = whole[(owner[whole] != owner[i])]
        others = others[found.class_id[others] == found.class_id[i]]
        shared = intersection(found.boxes[[i]], found.boxes[others])[0]
        size = float(area(found.boxes[[i]])[0])
        # A much less sure box must not take a surer one away.
        sure = found.confidence[others] >= found.confidence[i] / 2
        covered[i] = bool(np.any((shared > _COVERED * size) & sure))
    return covered


def _is_cut(
    window: WindowResult, windows: Sequence[WindowResult], boxes: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether each box was cut by a border of its window that is inside the image."""
    cut = np.zeros(len(boxes), bool)
    for axis in range(2):
        start = window.box.origin[axis]
        stop = start + window.box.piece[axis]
        near = _CUT / window.box.gain[axis]
        if start > min(w.box.origin[axis] for w in windows):
            cut |= boxes[:, axis] <= start + near
        if stop < max(w.box.origin[axis] + w.box.piece[axis] for w in windows):
            cut |= boxes[:, 2 + axis] >= stop - near
    return cut


def _is_large(window: WindowResult, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each box reaches from a border of its window into the core."""
    reaches = np.ones(len(boxes), bool)
    for axis, part in enumerate(window.core):
        reaches &= boxes[:, axis] < part.stop
        reaches &= boxes[:, 2 + axis] > part.start
    return reaches


def _groups(
    windows: Sequence[WindowResult],
    found: PlaneBoxes,
    owner: NDArray[np.int64],
    cut: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Group of each box: parts of one object share theirs."""
    group = np.arange(len(found.boxes), dtype=np.int64)
    rows = np.flatnonzero(cut)
    for position, i in enumerate(rows):
        others = rows[position + 1 :]
        others = others[
            (owner[others] != owner[i]) & (found.class_id[others] == found.class_id[i])
        ]
        for j in others:
            apart = group[i] != group[j]
            if apart and _one_object(windows, found, owner, int(i), int(j)):
                group[group == group[j]] = group[i]
    return group


def _one_object(
    windows: Sequence[WindowResult],
    found: PlaneBoxes,
    owner: NDArray[np.int64],
    i: int,
    j: int,
) -> bool:
    """Whether two cut boxes agree in the strip that both windows see."""
    first, second = windows[owner[i]].box, windows[owner[j]].box
    strip = np.array(
        [
            *(max(a, b) for a, b in zip(first.origin, second.origin, strict=True)),
            *(
                min(a + p, b + q)
                for a, p, b, q in zip(
                    first.origin, first.piece, second.origin, second.piece, strict=True
                )
            ),
        ],
        np.float32,
    )
    parts = found.boxes[[i, j]]
    parts = np.concatenate(
        [np.maximum(parts[:, :2], strip[:2]), np.minimum(parts[:, 2:], strip[2:])],
        axis=1,
    )
    if not np.all(parts[:, 2:] > parts[:, :2]):
        return False
    return bool(iou(parts[:1], parts[1:])[0, 0] > _JOINED)


def _merged(found: PlaneBoxes, group: NDArray[np.int64]) -> PlaneBoxes:
    """Union of the boxes of each group, as sure as the surest of them."""
    names, first, size = np.unique(group, return_index=True, return_counts=True)
    result = found[first]
    for i in np.flatnonzero(size > 1):
        rows = np.flatnonzero(group == names[i])
        result.boxes[i, :2] = found.boxes[rows, :2].min(axis=0)
        result.boxes[i, 2:] = found.boxes[rows, 2:].max(axis=0)
        result.confidence[i] = found.confidence[rows].max()
        sources = tuple(s for row in rows for s in found.sources[row])
        result = PlaneBoxes(
            result.boxes,
            result.confidence,
            result.class_id,
            (*result.sources[:i], sources, *result.sources[i + 1 :]),
        )
    return result


def concatenated(found: Sequence[PlaneBoxes]) -> PlaneBoxes:
    """Boxes of several lists in one."""
    return PlaneBoxes(
        np.concatenate([f.boxes for f in found]),
        np.concatenate([f.confidence for f in found]),
        np.concatenate([f.class_id for f in found]),
        tuple(source for f in found for source in f.sources),
    )
