"""What a batch found, in one place: tables over all images, and a sheet to look at.

Written from the files and the reports of the single images when a batch has ended;
objects are copied line by line, so that memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_imagec_ai.export.summary.lines import Line, measured
from napari_imagec_ai.export.summary.sheet import is_sheet, sheet_names, write_sheets
from napari_imagec_ai.export.summary.tables import write_joined, write_summary
from napari_imagec_ai.export.summary.thumbnails import thumbnail, write_thumbnail

__all__ = [
    "JOINED",
    "TABLE",
    "Line",
    "is_sheet",
    "measured",
    "names",
    "thumbnail",
    "write_all",
    "write_thumbnail",
]

TABLE = "summary.csv"
"""A row for each image and class."""

JOINED = {".objects.csv": "objects.csv", ".scores.csv": "scores.csv"}
"""Tables of single images, by what their names end in, and the one over all."""


def names(images: int) -> list[str]:
    """Names of the files that a batch of so many images may write for all of them."""
    return [TABLE, *JOINED.values(), *sheet_names(images)]


def write_all(lines: Sequence[Line], folder: Path, title: str = "") -> list[Path]:
    """Write the tables over all images, and the contact sheet.

    Parameters
    ----------
    lines : sequence of Line
        What became of each image, in the order of the tables.
    folder : Path
        Where the files go.
    title : str
        For the head of the sheet.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ImagecAIError
        If one cannot be written.
    """
    written = [write_summary(lines, folder / TABLE)]
    for suffix, name in JOINED.items():
        if any(line.file(suffix) is not None for line in lines):
            written.append(write_joined(lines, suffix, folder / name))
    return written + write_sheets(lines, folder, title)
