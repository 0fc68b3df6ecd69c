"""How far a run is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Network calls done and to do, and a word on what is being done."""

    done: int
    total: int
    message: str
