"""Calls of a network in a thread of their own: waited for, and stopped if need be.

While one is under way, whoever waits is asked now and then whether to go on. A call
that nobody waits for any more is given a moment to end by itself, and is then stopped,
if its engine can do that: a network may take for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, TypeVar

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.system.progress import Progress

T = TypeVar("T")

ASKED = 0.5
"""Seconds after which whoever waits may say whether to go on."""

_GRACE = 0.3
"""Seconds that a call which nobody waits for may still take: to keep what is warm."""


class Calls:
    """One thread for the calls of an engine; a context manager.

    Parameters
    ----------
    engine : Engine
        Its calls are interrupted where it can do that.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(1, "imagec-ai network")
        self._running: Future[Any] | None = None

    def __enter__(self) -> Calls:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        running = self._running
        if kind is not None and running is not None and self._engine.can_interrupt:
            wait([running], _GRACE)
            if not running.done():
                self._engine.interrupt()
        self._pool.shutdown(cancel_futures=True)

    def start(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Begin a call; there is one at a time."""
        future = self._pool.submit(function, *arguments)
        self._running = future
        return future

    def wait(
        self, future: Future[T], progress: Progress
    ) -> Generator[Progress, None, T]:
        """What a call gives; yields the progress again while it takes long."""
        while self._engine.can_interrupt and not future.done():
            done, _ = wait([future], ASKED)
            if not done:
                yield progress
        return future.result()


def called(
    engine: Engine, progress: Progress, function: Callable[..., T], *arguments: Any
) -> Generator[Progress, None, T]:
    """What a function gives that calls an engine; see :class:`Calls`."""
    yield progress
    with Calls(engine) as calls:
        found = yield from calls.wait(calls.start(function, *arguments), progress)
    return found
