"""Writes what is no objects: images as TIFF, scores as a table."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.scores import Scores

IMAGEJ_UNITS = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm"}
"""Units of length as ImageJ writes them."""


def file_word(output: str) -> str:
    """An output's name as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", output) or "output"


def write_image(images: Images, path: Path) -> None:
    """Write the map of one output as a TIFF hyperstack that ImageJ and Fiji read.

    Raises
    ------
    ImagecAIError
        If there is more than one output.
    """
    import tifffile

    if len(images) != 1:
        raise ImagecAIError(
            f"Expected one image for '{path.name}', found {', '.join(images.maps)}; "
            "choose one of them, such as images['NAME']."
        )
    output = next(iter(images.maps))
    frame, values = images.frame_of(output), images.maps[output]
    planes = frame.axes[: len(frame.axes) - len(images.space)]
    axes = f"{planes}C{images.space}"
    # An ImageJ hyperstack has all of these, in this order.
    order = [axis for axis in "TZCYX" if axis in axes]
    stack = values.transpose([axes.index(axis) for axis in order])
    stack = np.expand_dims(stack, [i for i, a in enumerate("TZCYX") if a not in axes])
    sizes = dict(zip(frame.space, frame.pixel_size, strict=True))
    unit = frame.unit or "pixel"
    metadata: dict[str, Any] = {"axes": "TZCYX", "unit": IMAGEJ_UNITS.get(unit, unit)}
    if "Z" in sizes:
        metadata["spacing"] = sizes["Z"]
    names = images.channel_names.get(output, ())
    if len(names) == values.shape[len(planes)] > 1:
        # ImageJ shows a label for each picture of the stack, channels fastest.
        metadata["Labels"] = list(names) * int(np.prod(stack.shape[:2]))
    tifffile.imwrite(
        path,
        stack.astype(np.float32),
        imagej=True,
        resolution=(1 / sizes["X"], 1 / sizes["Y"]),
        metadata=metadata,
    )


def write_scores(scores: Scores, path: Path) -> None:
    """Write a row for each class, in the order of the classes; planes by position."""
    axes = [axis.lower() for axis in scores.planes]
    start = scores.frame.origin[: len(axes)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["class", "score", *axes])
        for index in np.ndindex(scores.values.shape[:-1]):
            position = [i + first for i, first in zip(index, start, strict=True)]
            for name, value in zip(scores.classes, scores.values[index], strict=True):
                writer.writerow([name, f"{float(value):.7g}", *position])
