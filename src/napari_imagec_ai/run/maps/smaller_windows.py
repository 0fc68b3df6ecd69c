"""Smaller windows for what is left of a plane, when the memory was not enough.

What is done stays. The cores that are left are covered by the windows of another plan,
each of which answers for the parts of its own core that are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.run.tiles.tiling import AxisLimits, Tile, plan_tiles
from napari_imagec_ai.run.tiles.window_limits import Geometry

Job = tuple[Tile, ...]
"""One call of the network: one window, and the cores that it answers for."""


def halved(
    sizes: Sequence[int], limits: Sequence[AxisLimits]
) -> tuple[int, ...] | None:
    """About half the window along each axis that allows it; None where none does."""
    found = tuple(_half(size, limit) for size, limit in zip(sizes, limits, strict=True))
    return found if found != tuple(sizes) else None


def covered(
    left: Iterable[Tile], shape: Sequence[int], geometry: Geometry, sizes: Sequence[int]
) -> list[Job] | None:
    """Cover cores with windows of another size.

    Parameters
    ----------
    left : iterable of Tile
        Whose cores are to be covered.
    shape : sequence of int
        Size of the plane with its margins, along each space axis.
    geometry : Geometry
        What the network asks of windows.
    sizes : sequence of int
        Of the windows.

    Returns
    -------
    list of tuple of Tile, or None
        The tiles of a tuple have one window; all cores together are those of ``left``.
        None where such windows have nothing left between their halos.
    """
    try:
        plan = plan_tiles(shape, geometry.limits, geometry.budget, sizes)
    except ImageError:
        return None
    cores = [tile.core for tile in left]
    jobs = []
    for tile in plan:
        parts = [part for core in cores if (part := _common(core, tile.core))]
        if parts:
            jobs.append(tuple(Tile(part, tile.window, tile.pad) for part in parts))
    return jobs


def _half(size: int, limit: AxisLimits) -> int:
    if limit.step == 0 or size <= limit.min:
        return size
    steps = (max(0, size // 2 - limit.min) + limit.step // 2) // limit.step
    return min(limit.min + steps * limit.step, size - limit.step)


def _common(one: Sequence[slice], other: Sequence[slice]) -> tuple[slice, ...]:
    """What two boxes share; empty where that is nothing."""
    parts = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(one, other, strict=True)
    )
    return parts if all(part.start < part.stop for part in parts) else ()
