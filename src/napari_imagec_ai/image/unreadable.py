"""Why a file cannot be read, in a sentence: damage, or what is not known here."""

from __future__ import annotations

import re

AFTER_OPENING = "the file may be damaged, gone, or still be written to"

_NOT_KNOWN = re.compile(
    r"requires the|not supported|unsupported|not implemented|unknown compression|"
    r"cannot decompress|codec not available|no codec|unavailable|not available",
    re.IGNORECASE,
)
"""How libraries say that they do not know a way of storing pixels."""


def cannot_be_read(
    name: str, error: BaseException, guess: str = "it may be damaged"
) -> str:
    """A sentence on a file whose reader failed.

    Parameters
    ----------
    name : str
        Of the file.
    error : Exception
        What the reader raised.
    guess : str
        What is likely where the file itself seems to be at fault.
    """
    first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    if isinstance(error, MemoryError):
        return f"'{name}' cannot be read: there is not enough memory for it."
    if isinstance(error, PermissionError):
        return f"'{name}' cannot be read: it is not yours to read ({first})."
    if isinstance(error, (ImportError, NotImplementedError)) or _NOT_KNOWN.search(
        str(error)
    ):
        return (
            f"'{name}' cannot be read: its pixels are stored in a way that is not "
            f"known here ({first}); save it anew, such as with LZW or no compression."
        )
    return f"'{name}' cannot be read ({first}); {guess}."
