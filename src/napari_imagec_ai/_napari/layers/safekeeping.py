"""Keeps a copy of corrections while a person makes them, and brings it back."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from napari_imagec_ai._napari.background import Run
from napari_imagec_ai.results.correction import safe_copy
from napari_imagec_ai.system.own_data import own_data

if TYPE_CHECKING:
    from napari_imagec_ai._napari.layers.live import Live

_log = logging.getLogger(__name__)


def place_of(live: Live) -> Path | None:
    """Where the copy of a result's corrections lies.

    It is known by the model and by the pixels of the image; None for images whose
    pixels are not in memory.
    """
    source = live.results.source
    if not source.print:
        return None
    shape = tuple(source.image.data.shape)
    told = (live.session.model.source, source.print, shape, source.corner)
    name = hashlib.sha256(repr(told).encode()).hexdigest()[:24]
    return own_data("corrections") / f"{name}.npz"


class Safekeeping:
    """Writes corrections in the background, one copy after the other."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._next: Live | None = None

    def keep(self, live: Live) -> None:
        """Write what the person corrected until now."""
        place = place_of(live)
        if place is None:
            return
        if self._run is not None:
            self._next = live
            return
        self._run = Run(
            safe_copy.keep,
            place,
            dict(live.results.edits.by_hand),
            live.results.named,
            progressed=lambda *_: None,
            returned=lambda _: None,
            failed=_log.warning,
            finished=self._finished,
        )
        self._run.start()

    def _finished(self) -> None:
        self._run = None
        if self._next is not None:
            live, self._next = self._next, None
            self.keep(live)

    def is_there(self, live: Live) -> bool:
        """Whether there are corrections of an earlier time."""
        place = place_of(live)
        return place is not None and place.exists()

    def bring(self, live: Live) -> bool:
        """Take over corrections of an earlier time; gives whether there were some."""
        place = place_of(live)
        return place is not None and live.results.take_corrections(place)

    def stop(self) -> None:
        """Begin no more."""
        self._next = None
