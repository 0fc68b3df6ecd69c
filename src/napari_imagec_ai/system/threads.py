"""Parts of a job at the same time: as many as there are cores to do them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""More threads than these wait for the memory, not for a core."""

_limit = 0


def use(count: int) -> None:
    """Take at most so many threads from now on; 0: as many as there are cores.

    Networks that are opened from then on keep to it, too.
    """
    global _limit
    _limit = count


def limit() -> int:
    """The threads that were allowed; 0: any number."""
    return _limit


def map_parts(
    function: Callable[[T], R], parts: Iterable[T], most: int = MOST
) -> list[R]:
    """What a function gives for each part, in order, with at most so many threads.

    Worth it only where the function lets other threads run: compiled loops, OpenCV, and
    NumPy's arithmetic do.
    """
    parts = list(parts)
    count = min(_limit or os.cpu_count() or 1, most, len(parts))
    if count < 2:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(count, "imagec-ai part") as pool:
        return list(pool.map(function, parts))


def aside(function: Callable[[], None]) -> threading.Thread:
    """Begin something that will be needed later; join the thread to wait for it."""
    thread = threading.Thread(target=function, name="imagec-ai aside", daemon=True)
    thread.start()
    return thread


def slabs(shape: tuple[int, ...], pixels: int = 1 << 19) -> list[slice]:
    """Cuts along the first axis, for parts of about so many pixels.

    They go by the shape alone, so that results do not depend on the number of cores.
    """
    rows = max(1, pixels // max(math.prod(shape[1:]), 1))
    return [slice(at, min(at + rows, shape[0])) for at in range(0, shape[0], rows)]
