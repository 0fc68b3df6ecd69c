"""A small picture of an image and of what was found in it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.overlay import Picture, as_png, draw_image, draw_outlines
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.system.whole_files import replace_whole

SIDE = 320
"""Pixels along the longer side."""


def thumbnail(result: Result, image: ImageInput) -> Picture:
    """The image with outlines of its objects, where there are some.

    Parameters
    ----------
    result : Objects, Images or Scores
        What was found.
    image : ImageInput
        The image. Of a stack the plane with the most objects is shown.
    """
    if isinstance(result, Objects):
        drawn = draw_outlines(result, Beside(image), 2 * SIDE, width=2).picture
    else:
        drawn = draw_image(image, 2 * SIDE)
    smaller = SIDE / max(drawn.shape)
    size = tuple(max(1, round(n * smaller)) for n in drawn.shape[1::-1])
    return np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)


def write_thumbnail(result: Result, image: ImageInput, path: Path) -> Path:
    """Write it as PNG."""
    data = as_png(thumbnail(result, image))

    def write(place: Path) -> None:
        place.write_bytes(data)

    return replace_whole(path, write, private=True)
