"""Outlines of all objects, also of those in an image larger than memory."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.blocks import LARGE
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline, trace

_SIDE = 4096
"""Objects that begin in the same block are traced together."""


def crack_outlines(objects: Objects) -> list[list[Outline]]:
    """Outlines along the pixels' edges; see :meth:`Objects.as_outlines`."""
    pixels = math.prod(int(size) for size in objects.frame.shape)
    if objects.label_image is None or objects.boxes.shape[1] != 4 or pixels <= LARGE:
        return objects.as_outlines(smooth=False)
    return _by_blocks(objects)


def _by_blocks(objects: Objects) -> list[list[Outline]]:
    """Trace by turns what begins in a block, in a window that holds all of it."""
    size = np.asarray(objects.frame.shape[-2:])
    low = np.clip(np.floor(objects.boxes[:, :2]).astype(np.int64), 0, size)
    high = np.clip(np.ceil(objects.boxes[:, 2:]).astype(np.int64), 0, size)
    planes = objects.planes - np.asarray(
        objects.frame.origin[: objects.planes.shape[1]], np.int32
    )
    keys = np.hstack([planes, low // _SIDE])
    blocks, block_of = np.unique(keys, axis=0, return_inverse=True)
    result: list[list[Outline]] = [[] for _ in range(len(objects))]
    for number, key in enumerate(blocks):
        rows = np.flatnonzero(block_of.reshape(-1) == number)
        start, stop = low[rows].min(axis=0), high[rows].max(axis=0)
        found = _window(objects, tuple(key[:-2]), start, stop)
        for row in rows:
            result[row] = found.get(int(objects.id[row]), [])
    return result


def _window(
    objects: Objects,
    plane: tuple[np.integer, ...],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> dict[int, list[Outline]]:
    index = tuple(int(n) for n in plane)
    place = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    found = trace(objects.labels_at((*index, *place)), smooth=False)
    moved = start.astype(np.float32)
    return {n: [part.moved(moved) for part in parts] for n, parts in found.items()}
