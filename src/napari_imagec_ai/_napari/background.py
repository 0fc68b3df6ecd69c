"""A run of the network in the background: progress in words, and a told end."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from napari.qt.threading import create_worker

from napari_imagec_ai._napari import preferences
from napari_imagec_ai.system.progress import Progress


class Run:
    """A worker, and what to do at its milestones.

    Parameters
    ----------
    function : callable
        Gives a generator that yields progress and returns an outcome, or an outcome.
    *arguments
        Of the function.
    progressed : callable
        Told how far it is, and that in words.
    returned : callable
        Given the outcome; not called after a cancel.
    failed : callable
        Given a sentence, when it was cancelled or broke.
    finished : callable
        Called at the very end, however it came.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        progressed: Callable[[Progress, str], None],
        returned: Callable[[Any], None],
        failed: Callable[[str], None],
        finished: Callable[[], None],
    ) -> None:
        self._told: dict[str, Callable[..., None]] = {
            "yielded": self._yielded,
            "returned": returned,
            "aborted": lambda: failed("Cancelled; nothing changed."),
            "errored": lambda error: failed(bug(error)),
            "finished": finished,
        }
        self._progressed = progressed
        self._begun: tuple[float, int] | None = None
        self._stop = threading.Event()
        worker: Any = None
        if inspect.isgeneratorfunction(function):
            arguments = (self._stop, lambda: worker.quit(), function, *arguments)
            function = _stoppable
        worker = create_worker(function, *arguments, _start_thread=False)
        self._worker: Any = worker
        for signal in self._told:
            if hasattr(self._worker, signal):  # plain functions cannot be stopped
                getattr(self._worker, signal).connect(partial(self._tell, signal))

    def start(self) -> None:
        """Begin."""
        preferences.apply_own_process()  # it may have been changed a moment ago
        self._worker.start()

    def cancel(self) -> None:
        """Stop after the tile that it is at, or in the midst of it if it is slow."""
        self._stop.set()

    def drop(self) -> None:
        """Stop, and tell nobody: the window is gone."""
        self.cancel()
        self._let_go()

    def _tell(self, signal: str, *what: Any) -> None:
        told = self._told.get(signal)
        if told is None:
            return
        if signal == "finished":
            self._let_go()
        told(*what)

    def _let_go(self) -> None:
        """Qt never forgets the worker, and through it the whole window, else."""
        self._told = {}
        self._progressed = lambda *_: None
        self._worker = None

    def _yielded(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._begun is None or progress.done < self._begun[1]:
            self._begun = (now, progress.done)
        self._progressed(
            progress, words(progress, now - self._begun[0], self._begun[1])
        )


class Jobs:
    """Things that are done in the background, one for each button.

    Parameters
    ----------
    say : callable
        Told a sentence when one broke.
    """

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say
        self._runs: dict[str, Run] = {}

    def start(
        self, button: Any, done: Callable[[Any], None], function: Any, *arguments: Any
    ) -> None:
        """Do something in the background; its button is off until it has ended."""
        if button.name in self._runs:
            return
        button.enabled = False
        self._runs[button.name] = Run(
            function,
            *arguments,
            progressed=lambda *_: None,
            returned=done,
            failed=partial(self._say, bad=True),
            finished=partial(self._finished, button),
        )
        self._runs[button.name].start()

    def _finished(self, button: Any) -> None:
        del self._runs[button.name]
        button.enabled = True

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return bool(self._runs)

    def stop(self) -> None:
        """Tell nobody any more: the window is gone."""
        for run in self._runs.values():
            run.drop()


def _stoppable(
    stop: threading.Event,
    quit_: Callable[[], None],
    function: Callable[..., Generator[Progress, None, Any]],
    *arguments: Any,
) -> Generator[Progress, None, Any]:
    """A run that ends in its own thread when it is told to.

    A generator that is left alone is closed by whoever forgets it, which may be the
    thread of the window; and that would wait there for the network.
    """
    steps = function(*arguments)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        if stop.is_set():
            steps.close()
            quit_()
        yield step


def words(progress: Progress, seconds: float, before: int = 0) -> str:
    """How far a run is, and how long it may still take.

    Parameters
    ----------
    progress : Progress
        Tiles done and to do.
    seconds : float
        Since ``before`` tiles were done.
    before : int
        Tiles that were done when the clock was started.
    """
    if progress.total <= 1 and progress.message not in ("", "tiles"):
        return f"{progress.message[:1].upper()}{progress.message[1:]}..."
    said = f"{progress.done} of {progress.total} tiles done"
    done = progress.done - before
    if done < 1 or progress.done >= progress.total:
        return f"{said}."
    return f"{said}, {duration(seconds / done * (progress.total - progress.done))}."


def duration(seconds: float) -> str:
    """What is left, in words."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def bug(error: BaseException) -> str:
    """A sentence for what is nobody's fault but ours."""
    return f"Something went wrong that should not ({type(error).__name__}: {error})."
