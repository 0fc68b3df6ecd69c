"""Results that go over from one window into the next, instead of a cut between them.

A network that normalizes each window by itself (instance normalization) gives other
values for the same pixel in another window, and a cut shows as a step. Here the two are
mixed where both windows see the pixel; what they count for adds up to 1 everywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.run.tiles.tiling import Grid, Tile

Array = NDArray[Any]

LEAST = {2: 32, 3: 8}
"""Pixels at each side of a window that are mixed, where no halo says more."""


class Blend:
    """How the windows of a plan are mixed.

    Parameters
    ----------
    tiles : sequence of Tile
        All windows of a plane.
    """

    def __init__(self, tiles: Sequence[Tile]) -> None:
        dimensions = len(tiles[0].core)
        self._reach = [_reaches(tiles, axis) for axis in range(dimensions)]

    def add(
        self,
        canvas: Any,
        result: Array,
        tile: Tile,
        grid: Grid,
        margin: Sequence[int],
        lead: tuple[int, ...] = (),
    ) -> None:
        """Add what a window counts for: see :func:`.place`.

        The canvas holds zeros where no window was added yet.
        """
        others = result.ndim - len(tile.core)
        target: list[int | slice] = [*lead, *(slice(None),) * others]
        source: list[slice] = [slice(None)] * others
        weight = np.ones((), np.float32)
        for i, size in enumerate(canvas.shape[len(target) :]):
            factor, core = grid.factors[i], tile.core[i]
            before, after = self._reach[i][core.start, core.stop]
            origin = round((tile.window[i].start - margin[i]) * factor)
            origin -= round(grid.offsets[i] / 2)
            first, last = (n * factor for n in (core.start, core.stop))
            shift = margin[i] * factor
            # Results do not reach to the ends of windows of networks without padding.
            rim = grid.lost[i] + 1 / factor
            fade_in = max(0.0, (before or 0) - rim) * factor
            fade_out = max(0.0, (after or 0) - rim) * factor
            start = max(int(np.floor(first - shift - fade_in)), origin, 0)
            stop = int(np.ceil(last - shift + fade_out - 1e-6))
            stop = max(start, min(stop, size, origin + result.shape[others + i]))
            target.append(slice(start, stop))
            source.append(slice(start - origin, stop - origin))
            middle = np.arange(start, stop) + 0.5 + shift
            along = np.ones(stop - start)
            if before is not None:
                along *= _ramp(middle - first, fade_in)
            if after is not None:
                along *= 1 - _ramp(middle - last, fade_out)
            weight = weight[..., None] * along.astype(np.float32)
        there = tuple(target)
        canvas[there] = canvas[there] + result[tuple(source)] * weight


def _ramp(away: Array, reach: float) -> Array:
    """From 0 to 1 along a cosine, ``reach`` to each side of the cut."""
    if reach <= 0:
        return np.asarray(away > 0, float)
    inside = np.clip(away / reach, -1, 1)
    return np.asarray((1 + np.sin(inside * np.pi / 2)) / 2)


def _reaches(
    tiles: Sequence[Tile], axis: int
) -> dict[tuple[int, int], tuple[int | None, int | None]]:
    """How far each core reaches into its neighbours along an axis; None: none there."""
    spans = sorted(
        {
            (
                t.core[axis].start,
                t.core[axis].stop,
                t.window[axis].start,
                t.window[axis].stop,
            )
            for t in tiles
        }
    )
    widths: list[int | None] = [None]
    for (start, cut, _, end), (_, stop, begin, _) in itertools.pairwise(spans):
        # Up to the middle of the cores: then never more than two windows are mixed.
        rooms = (cut - begin, end - cut, (cut - start) // 2, (stop - cut) // 2)
        widths.append(max(0, min(rooms)))
    widths.append(None)
    return {
        (start, stop): (widths[i], widths[i + 1])
        for i, (start, stop, _, _) in enumerate(spans)
    }
