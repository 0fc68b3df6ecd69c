"""Windows that a network failed on, where it does not fail on others.

Some networks cannot do without an object: their last operators fail on an empty table.
Such a window is left empty, and named. A network that fails on every window just fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_imagec_ai.errors import EngineDied, EngineError, OutOfMemory
from napari_imagec_ai.results.letterbox import Letterbox

_PATIENCE = 64
"""Failures without a success after which no more windows are tried."""

_NAMED = 3
"""Windows that are named; of others, their number is told."""

Place = tuple[tuple[int, ...], tuple[int, ...]]
"""First pixel and size of a window."""


class Failures:
    """What failed so far.

    Attributes
    ----------
    succeeded : bool
        Whether the network did some window.
    """

    def __init__(self) -> None:
        self.succeeded = False
        self._first: EngineError | None = None
        self._places: list[Place] = []

    def add(self, error: EngineError, places: Sequence[Place | Letterbox]) -> None:
        """Note that the network failed on some windows.

        Raises
        ------
        EngineError
            The error itself, where it is not about this window: the memory, a process
            that died, a network that has failed on too many.
        """
        if isinstance(error, (EngineDied, OutOfMemory)):
            raise error
        self._first = self._first or error
        self._places += [
            (place.origin, place.piece) if isinstance(place, Letterbox) else place
            for place in places
        ]
        if not self.succeeded and len(self._places) >= _PATIENCE:
            raise self._first

    def sentences(self) -> list[str]:
        """What to say of windows that were left empty.

        Raises
        ------
        EngineError
            If the network failed on all there were.
        """
        if self._first is None:
            return []
        if not self.succeeded:
            raise self._first
        named = "; ".join(_named(place) for place in self._places[:_NAMED])
        count = len(self._places)
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        windows = f"{count} window{'s' * (count != 1)}"
        sentence = (
            f"The network failed on {windows} ({named}{more}), which were left empty: "
            f"{self._first}"
        )
        return [sentence]


def _named(place: Place) -> str:
    origin, size = place
    axes = "ZYX"[-len(origin) :]
    spans = zip(axes, origin, size, strict=True)
    return ", ".join(f"{axis} {start} to {start + n - 1}" for axis, start, n in spans)
