"""The objects' table, as CSV and as Parquet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.csv_files import write_rows
from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.results.objects import Objects


def table(objects: Objects) -> dict[str, Any]:
    """Columns of the objects' table, for ``pandas.DataFrame`` and its like.

    Parameters
    ----------
    objects : Objects
        Of N objects.

    Returns
    -------
    dict of str to (N,) array
        In the order in which files have them: ``id``, ``class``, ``confidence``,
        ``area``, positions along plane axes, centroid and box for each space axis
        (pixels of the image; centres at integers, boxes half-open), then the other
        features, and centroids in the image's unit.
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
    return columns | features | _in_units(objects, columns)


def _in_units(objects: Objects, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Centroids in the image's unit, and times in seconds, where they are known.

    The centre of the first pixel is at 0, as in OME-Zarr.
    """
    frame = objects.frame
    found: dict[str, Any] = {}
    if frame.unit is not None:
        for axis, size in frame.sizes.items():
            name = f"centroid_{axis.lower()}"
            if name in columns:
                found[f"{name}_{frame.unit}"] = np.asarray(columns[name]) * size
    if frame.interval is not None and "T" in objects.plane_axes:
        found["t_second"] = np.asarray(columns["t"]) * frame.interval
    return found


def write_csv(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the table as CSV, seven digits of each number; what is none is empty."""
    columns = table(objects)
    rows = zip(*(map(plain, column) for column in columns.values()), strict=True)
    counted = beside.pace.along(rows, len(objects))
    write_rows(path, list(columns), counted, objects.classes)


def write_parquet(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the table as Parquet, with all digits and the types of the columns.

    Pixel size, unit and interval are in the file's metadata, each by its name, and as
    ``attrs`` in pandas.
    """
    if find_spec("pyarrow") is None:
        raise ImagecAIError(
            "Writing Parquet takes the package pyarrow, which is not installed; add "
            "it with: pip install 'napari-imagec-ai[export]'."
        )
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = pd.DataFrame(table(objects)).astype({"class": "string"})
    known = told_of(objects)
    frame.attrs.update(known)
    columns = pa.Table.from_pandas(frame, preserve_index=False)
    told = {name: json.dumps(value) for name, value in known.items()}
    pq.write_table(
        columns.replace_schema_metadata({**(columns.schema.metadata or {}), **told}),
        path,
    )


def told_of(objects: Objects) -> dict[str, Any]:
    """What is known of the image's axes: sizes of those that have none are left out."""
    frame = objects.frame
    told: dict[str, Any] = {"axes": frame.axes, "shape": list(frame.shape)}
    if frame.unit is not None:
        sizes = {axis.lower(): size for axis, size in frame.sizes.items()}
        told |= {"pixel_size": sizes, "unit": frame.unit}
    if frame.interval is not None:
        told["time_interval"] = frame.interval
        told["time_unit"] = "second"
    return told


def plain(value: Any) -> Any:
    """A number as a person would write it: no trailing zeros, seven digits."""
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return ""
        # Counts of pixels have no rounding, however large.
        return int(number) if number.is_integer() else f"{number:.7g}"
    return value.item() if isinstance(value, np.generic) else value


def measurements(objects: Objects, *without: str) -> list[dict[str, float]]:
    """For each object what was measured, by column; what is no number is left out."""
    columns = {
        name: np.asarray(column, np.float64).tolist()
        for name, column in table(objects).items()
        if name not in ("id", "class") and not name.startswith(without)
    }
    return [
        {
            name: _rounded(value)
            for name, value in zip(columns, row, strict=True)
            if np.isfinite(value)
        }
        for row in zip(*columns.values(), strict=True)
    ]


def _rounded(number: float) -> float:
    return number if number.is_integer() else float(f"{number:.7g}")
