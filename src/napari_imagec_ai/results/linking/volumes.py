"""Makes volumes of flat objects that were found to be one through the planes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.measure import measure
from napari_imagec_ai.results.objects import Objects

Column = NDArray[Any]


def as_volumes(objects: Objects, tracks: NDArray[np.int64]) -> Objects:
    """Make one object of each track through depth.

    Parameters
    ----------
    objects : Objects
        Flat ones, with pixels, of planes whose last plane axis is Z.
    tracks : (N,) int
        From 1.

    Returns
    -------
    Objects
        Ids are the tracks. Shape is measured on the volume; intensities are the means
        of the planes, weighted by area, and so are confidences. ``planes_found`` says
        in how many planes each was found.

    Raises
    ------
    DecodeError
        If the objects have boxes only.
    """
    if not objects.has_pixels:
        raise DecodeError(
            "Expected objects with pixels to make volumes of, found boxes; follow them "
            "without volumes."
        )
    flat = objects.as_labels()
    lookup = np.zeros(int(max(flat.max(initial=0), objects.id.max(initial=0))) + 1, int)
    lookup[objects.id] = tracks
    labels = lookup[flat].astype(np.int32)
    count = int(tracks.max(initial=0))
    area = np.asarray(objects.features.get("area", np.ones(len(objects))), float)
    weight = np.bincount(tracks, area, count + 1)[1:]
    left = objects.planes.shape[1] - 1
    columns = _measured(labels, count, left)
    boxes = np.stack(
        [columns.pop(f"box_{axis}{end}") for end in "01" for axis in "zyx"], axis=1
    )
    origin = objects.frame.origin[left:]
    boxes += np.tile(origin, 2)
    for axis, start in zip("zyx", origin, strict=True):
        columns[f"centroid_{axis}"] = columns[f"centroid_{axis}"] + start
    for name, column in objects.features.items():
        if name.startswith("mean_intensity"):
            sums = np.bincount(tracks, np.asarray(column, float) * area, count + 1)
            columns[name] = sums[1:] / np.maximum(weight, 1e-9)
    columns["planes_found"] = np.bincount(tracks, minlength=count + 1)[1:]
    confidence = np.bincount(tracks, objects.confidence * area, count + 1)[1:]
    first = np.zeros(count + 1, np.intp)
    first[tracks[::-1]] = np.arange(len(objects))[::-1]
    first = first[1:]
    return replace(
        objects,
        id=np.arange(1, count + 1, dtype=np.int32),
        class_id=objects.class_id[first],
        confidence=np.asarray(confidence / np.maximum(weight, 1e-9), np.float32),
        boxes=boxes.astype(np.float32),
        label_image=labels,
        masks=None,
        corners=None,
        features=columns | _in_units(objects, columns["area"]),
        planes=objects.planes[first, :left],
    )


def _measured(labels: NDArray[np.int32], count: int, left: int) -> dict[str, Column]:
    """Measure volumes; each lies at one place along the other plane axes."""
    if not left:
        return dict(measure(labels, count, {}))
    columns: dict[str, Column] = {}
    for index in np.ndindex(labels.shape[:left]):
        found = measure(labels[index], count, {})
        here = found["area"] > 0
        for name, column in found.items():
            kept = columns.setdefault(name, np.zeros_like(column))
            kept[here] = column[here]
    return columns


def _in_units(objects: Objects, area: Column) -> dict[str, Column]:
    frame = objects.frame
    if frame.unit is None or set("ZYX") & set(frame.unsized):
        return {}
    return {f"area_{frame.unit}3": area * math.prod(frame.pixel_size[-3:])}
