"""Writes results to files; the suffix picks the format.

XY order lives only here. Files are written whole or not at all.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai import files
from napari_imagec_ai.decoders import Result
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.images import Images
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.outlines import Outline, Ring
from napari_imagec_ai.pictures import (
    IMAGEJ_UNITS,
    file_word,
    write_image,
    write_scores,
)
from napari_imagec_ai.scores import Scores

Writer = Callable[[Any, Path], None]


def write(result: Result, path: str | Path) -> Path:
    """Write a result to a file.

    Parameters
    ----------
    result : Objects, Images or Scores
        All of it is written.
    path : path
        Objects: ``.tif`` (labels), ``.csv`` (table) or ``.geojson`` (outlines). Images:
        ``.tif``. Scores: ``.csv``. An existing file is replaced whole or not at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImagecAIError
        If the suffix is unknown or the file cannot be written.
    """
    path = Path(path)
    writers = WRITERS[type(result)]
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise ImagecAIError(
            f"'{path.name}' has no known format; expected one of {', '.join(writers)}."
        )
    return files.replace_whole(path, lambda place: writer(result, place))


def write_all(
    result: Result, folder: Path, stem: str, words: Sequence[str] | None = None
) -> list[Path]:
    """Write the files of a run.

    Parameters
    ----------
    result : Objects, Images or Scores
        What came out.
    folder : Path
        Where files go.
    stem : str
        What their names begin with.
    words : sequence of str, optional
        Some of :data:`EXPORTS`, for objects; by default all that fit. Images and
        scores have a format of their own.

    Returns
    -------
    list of Path
        The files.
    """
    if isinstance(result, Images):
        return [
            write(result[name], folder / f"{stem}.{file_word(name)}.tif")
            for name in result.maps
        ]
    if isinstance(result, Scores):
        return [write(result, folder / f"{stem}.scores.csv")]
    chosen = fitting(result) if words is None else words
    return [write(result, folder / f"{stem}{EXPORTS[word]}") for word in chosen]


def table(objects: Objects) -> dict[str, Any]:
    """Columns of the objects' table, in the order in which files have them.

    ``id``, ``class``, ``confidence``, ``area``, positions along plane axes, centroid
    and box for each space axis (pixels of the image; centres at integers, boxes
    half-open), then the other features.
    """
    space = [axis.lower() for axis in objects.space]
    features = dict(objects.features)
    columns: dict[str, Any] = {
        "id": objects.id,
        "class": np.array(objects.classes, dtype=object)[objects.class_id]
        if len(objects)
        else np.zeros(0, dtype=object),
        "confidence": objects.confidence,
        "area": features.pop("area", np.zeros(len(objects))),
    }
    for i, axis in enumerate(objects.plane_axes):
        columns[axis.lower()] = objects.planes[:, i]
    half = objects.boxes.shape[1] // 2
    names = space[-half:] if half else space
    for i, axis in enumerate(names):
        middle = (objects.boxes[:, i] + objects.boxes[:, half + i] - 1) / 2
        columns[f"centroid_{axis}"] = features.pop(f"centroid_{axis}", middle)
    for end in range(2):
        for i, axis in enumerate(names):
            columns[f"box_{axis}{end}"] = objects.boxes[:, end * half + i]
    return columns | features


def _write_csv(objects: Objects, path: Path) -> None:
    columns = table(objects)
    rows = zip(*(map(_plain, column) for column in columns.values()), strict=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


def _plain(value: Any) -> Any:
    """A number as a person would write it: no trailing zeros, seven digits."""
    if isinstance(value, (float, np.floating)):
        number = float(value)
        # Counts of pixels have no rounding, however large.
        return int(number) if number.is_integer() else f"{number:.7g}"
    return value.item() if isinstance(value, np.generic) else value


def _write_labels(objects: Objects, path: Path) -> None:
    import tifffile

    labels = objects.as_labels()
    frame = objects.frame
    sizes = dict(zip(frame.space, frame.pixel_size, strict=True))
    metadata: dict[str, Any] = {"axes": frame.axes}
    unit = frame.unit or "pixel"
    metadata["unit"] = IMAGEJ_UNITS.get(unit, unit)
    if "Z" in sizes:
        metadata["spacing"] = sizes["Z"]
    # ImageJ's own hyperstacks have no 32-bit integers: tifffile's description keeps
    # axes and spacing, and readers find the pixel size in the resolution tags.
    tifffile.imwrite(
        path,
        labels.astype(np.int32),
        resolution=(1 / sizes["X"], 1 / sizes["Y"]),
        metadata=metadata,
        compression="zlib",
        photometric="minisblack",
    )


def _write_geojson(objects: Objects, path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        json.dump(geojson(objects), stream, ensure_ascii=False)


def geojson(objects: Objects) -> dict[str, Any]:
    """GeoJSON as QuPath reads it: pixel edges at integers, class and measurements."""
    columns = table(objects)
    measured = {
        name: column
        for name, column in columns.items()
        if name not in ("id", "class") and not name.startswith("box_")
    }
    outlines = (
        objects.as_outlines(smooth=False)
        if objects.has_pixels
        else [[] for _ in range(len(objects))]
    )
    features = []
    for row, parts in enumerate(outlines):
        name = str(columns["class"][row])
        geometry = _geometry(parts) if parts else _box(objects.boxes[row])
        position = {
            axis.lower(): int(objects.planes[row, i])
            for i, axis in enumerate(objects.plane_axes)
        }
        if position:
            geometry["plane"] = {"c": -1, "z": 0, "t": 0} | position
        features.append(
            {
                "type": "Feature",
                "id": int(objects.id[row]),
                "geometry": geometry,
                "properties": {
                    "objectType": "detection",
                    "name": str(int(objects.id[row])),
                    "classification": {"name": name},
                    "measurements": {
                        key: _finite(column[row]) for key, column in measured.items()
                    },
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}


def _finite(value: Any) -> float | None:
    number = float(value)
    if not np.isfinite(number):
        return None
    return number if number.is_integer() else float(f"{number:.7g}")


def _geometry(parts: list[Outline]) -> dict[str, Any]:
    polygons = [[_ring(part.outer), *map(_ring, part.holes)] for part in parts]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _ring(ring: Ring) -> list[list[float]]:
    # A pixel's centre is at (0.5, 0.5) there, so its corner is at whole numbers.
    points = (ring[:, ::-1] + 0.5).tolist()
    return [*points, points[0]]


def _box(box: Any) -> dict[str, Any]:
    y0, x0, y1, x1 = (float(v) for v in box)
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    return {"type": "Polygon", "coordinates": [ring]}


WRITERS: dict[type, dict[str, Writer]] = {
    Objects: {".tif": _write_labels, ".csv": _write_csv, ".geojson": _write_geojson},
    Images: {".tif": write_image},
    Scores: {".csv": write_scores},
}
"""Formats by what is written and by suffix."""

EXPORTS = {
    "labels": ".labels.tif",
    "csv": ".objects.csv",
    "geojson": ".geojson",
}
"""What follows the image's name in the files of a run, by the word that asks for it."""


def fitting(objects: Objects) -> tuple[str, ...]:
    """The words of :data:`EXPORTS` that these objects can be written as."""
    lacking = set()
    if not objects.has_pixels:
        lacking.add("labels")
    if objects.boxes.shape[1] != 4:  # volumes have no outlines
        lacking.add("geojson")
    return tuple(name for name in EXPORTS if name not in lacking)
