"""Workers on this machine: processes of our own that are told what to do by pipes.

Nothing listens on a port, so that nobody else on the machine can tell them anything.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.recipes.batch.serving import READY, receive, send
from napari_imagec_ai.system import child_process

_PATIENCE = 25.0
"""Seconds that a process may take to say that it is there."""

_RETRIES = 2
"""How often a task is tried again whose worker died."""

_MEMORY = 0.9
"""Part of this machine's memory that all workers may take before one is stopped."""

_LOOK = 0.5
"""Seconds between looks at how much memory they have."""


class Failed(Exception):
    """A task that gave nothing; the message says why, in a sentence."""


@dataclass(slots=True)
class _Task:
    number: int
    name: str
    job: Callable[..., Any]
    given: tuple[Any, ...]
    result: Any = None
    tries: int = 0
    cancelled: bool = False
    """Nobody waits for it any more."""


class Workers:
    """Processes that do tasks; a context manager.

    Parameters
    ----------
    count : int
        How many processes.
    """

    def __init__(self, count: int) -> None:
        self.threads: int | None = max(1, (os.cpu_count() or 1) // count)
        memory = int(psutil.virtual_memory().total * _MEMORY / count)
        self._waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Task | ImagecAIError] = queue.SimpleQueue()
        self._under_way: dict[int, _Task] = {}
        self._count = 0
        self._closed = threading.Event()
        self._hands = [_Hand(memory, self.threads, self._closed) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._work, args=(hand,), daemon=True)
            for hand in self._hands
        ]

    def __enter__(self) -> Workers:
        for thread in (
            *self._threads,
            threading.Thread(target=self._look, daemon=True),
        ):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for hand in self._hands:
            self._waiting.put(None)
            hand.end()
        for thread in self._threads:
            thread.join()

    def submit(self, name: str, job: Callable[..., Any], *given: Any) -> int:
        """Hand out a task.

        Parameters
        ----------
        name : str
            What it is called in sentences for people.
        job : callable
            What is done there.
        *given
            What it is done with.

        Returns
        -------
        int
            Its number.
        """
        self._count += 1
        task = _Task(self._count, name, job, given)
        self._under_way[task.number] = task
        self._waiting.put(task)
        return task.number

    def cancel(self, numbers: Collection[int]) -> None:
        """Leave out what was not begun; nothing is heard of these any more."""
        for number in numbers:
            task = self._under_way.pop(number, None)
            if task is not None:
                task.cancelled = True

    def completed(self) -> Iterator[tuple[int, Any]]:
        """Number and result of each task as it is done, until none is under way.

        A result that is a :class:`Failed` says why there is none.

        Raises
        ------
        ImagecAIError
            If a process does not come up.
        """
        while self._under_way:
            done = self._done.get()
            if isinstance(done, ImagecAIError):
                raise done
            if self._under_way.pop(done.number, None) is not None:
                yield done.number, done.result

    # -- in threads --------------------------------------------------------------------

    def _work(self, hand: _Hand) -> None:
        """Let one process do tasks until there are none."""
        while (task := self._waiting.get()) is not None and not self._closed.is_set():
            if task.cancelled:
                continue
            try:
                task.result = hand.do(task.job, task.given)
            except EOFError:
                task.tries += 1
                if task.tries <= _RETRIES:
                    self._waiting.put(task)
                    continue
                words = hand.last_words()
                task.result = Failed(
                    f"The worker that had '{task.name}' died{words}, as did others "
                    f"before it ({task.tries} times in all); if memory ran out, try "
                    "fewer workers, or smaller tiles."
                )
            except Failed as error:
                what = f"The worker that had '{task.name}' failed ({error})."
                task.result = Failed(what)
            except ImagecAIError as error:
                self._done.put(error)
                return
            except OSError as error:  # such as no room for what it says
                self._done.put(ImagecAIError(_no_worker(f"{error.strerror or error}")))
                return
            self._done.put(task)

    def _look(self) -> None:
        """Stop processes that take too much memory, before the system stops any."""
        while not self._closed.wait(_LOOK):
            for hand in self._hands:
                hand.stop_if_large()


@dataclass(slots=True)
class _Hand:
    """One worker: its process, which is started again where it died."""

    memory: int
    threads: int | None
    closed: threading.Event
    process: subprocess.Popen[bytes] | None = None
    said: Any = None
    starting: threading.Lock = field(default_factory=threading.Lock)

    def do(self, job: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        """Have a task done.

        Raises
        ------
        EOFError
            If the process dies.
        Failed
            If the task cannot be done.
        ImagecAIError
            If no process comes up.
        """
        import cloudpickle

        process = self._process()
        assert process.stdin is not None
        assert process.stdout is not None
        task = cloudpickle.dumps((job, given))
        try:
            send(process.stdin, task)
            told = receive(process.stdout)
        except (EOFError, OSError, ValueError) as error:  # a broken or a closed pipe
            # Its pipes close before it is gone: the next task must not go to it.
            process.kill()
            process.wait()
            raise EOFError from error
        well, found = cloudpickle.loads(told)
        if not well:
            raise Failed(found)
        return found

    def _process(self) -> subprocess.Popen[bytes]:
        if self.process is not None and self.process.poll() is None:
            return self.process
        with self.starting:
            if self.closed.is_set():
                raise EOFError
            self._release()
            self.said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it ends
            try:
                self.process = child_process.start(
                    "napari_imagec_ai.recipes.batch.serving",
                    _environ(self.threads),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self.said,
                )
            except OSError as error:
                raise ImagecAIError(_no_worker(f"{error.strerror or error}")) from error
        self._greet(self.process)
        return self.process

    def _greet(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it says that it is there, for half a minute at most."""
        assert process.stdout is not None
        began = time.monotonic()
        late = threading.Timer(_PATIENCE, process.kill)
        late.start()
        try:
            said = process.stdout.readline()
        except (OSError, ValueError):  # closed meanwhile
            said = b""
        late.cancel()
        if said == READY:
            return
        if self.closed.is_set():
            raise EOFError
        why = f"exit code {process.wait()}{self.last_words()}"
        if time.monotonic() - began >= _PATIENCE:
            why = f"it was silent for {_PATIENCE:.0f} seconds"
        raise ImagecAIError(_no_worker(why))

    def last_words(self) -> str:
        """What it printed last, for a sentence; empty where that is nothing."""
        lines: list[str] = []
        with contextlib.suppress(
            OSError, ValueError, AttributeError
        ):  # closed, or none
            self.said.seek(0)
            lines = self.said.read()[-20_000:].decode(errors="replace").splitlines()
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" ({words[:200]})" if words else ""

    def stop_if_large(self) -> None:
        """End the process where it has more memory than it may have."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(psutil.Error):
            if psutil.Process(process.pid).memory_info().rss > self.memory:
                process.kill()

    def end(self) -> None:
        """End the process."""
        with self.starting:
            if self.process is not None:
                self.process.kill()
                self.process.wait()
            self._release()

    def _release(self) -> None:
        if self.process is not None:
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):  # what was not sent yet
                        stream.close()
        if self.said is not None:
            self.said.close()


def _no_worker(why: str) -> str:
    return (
        f"A worker process could not be started ({why}); try again, or run without "
        "others (--workers 1)."
    )


def _environ(threads: int | None) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {} if threads is None else dict.fromkeys(names, str(threads))
