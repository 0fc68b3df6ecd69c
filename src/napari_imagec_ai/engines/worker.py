"""The process that runs networks for another one: what is done on its side.

Requests and replies are lines of JSON, in and out; arrays lie in shared memory. It ends
when nobody is there any more to ask it for anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from napari_imagec_ai.engines import sharing
from napari_imagec_ai.engines.engine import PLAIN, Engine
from napari_imagec_ai.engines.faults import runtime_error
from napari_imagec_ai.engines.registry import opener
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.system import threads

Reply = dict[str, Any]

_FIRST_TO_GO = "700"
"""How gladly the kernel ends this process when memory is out; the viewer is at 0."""

_IDLE = 2.0
"""After so many seconds without a request, memory that is free is given back."""


class RequestHandler:
    """Does what is asked for, one request at a time."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._segments: dict[str, sharing.Segment] = {}
        self._results: list[NDArray[Any]] = []

    def open(self, request: Reply) -> Reply:
        """Open a network, instead of the one before."""
        self.close(request)
        threads.use(request["threads"])
        open_here = opener(request["engine"])
        self._engine = open_here(Path(request["path"]), request["device"])
        told = {name: getattr(self._engine, name) for name in PLAIN}
        return {"name": self._engine.name, "device": self._engine.device, "plain": told}

    def share(self, request: Reply) -> Reply:
        """See a segment, for arrays that go in or come out, instead of the last."""
        segment = sharing.attach(request["segment"], request["size"])
        self._segments[request["for"]] = segment
        return {}

    def run(self, request: Reply) -> Reply:
        """Run the network; what it gave goes into shared memory, if there is room."""
        if self._engine is None:
            raise RuntimeError("no network is open")
        inputs = sharing.views(self._segments["inputs"], request["inputs"])
        self._results = self._engine.run(inputs)
        return self.fetch(request)

    def fetch(self, request: Reply) -> Reply:
        """Give what the network gave, or say how much room that takes."""
        layout, size = sharing.arrange(self._results)
        segment = self._segments.get("outputs")
        if segment is None or segment.size < size:
            return {"needs": size}
        sharing.put(segment, layout, self._results)
        self._results = []
        # With the first run a network may have gone to another device.
        device = "" if self._engine is None else self._engine.device
        return {"outputs": layout, "device": device}

    def loosen(self, request: Reply) -> Reply:
        """Take other sizes than those that the file declares."""
        if self._engine is None:
            raise RuntimeError("no network is open")
        return {"loose": self._engine.loosen(request["axes"])}

    def close(self, request: Reply) -> Reply:
        """Give the network's memory back."""
        if self._engine is not None:
            self._engine.close()
        self._engine, self._results = None, []
        self._segments.clear()
        return {}


def main() -> None:
    """Answer requests until their source dries up."""
    with contextlib.suppress(ValueError, OSError):  # Ctrl+C is for who asks, not for us
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    requests, replies = _streams()
    waiting: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    handler = RequestHandler()
    while True:
        try:
            request = waiting.get(timeout=_IDLE)
        except queue.Empty:
            _give_back()
            request = waiting.get()
        reply = _answer(getattr(handler, request["do"]), request)
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


def _give_back() -> None:
    """Let the system have the memory that nothing is in."""
    with contextlib.suppress(OSError, AttributeError):  # only glibc can
        ctypes.CDLL(None).malloc_trim(0)


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """Where requests come from and replies go to; prints of a runtime go elsewhere."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies


def _read(requests: BinaryIO, waiting: queue.SimpleQueue[Reply]) -> None:
    for line in requests:
        waiting.put(json.loads(line))
    # Whoever asked is gone. A network may be running that nobody waits for.
    os._exit(0)


def _answer(function: Callable[[Reply], Reply], request: Reply) -> Reply:
    try:
        return function(request)
    except (ImagecAIError, ImportError) as error:
        return {"error": type(error).__name__, "text": str(error)}
    except MemoryError as error:
        found = runtime_error(f"The memory was not enough. {error}".strip(), error)
        return {"error": type(found).__name__, "text": str(found)}
    except Exception as error:  # noqa: BLE001 - the one who asks has to hear of a bug
        return {"error": "RuntimeError", "text": f"{type(error).__name__}: {error}"}
