"""Finds the open image that a saved result belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from napari.layers import Image

from napari_imagec_ai._napari.image.origin import file_of
from napari_imagec_ai._napari.layers.from_napari import AXES, Source, guess_axes, take
from napari_imagec_ai._napari.layers.marks import METADATA
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.zarr_images import stem_of


@dataclass(frozen=True, slots=True)
class Found:
    """An image layer, and what its dimensions mean."""

    layer: Image
    axes: str
    source: Source


def image_of(layers: Any, frame: Frame, space: str) -> Found:
    """The image that a result lies on: by its name among those that fit.

    Parameters
    ----------
    layers : LayerList
        Of the viewer.
    frame : Frame
        Of the result.
    space : str
        Axes along which it lies on the whole image.

    Raises
    ------
    ImageError
        If none fits, or it is not clear which.
    """
    fits = [
        found
        for layer in images(layers)
        if (found := _fitting(layer, frame, space)) is not None
    ]
    sizes = dict(zip(frame.axes, frame.shape, strict=True))
    size = " x ".join(str(sizes[axis]) for axis in frame.axes)
    called = f"'{frame.file or frame.name}' ({frame.axes}, {size} pixels)"
    if not fits:
        raise ImageError(
            f"This is a result of {called}, and no open image is like that; open the "
            "image, then open the result again."
        )
    chosen = _chosen(fits, {frame.file, frame.name} - {""}, layers.selection.active)
    if chosen is None:
        raise ImageError(
            f"This is a result of {called}, and {len(fits)} open images could be that; "
            "click the right one in the list of layers, then open the result again."
        )
    return chosen


def image_named(layers: Any, stem: str) -> Found | None:
    """The image of this name; else the active one, or the only one there is."""
    every = [
        Found(layer, *whole) for layer in images(layers) for whole in _whole(layer)[:1]
    ]
    return _chosen(every, {stem}, layers.selection.active)


def images(layers: Iterable[Any]) -> list[Image]:
    """Images that are no results themselves."""
    return [
        layer
        for layer in layers
        if isinstance(layer, Image) and METADATA not in layer.metadata
    ]


def _chosen(fits: Sequence[Found], names: set[str], active: Any) -> Found | None:
    """The one of that name; else the active one; else the only one."""
    for some in ([f for f in fits if names & _names(f.layer)], fits):
        mine = [found for found in some if found.layer is active]
        if mine or len(some) == 1:
            return (mine or list(some))[0]
        if some:
            return None
    return None


def _names(layer: Image) -> set[str]:
    """What an image may be called in a result."""
    path = file_of(layer)
    files = set() if path is None else {path.name, stem_of(path)}
    return {layer.name, *files}


def _whole(layer: Image) -> list[tuple[str, Source]]:
    """A layer with each meaning that its dimensions may have."""
    found = []
    for axes in dict.fromkeys([guess_axes(layer), *AXES.get(layer.ndim, ())]):
        try:
            found.append((axes, take(layer, axes)))
        except ImageError:
            continue
    return found


def _fitting(layer: Image, frame: Frame, space: str) -> Found | None:
    """A layer as an image that a result fits on; None: it fits on none."""
    for axes, source in _whole(layer):
        mine = source.image.frame
        if mine.axes != frame.axes:
            continue
        rows = zip(mine.axes, mine.shape, frame.origin, frame.shape, strict=True)
        if all(
            size == n if axis in space else begin + n <= size
            for axis, size, begin, n in rows
        ):
            return Found(layer, axes, source)
    return None
