"""Rows that count from the cells of grids, as YOLOX gives them: put on the window.

Such a network looks at grids with cells of 8, 16 and 32 pixels (of 64, too, for large
windows), and gives one row for each cell. Unless it was exported with
``--decode_in_inference``, a row has the box's centre in cells from its own cell, and
the logarithms of its sides in cells.

Source: Z. Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CELLS = ((8, 16, 32), (8, 16, 32, 64))
"""Pixels along the side of a cell, of each grid."""

_FAR = 20.0
"""Undecoded centres and logarithms are smaller, pixels of a window larger."""


def counts_cells(rows: int, window: tuple[float, float]) -> bool:
    """Whether there is one row for each cell of the grids of a window."""
    return _grids(rows, window) is not None


def is_undecoded(table: Array) -> bool:
    """Whether the boxes of (N, 5 + C) rows count from cells."""
    return bool(np.abs(table[:, :4]).max(initial=0) <= _FAR)


def decoded(table: Array, window: tuple[float, float]) -> Array:
    """The same rows with centres and sides in pixels of the window."""
    cells = _grids(len(table), window) or ()
    parts = []
    for side in cells:
        height, width = math.ceil(window[0] / side), math.ceil(window[1] / side)
        y, x = np.divmod(np.arange(height * width), width)
        parts.append(np.stack([x, y, np.full(len(x), side)], axis=1))
    corner = np.concatenate(parts).astype(np.float32)
    scale = corner[:, 2:]
    boxes = np.concatenate(
        [
            (table[:, :2] + corner[:, :2]) * scale,
            np.exp(np.clip(table[:, 2:4], -_FAR, _FAR)) * scale,
        ],
        axis=1,
    )
    return np.concatenate([boxes, table[:, 4:]], axis=1).astype(np.float32)


def _grids(rows: int, window: tuple[float, float]) -> tuple[int, ...] | None:
    for cells in _CELLS:
        count = sum(math.ceil(window[0] / c) * math.ceil(window[1] / c) for c in cells)
        if count == rows:
            return cells
    return None
