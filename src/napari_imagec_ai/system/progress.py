"""How far a run is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Network calls done and to do, and a word on what is being done."""

    done: int
    total: int
    message: str


def bar() -> Callable[[Progress], None]:
    """Shows how far a run is as a bar, in terminals and notebooks."""
    from tqdm.auto import tqdm

    shown = tqdm(total=0, leave=True)

    def show(progress: Progress) -> None:
        shown.total = progress.total
        shown.set_description(progress.message, refresh=False)
        shown.update(progress.done - shown.n)
        if progress.done == progress.total:
            shown.refresh()
            shown.close()

    return show
