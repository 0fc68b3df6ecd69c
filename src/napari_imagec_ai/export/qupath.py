"""GeoJSON as QuPath reads and writes it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.palette import colour
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
    so those are left out. Every object is a feature; a cell with one nucleus in it is a
    cell object of QuPath that holds the nucleus as well, whose measurements are named
    ``Nucleus: area`` and so on.
    """
    features = list(_features(objects, Beside()))
    return {"type": "FeatureCollection", "features": features}


def _features(objects: Objects, beside: Beside) -> Iterator[dict[str, Any]]:
    outlines = beside.outlines(objects)
    nucleus = _nuclei(objects)
    for start in beside.pace.along(range(0, len(objects), _TOGETHER)):
        some = range(start, min(start + _TOGETHER, len(objects)))
        held = [nucleus[row] for row in some if row in nucleus]
        measured = measurements(objects[slice(some.start, some.stop)], "box_")
        inner_ones = measurements(objects[np.array(held, int)], "box_")
        within = dict(zip(held, inner_ones, strict=True))
        for row, told in zip(some, measured, strict=True):
            feature = _feature(objects, row, outlines[row], told)
            if row in nucleus:
                inner = nucleus[row]
                feature["nucleusGeometry"] = _shape(objects, inner, outlines[inner])
                feature["properties"]["objectType"] = "cell"
                feature["properties"]["measurements"] = told | {
                    f"Nucleus: {name}": value for name, value in within[inner].items()
                }
            yield feature


def _nuclei(objects: Objects) -> dict[int, int]:
    """Rows of the cells that have one nucleus, with its row.

    Those are objects of one class in objects of another, as ``parent`` links them.
    """
    if "parent" not in objects.features:
        return {}
    rows = {int(identity): row for row, identity in enumerate(objects.id)}
    held: dict[int, list[int]] = {}
    for row, parent in enumerate(objects.features["parent"]):
        above = rows.get(int(parent)) if np.isfinite(parent) else None
        if above is not None and objects.class_id[above] != objects.class_id[row]:
            held.setdefault(above, []).append(row)
    single = {cell: inner[0] for cell, inner in held.items() if len(inner) == 1}
    # What is a nucleus of a cell, and holds something itself, stays on its own.
    return {cell: inner for cell, inner in single.items() if inner not in held}


def _feature(
    objects: Objects, row: int, parts: list[Outline], measured: dict[str, float]
) -> dict[str, Any]:
    class_id = int(objects.class_id[row])
    return {
        "type": "Feature",
        "id": int(objects.id[row]),
        "geometry": _shape(objects, row, parts),
        "properties": {
            "objectType": "detection",
            "name": str(int(objects.id[row])),
            "classification": {
                "name": objects.classes[class_id],
                "color": list(colour(class_id)),
            },
            "measurements": measured,
        },
    }


def _shape(objects: Objects, row: int, parts: list[Outline]) -> dict[str, Any]:
    geometry = _geometry(parts) if parts else _box(objects.boxes[row])
    position = {
        axis.lower(): int(objects.planes[row, i])
        for i, axis in enumerate(objects.plane_axes)
    }
    if position:
        geometry["plane"] = {"c": -1, "z": 0, "t": 0} | position
    return geometry


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
