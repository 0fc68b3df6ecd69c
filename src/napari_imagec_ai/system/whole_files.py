"""Files and folders are written whole or not at all, and stay so when the power goes.

What is written is on the disk before it gets its name, and the name is before anything
is written that relies on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.system import own_files

_MACHINE = re.sub(r"\W", "", platform.node()) or "here"
"""The processes of others are not known."""

_BEGUN = re.compile(r"(?:\.writing|\.installing|\.unpacking|imagec-ai)-(\w+)-(\d+)-")
"""Names of what may have been begun, with the machine and the process that did."""

_LONGEST_NAME = 255
"""Bytes of a name that systems take."""

_LONGEST_SUFFIX = 20
"""Letters of what looks like a suffix."""


def replace_whole(
    path: Path, write: Callable[[Path], None], *, private: bool = False
) -> Path:
    """Write a file beside its place, then move it there in one step.

    What this software did not write is replaced only where
    :func:`~napari_imagec_ai.system.own_files.permitted` says so.

    Parameters
    ----------
    path : Path
        Final name; its folder is made where it is missing.
    write : callable
        Writes to the path that it is given, which has the same suffix.
    private : bool
        In a place of our own, such as a cache, where nobody else's files lie.

    Raises
    ------
    ImagecAIError
        If the file cannot be written, or one is there that may not be replaced; it is
        then as it was.
    """
    temporary: Path | None = None
    try:
        if not private and not path.is_dir():  # over a folder no file is moved
            own_files.check([path])
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(path.parent)
        handle, name = tempfile.mkstemp(
            prefix=begun(), suffix=_suffix(path), dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        sync(temporary)
        if not private:
            own_files.note(path, temporary)
            own_files.put_aside(path)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def replace_text(path: Path, text: str, *, private: bool = False) -> Path:
    """Write a text in UTF-8, whole or not at all; see :func:`replace_whole`."""

    def write(place: Path) -> None:
        place.write_text(text, encoding="utf-8")

    return replace_whole(path, write, private=private)


def replace_folder(
    path: Path,
    write: Callable[[Path], None],
    may_go: Callable[[Path], bool] | None = None,
) -> Path:
    """Write a folder beside its place, then move it there.

    An older one changes places with it in one step. Where the system knows no such
    step it is moved aside first, so that for a moment there may be none, but never half
    of one.

    Parameters
    ----------
    path : Path
        Final name. A folder of that name is replaced if it is a Zarr store that may be
        (see :func:`replace_whole`), or empty.
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
        if path.is_dir() and not (may_go or _is_store)(path):
            raise ImagecAIError(
                f"'{path}' is a folder of other files, which would be lost; choose "
                "another name."
            )
        if may_go is None and path.is_dir() and not _is_empty(path):
            own_files.check([path])
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(path.parent)
        aside = Path(tempfile.mkdtemp(prefix=begun(), dir=path.parent))
        fresh = aside / f"new{_suffix(path)}"
        fresh.mkdir()
        write(fresh)
        sync_all(fresh)
        if may_go is None:
            own_files.note(path, fresh)
            own_files.put_aside(path)
        if not _exchanged(fresh, path):
            if path.is_dir():
                path.replace(aside / "old")
            fresh.replace(path)
        sync(path.parent)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if aside is not None:
            _removed(aside)
    return path


def _exchanged(fresh: Path, path: Path) -> bool:
    """Let two folders change places, where the system can do that in one step."""
    if not sys.platform.startswith("linux") or not path.is_dir():
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):  # another C library, or an old one
        return False
    here, exchange = -100, 2
    names = (os.fsencode(fresh.absolute()), os.fsencode(path.absolute()))
    return bool(rename(here, names[0], here, names[1], exchange) == 0)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk.

    Raises
    ------
    OSError
        If they cannot be written there.
    """
    folder = path.is_dir()
    if folder and sys.platform == "win32":  # which cannot, and need not
        return
    # Windows syncs only what is open for writing.
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network disks know no such thing for folders.
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def sync_all(folder: Path) -> None:
    """Wait until all files below a folder, and their names, are on the disk."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                sync(path)
        sync(Path(place))


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
    there = next((place for place in places if os.path.exists(place)), folder)
    code = 0
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in folder.parts):
        code = errno.ENAMETOOLONG
    elif not os.path.isdir(there):
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
    for path in _there(folder):
        found = _BEGUN.match(path.name)
        if found is None or found[1] != _MACHINE or psutil.pid_exists(int(found[2])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _there(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # not there, or closed to us
        return []


def begun(kind: str = ".writing") -> str:
    """How names of files and folders begin that this process has not finished yet."""
    return f"{kind}-{_MACHINE}-{os.getpid()}-"


_swept: set[Path] = set()
"""Folders that this process has looked into."""


def sweep_once(folder: Path) -> None:
    """See :func:`sweep`; the first time that this process writes into a folder."""
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)


def _suffix(path: Path) -> str:
    """What readers tell a file's kind by; of names with dots, no more than that."""
    last = "".join(path.suffixes[-2:])
    return last if len(last) <= _LONGEST_SUFFIX else path.suffix[:_LONGEST_SUFFIX]


def _removed(folder: Path) -> None:
    """Take a folder away, also if threads of a writer that failed still write to it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _is_store(folder: Path) -> bool:
    marks = (".zgroup", ".zattrs", ".zarray", "zarr.json")
    return any((folder / mark).exists() for mark in marks) or _is_empty(folder)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _refused(path: Path, error: OSError) -> ImagecAIError:
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        there = next((one for one in (path, *path.parents) if one.is_file()), None)
        if there is not None:
            return ImagecAIError(
                f"Could not write '{path}': expected a folder, found the file "
                f"'{there}'; choose another folder."
            )
    advice = "Choose another folder, or make room."
    if error.errno == errno.ENAMETOOLONG:
        advice = "Give the image or the folder a shorter name."
    return ImagecAIError(
        f"Could not write '{path}': {error.strerror or error}. {advice}"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
