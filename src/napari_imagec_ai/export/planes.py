"""Objects plane by plane, and their ids at pixels block by block.

An image of labels may be larger than memory: it is only ever sliced here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.image.blocks import LARGE, grid
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline, trace

Labels = NDArray[np.int32]


class Ids:
    """Ids at pixels of these objects, read where they are needed.

    Parameters
    ----------
    objects : Objects
        They have pixels. Where they overlap, the surer one is on top.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        masks = objects.masks
        if masks is not None:
            first = np.asarray(objects.frame.origin[-2:], np.int64)
            sizes = np.array([mask.shape for mask in masks.pixels], np.int64)
            self._low = masks.origins - first
            self._high = self._low + sizes.reshape(-1, 2)

    def read(self, index: tuple[int, ...], place: tuple[slice, slice]) -> Labels:
        """Ids of a part of one plane.

        Parameters
        ----------
        index : tuple of int
            Which plane: along the axes of the frame but Y and X.
        place : tuple of slice
            Rows and columns.
        """
        if self._objects.masks is not None:
            return self._painted(index, place)
        return self._objects.labels_at((*index, *place))

    def plane(self, index: tuple[int, ...]) -> Labels:
        """Ids of a whole plane."""
        height, width = self._objects.frame.shape[-2:]
        return self.read(index, (slice(0, height), slice(0, width)))

    def _painted(self, index: tuple[int, ...], place: tuple[slice, slice]) -> Labels:
        objects, masks = self._objects, self._objects.masks
        assert masks is not None
        start = np.array([part.start for part in place])
        stop = np.array([part.stop for part in place])
        canvas = np.zeros(stop - start, np.int32)
        first = np.asarray(objects.frame.origin[: len(index)], np.int32)
        here = (objects.planes == first + np.asarray(index, np.int32)).all(axis=1)
        here &= ((self._low < stop) & (self._high > start)).all(axis=1)
        rows = np.flatnonzero(here)
        for row in rows[np.argsort(objects.confidence[rows], kind="stable")]:
            low, high = self._low[row], self._high[row]
            least, most = np.maximum(low, start), np.minimum(high, stop)
            mask = masks.pixels[row][_between(least - low, most - low)]
            canvas[_between(least - start, most - start)][mask] = objects.id[row]
        return canvas


def _between(low: NDArray[Any], high: NDArray[Any]) -> tuple[slice, slice]:
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def parts(objects: Objects, side: int = 2048) -> Iterator[tuple[Any, Labels]]:
    """Yield places in the frame with the ids there; small planes come whole."""
    ids, shape = Ids(objects), objects.frame.shape
    whole = int(np.prod(shape[-2:])) <= LARGE
    for index in np.ndindex(shape[:-2]):
        for y, x in grid(shape[-2:], max(shape[-2:]) if whole else side):
            yield (*index, y, x), ids.read(index, (y, x))


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """What objects look like in one plane.

    Attributes
    ----------
    index : tuple of int
        Which plane of the frame, along its axes but Y and X.
    position : dict of str to int
        The same in the image, by axis, such as ``{"T": 3}``.
    rows : (N,) int
        Rows of the objects that have a part there.
    outlines : list of list of Outline
        Their parts along the pixels' edges, (y, x) in pixels of the image.
    """

    index: tuple[int, ...]
    position: dict[str, int]
    rows: NDArray[np.intp]
    outlines: list[list[Outline]]


def sections(objects: Objects, beside: Beside) -> Iterator[Section]:
    """Yield every plane with the outlines there; volumes are cut plane by plane."""
    frame = objects.frame
    axes, first = frame.axes[:-2], frame.origin[: len(frame.axes) - 2]
    volumes = objects.boxes.shape[1] != 4
    flat = [] if volumes else beside.outlines(objects)
    several = list(np.ndindex(frame.shape[:-2]))
    # Of one plane, who writes it tells more.
    for index in beside.pace.along(several) if len(several) > 1 else several:
        at = [i + start for i, start in zip(index, first, strict=True)]
        position = dict(zip(axes, at, strict=True))
        if volumes:
            rows, found = _cut(objects, index)
        else:
            here = (objects.planes == at).all(axis=1)
            rows = np.flatnonzero(here)
            found = [flat[row] for row in rows]
        yield Section(index, position, rows, found)


def _cut(
    objects: Objects, index: tuple[int, ...]
) -> tuple[NDArray[np.intp], list[list[Outline]]]:
    """The volumes that reach into a plane, and their outlines there."""
    found = trace(Ids(objects).plane(index), smooth=False) if objects.has_pixels else {}
    rows = np.flatnonzero(np.isin(objects.id, list(found)))
    return rows, [found[int(identity)] for identity in objects.id[rows]]
