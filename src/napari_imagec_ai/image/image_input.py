"""The pixels that a person gives, with what their axes mean.

No copy is made: ``data`` may be a numpy array, a memory map, a dask or a zarr array,
and only what a run needs is read.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.units import as_unit
from napari_imagec_ai.image.unreadable import AFTER_OPENING, cannot_be_read

AXES = "TCZYX"
"""Axes that an image may have: time, channel and space."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where pixels lie: what results need to know of an image, without its pixels.

    Attributes
    ----------
    axes : str
        Such as ``YX`` or ``TZYX``; never ``C``.
    shape : tuple of int
        One size for each axis.
    pixel_size : tuple of float
        For each of the space axes in ``axes``, in the order of ``axes``.
    unit : str or None
        Of the pixel size, such as ``micrometer``; None: pixels.
    name : str
        Of the image.
    origin : tuple of int
        Where the frame begins in the image, for each axis, in pixels.
    unsized : str
        Space axes whose pixel size nobody knows, though those of others are known.
    interval : float or None
        Seconds from one time to the next.
    file : str
        Name of the image's file, where it came from one.
    """

    axes: str
    shape: tuple[int, ...]
    pixel_size: tuple[float, ...]
    unit: str | None = None
    name: str = ""
    origin: tuple[int, ...] = ()
    unsized: str = ""
    interval: float | None = None
    file: str = ""

    def __post_init__(self) -> None:
        if not self.origin:
            object.__setattr__(self, "origin", (0,) * len(self.axes))
        object.__setattr__(self, "unit", as_unit(self.unit))
        unsized = "".join(axis for axis in self.unsized if axis in self.space)
        object.__setattr__(self, "unsized", unsized)

    @property
    def space(self) -> str:
        """The space axes, such as ``ZYX``."""
        return "".join(axis for axis in self.axes if axis in "ZYX")

    @property
    def sizes(self) -> dict[str, float]:
        """Pixel size in ``unit`` of each space axis where it is known, by axis."""
        known = zip(self.space, self.pixel_size, strict=True)
        return {axis: size for axis, size in known if axis not in self.unsized}

    @property
    def spacing(self) -> tuple[float, ...]:
        """Pixel size along the space axes; where it is not known, as along X."""
        return tuple(
            self.pixel_size[-1] if axis in self.unsized else size
            for axis, size in zip(self.space, self.pixel_size, strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class ImageInput:
    """An image of any number of dimensions.

    Parameters
    ----------
    data : array-like
        With ``shape``, ``dtype`` and ``__getitem__``; integers, floats or booleans.
        It is only read.
    axes : str
        One letter of ``TCZYX`` for each dimension, in the order of ``data``.
    pixel_size : tuple of (float or None), optional
        Size of a pixel along each space axis, in the order of ``axes``; 1 where not
        given. None in it: that axis is one of ``unsized``, and gets 1.
    unit : str, optional
        Of the pixel size, such as ``micrometer``, in any usual spelling: ``um``,
        ``nm``, ``inch``.
    name : str
        For layers, files and messages.
    rgb : bool
        Whether the channels are red, green, blue (and alpha, which is dropped).
    assumed : tuple of str
        Sentences: what a file did not say.
    key : hashable, optional
        Identity of the pixels; equal keys mean equal pixels.
    unsized : str
        Space axes whose pixel size nobody knows, though those of others are known.
    interval : float, optional
        Seconds from one time to the next.
    channel_names : tuple of str
        One for each channel, or none.
    file : str
        Name of the file that it came from, where it did.

    Raises
    ------
    ImageError
        If axes and data do not fit each other.
    """

    data: Any
    axes: str
    pixel_size: tuple[float | None, ...] | None = None
    unit: str | None = None
    name: str = ""
    rgb: bool = False
    assumed: tuple[str, ...] = ()
    key: Hashable = field(default=None)
    unsized: str = ""
    interval: float | None = None
    channel_names: tuple[str, ...] = ()
    file: str = ""

    def __post_init__(self) -> None:
        axes = self.axes.upper()
        object.__setattr__(self, "axes", axes)
        if not hasattr(self.data, "shape") or not hasattr(self.data, "dtype"):
            object.__setattr__(self, "data", _as_array(self.data, self.name))
        self._check_axes(axes)
        self._check_pixels()
        self._settle_sizes([axis for axis in axes if axis in "ZYX"])
        if len(self.channel_names) != self.size("C"):
            object.__setattr__(self, "channel_names", ())
        if self.key is None:
            object.__setattr__(self, "key", (id(self.data), axes, self.name))

    def _settle_sizes(self, space: list[str]) -> None:
        """Pixel sizes as numbers, in a unit of the table."""
        given: Any = self.pixel_size
        if isinstance(given, (int, float)):  # the same along all axes
            given = (float(given),) * len(space)
        given = tuple(given or (1.0,) * len(space))
        lacking = {a for a, s in zip(space, given, strict=False) if s is None}
        size = tuple(1.0 if s is None else float(s) for s in given)
        if len(size) != len(space) or not all(np.isfinite(size)) or min(size) <= 0:
            raise ImageError(
                f"Expected {len(space)} pixel sizes above 0 for the space axes of "
                f"'{self.axes}', found {self.pixel_size}; give one for each."
            )
        lacking |= set(self.unsized.upper())
        object.__setattr__(self, "pixel_size", size)
        object.__setattr__(self, "unit", as_unit(self.unit))
        unsized = "".join(axis for axis in space if axis in lacking)
        object.__setattr__(self, "unsized", unsized)

    def _check_axes(self, axes: str) -> None:
        unknown = sorted(set(axes) - set(AXES))
        if unknown or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
            raise ImageError(
                f"Expected axes out of '{AXES}', each at most once and Y and X among "
                f"them, found '{self.axes}'; name the axes of '{self.name}' in order."
            )
        if len(axes) != len(self.data.shape):
            raise ImageError(
                f"'{self.name}' has {len(self.data.shape)} dimensions "
                f"{tuple(self.data.shape)}, but axes '{axes}' name {len(axes)}; give "
                "one letter for each dimension."
            )

        if self.rgb and ("C" not in axes or self.data.shape[axes.find("C")] < 3):
            raise ImageError(
                f"Expected red, green and blue along an axis C of '{self.name}', found "
                f"axes '{axes}' with sizes {tuple(self.data.shape)}; leave out 'rgb'."
            )

    def _check_pixels(self) -> None:
        dtype = np.dtype(self.data.dtype)
        if dtype.kind not in "buif":
            raise ImageError(
                f"Expected integer, float or boolean pixels, found {dtype} in "
                f"'{self.name}'; convert the image first."
            )
        if 0 in self.data.shape:
            raise ImageError(
                f"'{self.name}' has no pixels: its shape is {tuple(self.data.shape)}."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the order of ``axes``."""
        return tuple(int(size) for size in self.data.shape)

    def size(self, axis: str) -> int:
        """Size along one axis; 1 where the image does not have it."""
        position = self.axes.find(axis)
        return self.shape[position] if position >= 0 else 1

    @property
    def frame(self) -> Frame:
        """Where a result lies: the axes without channels, in TZYX order."""
        axes = "".join(axis for axis in "TZYX" if axis in self.axes)
        sizes = dict(
            zip(
                (a for a in self.axes if a in "ZYX"), self.pixel_size or (), strict=True
            )
        )
        return Frame(
            axes=axes,
            shape=tuple(self.size(axis) for axis in axes),
            pixel_size=tuple(sizes[axis] or 1.0 for axis in axes if axis in "ZYX"),
            unit=self.unit,
            name=self.name,
            unsized=self.unsized,
            interval=self.interval,
            file=self.file,
        )

    def read(self, order: str, at: dict[str, int | slice]) -> NDArray[Any]:
        """Read part of the image.

        Parameters
        ----------
        order : str
            Axes of the result; one that the image does not have gets size 1.
        at : dict of str to int or slice
            Position or range along axes; an axis with an integer must not be in
            ``order``.

        Returns
        -------
        array
            In native byte order, axes as in ``order``.

        Raises
        ------
        ImageError
            If the pixels, which are read only now, cannot be read.
        """
        index = tuple(at.get(axis, slice(None)) for axis in self.axes)
        kept = [
            axis
            for axis, where in zip(self.axes, index, strict=True)
            if not isinstance(where, int)
        ]
        part = self._pixels(index)
        if not part.dtype.isnative:
            part = part.astype(part.dtype.newbyteorder("="))
        present = [axis for axis in order if axis in kept]
        part = part.transpose([kept.index(axis) for axis in present])
        shape = iter(part.shape)
        return part.reshape([next(shape) if a in present else 1 for a in order])

    def _pixels(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        try:
            return np.asarray(self.data[index])
        except Exception as error:  # those of stores and codecs have no common root
            if isinstance(self.data, np.ndarray):
                raise
            raise ImageError(
                f"The pixels of {cannot_be_read(self.name, error, AFTER_OPENING)}"
            ) from error


def _as_array(data: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(data)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError(
            f"Expected an array of pixels for '{name}', found a {type(data).__name__} "
            f"that is none ({error}); give rows of one length."
        ) from error
