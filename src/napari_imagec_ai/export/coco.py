"""COCO annotations: the form that most training code reads.

Pixel edges lie at whole numbers (a box around one pixel is one wide), as in
pycocotools. There a polygon along pixel edges becomes exactly the pixels in it; it
knows no holes, so objects with holes are run-length encoded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.formats import Beside
from napari_imagec_ai.export.planes import Section, sections
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline, draw, signed_area


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
        annotations += _annotations(objects, section, number, (height, width))
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
    key = None if beside.image is None else beside.image.key
    if isinstance(key, tuple) and key and isinstance(key[0], str):
        return Path(key[0]).name
    return objects.frame.name


def _annotations(
    objects: Objects, section: Section, number: int, shape: tuple[int, int]
) -> list[dict[str, Any]]:
    found = []
    for row, parts in zip(section.rows, section.outlines, strict=True):
        if objects.has_pixels and parts:
            segmentation, area = _segmentation(parts, shape), _area(parts)
        else:
            y0, x0, y1, x1 = objects.boxes[row].tolist()
            segmentation, area = [], (y1 - y0) * (x1 - x0)
        found.append(
            {
                "id": int(objects.id[row]),
                "image_id": number,
                "category_id": int(objects.class_id[row]) + 1,
                "segmentation": segmentation,
                "area": area,
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


def _segmentation(parts: list[Outline], shape: tuple[int, int]) -> Any:
    if any(part.holes for part in parts):
        return {"size": list(shape), "counts": encode(run_lengths(parts, shape))}
    return [(part.outer[:, ::-1] + 0.5).reshape(-1).tolist() for part in parts]


def run_lengths(parts: list[Outline], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Lengths of the runs outside and inside by turns, column after column."""
    points = np.concatenate([part.outer for part in parts])
    low = np.rint(points.min(axis=0) + 0.5)
    high = np.rint(points.max(axis=0) + 0.5)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    moved = [part.moved(-low.astype(np.float32)) for part in parts]
    columns, rows = np.nonzero(draw({1: moved}, size).T)
    inside = (columns + int(low[1])) * shape[0] + rows + int(low[0])
    breaks = np.flatnonzero(np.diff(inside) > 1)
    first = inside[np.concatenate([[0], breaks + 1])]
    last = inside[np.concatenate([breaks, [len(inside) - 1]])] + 1
    edges = np.stack([first, last], axis=1).reshape(-1)
    return np.diff(np.concatenate([[0], edges, [shape[0] * shape[1]]]))


def encode(counts: NDArray[np.int64]) -> str:
    """Run lengths as pycocotools writes them.

    From the fourth on, a length is told by its difference to the one before the last;
    each number in groups of five bits, the lowest first, a sixth bit where more follow,
    as characters from ``0`` on.
    """
    left = counts.astype(np.int64).copy()
    left[3:] -= counts[1:-2]
    groups, used = [], []
    more = np.ones(len(left), bool)
    while more.any():
        group = left & 31
        left = left >> 5
        used.append(more)
        # The highest bit of the last group is the sign.
        more = more & np.where(group & 16, left != -1, left != 0)
        groups.append(group + 32 * more + 48)
    characters = np.stack(groups, axis=1)[np.stack(used, axis=1)]
    return str(characters.astype(np.uint8).tobytes(), "ascii")
