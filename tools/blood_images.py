"""Photographs of blood smears with boxes, to train and validate on.

They are the BCCD Dataset (MIT licence), https://github.com/Shenggan/BCCD_Dataset, as
one folder with ``NAME.jpg`` and a ``boxes.csv`` with the columns image, set (train or
val), class, y0, x0, y1, x1.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

CLASSES = ("RBC", "WBC", "Platelets")


@dataclass(frozen=True)
class Smear:
    """One photograph.

    Attributes
    ----------
    name
        Of the file, without its suffix.
    image
        (Y, X, 3) uint8.
    boxes
        (n, 4) float32: x0, y0, x1, y1 in pixels.
    kinds
        (n,) int64, indices into `CLASSES`.
    """

    name: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]


def load(folder: Path, part: str) -> list[Smear]:
    """Read the images of one ``set`` of the folder."""
    rows: dict[str, list[dict[str, str]]] = {}
    with (folder / "boxes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["set"] == part:
                rows.setdefault(row["image"], []).append(row)
    out = []
    for name, found in rows.items():
        boxes = [[float(r[c]) for c in ("x0", "y0", "x1", "y1")] for r in found]
        kinds = [CLASSES.index(r["class"]) for r in found]
        image = np.asarray(iio.imread(folder / f"{name}.jpg"))[..., :3]
        out.append(
            Smear(name, image, np.array(boxes, np.float32), np.array(kinds, np.int64))
        )
    return out
