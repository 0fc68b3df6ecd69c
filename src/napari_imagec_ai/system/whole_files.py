"""Files and folders are written whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from napari_imagec_ai.errors import ImagecAIError

_MACHINE = re.sub(r"\W", "", platform.node()) or "here"
"""The processes of others are not known."""

_BEGUN = re.compile(r"\.writing-(\w+)-(\d+)-")


def replace_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Write a file beside its place, then move it there in one step.

    Parameters
    ----------
    path : Path
        Final name; its folder is made where it is missing.
    write : callable
        Writes to the path that it is given, which has the same suffix.

    Raises
    ------
    ImagecAIError
        If the file cannot be written; an older one is then as it was.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=_mine(), suffix="".join(path.suffixes[-2:]), dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def replace_text(path: Path, text: str) -> Path:
    """Write a text in UTF-8, whole or not at all; see :func:`replace_whole`."""

    def write(place: Path) -> None:
        place.write_text(text, encoding="utf-8")

    return replace_whole(path, write)


def replace_folder(
    path: Path,
    write: Callable[[Path], None],
    may_go: Callable[[Path], bool] | None = None,
) -> Path:
    """Write a folder beside its place, then move it there.

    An older one is moved aside first, so that for a moment there may be none, but never
    half of one.

    Parameters
    ----------
    path : Path
        Final name. A folder of that name is replaced if it is a Zarr store, or empty.
    write : callable
        Writes into the empty folder that it is given, which has the same suffix.
    may_go : callable, optional
        Whether a folder that is there may be replaced, instead of the rule above.

    Raises
    ------
    ImagecAIError
        If the folder cannot be written, or another kind of folder is in the way.
    """
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not (may_go or _is_store)(path):
            raise ImagecAIError(
                f"'{path}' is a folder of other files, which would be lost; choose "
                "another name."
            )
        aside = Path(tempfile.mkdtemp(prefix=_mine(), dir=path.parent))
        fresh = aside / f"new{''.join(path.suffixes[-2:])}"
        fresh.mkdir()
        write(fresh)
        if path.is_dir():
            path.replace(aside / "old")
        fresh.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if aside is not None:
            _removed(aside)
    return path


def check_folder(folder: Path) -> None:
    """Find out before the work, and without a trace, whether a folder can be written.

    Parameters
    ----------
    folder : Path
        May be one that is to be made.

    Raises
    ------
    ImagecAIError
        If it, or the folder that it is to be made in, is none or is closed to us.
    """
    places = (folder, *folder.absolute().parents)
    there = next((place for place in places if place.exists()), folder)
    code = 0
    if not there.is_dir():
        code = errno.ENOTDIR
    elif not os.access(there, os.W_OK | os.X_OK):
        code = errno.EACCES
    if code:
        raise _refused(folder, OSError(code, os.strerror(code)))


def sweep(folder: Path) -> None:
    """Take away what processes of this machine began to write here and died over.

    Parameters
    ----------
    folder : Path
        Looked into, but not into folders of it; it need not be there.
    """
    for path in folder.glob(".writing-*"):
        found = _BEGUN.match(path.name)
        if found is None or found[1] != _MACHINE or psutil.pid_exists(int(found[2])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _mine() -> str:
    """How names of files begin that this process has not finished yet."""
    return f".writing-{_MACHINE}-{os.getpid()}-"


def _removed(folder: Path) -> None:
    """Take a folder away, also if threads of a writer that failed still write to it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _is_store(folder: Path) -> bool:
    marks = (".zgroup", ".zattrs", ".zarray", "zarr.json")
    return any((folder / mark).exists() for mark in marks) or not any(folder.iterdir())


def _refused(path: Path, error: OSError) -> ImagecAIError:
    return ImagecAIError(
        f"Could not write '{path}': {error.strerror or error}. Choose another "
        "folder, or make room."
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
