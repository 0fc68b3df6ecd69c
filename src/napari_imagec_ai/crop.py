"""A part of an image, as an image: only what is asked of it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image import ImageInput

Box = Mapping[str, tuple[int, int]]
"""Along some axes, where a part begins and where it ends (half-open), in pixels."""


class Part:
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
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> Any:
        """Read integers and slices, counted from where the part begins."""
        given = index if isinstance(index, tuple) else (index,)
        given += (slice(None),) * (self.ndim - len(given))
        return self._data[
            tuple(
                _inside(one, start, stop)
                for one, (start, stop) in zip(given, self._spans, strict=True)
            )
        ]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...] if not self.ndim else self[:], dtype)


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
