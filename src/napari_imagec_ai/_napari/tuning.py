"""Tuning without the network: as fast as the hand, and in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from superqt.utils import qdebounced, qthrottled

from napari_imagec_ai._napari import work
from napari_imagec_ai._napari.runs import Run
from napari_imagec_ai.classes import ClassMap
from napari_imagec_ai.decoders import Settings
from napari_imagec_ai.session import Session

State = tuple[Session, Settings, ClassMap]
"""What is tuned, and how."""


class Tuner:
    """Decodes and classifies what was predicted, whenever the form changes.

    Small results are tuned on the spot, large ones by a worker, one at a time; what
    changes meanwhile is done after it. An answer for another session is dropped.

    Parameters
    ----------
    state : callable
        Gives what to tune; None: nothing.
    show : callable
        Given the outcome, and whether outlines are to be drawn, too.
    """

    def __init__(
        self,
        state: Callable[[], State | None],
        show: Callable[[work.Outcome, bool], None],
    ) -> None:
        self._state, self._show = state, show
        self._run: Run | None = None
        self._again = False
        # The mouse moves faster than layers can be drawn: Labels follow it, outlines
        # come when it rests.
        self._soon = qthrottled(self.tune, timeout=40)
        self._outlines_soon = qdebounced(self._outlines, timeout=200)

    def soon(self) -> None:
        """Tune in a moment, together with what changes until then."""
        self._soon()

    def tune(self) -> None:
        """Tune now, or when the worker has ended that is tuning."""
        state = self._state()
        if state is None or state[0].prediction is None:
            return
        if self._run is not None:
            self._again = True
            return
        if work.is_small(state[0].prediction):
            self._show(work.tune(*state), False)
            self._outlines_soon()
            return
        self._run = Run(
            work.tune,
            *state,
            progressed=lambda *_: None,
            returned=partial(self._tuned, state[0]),
            failed=self._failed,
            finished=self._finished,
        )
        self._run.start()

    @property
    def busy(self) -> bool:
        """Whether a worker is tuning."""
        return self._run is not None

    def _tuned(self, session: Session, outcome: work.Outcome) -> None:
        state = self._state()
        if state is not None and state[0] is session and not self._again:
            self._show(outcome, True)

    def _failed(self, sentence: str) -> None:
        self._show(work.Outcome(problem=sentence), False)

    def _finished(self) -> None:
        self._run = None
        if self._again:
            self._again = False
            self.tune()

    def _outlines(self) -> None:
        state = self._state()
        if state is None or state[0].prediction is None:
            return
        if work.is_small(state[0].prediction):
            self._show(work.tune(*state), True)
        else:
            self.tune()

    def stop(self) -> None:
        """Do nothing any more."""
        self._soon.cancel()
        self._outlines_soon.cancel()
        self._state = lambda: None
        if self._run is not None:
            self._run.drop()
