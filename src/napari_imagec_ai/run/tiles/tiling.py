"""Cuts an image into windows that a network accepts, and puts the results together.

Integers and slices only. Along each axis::

    image    |---------------------------------------------------|
    windows  [===========~~~]
                     [~~~========~~~]        ~ halo, seen by the network, cut off
                               [~~~===========...]   . padding up to the window
    cores    |-----------||---------||-------------|   partition the image

A window is the same size everywhere, and begins at a multiple of ``align``, so that
pooling inside the network falls on the same pixels as in one pass over the whole image.
At the image's own border there is no halo: nothing lies beyond it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.output_scale import scaled_size

_CALL = 1 << 12
"""What a call of a network costs beside its pixels, in pixels."""


@dataclass(frozen=True, slots=True)
class AxisLimits:
    """What a network asks of one space axis.

    Attributes
    ----------
    min, step : int
        Accepted window sizes are ``min + n * step``; step 0: only ``min``.
    halo : int
        Input pixels at each inner side of a window that are worth less.
    align : int
        Window starts are multiples of it.
    cut : int
        Cuts between cores are multiples of it.
    """

    min: int
    step: int
    halo: int = 0
    align: int = 1
    cut: int = 1

    def fit(self, length: int) -> int:
        """Smallest accepted window of at least ``length`` pixels (or the only one)."""
        if self.step == 0 or length <= self.min:
            return self.min
        return self.min + math.ceil((length - self.min) / self.step) * self.step


@dataclass(frozen=True, slots=True)
class Grid:
    """How the pixels of a result lie on those of its window, along each space axis.

    A window of ``n`` pixels gives ``n * factor + offset``. Where the offset is below 0,
    as many pixels are missing, one half at each side.

    Attributes
    ----------
    factors : tuple of float
        Pixels of the result for each pixel of the window.
    offsets : tuple of int
        What comes on top.
    """

    factors: tuple[float, ...]
    offsets: tuple[int, ...]

    def size(self, window: Sequence[int]) -> tuple[int, ...]:
        """Size of the result for a window."""
        return tuple(
            round(size * factor + offset)
            for size, factor, offset in zip(
                window, self.factors, self.offsets, strict=True
            )
        )

    @property
    def lost(self) -> tuple[int, ...]:
        """Pixels at each side of a window that have no result."""
        return tuple(
            max(0, math.ceil(-offset / 2 / factor))
            for factor, offset in zip(self.factors, self.offsets, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """One call of the network.

    Attributes
    ----------
    core : tuple of slice
        The part of the image that it answers for.
    window : tuple of slice
        What is read: the core and its halo, inside the image.
    pad : tuple of int
        Pixels to add behind the window along each axis, so that the network takes it.
    """

    core: tuple[slice, ...]
    window: tuple[slice, ...]
    pad: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the window with its padding, as the network gets it."""
        return tuple(
            part.stop - part.start + pad
            for part, pad in zip(self.window, self.pad, strict=True)
        )

    @property
    def pixels(self) -> int:
        """How many pixels the network computes."""
        return math.prod(self.shape)


def plan_tiles(
    shape: Sequence[int],
    limits: Sequence[AxisLimits],
    budget: int,
    tile: Sequence[int] | None = None,
) -> list[Tile]:
    """Cover an image with the windows that compute the fewest pixels in all.

    Parameters
    ----------
    shape : sequence of int
        Size of the image along each space axis.
    limits : sequence of AxisLimits
        One for each axis.
    budget : int
        Most pixels of one window, where the network leaves a choice.
    tile : sequence of int, optional
        Window size to use instead; rounded up to what the network accepts.

    Returns
    -------
    list of Tile
        In reading order; the cores partition the image.

    Raises
    ------
    ImageError
        If a window leaves no core after its halo.
    """
    if tile is not None:
        sizes = tuple(
            limit.fit(min(wanted, limit.fit(length)))
            for limit, wanted, length in zip(limits, tile, shape, strict=True)
        )
    else:
        sizes = _cheapest(shape, limits, budget)
    spans = [
        _spans(length, size, limit)
        for length, size, limit in zip(shape, sizes, limits, strict=True)
    ]
    return [
        Tile(
            core=tuple(span[0] for span in choice),
            window=tuple(span[1] for span in choice),
            pad=tuple(span[2] for span in choice),
        )
        for choice in itertools.product(*spans)
    ]


def other_than_asked(
    asked: Sequence[int] | None, used: Sequence[int], shape: Sequence[int]
) -> str:
    """A sentence where windows have another size than was asked for; else empty.

    One window over a small image is what everybody expects.
    """
    if asked is None or all(
        size == wanted or (size < wanted and size >= length)
        for wanted, size, length in zip(asked, used, shape, strict=True)
    ):
        return ""
    wanted, taken = (" x ".join(map(str, sizes)) for sizes in (asked, used))
    return (
        f"Tiles of {wanted} pixels were asked for; the network does not take them, and "
        f"{taken} were used."
    )


def _cheapest(
    shape: Sequence[int], limits: Sequence[AxisLimits], budget: int
) -> tuple[int, ...]:
    """Window sizes with the least total work within the budget."""
    choices = [
        _candidates(length, limit) for length, limit in zip(shape, limits, strict=True)
    ]
    best: tuple[float, tuple[int, ...]] | None = None
    smallest = tuple(min(size for size, _ in options) for options in choices)
    for combination in itertools.product(*choices):
        sizes = tuple(size for size, _ in combination)
        if math.prod(sizes) > budget and sizes != smallest:
            continue
        pixels = math.prod(size * count for size, count in combination)
        calls = math.prod(count for _, count in combination)
        work = float(pixels + _CALL * calls)
        if best is None or work < best[0]:
            best = (work, sizes)
    return best[1] if best is not None else smallest


def _candidates(length: int, limit: AxisLimits) -> list[tuple[int, int]]:
    """Window sizes worth trying along one axis, with how many windows each takes."""
    sizes = {limit.fit(length)}
    if limit.step and limit.fit(length) > limit.min:
        for count in range(2, 65):
            size = limit.fit(math.ceil((length + 2 * limit.halo * (count - 1)) / count))
            if _stride(size, limit, limit.align) > 0:
                sizes.add(size)
    return [(size, len(_spans(length, size, limit))) for size in sorted(sizes)]


def _spans(length: int, size: int, limit: AxisLimits) -> list[tuple[slice, slice, int]]:
    """Core, window and padding of each window along one axis."""
    if length <= size:
        return [(slice(0, length), slice(0, length), size - length)]
    align = limit.align
    # A window that is small for its halo gives up the grid before it gives up.
    while align > 1 and _stride(size, limit, align) <= 0:
        align = align // 2 if align % 2 == 0 else 1
    stride = _stride(size, limit, align)
    if stride <= 0:
        raise ImageError(
            f"A window of {size} pixels leaves nothing between halos of {limit.halo} "
            f"pixels; use larger tiles or a smaller overlap."
        )
    count = 1 + math.ceil((length - size) / stride)
    last = math.ceil((length - size) / align) * align
    starts = [round(last * i / (count - 1) / align) * align for i in range(count)]
    cuts = [0]
    for before, after in itertools.pairwise(starts):
        # In the middle of what both windows see, where both are best.
        middle = round((after + before + size) / 2 / limit.cut) * limit.cut
        if not after + limit.halo <= middle <= before + size - limit.halo:
            middle = after + _rim(limit)
        cuts.append(middle)
    cuts.append(length)
    return [
        (
            slice(cuts[i], cuts[i + 1]),
            slice(start, min(start + size, length)),
            max(0, start + size - length),
        )
        for i, start in enumerate(starts)
    ]


def _stride(size: int, limit: AxisLimits, align: int) -> int:
    """How far windows of this size may lie apart; 0 or less: they cannot."""
    return (size - 2 * _rim(limit)) // align * align


def _rim(limit: AxisLimits) -> int:
    """The halo, up to where cores may be cut."""
    return math.ceil(limit.halo / limit.cut) * limit.cut


def pad_window(
    window: NDArray[np.generic],
    pad: Sequence[int],
    before: Sequence[int] | None = None,
) -> NDArray[np.generic]:
    """Mirror a window at its ends, as often as needed.

    Parameters
    ----------
    window : array
        Space axes last.
    pad : sequence of int
        Pixels to add behind each space axis.
    before : sequence of int, optional
        Pixels to add before each.
    """
    before = before or (0,) * len(pad)
    if not any(pad) and not any(before):
        return window
    widths = [(0, 0)] * (window.ndim - len(pad)) + list(zip(before, pad, strict=True))
    return np.pad(window, widths, mode="symmetric")


def place(
    canvas: Any,
    result: NDArray[np.generic],
    tile: Tile,
    grid: Grid,
    margin: Sequence[int],
    lead: tuple[int, ...] = (),
) -> None:
    """Write a tile's core into the stitched result.

    Parameters
    ----------
    canvas : array
        The whole result, changed in place: axes of ``lead``, then those of ``result``.
    result : array
        What the network gave for the window and its padding; space axes last.
    tile : Tile
        Which one.
    grid : Grid
        How the result lies on its window.
    margin : sequence of int
        Pixels that were added before the image along each space axis.
    lead : tuple of int
        Where in the canvas, along axes that the result does not have.
    """
    others = result.ndim - len(tile.core)
    target: list[int | slice] = [*lead, *(slice(None),) * others]
    source: list[slice] = [slice(None)] * others
    for i, size in enumerate(canvas.shape[len(target) :]):
        factor, core = grid.factors[i], tile.core[i]
        # Pixel 0 of the result, in pixels of the canvas.
        origin = round((tile.window[i].start - margin[i]) * factor)
        origin -= round(grid.offsets[i] / 2)
        start = max(round((core.start - margin[i]) * factor), origin, 0)
        # A last pixel that reaches beyond the image is the image's, too.
        stop = scaled_size(core.stop - margin[i], factor)
        stop = max(start, min(stop, size, origin + result.shape[others + i]))
        target.append(slice(start, stop))
        source.append(slice(start - origin, stop - origin))
    canvas[tuple(target)] = result[tuple(source)]
