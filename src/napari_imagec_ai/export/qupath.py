"""GeoJSON as QuPath reads and writes it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.export.formats import Beside
from napari_imagec_ai.export.tables import measurements
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline, Ring

_TOGETHER = 5000
"""Objects that are encoded at once."""


def write_geojson(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the outlines as GeoJSON; see :func:`geojson`."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write('{"type": "FeatureCollection", "features": [')
        for number, some in enumerate(_batched(_features(objects, beside))):
            # Many at once, for the fast encoder; not all, for the memory.
            text = json.dumps(some, ensure_ascii=False, allow_nan=False)
            stream.write((", " if number else "") + text[1:-1])
        stream.write("]}")


def _batched(features: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Some thousand at a time."""
    while some := list(itertools.islice(features, _TOGETHER)):
        yield some


def geojson(objects: Objects) -> dict[str, Any]:
    """GeoJSON as QuPath reads it: pixel edges at integers, class and measurements.

    A pixel's centre is at (0.5, 0.5) there, as in Java's graphics; see QuPath's
    ``QuPathTypeAdapters`` for the properties. It takes no measurement without a number,
    so those are left out.
    """
    features = list(_features(objects, Beside()))
    return {"type": "FeatureCollection", "features": features}


def _features(objects: Objects, beside: Beside) -> Iterator[dict[str, Any]]:
    measured: list[dict[str, float]] = []
    names = [objects.classes[i] for i in objects.class_id]
    for row, parts in enumerate(beside.outlines(objects)):
        place = row % _TOGETHER
        if not place:
            measured = measurements(objects[row : row + _TOGETHER], "box_")
        geometry = _geometry(parts) if parts else _box(objects.boxes[row])
        position = {
            axis.lower(): int(objects.planes[row, i])
            for i, axis in enumerate(objects.plane_axes)
        }
        if position:
            geometry["plane"] = {"c": -1, "z": 0, "t": 0} | position
        yield {
            "type": "Feature",
            "id": int(objects.id[row]),
            "geometry": geometry,
            "properties": {
                "objectType": "detection",
                "name": str(int(objects.id[row])),
                "classification": {"name": names[row]},
                "measurements": measured[place],
            },
        }


def _geometry(parts: list[Outline]) -> dict[str, Any]:
    polygons = [[_ring(part.outer), *map(_ring, part.holes)] for part in parts]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _ring(ring: Ring) -> list[list[float]]:
    points = np.round(ring[:, ::-1].astype(np.float64) + 0.5, 4).tolist()
    return [*points, points[0]]


def _box(box: Any) -> dict[str, Any]:
    y0, x0, y1, x1 = (float(v) for v in box)
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    return {"type": "Polygon", "coordinates": [ring]}
