"""What went wrong around this package, in a sentence, where a person can mend it."""

from __future__ import annotations

from napari_imagec_ai.engines.faults import is_memory
from napari_imagec_ai.errors import ImagecAIError, shown


def in_words(error: BaseException) -> str | None:
    """A sentence on an error; None where it is a bug.

    Parameters
    ----------
    error : exception
        Whatever came out.
    """
    if isinstance(error, ImagecAIError):
        return str(error)
    what = shown(" ".join(str(error).split())[:300])
    if isinstance(error, MemoryError) or is_memory(str(error)):
        return (
            f"The memory was not enough{f' ({what})' if what else ''}; run a part of "
            "the image (--region), use fewer workers, or close other programs."
        )
    if isinstance(error, OSError):
        reason = shown(error.strerror or what or type(error).__name__)
        where = f" ('{shown(str(error.filename))}')" if error.filename else ""
        return (
            f"The system refused something{where}: {reason}. Check that files and "
            "folders are there, can be read and written, and that the disk has room."
        )
    return None
