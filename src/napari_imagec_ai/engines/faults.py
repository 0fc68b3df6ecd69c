"""What went wrong in a runtime, as one of this package's errors."""

from __future__ import annotations

import re

from napari_imagec_ai.errors import EngineError, OutOfMemory

_MEMORY = re.compile(
    r"out of memory|bad.?alloc|alloc\w* .*memory|memory.?alloc|alloc_failed"
    r"|unable to allocate|not enough memory",
    re.IGNORECASE,
)
"""How runtimes say that memory was not enough."""


def is_memory(text: str) -> bool:
    """Whether a message says that there was not enough memory."""
    return _MEMORY.search(text) is not None


def runtime_error(sentence: str, cause: BaseException) -> EngineError:
    """The error of this package for one that a runtime raised.

    Parameters
    ----------
    sentence : str
        What to tell a person.
    cause : exception
        What the runtime raised; it may say more than the sentence does.
    """
    if isinstance(cause, MemoryError) or is_memory(f"{cause}"):
        return OutOfMemory(sentence)
    return EngineError(sentence)
