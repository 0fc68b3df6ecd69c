"""The objects' table, as CSV and as Parquet."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.formats import Beside
from napari_imagec_ai.results.objects import Objects


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


def write_csv(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the table as CSV, seven digits of each number."""
    columns = table(objects)
    rows = zip(*(map(plain, column) for column in columns.values()), strict=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


def write_parquet(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the table as Parquet, with all digits and the types of the columns."""
    if find_spec("pyarrow") is None:
        raise ImagecAIError(
            "Writing Parquet takes the package pyarrow, which is not installed; add "
            "it with: pip install 'napari-imagec-ai[export]'."
        )
    import pandas as pd

    frame = pd.DataFrame(table(objects)).astype({"class": "string"})
    frame.to_parquet(path, engine="pyarrow", index=False)


def plain(value: Any) -> Any:
    """A number as a person would write it: no trailing zeros, seven digits."""
    if isinstance(value, (float, np.floating)):
        number = float(value)
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
