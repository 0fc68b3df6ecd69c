"""Steps back and forth between the settings that a person tried."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 200


class History(Generic[T]):
    """Values in the order in which they were set, and where the person is."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._at = -1

    def add(self, value: T) -> None:
        """Note a value; what was undone before is forgotten. Repeats are left out."""
        if self._values and self._values[self._at] == value:
            return
        self._values = [*self._values[: self._at + 1], value][-_MOST:]
        self._at = len(self._values) - 1

    def clear(self) -> None:
        """Forget everything."""
        self._values, self._at = [], -1

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier value."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether a value was undone."""
        return self._at + 1 < len(self._values)

    def undo(self) -> T | None:
        """The value before, if there is one."""
        if not self.can_undo:
            return None
        self._at -= 1
        return self._values[self._at]

    def redo(self) -> T | None:
        """The value that was undone last, if there is one."""
        if not self.can_redo:
            return None
        self._at += 1
        return self._values[self._at]
