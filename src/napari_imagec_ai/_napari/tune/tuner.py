"""Tuning without the network: as fast as the hand, and in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from superqt.utils import qdebounced, qthrottled

from napari_imagec_ai._napari import tasks
from napari_imagec_ai._napari.background import Run
from napari_imagec_ai._napari.desk import State
from napari_imagec_ai._napari.layers.preview import Seen
from napari_imagec_ai.recipes.session import Session


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
    seen : callable
        Gives the part of a large result that is looked at; None: it is not large.
    glimpse : callable
        Given what of it is there already while a setting moves, and that part.
    """

    def __init__(
        self,
        state: Callable[[], State | None],
        show: Callable[[tasks.TaskResult, bool], None],
        seen: Callable[[], Seen | None],
        glimpse: Callable[[tasks.TaskResult, Seen], None],
    ) -> None:
        self._state, self._show = state, show
        self._seen, self._glimpse = seen, glimpse
        self._run: Run | None = None
        self._again = False
        self._glance: Run | None = None
        self._look_again = False
        # How often a whole result, or why there is none, was shown: a part that was
        # begun before comes too late. And what there is none for: nothing follows.
        self._shown = 0
        self._hopeless: State | None = None
        # The mouse moves faster than layers can be drawn: Labels follow it; outlines,
        # and touching objects taken apart anew, come when it rests.
        self._soon = qthrottled(self._move, timeout=40)
        self._rest_soon = qdebounced(self.tune, timeout=200)

    def soon(self) -> None:
        """Tune in a moment, together with what changes until then."""
        self._soon()

    def _move(self) -> None:
        """Show what follows at once; all of it when the hand rests."""
        if not self._look():
            self._begin(moving=True)
        self._rest_soon()

    def _look(self) -> bool:
        """Show the visible part of a large result; the rest when the hand rests."""
        state, seen = self._state(), self._seen()
        if state is None or seen is None or state[0].is_decoded(state[1]):
            return False
        self._again = self._run is not None  # what it is at is outdated
        self._glance_at(state, seen)
        return True

    def look_around(self) -> None:
        """Show the part that is visible now; what is decoded goes on."""
        state, seen = self._state(), self._seen()
        if state is None or seen is None or state[0].is_decoded(state[1]):
            return
        if state == self._hopeless:
            return
        self._glance_at(state, seen)

    def _glance_at(self, state: State, seen: Seen) -> None:
        self._look_again = self._glance is not None
        if self._glance is None:
            self._glance = Run(
                tasks.glimpse,
                *state,
                seen.box,
                seen.index,
                seen.step,
                progressed=lambda *_: None,
                returned=partial(self._glimpsed, state, seen, self._shown),
                failed=self._failed,
                finished=self._looked,
            )
            self._glance.start()

    def _glimpsed(
        self, state: State, seen: Seen, shown: int, outcome: tasks.TaskResult
    ) -> None:
        now = self._state()
        if now is None or now[0] is not state[0] or now[0].is_decoded(now[1]):
            return
        if shown == self._shown:
            self._glimpse(outcome, seen)

    def _looked(self) -> None:
        self._glance = None
        if self._look_again:
            self._look_again = False
            self.look_around()

    def tune(self) -> None:
        """Tune now, or when the worker has ended that is tuning."""
        self._begin(moving=False)

    def _begin(self, *, moving: bool) -> None:
        state = self._state()
        if state is None or state[0].prediction is None:
            return
        if self._run is not None:
            self._again = True
            return
        if tasks.is_small(state[0].prediction):
            self._show_whole(tasks.tune(*state, moving), not moving)
            return
        self._run = Run(
            tasks.tune,
            *state,
            moving,
            progressed=lambda *_: None,
            returned=partial(self._tuned, state[0], not moving),
            failed=self._failed,
            finished=self._finished,
        )
        self._run.start()

    @property
    def busy(self) -> bool:
        """Whether a worker is tuning."""
        return self._run is not None

    def _tuned(
        self, session: Session, outlines: bool, outcome: tasks.TaskResult
    ) -> None:
        state = self._state()
        if state is not None and state[0] is session and not self._again:
            self._show_whole(outcome, outlines)

    def _failed(self, sentence: str) -> None:
        self._show_whole(tasks.TaskResult(problem=sentence), False)

    def _show_whole(self, outcome: tasks.TaskResult, outlines: bool) -> None:
        self._shown += 1
        self._hopeless = self._state() if outcome.problem else None
        self._show(outcome, outlines)

    def _finished(self) -> None:
        self._run = None
        if self._again:
            self._again = False
            self._move()

    def stop(self) -> None:
        """Do nothing any more."""
        self._soon.cancel()
        self._rest_soon.cancel()
        self._state = lambda: None
        for run in (self._run, self._glance):
            if run is not None:
                run.drop()
