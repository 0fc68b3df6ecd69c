"""Labels for training YOLO: a line for each object.

Objects with pixels: class and outline; boxes alone: class, centre, width and height.
All in parts of the picture's size, whose edges are 0 and 1. An object of several rings
is one line: its rings are joined along pixel edges, there and back, which encloses
nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.formats import Beside
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline
from napari_imagec_ai.system import whole_files as files

CLASSES_FILE = "classes.txt"
"""Names of the classes by number, beside the labels of all images of a folder."""


def write_yolo(objects: Objects, path: Path, beside: Beside) -> None:
    """Write a line for each object, and the classes' names beside.

    Classes that the folder has names for already keep their numbers, so that labels of
    several images go together; new ones follow.
    """
    numbers = _numbers(path.parent / CLASSES_FILE, objects.classes)
    size = np.asarray(objects.frame.shape[:-3:-1], np.float64)  # (width, height)
    lines = []
    for row, parts in enumerate(beside.outlines(objects)):
        number = numbers[objects.classes[objects.class_id[row]]]
        if objects.has_pixels and parts:
            values = joined(parts) / size
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
    known: list[str] = []
    if path.exists():
        try:
            known = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ImagecAIError(
                f"Expected names of classes in '{path}', one a line; it cannot be "
                "read. Choose another folder."
            ) from error
    names = list(dict.fromkeys([*known, *(" ".join(c.split()) for c in classes)]))
    if names != known:
        text = "".join(f"{name}\n" for name in names)

        def save(place: Path) -> None:
            place.write_text(text, encoding="utf-8")

        files.replace_whole(path, save)
    return {name: names.index(" ".join(name.split())) for name in classes}


def joined(parts: list[Outline]) -> NDArray[np.float64]:
    """One ring (x, y) through all rings of an object, pixel edges at whole numbers.

    A pixel's centre is inside by the even-odd rule as before: the ways between rings
    are walked twice and lead along edges of pixels.
    """
    rings = [ring for part in parts for ring in (part.outer, *part.holes)]
    hub, *others = ((ring[:, ::-1] + 0.5).astype(np.float64) for ring in rings)
    if not others:
        return hub
    ways: dict[int, list[NDArray[np.float64]]] = {}
    for ring in others:
        away = np.abs(hub[:, None] - ring[None]).sum(axis=2)
        start, end = np.unravel_index(int(away.argmin()), away.shape)
        corner = np.array([[ring[end, 0], hub[start, 1]]])
        turned = np.roll(ring, -int(end), axis=0)
        loop = [corner, turned, turned[:1], corner, hub[start : start + 1]]
        ways.setdefault(int(start), []).extend(loop)
    pieces: list[NDArray[np.float64]] = []
    for i in range(len(hub)):
        pieces += [hub[i : i + 1], *ways.get(i, [])]
    return np.concatenate(pieces)
