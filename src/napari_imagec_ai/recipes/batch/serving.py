"""The process of a worker on this machine: takes tasks from a pipe until it closes."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from typing import IO, Any

READY = b"imagec-ai worker\n"
"""What a process says that is there."""


def send(stream: IO[bytes], content: bytes) -> None:
    """Put a message into a pipe."""
    stream.write(len(content).to_bytes(8, "little") + content)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Wait for a message from a pipe.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    size = int.from_bytes(_exactly(stream, 8), "little")
    return _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def main() -> None:
    """Do tasks until nobody is there any more to give one."""
    tasks, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a runtime prints is no result
    sys.stdout = sys.stderr
    results.write(READY)
    results.flush()
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(tasks, waiting), daemon=True).start()
    while True:
        send(results, _done(waiting.get()))


def _read(tasks: IO[bytes], waiting: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            waiting.put(receive(tasks))
        except (EOFError, OSError):
            # Whoever gave tasks is gone; one may be running that nobody waits for.
            os._exit(0)


def _done(task: bytes) -> bytes:
    """What became of a task: whether it ended well, and what it gave."""
    import cloudpickle

    try:
        job, given = pickle.loads(task)
        told: tuple[bool, Any] = (True, job(*given))
    except Exception as error:  # noqa: BLE001 - the one who waits has to hear of a bug
        what = " ".join(str(error).split())[:200] or type(error).__name__
        told = (False, what)
    content: bytes = cloudpickle.dumps(told)
    return content
