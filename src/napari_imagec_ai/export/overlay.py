"""A picture of the objects' outlines on the image, for people who would rather look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.palette import colour
from napari_imagec_ai.export.planes import Section, sections
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline

Picture = NDArray[np.uint8]

_LEAST, _MOST = 640, 4096
"""Pixels along the longer side of a picture: smaller ones are enlarged."""

_READ = 2048
"""More pixels than these along the longer side are not read for a smaller picture."""

_BITS = 4
"""Fractions of a pixel in drawing, as a power of two."""

_DARK = 24
"""Grey behind objects whose image is not at hand."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Outlines on the image.

    Attributes
    ----------
    picture : (Y, X, 3) uint8
        Red, green and blue.
    position : dict of str to int
        Which plane is shown, by axis; empty where there is one only.
    """

    picture: Picture
    position: dict[str, int]


def write_overlay(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the picture as PNG; see :func:`overlay`."""
    path.write_bytes(as_png(draw_outlines(objects, beside, _MOST).picture))


def as_png(picture: Picture) -> bytes:
    """A picture as the bytes of a PNG file."""
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def overlay(
    objects: Objects, image: ImageInput | None = None, most: int = _MOST
) -> Overlay:
    """Draw the outlines of the objects in the colours of their classes.

    Parameters
    ----------
    objects : Objects
        Of a stack or of volumes, the plane with the most objects is shown.
    image : ImageInput, optional
        Their image; without it they lie on dark grey.
    most : int
        Pixels along the longer side; larger images keep every n-th pixel.
    """
    return draw_outlines(objects, Beside(image), most)


def draw_outlines(
    objects: Objects, beside: Beside, most: int, width: int = 1
) -> Overlay:
    """See :func:`overlay`; outlines are at least ``width`` pixels wide."""
    found: Section | None = None
    for section in sections(objects, beside):
        if found is None or len(section.rows) > len(found.rows):
            found = section
    assert found is not None  # a frame has at least one plane
    high, wide = objects.frame.shape[-2:]
    step, zoom = _sizes(high, wide, most)
    if beside.image is None:
        shape = (-(-high // step), -(-wide // step), 3)
        picture = np.full(shape, _DARK, np.uint8)
    else:
        picture = _background(beside.image, found.position, step)
    picture = np.ascontiguousarray(picture.repeat(zoom, 0).repeat(zoom, 1))
    scale, thick = zoom / step, max(width, 1 + zoom // 3)
    for row, parts in zip(found.rows, found.outlines, strict=True):
        rings = _rings(parts, objects.boxes[row], scale)
        ink = colour(objects.class_id[row])
        cv2.polylines(picture, rings, True, ink, thick, cv2.LINE_AA, _BITS)
    return Overlay(picture, found.position)


def draw_image(image: ImageInput, most: int) -> Picture:
    """The image alone; of a stack, the plane in the middle."""
    position = {axis: image.size(axis) // 2 for axis in image.axes if axis in "TZ"}
    step, zoom = _sizes(image.size("Y"), image.size("X"), most)
    return _background(image, position, step).repeat(zoom, 0).repeat(zoom, 1)


def _sizes(height: int, width: int, most: int) -> tuple[int, int]:
    """By how much a picture is smaller than its image, or larger."""
    step = max(1, -(-max(height, width) // most))
    zoom = max(1, min(_LEAST, most) // max(height, width)) if step == 1 else 1
    return step, zoom


def _rings(
    parts: list[Outline], box: NDArray[np.float32], scale: float
) -> list[NDArray[Any]]:
    """Rings as (x, y), whole numbers of fractions of a pixel, centres at integers."""
    rings = [ring for part in parts for ring in (part.outer, *part.holes)]
    if not rings:
        y0, x0, y1, x1 = box[[0, 1, -2, -1]] - 0.5
        rings = [np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], np.float32)]
    return [
        np.rint(((ring[:, ::-1] + 0.5) * scale - 0.5) * (1 << _BITS)).astype(np.int32)
        for ring in rings
    ]


def _background(image: ImageInput, position: dict[str, int], step: int) -> Picture:
    """A plane of the image as grey, or in its colours, smaller by a whole number.

    A pixel of the picture is the mean of some of those that it stands for, so that
    noise is no grainier than it was.
    """
    longer = max(image.size("Y"), image.size("X"))
    fine = min(step, max(1, -(-longer // _READ)))
    at: dict[str, int | slice] = {a: n for a, n in position.items() if a in image.axes}
    at |= {axis: slice(None, None, fine) for axis in "YX"}
    picture = _coloured(image, image.read("CYX", at))
    if fine == step:
        return picture
    size = (-(-image.size("X") // step), -(-image.size("Y") // step))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _coloured(image: ImageInput, pixels: NDArray[Any]) -> Picture:
    if image.rgb and pixels.dtype == np.uint8:
        return np.asarray(np.moveaxis(pixels[:3], 0, -1), np.uint8)
    stretched = [_stretched(channel) for channel in pixels[:3]]
    if len(stretched) == 3 and image.rgb:
        return np.stack(stretched, axis=-1)
    grey = np.max(stretched, axis=0)
    return np.repeat(grey[..., None], 3, axis=-1)


def _stretched(pixels: NDArray[Any]) -> Picture:
    """Grey values from nearly the darkest to nearly the brightest."""
    values = np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0)
    low, high = np.percentile(values, (0.5, 99.8))
    scaled = (values - low) / max(float(high - low), 1e-12)
    return np.asarray(np.clip(scaled, 0, 1) * 255, np.uint8)
