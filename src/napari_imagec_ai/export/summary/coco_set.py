"""One COCO file over all images of a batch, as training code wants it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_imagec_ai.export.summary.lines import Line
from napari_imagec_ai.image.zarr_images import file_of
from napari_imagec_ai.system.whole_files import replace_text

NAME = "coco.json"
"""The file, beside those of the single images."""


def write_coco_set(lines: Sequence[Line], suffix: str, folder: Path) -> Path | None:
    """Write the annotations of all images as one data set.

    Pictures and annotations are numbered anew; categories are those of all images, each
    name once.

    Parameters
    ----------
    lines : sequence of Line
        The images.
    suffix : str
        What the names of their annotations end in.
    folder : Path
        Where the file goes.

    Returns
    -------
    Path or None
        The file; None where none of the images has annotations.
    """
    parts = [(line, line.file(suffix)) for line in lines]
    there = [(line, part) for line, part in parts if part is not None]
    if not there:
        return None
    together: dict[str, list[Any]] = {"images": [], "annotations": []}
    numbers: dict[str, int] = {}
    for line, part in there:
        _add(together, numbers, json.loads(part.read_text(encoding="utf-8")), line)
    told = {
        "info": {"description": f"Objects of {len(there)} images"},
        **together,
        "categories": [
            {"id": number, "name": name, "supercategory": ""}
            for name, number in numbers.items()
        ],
    }
    text = json.dumps(told, ensure_ascii=False, allow_nan=False)
    return replace_text(folder / NAME, text)


def _add(
    together: dict[str, list[Any]],
    numbers: dict[str, int],
    found: dict[str, Any],
    line: Line,
) -> None:
    """Add what was found in one image."""
    own = {}
    for category in found["categories"]:
        name = category["name"]
        own[category["id"]] = numbers.setdefault(name, len(numbers) + 1)
    pictures = {}
    for picture in found["images"]:
        pictures[picture["id"]] = len(together["images"]) + 1
        told = {"id": pictures[picture["id"]], "file_name": file_of(line.image)}
        together["images"].append(picture | told)
    for annotation in found["annotations"]:
        together["annotations"].append(
            annotation
            | {
                "id": len(together["annotations"]) + 1,
                "image_id": pictures[annotation["image_id"]],
                "category_id": own[annotation["category_id"]],
            }
        )
