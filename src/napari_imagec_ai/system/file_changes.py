"""When files were last written to: whether an image is still being made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHANGED = (
    "'{name}' was written to while it was read, so that this may be of old and new "
    "pixels; run it again when it is complete."
)


def last_change(path: Path) -> tuple[int, int, int]:
    """What changes when a file, or anything in a folder, is written to.

    Returns
    -------
    tuple of int
        How many files, their bytes in all, and when the last one was written to
        (nanoseconds).

    Raises
    ------
    OSError
        If there is no such file.
    """
    about = path.stat()
    if not path.is_dir():
        return 1, about.st_size, about.st_mtime_ns
    count, size, latest = 0, 0, about.st_mtime_ns
    for entry in _files(path):
        try:
            about = entry.stat()
        except FileNotFoundError:  # replaced at this very moment
            continue
        count, size = count + 1, size + about.st_size
        latest = max(latest, about.st_mtime_ns)
    return count, size, latest


def place_of(data: Any) -> Path | None:
    """The file, or the folder of a zarr array, that pixels are read from, if any."""
    name = getattr(data, "filename", None)  # of a memory map
    root = getattr(getattr(data, "store", None), "root", None)  # of a local store
    if isinstance(name, (str, Path)):
        return Path(name)
    return root / str(getattr(data, "path", "")) if isinstance(root, Path) else None


def state_of(data: Any) -> tuple[int, int, int] | None:
    """See :func:`last_change`; None for pixels that are in the memory, or far away."""
    place = place_of(data)
    if place is None:
        return None
    try:
        return last_change(place)
    except OSError:  # gone meanwhile
        return (0, 0, 0)


def _files(folder: str | os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except FileNotFoundError:
        return
    for entry in found:
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry
