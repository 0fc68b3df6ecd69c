"""All inputs of a network: images, and numbers that go with them."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.planes import Planes
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.run.feed.feed import Feed, plan_feed
from napari_imagec_ai.run.feed.size_inputs import takes_size
from napari_imagec_ai.run.tiles.window_limits import main_input

Given = ImageInput | Sequence[float] | float | NDArray[Any]
"""What a person may give for one input: an image, or numbers where it takes numbers."""

InputImages = ImageInput | Mapping[str, Given] | Sequence[Given]
"""An image, or one thing for each input: by its name, or in the network's order."""


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A plan to feed the same numbers to every call.

    Attributes
    ----------
    spec : TensorSpec
        The network's input.
    values : (C,) float32
        One for each channel.
    """

    spec: TensorSpec
    values: NDArray[np.float32]

    def to_network(self) -> NDArray[np.float32]:
        """The values in the axis order of the network."""
        return self.values.reshape(
            [len(self.values) if axis.name == "c" else 1 for axis in self.spec.axes]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A plan for all inputs.

    Attributes
    ----------
    main : Feed
        The one that results lie on.
    parts : tuple of Feed or Numbers
        For each input that is fed, in the network's order; ``main`` is one of them.
    """

    main: Feed
    parts: tuple[Feed | Numbers, ...]

    @property
    def assumed(self) -> tuple[str, ...]:
        """Sentences: what the description did not say."""
        feeds = (part for part in self.parts if isinstance(part, Feed))
        return tuple(dict.fromkeys(s for feed in feeds for s in feed.assumed))

    def beside(self, feed: Feed, positions: Sequence[int]) -> tuple[int, ...]:
        """Position in another input's image that belongs to one in the main image."""
        there = dict(zip(self.main.plane_axes, positions, strict=True))
        return tuple(
            there[axis] if axis in there and len(span) > 1 else span.start
            for axis, span in zip(feed.plane_axes, feed.ranges, strict=True)
        )


def input_key(images: InputImages) -> Hashable:
    """Identity of what was given; equal keys mean equal pixels and numbers."""
    if isinstance(images, ImageInput):
        return images.key
    if isinstance(images, Mapping):
        return tuple((name, _key(given)) for name, given in sorted(images.items()))
    return tuple(map(_key, images))


def _key(given: Given) -> Hashable:
    return given.key if isinstance(given, ImageInput) else np.asarray(given).tobytes()


def main_image(images: InputImages, model: Model) -> ImageInput:
    """The image that results lie on.

    Raises
    ------
    ImageError
        If there is none.
    """
    given = _by_input(model, images)[main_input(model).id]
    if not isinstance(given, ImageInput):
        raise ImageError(
            f"Expected an image for the input '{main_input(model).id}', found "
            f"{type(given).__name__}; give an ImageInput."
        )
    return given


def plan_inputs(
    model: Model,
    images: InputImages,
    channels: Sequence[int] | None = None,
    planes: Planes | None = None,
    scale: float | Sequence[float] | None = None,
) -> Inputs:
    """Match what a person gives to the inputs of a network.

    Parameters
    ----------
    model : Model
        The network.
    images : ImageInput, mapping or sequence
        One image; or an image (or numbers) for each input, by name or in order.
    channels, planes, scale
        For the main image: see :func:`napari_imagec_ai.run.feed.feed.plan_feed`.

    Raises
    ------
    ImageError
        If something is missing or does not fit.
    ModelError
        If the network takes no image.
    """
    first = main_input(model)
    given = _by_input(model, images)
    main = plan_feed(first, main_image(images, model), channels, planes, scale)
    parts: list[Feed | Numbers] = []
    for spec in model.inputs:
        if spec is first:
            parts.append(main)
        elif spec.id in given and _takes_image(spec):
            parts.append(_beside(main, spec, given[spec.id]))
        elif spec.id in given:
            parts.append(_numbers(spec, given[spec.id]))
    return Inputs(main, tuple(parts))


def _takes_image(spec: TensorSpec) -> bool:
    return {"y", "x"} <= set(spec.space)


def _bare(images: object) -> str:
    """What was given in the place of an image and its axes; empty where it is one."""
    if isinstance(images, (str, os.PathLike)):
        return f"the path '{os.fspath(images)}'; open it with open_image(path)"
    if isinstance(images, (Mapping, Sequence)):
        return ""
    shape = getattr(images, "shape", None)
    if shape is None:
        return f"{type(images).__name__}; give an ImageInput"
    size = " x ".join(map(str, shape)) or "no"
    axes = {2: "YX", 3: "CYX"}.get(len(shape), "TCZYX")
    return (
        f"an array of {size} pixels; give ImageInput(array, axes), with a letter for "
        f"each of its dimensions, such as '{axes}'"
    )


def _by_input(model: Model, images: InputImages) -> dict[str, Given]:
    """What was given for each input, by the input's name."""
    if not isinstance(images, ImageInput) and (found := _bare(images)):
        raise ImageError(f"Expected an ImageInput, found {found}.")
    names = [spec.id for spec in model.inputs]
    if isinstance(images, ImageInput):
        given: dict[str, Given] = {main_input(model).id: images}
    elif isinstance(images, Mapping):
        given = dict(images)
    else:
        extra = (f"number {n + 1}" for n in range(len(names), len(images)))
        given = dict(zip((*names, *extra), images, strict=False))
    strange = [name for name in given if name not in names]
    filled = model.kind in DETECTORS  # with the size of the window, by itself
    lacking = [
        spec.id
        for spec in model.inputs
        if spec.id not in given
        and not spec.optional
        and not (filled and takes_size(spec))
    ]
    if strange or lacking:
        wanted = "; ".join(f"'{spec.id}' ({_described(spec)})" for spec in model.inputs)
        what = f"'{strange[0]}' is none" if strange else f"'{lacking[0]}' is missing"
        raise ImageError(
            f"'{model.name}' takes {len(names)} input{'s' * (len(names) > 1)}: "
            f"{wanted}; {what}. Give one image or layer for each."
        )
    return given


def _described(spec: TensorSpec) -> str:
    if _takes_image(spec):
        return f"an image with {spec.channels or 'any number of'} channels"
    return f"{spec.channels or 'some'} numbers"


def _beside(main: Feed, spec: TensorSpec, given: Given) -> Feed:
    """Plan an image that goes with the main one."""
    if not isinstance(given, ImageInput):
        raise ImageError(
            f"Expected an image for the input '{spec.id}', found "
            f"{type(given).__name__}; give an ImageInput."
        )
    there = {
        axis: (span.start, span.stop)
        for axis, span in zip(main.plane_axes, main.ranges, strict=True)
        if axis in given.axes and given.size(axis) > 1
    }
    feed = plan_feed(spec, given, None, there, main.scale)
    along = dict(zip(feed.plane_axes, feed.ranges, strict=True))
    fits = all(len(span) == 1 or axis in there for axis, span in along.items())
    if not fits or feed.space != main.space or feed.shape != main.shape:
        raise ImageError(
            f"Expected images of one size for all inputs, found "
            f"{main.image.shape} for '{main.spec.id}' and {given.shape} for "
            f"'{spec.id}'; crop one of them."
        )
    return feed


def _numbers(spec: TensorSpec, given: Given) -> Numbers:
    data = given.data if isinstance(given, ImageInput) else given
    try:
        values = np.asarray(data, np.float32).reshape(-1)
    except (TypeError, ValueError):
        values = np.zeros(0, np.float32)
    if not len(values) or (spec.channels or len(values)) != len(values):
        raise ImageError(
            f"Expected {_described(spec)} for the input '{spec.id}', found "
            f"{len(values)}; give a list of them."
        )
    return Numbers(spec, values)
