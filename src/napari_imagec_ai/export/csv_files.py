"""CSV that spreadsheets, R and pandas read as it is meant.

Texts that a spreadsheet would take for a formula get an apostrophe in front, as OWASP
advises ("CSV Injection"). Files are UTF-8; where a text is not ASCII they begin with a
byte order mark, without which Excel takes them for an older encoding.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_LIVE = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What formulas begin with."""


def write_rows(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Iterable[Any]],
    texts: Iterable[str] = (),
) -> None:
    """Write a table.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str
        The first row.
    rows : iterable of iterable
        Numbers stay numbers; texts are made harmless.
    texts : iterable of str
        The texts that rows may hold: they decide on the byte order mark.
    """
    plain = all(text.isascii() for text in (*columns, *texts))
    with path.open("w", newline="", encoding="utf-8" if plain else "utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(map(harmless, columns))
        writer.writerows(map(harmless, row) for row in rows)


def harmless(value: Any) -> Any:
    """A text that no spreadsheet runs; anything else, and numbers, as they are."""
    if not isinstance(value, str) or not value.startswith(_LIVE) or _is_number(value):
        return value
    return f"'{value}"


def as_written(text: str) -> str:
    """A text of a table as it was before it was made harmless."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_LIVE) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[-1:].isdigit()


def has_mark(path: Path) -> bool:
    """Whether a file begins with a byte order mark."""
    with path.open("rb") as file:
        return file.read(3) == b"\xef\xbb\xbf"
