"""COCO annotations: the form that most training code reads.

Pixel edges lie at whole numbers (a box around one pixel is one wide), as in
pycocotools. There a polygon along pixel edges becomes exactly the pixels in it. It
knows no holes, and the usual loaders (torchvision's, detectron2's) take no run lengths
beside polygons: a hole is joined to the ring around it along pixel edges, there and
back, which encloses nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.one_ring import joined
from napari_imagec_ai.export.planes import Section, sections
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline, signed_area


def write_coco(objects: Objects, path: Path, beside: Beside) -> None:
    """Write one picture for each plane, its objects, and a category for each class."""
    height, width = (int(size) for size in objects.frame.shape[-2:])
    images, annotations = [], []
    for number, section in enumerate(sections(objects, beside), start=1):
        images.append(
            {
                "id": number,
                "file_name": _file_name(objects, beside),
                "width": width,
                "height": height,
                **{axis.lower(): at for axis, at in section.position.items()},
            }
        )
        annotations += _annotations(objects, section, number, beside)
    collection = {
        "info": {"description": f"Objects of {objects.frame.name or 'an image'}"},
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": i, "name": name, "supercategory": ""}
            for i, name in enumerate(objects.classes, start=1)
        ],
    }
    text = json.dumps(collection, ensure_ascii=False, allow_nan=False)
    path.write_text(text, encoding="utf-8")


def _file_name(objects: Objects, beside: Beside) -> str:
    """Of the image's file where it came from one, else its name."""
    given = "" if beside.image is None else beside.image.file
    return given or objects.frame.file or objects.frame.name


def _annotations(
    objects: Objects, section: Section, number: int, beside: Beside
) -> list[dict[str, Any]]:
    found = []
    every = zip(section.rows, section.outlines, strict=True)
    one = not section.index  # of several planes, each is a step
    pairs = beside.pace.along(every, len(section.rows)) if one else every
    for row, parts in pairs:
        shown = parts if objects.has_pixels else []
        y0, x0, y1, x1 = objects.boxes[row].tolist()
        found.append(
            {
                "id": int(objects.id[row]),
                "image_id": number,
                "category_id": int(objects.class_id[row]) + 1,
                "segmentation": _segmentation(shown, objects.boxes[row]),
                "area": _area(shown) if shown else (y1 - y0) * (x1 - x0),
                "bbox": _box(parts, objects.boxes[row]),
                "iscrowd": 0,
                "score": round(float(objects.confidence[row]), 6),
            }
        )
    return found


def _area(parts: list[Outline]) -> int:
    rings = [ring for part in parts for ring in (part.outer, *part.holes)]
    return round(sum(signed_area(ring) for ring in rings))


def _box(parts: list[Outline], box: NDArray[np.float32]) -> list[float]:
    """Left, top, width and height."""
    if parts:
        points = np.concatenate([part.outer for part in parts]) + 0.5
        (y0, x0), (y1, x1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    else:
        y0, x0, y1, x1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]


def _segmentation(parts: list[Outline], box: NDArray[np.float32]) -> list[list[float]]:
    """A ring for each part, its holes joined to it; of boxes alone, the box."""
    if not parts:
        y0, x0, y1, x1 = box.tolist()
        return [[x0, y0, x1, y0, x1, y1, x0, y1]]
    return [joined([part]).reshape(-1).tolist() for part in parts]
