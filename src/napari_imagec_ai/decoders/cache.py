"""What decoders found on the way to objects, kept while a person moves a threshold.

A value is made from maps of a prediction and from those settings that it depends on.
It is kept as long as these maps are there, and as long as there is room: so a moved
setting redoes only what it has to do with, and the result is the same as without.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

T = TypeVar("T")

_SAMPLE = 4096
"""Values that tell whether a map was changed in its place, which nobody should do."""

ROOM = 256 << 20
"""Bytes that are kept at most, for each kind of value."""

_Key = tuple[tuple[int, ...], Hashable]


class Kept(Generic[T]):
    """Values, the ones that were not asked for the longest go first.

    Parameters
    ----------
    size : callable
        Bytes of a value.
    room : int
        Bytes in all; a value that is larger than this is not kept.
    """

    def __init__(self, size: Callable[[T], int], room: int = ROOM) -> None:
        self._size, self._room = size, room
        self._values: OrderedDict[_Key, tuple[T, int]] = OrderedDict()
        self._alive: dict[_Key, list[Any]] = {}
        self._lock = threading.RLock()

    def get(self, maps: Sequence[Any], key: Hashable, make: Callable[[], T]) -> T:
        """The value for these maps, made where it is not there.

        Parameters
        ----------
        maps : sequence of array
            What it is made from; they are not changed, and not kept alive.
        key : hashable
            What else it depends on.
        make : callable
            Makes it.
        """
        whole = (tuple(map(id, maps)), (key, *map(_sample, maps)))
        with self._lock:
            found = self._values.get(whole)
            if found is not None:
                self._values.move_to_end(whole)
                return found[0]
        value = make()
        size = self._size(value)
        if size <= self._room:
            with self._lock:
                self._keep(whole, value, size, maps)
        return value

    def _keep(self, whole: _Key, value: T, size: int, maps: Sequence[Any]) -> None:
        def forget(_: Any) -> None:
            with self._lock:
                self._drop(whole)

        try:
            self._alive[whole] = [weakref.ref(array, forget) for array in maps]
        except TypeError:  # an array that does not tell when it goes
            return
        self._values[whole] = (value, size)
        while sum(each for _, each in self._values.values()) > self._room:
            self._drop(next(iter(self._values)))

    def _drop(self, whole: _Key) -> None:
        self._values.pop(whole, None)
        self._alive.pop(whole, None)

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._values.clear()
            self._alive.clear()


def _sample(array: Any) -> int:
    """A few of the values; of a map on the disk, none."""
    if not isinstance(array, np.ndarray):
        return 0
    step = max(array.size // _SAMPLE, 1)
    return hash(array.flat[::step].tobytes())
