"""Folders of images with truth, in the two layouts that are understood.

Label images: an ``index.csv`` with the columns ``name`` and, perhaps, ``kind``, and
``NAME.png`` beside ``NAME.labels.png``; without the index, every image that has such a
file of labels. Boxes: a ``boxes.csv`` with the columns image, class, y0, x0, y1, x1
and, perhaps, ``set``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.opening_files import open_image

_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One image with what people found in it.

    Attributes
    ----------
    name : str
    path : Path
        The image.
    labels : Path or None
        Its label image.
    boxes : (n, 4) float64
        y0, x0, y1, x1; without a label image.
    kinds : tuple of str
        Class of each box.
    """

    name: str
    path: Path
    labels: Path | None = None
    boxes: NDArray[np.float64] | None = None
    kinds: tuple[str, ...] = ()

    def image(self) -> ImageInput:
        """The pixels."""
        return open_image(self.path)

    def label_image(self) -> NDArray[np.int64]:
        """Ids at pixels, 0 is background."""
        assert self.labels is not None
        return np.asarray(open_image(self.labels).data, np.int64).squeeze()


def read_folder(
    folder: Path, kind: str | None = None, names: Sequence[str] | None = None
) -> list[Truth]:
    """The images of a folder that have a truth.

    Parameters
    ----------
    folder : Path
        See above.
    kind : str, optional
        Only those whose ``kind`` (or ``set``) is this.
    names : sequence of str, optional
        Only these.

    Raises
    ------
    ImageError
        If there are none.
    """
    if (folder / "boxes.csv").exists():
        found = list(_with_boxes(folder, kind))
    else:
        found = list(_with_labels(folder, kind))
    if names is not None:
        found = [truth for truth in found if truth.name in set(names)]
    if not found:
        raise ImageError(
            f"Expected images with truth in '{folder}' (NAME.png beside "
            "NAME.labels.png, or a boxes.csv), found none that were asked for."
        )
    return found


def _image(folder: Path, name: str) -> Path | None:
    return next((p for s in _SUFFIXES if (p := folder / f"{name}{s}").exists()), None)


def _with_labels(folder: Path, kind: str | None) -> Iterator[Truth]:
    index = folder / "index.csv"
    if index.exists():
        with index.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        wanted = [r["name"] for r in rows if kind is None or r.get("kind") == kind]
    else:
        wanted = sorted(
            p.name.removesuffix(f".labels{p.suffix}")
            for p in folder.iterdir()
            if p.stem.endswith(".labels") and p.suffix in _SUFFIXES
        )
    for name in wanted:
        image, labels = _image(folder, name), _image(folder, f"{name}.labels")
        if image is not None and labels is not None:
            yield Truth(name, image, labels)


def _with_boxes(folder: Path, kind: str | None) -> Iterator[Truth]:
    rows: dict[str, list[dict[str, str]]] = {}
    with (folder / "boxes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if kind is None or row.get("set") == kind:
                rows.setdefault(row["image"], []).append(row)
    for name, found in rows.items():
        image = _image(folder, name)
        if image is not None:
            boxes = [[float(r[c]) for c in ("y0", "x0", "y1", "x1")] for r in found]
            kinds = tuple(r["class"] for r in found)
            yield Truth(name, image, None, np.array(boxes), kinds)
