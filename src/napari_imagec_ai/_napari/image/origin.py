"""Where a layer's pixels come from: its file, and how that has to be opened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_imagec_ai._napari.layers.marks import SCENE
from napari_imagec_ai._napari.preferences import PLUGIN
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.opening_files import open_image
from napari_imagec_ai.image.samples import sample_path

if TYPE_CHECKING:
    from napari.layers import Image

_MOST_SCENES = 1000
"""So many images of a file are looked at, at most."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The file of a layer.

    Attributes
    ----------
    path : Path or None
        None: the layer was not opened from a file that we can open.
    opened : mapping
        Axes, scene, pixel size and unit, by the names of the settings of a recipe;
        those that the file does not say, or says otherwise than the layer.
    problem : str
        Why there is no path, as a sentence.
    """

    path: Path | None
    opened: dict[str, Any]
    problem: str = ""


def file_of(layer: Image) -> Path | None:
    """The file that a layer was opened from; None where there is none."""
    source = layer.source
    if source.sample is not None and source.sample[0] == PLUGIN:
        return sample_path(source.sample[1])
    path = Path(source.path) if source.path else None
    return path if path is not None and path.exists() else None


def as_file_name(name: str) -> str:
    """The name of a layer, as that of a file; may be empty."""
    return re.sub(r'[\\/:*?"<>|\s]+', "_", name).strip("._")


def origin(layer: Image, image: ImageInput) -> Origin:
    """Find out how a layer's file has to be opened to give the same image.

    Parameters
    ----------
    layer : Image
        For its file.
    image : ImageInput
        What of the layer is shown, with its axes and pixel size.
    """
    path = file_of(layer)
    if path is None:
        return Origin(
            None,
            {},
            f"'{layer.name}' was not opened from a file: put the name of one in its "
            "place.",
        )
    try:
        own, scene = _alike(path, image, layer.metadata.get(SCENE))
        axes = None if own.axes == image.axes else image.axes
        again = own if axes is None else open_image(path, axes, scene)
    except ImagecAIError as error:
        return Origin(None, {}, str(error))
    if again.data.shape != image.data.shape:
        return Origin(
            None,
            {},
            f"'{path.name}' has the shape {tuple(again.data.shape)} and the layer "
            f"{tuple(image.data.shape)}: put another file in its place.",
        )
    opened: dict[str, Any] = {} if again is own else {"axes": image.axes}
    if scene is not None:
        opened["scene"] = str(scene)
    if again.pixel_size != image.pixel_size:
        opened["pixel_size"] = image.pixel_size
    if again.unit != image.unit:
        opened["unit"] = image.unit or "pixel"
    return Origin(path, opened)


def _alike(
    path: Path, image: ImageInput, told: int | None
) -> tuple[ImageInput, int | None]:
    """The image of a file that has a layer's pixels, and its number if it has one.

    Of a file with several images a layer may hold any, and may tell which; where none
    is alike, it is the first.
    """
    if told:
        return open_image(path, scene=told), told
    first = open_image(path)
    if _line(first) == _line(image):
        return first, None
    for scene in range(1, _MOST_SCENES):
        try:
            other = open_image(path, scene=scene)
        except ImagecAIError:
            break
        if _line(other) == _line(image):
            return other, scene
    return first, None


def _line(image: ImageInput) -> list[Any]:
    """A line of pixels through the middle of an image."""
    at: dict[str, int | slice] = {
        axis: size // 2
        for axis, size in zip(image.axes, image.shape, strict=True)
        if axis != "X"
    }
    return [image.size("Y"), image.read("X", at).tolist()]
