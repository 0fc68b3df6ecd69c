"""How an image becomes a network's input: axes by name, channels, planes, values.

Inside a run, arrays are ``(C, [Z,] Y, X)`` float32, whatever order image and network
have; :meth:`Feed.to_network` and :func:`from_network` translate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import EngineError, ImageError
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.image.planes import Planes
from napari_imagec_ai.model.description import TensorSpec, takes_one
from napari_imagec_ai.results.prediction import EMPTY
from napari_imagec_ai.run.feed.channels import LUMINANCE, match_channels
from napari_imagec_ai.run.feed.pixel_size import chosen_scale, natural_scale


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """A plan of what to read.

    Attributes
    ----------
    spec : TensorSpec
        The network's input.
    image : ImageInput
        Where pixels come from.
    space : str
        Space axes of the network in ZYX order, such as ``YX``.
    channels : tuple of int
        Channels of the image to read, in the network's order.
    luminance : bool
        Whether the three channels are mixed into one.
    plane_axes : str
        Axes that the network does not have, such as ``TZ``.
    ranges : tuple of range
        Positions along ``plane_axes``.
    scale : tuple of float
        Pixels of the network for each pixel of the image, along each space axis.
    assumed : tuple of str
        Sentences: what the description did not say.
    """

    spec: TensorSpec
    image: ImageInput
    space: str
    channels: tuple[int, ...]
    luminance: bool
    plane_axes: str
    ranges: tuple[range, ...]
    scale: tuple[float, ...] = (1.0, 1.0)
    assumed: tuple[str, ...] = ()

    @property
    def letters(self) -> str:
        """Axes of the arrays inside a run, as processing steps name them."""
        return "c" + self.space.lower()

    @property
    def frame(self) -> Frame:
        """Where the results lie."""
        whole = self.image.frame
        at = dict(zip(self.plane_axes, self.ranges, strict=True))
        return replace(
            whole,
            shape=tuple(
                len(at[axis]) if axis in at else size
                for axis, size in zip(whole.axes, whole.shape, strict=True)
            ),
            origin=tuple(at[a].start if a in at else 0 for a in whole.axes),
        )

    @property
    def many(self) -> bool:
        """Whether there is more than one plane."""
        return any(len(span) > 1 for span in self.ranges)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of a plane (or volume) of the image along the space axes."""
        return tuple(self.image.size(axis) for axis in self.space)

    @property
    def scaled_shape(self) -> tuple[int, ...]:
        """Size at which the network sees a plane (or volume)."""
        sizes = zip(self.shape, self.scale, strict=True)
        return tuple(max(1, round(size * scale)) for size, scale in sizes)

    @property
    def count(self) -> int:
        """How many channels the network gets."""
        return 1 if self.luminance else len(self.channels)

    def planes(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Yield each plane: its index in the result, its position in the image."""
        for positions in itertools.product(*self.ranges):
            index = tuple(
                position - span.start
                for position, span in zip(positions, self.ranges, strict=True)
            )
            yield index, positions

    def read(
        self, positions: Sequence[int], where: Sequence[slice] | None = None
    ) -> NDArray[np.float32]:
        """Read one plane or volume: (C, [Z,] Y, X) float32, not yet preprocessed.

        Parameters
        ----------
        positions : sequence of int
            Along ``plane_axes``.
        where : sequence of slice, optional
            Part of the plane along the space axes; all of it by default.
        """
        at: dict[str, int | slice] = dict(zip(self.plane_axes, positions, strict=True))
        shape = self.shape
        if where is not None:
            at.update(zip(self.space, where, strict=True))
            shape = tuple(part.stop - part.start for part in where)
        distinct = sorted(set(self.channels))
        planes = np.zeros((len(distinct), *shape), np.float32)
        for target, channel in zip(planes, distinct, strict=True):
            if channel == EMPTY:
                continue
            if "C" in self.image.axes:
                at["C"] = channel
            with np.errstate(over="ignore"):  # a number too large becomes infinite
                target[...] = self.image.read(self.space, at)
        if self.luminance:
            return np.asarray(np.tensordot(LUMINANCE, planes, axes=1)[None])
        if tuple(distinct) == self.channels:
            return planes
        return planes[[distinct.index(channel) for channel in self.channels]]

    def to_network(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn (C, [Z,] Y, X) into the axis order of the network, with batch axis."""
        have = self.letters
        if self.spec.axis("c") is None:
            array, have = array[0], have[1:]
        present = [axis.name for axis in self.spec.axes if axis.name in have]
        array = array.transpose([have.index(name) for name in present])
        shape = iter(array.shape)
        return array.reshape(
            [next(shape) if axis.name in have else 1 for axis in self.spec.axes]
        )


def from_network(array: NDArray[Any], spec: TensorSpec, space: str) -> NDArray[Any]:
    """Turn an output of the network into (C, [Z,] Y, X) float32.

    Raises
    ------
    EngineError
        If the output does not have the axes that the description says.
    """
    names = [axis.name for axis in spec.axes]
    if array.ndim != len(names):
        raise EngineError(
            f"Output '{spec.id}' has {array.ndim} dimensions {array.shape}, but the "
            f"description says '{spec.letters}'; the description and the weights "
            "disagree."
        )
    wanted = "c" + space.lower()
    deep = spec.own_depth(space) > 1  # planes that the input does not have
    kept = [i for i, n in enumerate(names) if n in wanted or (deep and n == "z")]
    for i, size in enumerate(array.shape):
        if i not in kept and size != 1:
            raise EngineError(
                f"Output '{spec.id}' has {size} elements along '{names[i]}', where 1 "
                "was expected for one image."
            )
    array = array.reshape([array.shape[i] for i in kept])
    left = [names[i] for i in kept]
    if "c" not in left:
        array, left = array[None], ["c", *left]
    order = [left.index(name) for name in wanted]
    if deep:
        order.insert(1, left.index("z"))
        array = array.transpose(order)
        return np.asarray(array.reshape(-1, *array.shape[2:]), np.float32)
    return np.asarray(array.transpose(order), np.float32)


def plan_feed(
    spec: TensorSpec,
    image: ImageInput,
    channels: Sequence[int] | None = None,
    planes: Planes | None = None,
    scale: float | Sequence[float] | None = None,
) -> Feed:
    """Match an image's axes and channels to a network's input.

    Parameters
    ----------
    spec : TensorSpec
        The network's input.
    image : ImageInput
        The image.
    channels : sequence of int, optional
        Channel of the image for each channel of the network.
    planes : mapping, optional
        Which planes to run along axes that the network does not have; all by default.
    scale : float or sequence of float, optional
        Pixels of the network for each pixel of the image, along the network's space
        axes. By default the pixel sizes of image and description decide, where both
        are known, else 1.

    Raises
    ------
    ImageError
        If they do not fit.
    """
    space = "".join(axis for axis in "ZYX" if axis.lower() in spec.space)
    _check_axes(spec, image, space)
    plane_axes = "".join(a for a in "TZ" if a in image.axes and a not in space)
    stray = sorted(set(planes or {}) - set(plane_axes))
    if stray:
        raise ImageError(
            f"Planes were chosen along '{stray[0]}', but this network runs "
            f"'{image.name}' plane by plane along {plane_axes or 'no axis'}; leave it "
            "out."
        )
    ranges = tuple(_range(a, image, (planes or {}).get(a)) for a in plane_axes)
    chosen, luminance, assumed = match_channels(spec, image, channels)
    assumed = (*image.assumed, *assumed)
    if scale is None:
        scales, note = natural_scale(spec, image, space)
        assumed += (note,) if note else ()
    else:
        scales = chosen_scale(scale, space)
    return Feed(
        spec, image, space, chosen, luminance, plane_axes, ranges, scales, assumed
    )


def _check_axes(spec: TensorSpec, image: ImageInput, space: str) -> None:
    if not {"Y", "X"} <= set(space):
        raise ImageError(
            f"The network's input '{spec.id}' has the axes '{spec.letters}' and takes "
            "no image; choose another model."
        )
    if "Z" in space and "Z" not in image.axes:
        raise ImageError(
            f"The network takes volumes ('{spec.letters}'), but '{image.name}' has "
            f"the axes '{image.axes}'; choose an image with a Z axis or a 2D model."
        )
    for axis in spec.axes:
        if axis.name not in ("b", "c", *spec.space) and not takes_one(axis.size):
            raise ImageError(
                f"The network's input '{spec.id}' has an axis '{axis.name}' that an "
                "image cannot fill; choose another model."
            )


def _range(axis: str, image: ImageInput, wanted: int | tuple[int, int] | None) -> range:
    size = image.size(axis)
    if wanted is None:
        return range(size)
    start, stop = wanted if isinstance(wanted, Sequence) else (wanted, wanted + 1)
    if not 0 <= start < stop <= size:
        raise ImageError(
            f"'{image.name}' has {size} positions along {axis}, but {wanted} was asked "
            f"for; choose from 0 to {size - 1}."
        )
    return range(start, stop)


def clean(
    plane: NDArray[np.float32], name: str, one_of_many: bool = False
) -> tuple[NDArray[np.float32], str]:
    """Replace pixels that are no numbers, and notice a plane with nothing in it.

    Parameters
    ----------
    plane : (C, ...) float32
        One plane or volume; not changed.
    name : str
        Of the image, for messages.
    one_of_many : bool
        Whether the image has other planes: one without any number is then empty.

    Returns
    -------
    plane, notice
        The plane without NaN and infinity, and a sentence or an empty string.

    Raises
    ------
    ImageError
        If no pixel is a number.
    """
    notice = ""
    low, high = float(plane.min()), float(plane.max())  # NaN and infinity show in them
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = np.isfinite(plane)
        if not finite.any() and one_of_many:
            return np.zeros_like(plane), (
                f"Some planes of '{name}' have no pixel that is a number; nothing was "
                "looked for there."
            )
        if not finite.any():
            raise ImageError(
                f"'{name}' has no pixel that is a number (all are NaN or infinite); "
                "choose another image."
            )
        lost = int(finite.size - np.count_nonzero(finite))
        plane = np.where(finite, plane, plane[finite].min())
        low, high = float(plane.min()), float(plane.max())
        notice = (
            f"{lost} pixels of '{name}' were NaN or infinite and were given the lowest "
            "value of the image."
        )
    if low == high and one_of_many:  # such as the first plane of a stack
        notice = (
            f"Some planes of '{name}' are blank: they have one grey value throughout."
        )
    elif low == high:
        notice = (
            f"All pixels of '{name}' have the same value ({plane.flat[0]:g}), so there "
            "is nothing to tell apart."
        )
    return plane, notice
