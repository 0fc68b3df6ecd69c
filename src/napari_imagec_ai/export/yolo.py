"""Labels for training YOLO: a line for each object.

Objects with pixels: class and outline; boxes alone: class, centre, width and height.
All in parts of the picture's size, whose edges are 0 and 1. An object of several rings
is one line: its rings are joined along pixel edges, there and back, which encloses
nothing. Loaders look for the labels of ``STEM.png`` in ``STEM.txt``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.one_ring import joined
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system.safe_yaml import read_yaml
from napari_imagec_ai.system.whole_files import replace_text

CLASSES_FILE = "data.yaml"
"""The data set: names of the classes by number, beside the labels of all its images."""

_HEAD = (
    "# Classes of the labels beside. For training, name your images' folders here.\n"
)


def write_yolo(objects: Objects, path: Path, beside: Beside) -> None:
    """Write a line for each object, and the classes' names beside.

    Classes that the folder has names for already keep their numbers, so that labels of
    several images go together; new ones follow.
    """
    numbers = _numbers(path.parent / CLASSES_FILE, objects.classes)
    size = np.asarray(objects.frame.shape[:-3:-1], np.float64)  # (width, height)
    lines = []
    for row, parts in enumerate(beside.pace.along(beside.outlines(objects))):
        number = numbers[objects.classes[objects.class_id[row]]]
        if objects.has_pixels and parts:
            values = joined(parts) / size
        elif objects.corners is not None:  # rotated: four corners
            values = np.clip(objects.corners[row][:, ::-1] / size, 0, 1)
        else:
            x0, y0, x1, y1 = np.clip(
                objects.boxes[row][[1, 0, 3, 2]] / np.tile(size, 2), 0, 1
            )
            values = np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
        told = " ".join(f"{value:.6f}" for value in values.reshape(-1).tolist())
        lines.append(f"{number} {told}\n")
    path.write_text("".join(lines), encoding="utf-8")


def _numbers(path: Path, classes: tuple[str, ...]) -> dict[str, int]:
    """Numbers of the classes, in the folder's file of names; new ones are added."""
    told = _known(path)
    known = list(told["names"])
    names = list(dict.fromkeys([*known, *classes]))
    if names != known or not path.exists():
        told |= {"nc": len(names), "names": dict(enumerate(names))}
        text = _HEAD + yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
        replace_text(path, text)
    return {name: names.index(name) for name in classes}


def _known(path: Path) -> dict[str, Any]:
    """What the folder's file says, with its names as a list; without one: where."""
    if not path.exists():
        return {"train": ".", "val": ".", "nc": 0, "names": []}
    try:
        told = read_yaml(path.read_bytes())
        names = told["names"]
        if isinstance(names, dict):
            names = [names[number] for number in range(len(names))]
        return {**told, "names": [str(name) for name in names]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImagecAIError(
            f"Expected names of classes in '{path}', as YOLO's data sets have them; "
            "they cannot be read. Choose another folder."
        ) from error
