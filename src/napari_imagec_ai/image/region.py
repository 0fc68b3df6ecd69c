"""A part of an image, as an image: only what is asked of it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.image.lazy_array import LazyArray

Box = Mapping[str, tuple[int, int]]
"""Along some axes, where a part begins and where it ends (half-open), in pixels."""


class Region(BaseModel):
    """What of an image is run.

    Attributes
    ----------
    box : mapping of str to (int, int)
        Along some of the axes ``TZYX``, start and stop (half-open) in pixels of the
        image. It may reach over the image's edges.
    polygons : tuple of ((y, x), ...)
        Corners in pixels of the image, centres at integers. An object counts if its
        centre lies in one of them; without any, all in the box do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    box: dict[str, tuple[int, int]]
    polygons: tuple[tuple[tuple[float, float], ...], ...] = ()

    @field_validator("box")
    @classmethod
    def _checked(cls, box: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        for axis, (start, stop) in box.items():
            if axis not in ("T", "Z", "Y", "X"):
                raise ValueError(f"a region lies along T, Z, Y and X, not '{axis}'")
            if start >= stop:
                raise ValueError(
                    f"along {axis} a region ends after it begins, not {start} to {stop}"
                )
        return box

    @field_validator("polygons")
    @classmethod
    def _closed(
        cls, polygons: tuple[tuple[tuple[float, float], ...], ...]
    ) -> tuple[tuple[tuple[float, float], ...], ...]:
        for corners in polygons:
            if len(corners) < 3:
                raise ValueError(f"a polygon has three corners, not {len(corners)}")
            if not all(math.isfinite(n) for corner in corners for n in corner):
                raise ValueError("the corners of a polygon are numbers")
        return polygons

    def holds(self, points: NDArray[Any]) -> NDArray[np.bool_]:
        """Which points lie in one of the polygons; without any, all do.

        Parameters
        ----------
        points : (N, 2) float
            (y, x) in pixels of the image.
        """
        inside = np.full(len(points), not self.polygons)
        for corners in self.polygons:
            inside |= _in_polygon(np.asarray(points, float), np.asarray(corners))
        return inside


def _in_polygon(points: NDArray[Any], corners: NDArray[Any]) -> NDArray[np.bool_]:
    """Even-odd rule: how often a ray from the point crosses the outline."""
    inside = np.zeros(len(points), bool)
    y, x = points.T
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def as_region(given: Region | Box) -> Region:
    """A region, from what a person may give for one.

    Raises
    ------
    ImageError
        If it cannot be one.
    """
    if isinstance(given, Region):
        return given
    try:
        return Region(box=dict(given))
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ImageError(
            f"Expected a region such as {{'Y': (0, 512), 'X': (100, 612)}}, found "
            f"{given}: {problem[:1].lower()}{problem[1:]}."
        ) from error


def region_from_text(text: str) -> Region:
    """A region as a person writes it: ``Y=0:512,X=100:612``.

    Raises
    ------
    ImageError
        If it cannot be understood.
    """
    box = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*([TZYXtzyx])\s*=\s*(\d+)\s*:\s*(\d+)\s*", part)
        if found is None or int(found[2]) >= int(found[3]):
            raise ImageError(
                f"Expected a region such as Y=0:512,X=100:612 (first pixel, and the "
                f"one after the last), found '{text}'."
            )
        box[found[1].upper()] = (int(found[2]), int(found[3]))
    return Region(box=box)


class Part(LazyArray):
    """A box of an array, read when it is indexed.

    Parameters
    ----------
    data : array-like
        With ``shape``, ``dtype`` and ``__getitem__``.
    spans : sequence of (start, stop)
        For each axis.
    """

    def __init__(self, data: Any, spans: Sequence[tuple[int, int]]) -> None:
        self._data, self._spans = data, tuple(spans)
        self.shape = tuple(stop - start for start, stop in spans)
        self.dtype = data.dtype

    def __getitem__(self, index: Any) -> Any:
        """Read integers and slices, counted from where the part begins."""
        given = self._for_each_axis(index)
        return self._data[
            tuple(
                _inside(one, start, stop)
                for one, (start, stop) in zip(given, self._spans, strict=True)
            )
        ]


class Placed(LazyArray):
    """A small array in a large one of zeros, which is never made.

    Parameters
    ----------
    part : array-like
        What is not zero.
    shape : sequence of int
        Of the whole.
    begin : sequence of int
        Where the part begins.
    """

    def __init__(self, part: Any, shape: Sequence[int], begin: Sequence[int]) -> None:
        self.part, self.begin = part, tuple(begin)
        self.shape, self.dtype = tuple(shape), part.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices that go forward."""
        given = self._for_each_axis(index)
        wanted = [
            range(size)[one if isinstance(one, slice) else slice(one, one + 1 or None)]
            for one, size in zip(given, self.shape, strict=True)
        ]
        result = np.zeros([len(span) for span in wanted], self.dtype)
        # Which of the wanted positions lie in the part, along each axis.
        inside = [
            range(
                max(0, -(-(begin - span.start) // span.step)),
                min(len(span), -(-(begin + size - span.start) // span.step)),
            )
            for span, begin, size in zip(
                wanted, self.begin, self.part.shape, strict=True
            )
        ]
        if all(inside):
            here = tuple(slice(rows.start, rows.stop) for rows in inside)
            there = tuple(
                slice(span[rows.start] - begin, span[rows[-1]] - begin + 1, span.step)
                for span, rows, begin in zip(wanted, inside, self.begin, strict=True)
            )
            result[here] = np.asarray(self.part[there])
        flat = tuple(slice(None) if isinstance(one, slice) else 0 for one in given)
        return np.asarray(result[flat])


def whole(data: Any) -> Any:
    """What a part was cut out of; anything else is what it is."""
    while isinstance(data, Part):
        data = data._data
    return data


def _inside(index: Any, start: int, stop: int) -> Any:
    if isinstance(index, slice):
        first, last, step = index.indices(stop - start)
        return slice(start + first, start + last, step)
    return start + index


def cropped(image: ImageInput, box: Box) -> ImageInput:
    """A part of an image.

    Parameters
    ----------
    image : ImageInput
        Not copied, and not read.
    box : mapping of str to (int, int)
        Along the axes that are cut; may reach over the image's edges.

    Returns
    -------
    ImageInput
        With its own key: what was made of the whole image is not taken for it.

    Raises
    ------
    ImageError
        If no pixel of the image lies in the box.
    """
    spans = [
        _clipped(*box.get(axis, (0, size)), size)
        for axis, size in zip(image.axes, image.shape, strict=True)
    ]
    if any(stop <= start for start, stop in spans):
        raise ImageError(
            f"The region lies outside of '{image.name}'; draw it on the image, or run "
            "on the whole image."
        )
    return replace(image, data=Part(image.data, spans), key=(image.key, tuple(spans)))


def corner(image: ImageInput, box: Box) -> tuple[int, ...]:
    """Where a part begins, along the axes of the image's frame."""
    sizes = dict(zip(image.axes, image.shape, strict=True))
    return tuple(
        _clipped(*box.get(axis, (0, sizes[axis])), sizes[axis])[0]
        for axis in image.frame.axes
    )


def _clipped(start: int, stop: int, size: int) -> tuple[int, int]:
    return max(start, 0), min(stop, size)


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a part was cut out.

    Attributes
    ----------
    region : Region
        What was asked for.
    whole : Frame
        Of the whole image.
    begin : tuple of int
        Where the part begins in the whole, for each axis of the frame.
    """

    region: Region
    whole: Frame
    begin: tuple[int, ...]
