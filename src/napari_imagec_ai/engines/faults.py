"""What went wrong in a runtime, as one of this package's errors."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from napari_imagec_ai.errors import (
    DecodeError,
    EngineError,
    ImagecAIError,
    OutOfMemory,
)

_MEMORY = re.compile(
    r"out of memory|bad.?alloc|alloc\w* .*memory|memory.?alloc|alloc_failed"
    r"|unable to allocate|not enough memory|insufficient memory|cannot allocate",
    re.IGNORECASE,
)
"""How runtimes say that memory was not enough."""


def is_memory(text: str) -> bool:
    """Whether a message says that there was not enough memory."""
    return _MEMORY.search(text) is not None


@contextlib.contextmanager
def enough_memory(doing: str) -> Iterator[None]:
    """Say in a sentence that the memory was not enough, whoever ran out of it.

    Parameters
    ----------
    doing : str
        What it was needed for, as in "to find objects".

    Raises
    ------
    DecodeError
        Instead of what NumPy, OpenCV or C++ say of it.
    """
    try:
        yield
    except ImagecAIError:
        raise
    except Exception as error:  # theirs have no common root
        if not isinstance(error, MemoryError) and not is_memory(str(error)):
            raise
        what = " ".join(str(error).split())[:200]
        raise DecodeError(
            f"The memory was not enough {doing}{f' ({what})' if what else ''}; run a "
            "part of the image (--region), or close other programs."
        ) from error


_NOISE = (
    r"\[ONNXRuntimeError\] : \d+ : \w+ : ",  # codes of ONNX Runtime
    r"Load model from .*? failed:",
    r"\S*/onnxruntime/core/\S+ .*\)(?= [A-Z])",  # where in its source, which function
    r"\S*/onnxruntime_src/\S+",
)
"""What runtimes say before they come to the point; the last two are C++."""

_MOST = 400
"""Letters of a reason."""


def reason(error: BaseException | str) -> str:
    """Why a runtime failed, in one line: without what it says before and after.

    Parameters
    ----------
    error : exception or str
        What it raised, or said.
    """
    text = str(error).strip() or type(error).__name__
    if "TorchScript" in text:
        text = _of_torchscript(text)
    for noise in _NOISE:
        text = re.sub(noise, "", text)
    # Lists of all that there is, and letters to the makers, come behind the reason.
    text = " ".join(text.split("\n\n")[0].split())
    if len(text) <= _MOST:
        return text
    end = max(text.rfind(mark, _MOST // 4, _MOST) for mark in (". ", "; "))
    return text[: end + 1] if end > 0 else text[: text.rfind(" ", 0, _MOST)] + " ..."


def _of_torchscript(text: str) -> str:
    """What is behind the last traceback: the error itself, and what follows of it."""
    lines = text.splitlines()
    starts = [
        i for i, line in enumerate(lines) if re.match(r"\w*(Error|Exception)", line)
    ]
    return "\n".join(lines[starts[-1] :]) if starts else lines[-1]


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
