"""Tables over all images of a batch."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from napari_imagec_ai.export.csv_files import has_mark, write_rows
from napari_imagec_ai.export.summary.lines import Line
from napari_imagec_ai.export.tables import plain
from napari_imagec_ai.image.zarr_images import file_of
from napari_imagec_ai.system.whole_files import replace_whole

_AREAS = ("mean_area", "total_area")
_LAST = ("mean_confidence", "score", "problem")


def write_summary(lines: Sequence[Line], path: Path) -> Path:
    """Write a row for each image and class, and one for each image that failed.

    Columns: image, class, count, mean and total area in pixels and in each unit that
    occurs, mean confidence (of scores: the score), problem: why it failed, or why the
    result is doubtful.
    """
    rows = [row for line in lines for row in _rows(line)]
    known = dict.fromkeys(name for row in rows for name in row)
    units = [n for n in known if n.startswith(_AREAS) and n not in _AREAS]
    columns = ["image", "class", "count", *_AREAS, *units]
    columns += [name for name in _LAST if name != "score" or name in known]

    def write(place: Path) -> None:
        told = ([row.get(name, "") for name in columns] for row in rows)
        texts = (str(v) for row in rows for v in row.values() if isinstance(v, str))
        write_rows(place, columns, told, texts)

    return replace_whole(path, write)


def _rows(line: Line) -> list[dict[str, Any]]:
    name = {"image": file_of(line.image)}
    if line.problem:
        return [name | {"problem": line.problem}]
    scores = line.report.get("measured", {})
    found = line.classes or {key: dict(told) for key, told in scores.items()}
    # What was found may be hardly to be believed: the image is not done with.
    warnings = " ".join(line.report.get("warnings", ()))
    if warnings:
        name |= {"problem": warnings}
    if not found:
        return [name]
    return [
        name | {"class": key} | {column: plain(value) for column, value in told.items()}
        for key, told in found.items()
    ]


def write_joined(lines: Sequence[Line], suffix: str, path: Path) -> Path:
    """Write the tables of all images as one, with the image in the first column.

    Columns are those of all tables, in the order in which they occur; rows are copied
    one by one.

    Parameters
    ----------
    lines : sequence of Line
        The images.
    suffix : str
        What the names of their tables end in.
    path : Path
        The file.
    """
    tables = [(file_of(line.image), line.file(suffix)) for line in lines]
    there = [(name, table) for name, table in tables if table is not None]
    columns: dict[str, None] = {"image": None}
    for _, table in there:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            columns |= dict.fromkeys(next(csv.reader(stream), []))
    texts = [*(name for name, _ in there), *("µ" for _, t in there if has_mark(t))]

    def rows() -> Iterator[list[str]]:
        for name, table in there:
            with table.open(newline="", encoding="utf-8-sig") as source:
                for row in csv.DictReader(source):
                    told = row | {"image": name}
                    yield [told.get(column, "") for column in columns]

    def write(place: Path) -> None:
        write_rows(place, list(columns), rows(), texts)

    return replace_whole(path, write)
