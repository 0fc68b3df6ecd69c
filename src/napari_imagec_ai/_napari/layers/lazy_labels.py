"""Labels of large images: ids go through a table where napari looks, and nowhere else.

A threshold that moves changes the table and no pixel, so that it costs as much as the
window shows, whatever the image's size. Coarser levels, for looking from far away, are
made once. Such a layer cannot be painted on.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.blocks import LARGE, grid
from napari_imagec_ai.image.lazy_array import LazyArray
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system.scratch import Scratch, explain_scratch

if TYPE_CHECKING:
    from napari.layers import Labels

ABOVE = 1 << 24
"""Pixels of a plane or volume above which it is shown so."""

_COARSEST = 1024
"""Pixels along an axis that the last level has, at the most."""

_IN_ONE = 2048
"""Side of the blocks that levels are made of; a multiple of the largest step."""

SENTENCE = (
    "{name}: an image of {size} pixels is shown as it is needed, and this Labels layer "
    "cannot be painted on; to correct objects by hand, run a region of the image."
)


@dataclass(frozen=True, slots=True)
class Pyramid:
    """Ids at several resolutions.

    Attributes
    ----------
    levels : tuple of array
        From fine to coarse; every second pixel along Y and X from one to the next.
    highest : int
        Highest id.
    place : object
        Keeps the folder alive that levels lie in.
    """

    levels: tuple[Any, ...]
    highest: int
    place: object = None


_made: dict[int, tuple[Any, Pyramid]] = {}
"""For label images that are alive, by their identity: the levels above them."""


def is_lazy(objects: Objects) -> bool:
    """Whether these objects are too large to be copied for each change."""
    if objects.label_image is None:
        return False
    return math.prod(objects.frame.shape[-len(objects.space) :]) > ABOVE


def pyramid_of(objects: Objects) -> Pyramid:
    """Levels of the objects' label image; made once, which takes a pass over it.

    Raises
    ------
    ImageError
        If the disk has no room for them.
    """
    labels: Any = objects.label_image
    known = _made.get(id(labels))
    if known is not None and known[0]() is labels:
        above = known[1]
    else:
        above, forget = _make(labels), partial(_made.pop, id(labels))
        _made[id(labels)] = (weakref.ref(labels, lambda _: forget(None)), above)
    return replace(above, levels=(labels, *above.levels))


def _make(labels: Any) -> Pyramid:
    """The levels above a label image."""
    *lead, height, width = labels.shape
    count = max(0, math.ceil(math.log2(max(height, width) / _COARSEST)))
    count = min(count, int(math.log2(_IN_ONE)))
    place, levels = None, [labels]
    for number in range(1, count + 1):
        step = 1 << number
        shape = (*lead, -(-height // step), -(-width // step))
        if math.prod(shape) <= LARGE // 4:
            levels.append(np.zeros(shape, np.int32))
        else:
            place = place or Scratch()
            levels.append(place.array(f"level{number}.zarr", shape, "int32", 2))
    highest = 0
    with explain_scratch(place.path if place else Path()):
        for index in np.ndindex(*lead):
            for where in grid((height, width), _IN_ONE):
                part = np.asarray(labels[(*index, *where)])
                highest = max(highest, int(part.max(initial=0)))
                for number, level in enumerate(levels[1:], start=1):
                    step = 1 << number
                    there = tuple(
                        slice(one.start // step, -(-one.stop // step)) for one in where
                    )
                    level[(*index, *there)] = part[::step, ::step]
    return Pyramid(tuple(levels[1:]), highest, place)


class ShownIds:
    """What ids are shown as: themselves, or 0 where the object does not count."""

    def __init__(self, highest: int) -> None:
        # napari draws 16 bits without mapping colours on the processor.
        dtype = np.uint16 if highest < 2**16 else np.int32
        self.values: NDArray[Any] = np.zeros(highest + 1, dtype)

    def show(self, ids: NDArray[np.int32]) -> None:
        """Show these objects and no others."""
        self.values[:] = 0
        self.values[ids] = ids


class Mapped(LazyArray):
    """One level of a pyramid, seen through a table.

    Parameters
    ----------
    ids : array-like
        The level.
    table : ShownIds
        Of all levels of a layer.
    """

    def __init__(self, ids: Any, table: ShownIds) -> None:
        self.ids, self.table = ids, table
        self.shape: tuple[int, ...] = tuple(int(size) for size in ids.shape)
        self.dtype = table.values.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read what is looked at."""
        return self.table.values.take(np.asarray(self.ids[index]), mode="clip")


def data_of(objects: Objects) -> list[Mapped]:
    """Data of a multiscale Labels layer that shows these objects."""
    pyramid = pyramid_of(objects)
    table = ShownIds(pyramid.highest)
    table.show(objects.id)
    return [Mapped(level, table) for level in pyramid.levels]


def is_shown_lazily(layer: Labels) -> bool:
    """Whether a layer is such a one."""
    return bool(layer.multiscale) and isinstance(layer.data[0], Mapped)


def update(layer: Labels, objects: Objects) -> None:
    """Show these objects in a layer that is there; only the table where that is all."""
    pyramid = pyramid_of(objects)
    levels: Sequence[Any] = layer.data
    if levels[0].ids is pyramid.levels[0]:
        levels[0].table.show(objects.id)
        layer.refresh(extent=False)
    else:
        layer.data = data_of(objects)


def note(name: str, objects: Objects) -> str:
    """A sentence on what cannot be done with the layer."""
    size = " x ".join(str(n) for n in objects.frame.shape[-len(objects.space) :])
    return SENTENCE.format(name=name, size=size)
