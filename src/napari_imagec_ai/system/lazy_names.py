"""The face of a room: names that others may use, each fetched when it is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def face(room: str, **names: str) -> Callable[[str], Any]:
    """What a room's ``__getattr__`` is, so that importing it imports nothing else.

    Parameters
    ----------
    room : str
        Its ``__name__``.
    **names : str
        For each file of the room the names that are in it, with spaces between.
    """
    homes = {name: file for file, told in names.items() for name in told.split()}

    def fetch(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{homes[name]}"), name)

    return fetch
