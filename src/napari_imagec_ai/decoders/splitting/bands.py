"""Parts of a mask in groups that can be looked at one by one, or at the same time.

A group has all parts that begin between two rows (planes, in a volume), and reaches as
far down as they do. So no part is cut, and what is found in it is what would be found
in the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.system.compiled import compiled
from napari_imagec_ai.system.threads import slabs

Labels = NDArray[np.int32]
Relief = NDArray[np.float32]

_ALONE = -1
"""Owner of a part that lies within the rows where it begins."""


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A group of parts.

    Attributes
    ----------
    rows : slice
        Where its parts are, along the first axis.
    number : int
        Of the band.
    own : int
        So many rows of it have all parts that begin in them.
    mixed : int
        In so many of the first rows there are parts of bands before.
    owner : (parts + 1,) int32
        Band that each part belongs to that reaches over rows; -1: to all others.
    """

    rows: slice
    number: int
    own: int
    mixed: int
    owner: NDArray[np.int32]

    def cut(self, parts: Labels, relief: Relief) -> tuple[Labels, Relief]:
        """The band's own parts and their relief, with a rim of one pixel.

        Parts are renumbered from 1, with gaps; the rim is 0, and lower than any relief.
        """
        shape = (self.rows.stop - self.rows.start, *parts.shape[1:])
        own = np.zeros([size + 2 for size in shape], np.int32)
        hills = np.full(own.shape, -np.inf, np.float32)
        _take(
            _lines(parts[self.rows]),
            _lines(np.ascontiguousarray(relief[self.rows])),
            self.owner,
            self.number,
            self.own,
            self.mixed,
            _inner(own),
            _inner(hills),
        )
        return own, hills

    def write(
        self,
        own: Labels,
        found: Labels,
        of_parts: Labels,
        of_basins: Labels,
        into: Labels,
    ) -> None:
        """Write labels of the band's pixels into those of the whole.

        Parameters
        ----------
        own, found : int32, with a rim
            Part of each pixel, and basin, where it has one.
        of_parts, of_basins : int32
            Their labels.
        into : int32
            Labels of the whole.
        """
        _put(_inner(own), _inner(found), of_parts, of_basins, _lines(into[self.rows]))


def _lines(image: NDArray[Any]) -> NDArray[Any]:
    """A plane or volume as (band axis, Y or 1, X)."""
    return image.reshape(len(image), -1, image.shape[-1])


def _inner(image: NDArray[Any]) -> NDArray[Any]:
    """What is inside of the rim, as (band axis, Y or 1, X)."""
    inner = image[(slice(1, -1),) * image.ndim]
    return inner[:, None] if inner.ndim == 2 else inner


@compiled
def _is_own(owner: int, number: int, after: bool, mixed: bool) -> bool:
    if owner == number:
        return True
    return not after and (owner == _ALONE or not mixed)


@compiled
def _take(
    parts: Labels,
    relief: Relief,
    owner: Labels,
    number: int,
    own: int,
    mixed: int,
    mine: Labels,
    hills: Relief,
) -> None:
    """Copy the parts of a band, and the relief; arguments are as in :class:`Band`."""
    depth, height, width = parts.shape
    least = len(owner)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                part = parts[z, y, x]
                hills[z, y, x] = relief[z, y, x]
                if part and _is_own(owner[part], number, z >= own, z < mixed):
                    mine[z, y, x] = part
                    least = min(least, part)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if mine[z, y, x]:
                    mine[z, y, x] -= least - 1


@compiled
def _put(
    own: Labels, found: Labels, of_parts: Labels, of_basins: Labels, into: Labels
) -> None:
    depth, height, width = into.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if found[z, y, x]:
                    into[z, y, x] = of_basins[found[z, y, x]]
                elif own[z, y, x]:
                    into[z, y, x] = of_parts[own[z, y, x]]


def bands_of(parts: Labels, count: int) -> list[Band]:
    """Groups of connected parts.

    Parameters
    ----------
    parts : (Y, X) or (Z, Y, X) int32
        Their labels, 1 to ``count``.
    count : int
        How many.
    """
    cuts = slabs(parts.shape)
    over = [np.unique(_across(parts, cut.stop)) for cut in cuts[:-1]]
    owner = np.full(count + 1, _ALONE, np.int32)
    for number in reversed(range(len(over))):
        owner[over[number]] = number
    found, reached = [], 0
    for number, cut in enumerate(cuts):
        end = cut.stop
        for later in range(number, len(over)):
            if (owner[over[later]] == number).any():
                end = cuts[later].stop
        while (
            end > cut.stop - 1 and end < len(parts) and _has(parts[end], owner, number)
        ):
            end += 1
        found.append(
            Band(
                slice(cut.start, end),
                number,
                cut.stop - cut.start,
                max(0, min(reached, end) - cut.start),
                owner,
            )
        )
        reached = max(reached, end)
    return found


def _across(parts: Labels, row: int) -> Labels:
    """Parts that reach from the row before into this one."""
    line = parts[row]
    return np.asarray(line[(line == parts[row - 1]) & (line > 0)])


def _has(line: Labels, owner: NDArray[np.int32], number: int) -> bool:
    return bool((owner.take(line) == number).any())
