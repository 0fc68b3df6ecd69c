"""Work for the window's thread in small portions, so that it answers in between."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from qtpy.QtCore import QTimer

_LONG_ENOUGH = 0.02
"""Seconds after which a turn begins no further step."""


class Turns:
    """Does a few steps in each turn of the event loop.

    What is begun anew takes the place of what is left.
    """

    def __init__(self) -> None:
        self._steps: deque[Callable[[], None]] = deque()
        self._number = 0

    @property
    def busy(self) -> bool:
        """Whether steps are still to be done."""
        return bool(self._steps)

    def begin(self, steps: Iterable[Callable[[], None]]) -> None:
        """Do these, in their order, in place of those that are left of earlier ones."""
        self._number += 1
        self._steps = deque(steps)
        self._soon(self._number)

    def stop(self) -> None:
        """Do none of those that are left."""
        self.begin(())

    def _soon(self, number: int) -> None:
        if self._steps:
            QTimer.singleShot(0, lambda: self._next(number))

    def _next(self, number: int) -> None:
        begun = time.monotonic()
        try:
            while number == self._number and self._steps:
                step = self._steps.popleft()
                step()
                if time.monotonic() - begun > _LONG_ENOUGH:
                    break
        finally:  # the others are not lost with one that failed
            if number == self._number:
                self._soon(number)
