"""How far an export is, for who waits for it and may stop it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Somebody who waited for an export did not want to wait longer."""


@dataclass(slots=True)
class Pace:
    """Written by the thread that exports, read by another one.

    Attributes
    ----------
    stop : bool
        Set from outside: the export ends at its next step.
    title : str
        Of the format that is being written.
    number, total : int
        Which file it is, and of how many.
    part : float
        Of this file, in [0, 1].
    written : list of Path
        Files that are done.
    """

    stop: bool = False
    title: str = ""
    number: int = 0
    total: int = 1
    part: float = 0.0
    written: list[Path] = field(default_factory=list)

    @property
    def done(self) -> float:
        """Of the whole export, in [0, 1]."""
        return min((self.number + self.part) / max(self.total, 1), 1.0)

    def begin(self, title: str, number: int, total: int) -> None:
        """The next file is begun."""
        self.title, self.number, self.total = title, number, total
        self.go_on(0.0)

    def go_on(self, part: float) -> None:
        """So much of the file is written.

        Raises
        ------
        Stopped
            If nobody waits any more.
        """
        self.part = part
        if self.stop:
            raise Stopped

    def along(self, items: Iterable[T], total: int | None = None) -> Iterator[T]:
        """The same items, while it is told how far they are."""
        if total is None:
            total = len(items) if isinstance(items, Sized) else 1
        for number, item in enumerate(items):
            self.go_on(number / max(total, 1))
            yield item
