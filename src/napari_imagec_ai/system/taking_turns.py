"""Processes that change the same small file do so one after the other."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE = 10.0
"""Seconds after which it is written without a turn: whoever has it hangs."""

_PAUSE = 0.01


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Read, change and write a file while no other process does so.

    Parameters
    ----------
    path : Path
        The file; a file beside it, which stays, says whose turn it is.
    """
    handle = -1
    with contextlib.suppress(OSError):  # then it cannot be written either
        path.parent.mkdir(parents=True, exist_ok=True)
        place = path.with_name(f".{path.name}.turn")
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if handle >= 0:
            _wait(handle)
        yield
    finally:
        if handle >= 0:
            os.close(handle)  # gives the turn to the next one


def _wait(handle: int) -> None:
    until = time.monotonic() + _PATIENCE
    while not _taken(handle) and time.monotonic() < until:
        time.sleep(_PAUSE)


if sys.platform == "win32":
    import msvcrt

    def _taken(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _taken(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a disk that knows no turns
            return True
        return True
