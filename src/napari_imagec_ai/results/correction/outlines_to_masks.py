"""Outlines that a person has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.results import outlines
from napari_imagec_ai.results.correction.carried_over import (
    Before,
    Columns,
    intensities,
)
from napari_imagec_ai.results.correction.labels import HIGHEST, fresh_ids
from napari_imagec_ai.results.masks import Masks

_FARTHEST = 1 << 30
"""Pixels; no image is so large."""


def vertices(ring: Any, frame: Frame) -> NDArray[np.float64]:
    """Points of an outline along the axes of the frame.

    Raises
    ------
    ImageError
        If there are too few, or they have other axes.
    """
    try:
        points = np.asarray(ring)
    except ValueError:  # points with different numbers of coordinates
        points = np.full(1, np.nan)
    if points.dtype.kind not in "buif" or not np.abs(points).max(initial=0) < _FARTHEST:
        raise ImageError(
            "Expected outlines whose points are numbers in pixels of the image, found "
            f"{points.reshape(-1)[:3].tolist()!s:.80}; draw that outline anew."
        )
    points = points.astype(np.float64)
    if points.ndim != 2 or points.shape[1] != len(frame.axes) or len(points) < 3:
        raise ImageError(
            f"Expected outlines of at least 3 points with the axes {frame.axes}, found "
            f"an array of {points.shape}; leave out lines and points."
        )
    return points


def numbers(ids: Sequence[int] | None, count: int, before: Before) -> Any:
    """An id for each outline: the one that it has, or a new one."""
    asked = [0] * count if ids is None else [_whole(n) for n in ids]
    if len(asked) != count:
        raise ImageError(
            f"Expected {count} ids, one for each outline, found {len(asked)}."
        )
    asked = [n if 0 < n <= HIGHEST else 0 for n in asked]
    fresh = fresh_ids({*asked, *before.rows()})
    taken: set[int] = set()
    for i, n in enumerate(asked):
        if not n or n in taken:
            asked[i] = next(fresh)
        taken.add(asked[i])
    return np.array(asked, np.int64)


def _whole(number: Any) -> int:
    """An id as a table has it, which may be a float or nothing; 0: none."""
    try:
        return int(number)
    except (TypeError, ValueError, OverflowError):
        return 0


def plane_steps(drawn: list[NDArray[np.float64]], before: Before) -> NDArray[np.int32]:
    """Plane of each outline, counted from the beginning of the frame."""
    steps = np.zeros((len(drawn), before.planes))
    for row, ring in enumerate(drawn):
        steps[row] = ring[0, :-2]
    return np.rint(steps).astype(np.int32)


def span(ring: NDArray[np.float64]) -> list[float]:
    """Half-open box of an outline, whose pixels' edges lie at halves."""
    low, high = ring[:, -2:].min(axis=0) + 0.5, ring[:, -2:].max(axis=0) + 0.5
    return [*low.tolist(), *high.tolist()]


def of_boxes(boxes: NDArray[np.float32], before: Before) -> Columns:
    """The table of objects that are boxes and no more."""
    size = np.asarray(before.frame.shape[-2:])
    touching = (boxes[:, :2] <= 0).any(axis=1) | (boxes[:, 2:] >= size).any(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1, dtype=np.float64)
    return {"area": area, "touches_edge": touching.astype(np.float64)}


def masks(
    drawn: list[NDArray[np.float64]], numbers: NDArray[np.int64], before: Before
) -> Masks:
    """A mask for each outline: its own pixels, or those that it had if unchanged."""
    old, rows = before.objects, before.rows()
    known = old is not None and old.has_pixels and old.boxes.shape[1] == 4
    smooth = old.as_outlines() if known and old is not None else []
    limit = before.frame.shape[-2:]
    origins, pixels = [], []
    for ring, number in zip(drawn, numbers.tolist(), strict=True):
        flat = ring[:, -2:].astype(np.float32)
        parts = [outlines.Outline(flat)]
        if known and number in rows:
            was = smooth[rows[number]]
            if was and _same(was[0].outer, flat):
                parts = was
        low, mask = _drawn(parts, limit)
        origins.append(low)
        pixels.append(mask)
    return Masks(np.array(origins, np.int32).reshape(-1, 2), tuple(pixels))


def _same(ring: NDArray[Any], other: NDArray[Any]) -> bool:
    return ring.shape == other.shape and bool(np.allclose(ring, other, atol=1e-3))


def _drawn(
    parts: list[outlines.Outline], limit: tuple[int, ...]
) -> tuple[list[int], NDArray[np.bool_]]:
    """Where a mask begins, and its pixels; only what lies in the image."""
    points = np.concatenate([part.outer for part in parts])
    low = np.maximum(np.ceil(points.min(axis=0)).astype(int), 0)
    high = np.minimum(np.floor(points.max(axis=0)).astype(int) + 1, limit)
    if (high <= low).any():
        return [0, 0], np.zeros((0, 0), bool)
    moved = {1: [part.moved(-low.astype(np.float32)) for part in parts]}
    return low.tolist(), outlines.draw(moved, tuple(high - low)) > 0


def measured_masks(
    masks: Masks,
    planes: NDArray[np.int32],
    before: Before,
    image: ImageInput | None,
) -> Columns:
    """The table of masks, measured plane by plane, in the order of the masks."""
    frame = before.frame
    size = (frame.shape[-2], frame.shape[-1])
    columns: Columns = {}
    for index in np.ndindex(frame.shape[: before.planes]):
        here = np.flatnonzero((planes == before.position(index)).all(axis=1))
        if not len(here) and columns:
            continue
        means = intensities(before, image, index)
        for name, values in masks[here].measure(size, means).items():
            columns.setdefault(name, np.zeros(len(masks)))[here] = values
    return columns
