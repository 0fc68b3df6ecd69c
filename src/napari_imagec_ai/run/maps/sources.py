"""One input's pixels, window by window, ready for the network.

A plane that fits is read once and kept. A larger one is looked over in blocks, for the
statistics that its preprocessing asks for, and then read window by window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.blocks import LARGE, Blocks, Where
from napari_imagec_ai.model.steps.fit import Sample
from napari_imagec_ai.model.steps.steps import Transform, make_transform, varies
from napari_imagec_ai.run.feed.feed import Feed, clean
from napari_imagec_ai.run.feed.normalize import doubt, normalizing
from napari_imagec_ai.run.feed.number_types import (
    after_description,
    type_steps,
    with_range,
)
from napari_imagec_ai.run.maps.resample import resample, resample_part
from napari_imagec_ai.run.settings import Normalize
from napari_imagec_ai.run.tiles.tiling import Tile, pad_window

Array = NDArray[Any]

_COPIES = 3
"""How often a plane is held, at the most, while it is made ready."""


def is_large(feed: Feed) -> bool:
    """Whether a plane is to be read in blocks, as it is or as the network sees it."""
    pixels = max(math.prod(feed.shape), math.prod(feed.scaled_shape))
    return feed.count * pixels > LARGE


def check_memory(feed: Feed) -> None:
    """Find out before it is read whether a plane fits into the memory.

    Raises
    ------
    ImageError
        If it does not.
    """
    pixels = feed.count * max(math.prod(feed.shape), math.prod(feed.scaled_shape))
    needed, free = _COPIES * 4 * pixels, psutil.virtual_memory().available
    if needed > free:
        grown = "at the network's pixel size " if set(feed.scale) != {1.0} else ""
        raise ImageError(
            f"'{feed.image.name}' {grown}needs about {needed / 1e9:.1f} GB of memory "
            f"as a whole, but {free / 1e9:.1f} GB are free; close other programs, run "
            "a region of it (--region), or give another --scale."
        )


def load(
    feed: Feed, positions: Sequence[int], many: bool, whole: bool = False
) -> tuple[Sample, str]:
    """A plane as the network should see it, but for preprocessing.

    Parameters
    ----------
    feed : Feed
        Of one input.
    positions : sequence of int
        Of the plane.
    many : bool
        Whether the run has other planes: see
        :func:`napari_imagec_ai.run.feed.feed.clean`.
    whole : bool
        Whether a plane that is resampled is needed in one piece.

    Returns
    -------
    plane, notice
        An array, or blocks of one that is too large.
    """
    scaled = feed.scaled_shape != feed.shape
    if is_large(feed) and not (scaled and whole):
        blocks, notice = _looked_over(feed, positions, many)
        return _resampled(blocks, feed.scaled_shape) if scaled else blocks, notice
    check_memory(feed)
    plane, notice = clean(feed.read(positions), feed.image.name, many)
    return resample(plane, feed.scaled_shape), notice


def _looked_over(
    feed: Feed, positions: Sequence[int], many: bool
) -> tuple[Blocks, str]:
    """Blocks without NaN and infinity, in the words of `clean`."""
    dtype = np.dtype(feed.image.data.dtype)
    whole = dtype.kind in "bui" and dtype.itemsize <= 2 and not feed.luminance
    values = None
    if whole and dtype.kind != "b":
        values = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    blocks = Blocks(
        (feed.count, *feed.shape), lambda where: feed.read(positions, where), values
    )
    low, high, lost = math.inf, -math.inf, 0
    for block in blocks:
        finite = np.isfinite(block) if dtype.kind == "f" else None
        if finite is not None and not finite.all():
            lost += int(finite.size - np.count_nonzero(finite))
            block = block[finite]
        if block.size:
            low, high = min(low, float(block.min())), max(high, float(block.max()))
    if high < low:
        nothing = np.full((1, 1, 1), np.nan, np.float32)
        _, notice = clean(nothing, feed.image.name, many)
        return blocks.map(np.zeros_like), notice
    if lost:
        filled = blocks.map(lambda x: np.where(np.isfinite(x), x, np.float32(low)))
        return filled, (
            f"{lost} pixels of '{feed.image.name}' were NaN or infinite and were given "
            "the lowest value of the image."
        )
    if low == high:
        pixel = np.full((1, 1, 1), low, np.float32)
        return blocks, clean(pixel, feed.image.name, many)[1]
    return blocks, ""


def _resampled(blocks: Blocks, shape: Sequence[int]) -> Blocks:
    """The same at another resolution, which is computed where it is read."""
    there = blocks.shape[1:]
    return Blocks(
        (blocks.shape[0], *shape),
        lambda where: resample_part(blocks.read, there, shape, where),
    )


@dataclass(frozen=True, slots=True, eq=False)
class WindowSource:
    """One input's plane, and what makes a window of it ready for the network.

    Attributes
    ----------
    feed : Feed
        Of the input.
    plane : array or Blocks
        (C, [Z,] Y, X), not yet preprocessed.
    prepare : Transform
        The preprocessing.
    margin : tuple of int
        Pixels that windows may reach beyond the plane, along each space axis.
    """

    feed: Feed
    plane: Sample
    prepare: Transform
    margin: tuple[int, ...]

    def window(self, tile: Tile) -> Array:
        """What the network gets for a tile, in its own order of axes."""
        sizes = self.plane.shape[1:]
        inside, before, after = [], [], []
        for part, pad, margin, size in zip(
            tile.window, tile.pad, self.margin, sizes, strict=True
        ):
            start, stop = part.start - margin, part.stop - margin
            inside.append(slice(max(start, 0), min(stop, size)))
            before.append(max(-start, 0))
            after.append(pad + max(stop - size, 0))
        where: Where = tuple(inside)
        if isinstance(self.plane, Blocks):
            part_of = self.plane.read(where)
        else:
            part_of = self.plane[(slice(None), *where)]
        padded = pad_window(part_of, after, before)
        return self.feed.to_network(self.prepare(padded))


def window_of(source: WindowSource | Array, tile: Tile) -> Array:
    """What the network gets for a tile; an array is the same for every tile."""
    return source.window(tile) if isinstance(source, WindowSource) else source


def varies_by_place(feed: Feed, normalize: Normalize) -> bool:
    """Whether the preprocessing may do another thing in another row, or slice."""
    dtype = feed.image.data.dtype
    steps = (*normalizing(normalize, feed.spec, dtype), *feed.spec.steps)
    return any(varies(step, feed.letters) for step in steps)


def make_source(
    feed: Feed,
    planes: Mapping[str, Sample],
    margin: tuple[int, ...],
    normalize: Normalize,
    asked: str = "float32",
) -> tuple[WindowSource, str]:
    """Fit the preprocessing of one input to its plane.

    Parameters
    ----------
    feed : Feed
        Of the input.
    planes : mapping of str to array or Blocks
        Of all inputs, by name: steps may refer to them.
    margin : tuple of int
        See :class:`WindowSource`.
    normalize : Normalize
        What to do with grey values first.
    asked : str
        Type of numbers that the network takes.

    Returns
    -------
    source, notice
        And a sentence, where grey values are hardly what the network was made for.

    Raises
    ------
    ModelError
        If a step does not fit.
    ImageError
        If a step needs a plane as a whole that is too large.
    """
    plane, letters = planes[feed.spec.id], feed.letters
    spec, dtype = with_range(feed.spec, asked), feed.image.data.dtype
    first, notice = normalizing(normalize, spec, dtype), ""
    if normalize == "as described":
        first, notice = type_steps(feed.spec, asked, dtype, plane)
        notice = notice or doubt(spec, plane)
    steps = (*first, *feed.spec.steps)
    by_place = varies_by_place(feed, normalize)
    if by_place and isinstance(plane, Blocks):
        raise ImageError(
            f"'{feed.image.name}' is too large to be normalized row by row, as the "
            "description asks; crop it, or scale it down."
        )
    prepare = make_transform(steps, plane, letters, planes)
    if not isinstance(plane, Blocks) and np.dtype(asked).kind in "iu":
        last, more = after_description(feed.spec, asked, prepare(plane))
        if last:
            steps, notice = (*steps, *last), more
            prepare = make_transform(steps, plane, letters, planes)
    if by_place and not isinstance(plane, Blocks):
        plane, prepare = prepare(plane), make_transform((), plane, "")
    return WindowSource(feed, plane, prepare, margin), notice
