"""Finds the open image that a saved result belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari.layers import Image

from napari_imagec_ai._napari.image.origin import as_file_name, file_of
from napari_imagec_ai._napari.layers.from_napari import AXES, Source, guess_axes, take
from napari_imagec_ai._napari.layers.marks import METADATA
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.zarr_images import stem_of


@dataclass(frozen=True, slots=True)
class Found:
    """An image layer, and what its dimensions mean.

    Attributes
    ----------
    doubt : str
        A sentence where the image was not known by its name, empty where it was.
    """

    layer: Image
    axes: str
    source: Source
    doubt: str = ""


def image_of(layers: Any, frame: Frame, space: str, stem: str = "") -> Found:
    """The image that a result lies on: by its name among those that fit.

    Parameters
    ----------
    layers : LayerList
        Of the viewer.
    frame : Frame
        Of the result.
    space : str
        Axes along which it lies on the whole image.
    stem : str
        Name of the image as the result's file says it, where its frame does not.

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
    size = " x ".join(str(length) for length in frame.shape)
    name = stem or frame.file or frame.name
    called = f"'{name}' ({frame.axes}, {size} pixels)"
    if not fits:
        raise ImageError(
            f"This is a result of {called}, and no open image is like that; open the "
            "image, then open the result again."
        )
    names = {stem} if stem else {frame.file, frame.name} - {""}
    chosen = _chosen(fits, names, layers.selection.active)
    if chosen is None:
        raise ImageError(
            f"This is a result of {called}, and {len(fits)} open images could be that; "
            "click the right one in the list of layers, then open the result again."
        )
    return _with_doubt(chosen, names, name)


def image_named(layers: Any, stem: str) -> Found | None:
    """The image of this name; else the active one, or the only one there is."""
    every = [
        Found(layer, *whole) for layer in images(layers) for whole in _whole(layer)[:1]
    ]
    chosen = _chosen(every, {stem}, layers.selection.active)
    return None if chosen is None else _with_doubt(chosen, {stem}, stem)


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


def _with_doubt(found: Found, names: set[str], name: str) -> Found:
    """An image, and a sentence if it has none of the names of the result's."""
    if not names or names & _names(found.layer):
        return found
    return replace(
        found,
        doubt=f"This is a result of '{name}', and was laid on '{found.layer.name}', "
        "which has another name; take it away if it belongs elsewhere.",
    )


def _names(layer: Image) -> set[str]:
    """What an image may be called in a result."""
    path = file_of(layer)
    files = set() if path is None else {path.name, stem_of(path)}
    return {layer.name, as_file_name(layer.name), *files}


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
