"""Writes what is no objects: images as TIFF, scores as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.csv_files import write_rows
from napari_imagec_ai.export.sizes import in_imagej, resolution
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.scores import Scores


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
    depth = images.depths.get(output, 1)
    if depth > 1 and "Z" not in axes:
        before, after = values.shape[: len(planes)], values.shape[len(planes) + 1 :]
        values = np.asarray(values).reshape(*before, -1, depth, *after)
        axes = f"{planes}CZ{images.space}"
    # An ImageJ hyperstack has all of these, in this order.
    order = [axis for axis in "TZCYX" if axis in axes]
    stack = values.transpose([axes.index(axis) for axis in order])
    stack = np.expand_dims(stack, [i for i, a in enumerate("TZCYX") if a not in axes])
    metadata: dict[str, Any] = {"axes": "TZCYX"} | in_imagej(frame)
    names = images.channel_names.get(output, ())
    if len(names) == values.shape[len(planes)] > 1:
        # ImageJ shows a label for each picture of the stack, channels fastest.
        metadata["Labels"] = list(names) * int(np.prod(stack.shape[:2]))
    tifffile.imwrite(
        path,
        stack.astype(np.float32),
        imagej=True,
        resolution=resolution(frame),
        metadata=metadata,
    )


def write_scores(scores: Scores, path: Path) -> None:
    """Write a row for each class, in the order of the classes; planes by position."""
    axes = [axis.lower() for axis in scores.planes]
    start = scores.frame.origin[: len(axes)]

    def rows() -> Iterator[list[Any]]:
        for index in np.ndindex(scores.values.shape[:-1]):
            position = [i + first for i, first in zip(index, start, strict=True)]
            for name, value in zip(scores.classes, scores.values[index], strict=True):
                yield [name, f"{float(value):.7g}", *position]

    write_rows(path, ["class", "score", *axes], rows(), scores.classes)
