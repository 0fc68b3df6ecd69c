"""Files are known by what is in them: a name, a size and a time say nothing sure.

Gigabytes take seconds to read, so what was found is remembered for as long as the
process runs, where the system tells of each change of a file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_CHUNK = 1 << 20

_SETTLED = 2_000_000_000
"""Nanoseconds after a change in which another one could have the same time."""

_KNOWN: dict[tuple[int, ...], str] = {}
"""Hashes by place on the disk, size and times; of this process."""

_MOST_KNOWN = 4096


def sha256(path: Path) -> str:
    """Hash of a file, lower-case hex.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        before = _state(os.fstat(stream.fileno()))
        known = _KNOWN.get(before)
        if known is not None:
            return known
        digest = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
        found = digest.hexdigest()
        # A program can set the time of writing, but not that of the last change, which
        # Windows does not have.
        after = os.fstat(stream.fileno())
        settled = time.time_ns() - after.st_ctime_ns > _SETTLED
        if settled and before == _state(after) and sys.platform != "win32":
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[before] = found
        return found


def sha256_of_all(path: Path) -> str:
    """Hash of a file, or of all files in a folder with their names.

    Raises
    ------
    OSError
        If it is not there, or cannot be read.
    """
    if not path.is_dir():
        return sha256(path)
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")):
        if part.is_file():
            name = part.relative_to(path).as_posix()
            digest.update(f"{name}\0{sha256(part)}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()


def sha256_of_samples(path: Path, most: int) -> str:
    """Hash of names, sizes and evenly spread blocks of a file, or of all in a folder.

    Slides and volumes are known by it in seconds. A change that lies between two blocks
    is not seen.

    Parameters
    ----------
    path : Path
        A file or a folder.
    most : int
        Bytes that are read at most, but for one block; up to as many, all are.

    Raises
    ------
    OSError
        If it is not there, is a pipe or a device, or cannot be read.
    """
    if path.is_dir():
        parts = sorted(path.rglob("*"))
    else:
        check_is_file(path)
        parts = [path]
    sizes = {part: part.stat().st_size for part in parts if part.is_file()}
    if sum(sizes.values()) <= most:
        return sha256_of_all(path)
    step = _CHUNK * -(-sum(sizes.values()) // most)
    digest = hashlib.sha256()
    upcoming = 0  # where the next block begins, from the start of this file
    for part, size in sizes.items():
        name = part.relative_to(path).as_posix()
        digest.update(f"{name}\0{size}\0".encode(errors="surrogatepass"))
        if upcoming < size:
            with part.open("rb") as stream:
                for start in range(upcoming, size, step):
                    stream.seek(start)
                    digest.update(stream.read(_CHUNK))
                    upcoming = start + step
        upcoming -= size
    return digest.hexdigest()


def read_small(path: Path, most: int) -> bytes:
    """All of a file that should be small: a text, notes.

    Raises
    ------
    OSError
        If it cannot be read, is larger, or is no file at all: a pipe or a device may
        have no end.
    """
    with _as_file(path) as stream:
        found = stream.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes")
    return found


def check_is_file(path: Path) -> None:
    """Find out whether something is a file, and no folder, pipe or device.

    Raises
    ------
    OSError
        If it is none.
    """
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, and no file")


@contextlib.contextmanager
def _as_file(path: Path) -> Iterator[IO[bytes]]:
    check_is_file(path)
    with path.open("rb") as stream:
        yield stream


def _state(about: os.stat_result) -> tuple[int, ...]:
    times = (about.st_mtime_ns, about.st_ctime_ns)
    return (about.st_dev, about.st_ino, about.st_size, *times)
