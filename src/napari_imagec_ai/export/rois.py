"""ImageJ's sets of ROIs.

In area selections of ImageJ whole numbers are corners of pixels, and a pixel belongs to
the one that its centre lies in (``ij.process.PolygonFiller``): outlines along pixel
edges, moved by half a pixel, are exact. Those are what its wand makes: type *traced*.
Objects of several rings are composite selections, whose path is filled even-odd
(``ij.gui.ShapeRoi``).
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.palette import colour
from napari_imagec_ai.export.planes import Section, sections
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline

_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
"""Segments of a path, as in ``java.awt.geom.PathIterator``."""

_HIGHEST = 60_000
"""ImageJ reads whole coordinates as 16 bits, from -5000."""


def write_rois(objects: Objects, path: Path, beside: Beside) -> None:
    """Write a ROI for each object (of volumes: for each plane of an object).

    Names are id and class, the group is the class's number from 1, the position that
    of the plane. On a stack of one axis that is its number in the stack, else its
    slice and frame, as ImageJ itself does.
    """
    image = beside.image
    channels = image is not None and image.size("C") > 1 and not image.rgb
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for section in sections(objects, beside):
            position = _position(section, channels)
            every = zip(section.rows, section.outlines, strict=True)
            one = not section.index  # of several planes, each is a step
            pairs = beside.pace.along(every, len(section.rows)) if one else every
            for row, parts in pairs:
                name = _name(objects, int(row), section)
                roi = _roi(_rings(parts, objects.boxes[row]))
                roi.name = name
                roi.group = int(objects.class_id[row]) % 255 + 1
                roi.stroke_color = bytes((255, *colour(objects.class_id[row])))
                for field, value in position.items():
                    setattr(roi, field, value)
                archive.writestr(f"{name}.roi", roi.tobytes())


def _name(objects: Objects, row: int, section: Section) -> str:
    name = objects.classes[objects.class_id[row]]
    # Names are files in the archive, and ImageJ counts them in 16 bit units.
    name = re.sub(r'[\x00-\x1f\\/:*?"<>|\U00010000-\U0010ffff]+', "_", name)
    where = ""
    if objects.boxes.shape[1] != 4:  # the same volume is cut by several planes
        where = f" {objects.space[0].lower()}{section.position[objects.space[0]]}"
    return f"{int(objects.id[row])} {name}{where}"


def _position(section: Section, channels: bool) -> dict[str, int]:
    """Where a plane lies, counted from 1; 0 would be everywhere."""
    if len(section.position) == 1 and not channels:
        return {"position": next(iter(section.position.values())) + 1}
    return {f"{axis.lower()}_position": n + 1 for axis, n in section.position.items()}


def _rings(parts: list[Outline], box: NDArray[np.float32]) -> list[NDArray[Any]]:
    """All rings as (x, y), corners of pixels at whole numbers."""
    rings = [ring for part in parts for ring in (part.outer, *part.holes)]
    if not rings:
        y0, x0, y1, x1 = box
        return [np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)]
    return [ring[:, ::-1] + np.float32(0.5) for ring in rings]


def _roi(rings: list[NDArray[Any]]) -> Any:
    """A selection without a name: traced, or composite for several rings."""
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    roi = ImagejRoi()
    points = np.concatenate(rings)
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    roi.left, roi.top = (int(value) for value in low)
    roi.right, roi.bottom = (int(value) for value in high)
    if len(rings) > 1:
        path = np.concatenate([_path(ring) for ring in rings]).astype(np.float32)
        roi.roitype, roi.multi_coordinates = ROI_TYPE.RECT, path
        roi.shape_roi_size = len(path)
        return roi
    whole = np.array_equal(points, np.rint(points)) and high.max() < _HIGHEST
    roi.roitype = ROI_TYPE.TRACED if whole else ROI_TYPE.POLYGON
    roi.n_coordinates = len(points)
    roi.integer_coordinates = np.rint(points - low).astype(np.int32)
    if not whole:
        roi.options |= ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        roi.subpixel_coordinates = points.astype(np.float32)
    return roi


def _path(ring: NDArray[Any]) -> NDArray[Any]:
    kinds = np.full(len(ring), _LINE)
    kinds[0] = _MOVE
    return np.append(np.column_stack([kinds, ring]).reshape(-1), _CLOSE)
