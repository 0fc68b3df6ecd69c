"""Networks in a process of their own: a crash there is an error here, and no more.

A native runtime can end the process that it runs in, with everything a person has open
there. So the network runs in another one, which is kept warm from one network to the
next; it gets and gives arrays through shared memory.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai import errors
from napari_imagec_ai.engines import sharing
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.faults import is_memory
from napari_imagec_ai.errors import EngineDied, EngineError, OutOfMemory
from napari_imagec_ai.system import child_process

ENVIRON = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
    "NVIDIA_TF32_OVERRIDE": "0",
}
"""What the process is started with.

The first two are for the C library of Linux: memory of one layer is kept for the next.
Else the system takes that of each large array back, and clears it again for the next
one: windows of 2048 x 2048 took PyTorch twice as long. The last is for NVIDIA's
libraries: numbers keep their 24 bits. A trace has the permission to round them to 11
written into it, and nuclei were off by a thousandth of what the model's test tells.
"""

_PATIENCE = 10.0
"""Seconds that an ended process may take to be gone."""

_LAST_WORDS = 300


class Died(Exception):
    """The process is gone. Never leaves this module."""


class Worker:
    """A process that runs networks, and how to ask it.

    Raises
    ------
    OSError
        If the system lets us start none.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it ends
        try:
            self._process = child_process.start(
                "napari_imagec_ai.engines.worker",
                ENVIRON,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
            )
        except OSError:
            self._said.close()
            raise
        self._segments: dict[str, sharing.Segment] = {}
        self.answered = False

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        # After a fork it is still the parent's, and its pipes are, too.
        return self._owner == os.getpid() and self._process.poll() is None

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer.

        Raises
        ------
        Died
            If the process is gone.
        ImagecAIError, ImportError
            What went wrong there.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise Died
        try:
            stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
            stdin.flush()
            line = stdout.readline()
        except (OSError, ValueError) as error:  # a broken or a closed pipe
            raise Died from error
        if not line.endswith(b"\n"):
            raise Died
        reply: dict[str, Any] = json.loads(line)
        self.answered = True
        if "error" in reply:
            raise _as_raised(reply["error"], reply["text"])
        return reply

    def segment(self, purpose: str, size: int) -> sharing.Segment:
        """Shared memory of at least so many bytes, kept from one call to the next."""
        known = self._segments.get(purpose)
        if known is not None and known.size >= size:
            return known
        made = sharing.create(size)
        try:
            request = {"for": purpose, "segment": made.name, "size": size}
            self.ask("share", **request)
        finally:
            made.forget_name()
        self._segments[purpose] = made
        return made

    def forget_segments(self) -> None:
        """Give shared memory back."""
        self._segments.clear()

    def kill(self) -> None:
        """End it at once; whoever waits for an answer is told that it died."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """End it, and leave nothing behind."""
        if self._owner != os.getpid():
            return
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not sent yet, for nobody
                    stream.close()
        self._segments.clear()

    def autopsy(self) -> tuple[str, str, bool]:
        """How it ended, its last words, and whether the system ended it."""
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return "it does not answer", "", False
        how = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = signal.Signals(-code).name
        self._said.seek(0)
        lines = self._said.read()[-20_000:].decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        killed = code < 0 and how == "SIGKILL"
        return how, words[:_LAST_WORDS], killed


class _Spare:
    """A warm process that waits for the next network; one is enough."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def take(self) -> Worker:
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None and worker.alive:
            return worker
        if worker is not None:
            worker.end()
        return Worker()

    def give(self, worker: Worker) -> None:
        """Keep it for the next one, or end it."""
        try:
            worker.ask("close")
        except (Died, errors.ImagecAIError, ImportError, RuntimeError):
            worker.end()
            return
        worker.forget_segments()
        with self._lock:
            there = self._worker
            if there is None:
                self._worker = worker
        if there is not None:
            worker.end()

    def end(self) -> None:
        """End the one that waits."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()


SPARE = _Spare()
atexit.register(SPARE.end)


class ProcessEngine(Engine):
    """A network that another process runs.

    Parameters
    ----------
    engine : str
        Which one: ``onnx``, ``torchscript``, or one of another package.
    path : Path
        The weights.
    device : str
        See :func:`napari_imagec_ai.engines.opening_weights.open_engine`.
    threads : int
        Threads on the processor; 0: as the runtime likes.

    Raises
    ------
    OSError
        If the system lets us start no process.
    EngineError, ImportError
        As the engine itself.
    """

    can_interrupt = True

    def __init__(self, engine: str, path: Path, device: str, threads: int = 0) -> None:
        self._request = {
            "engine": engine,
            "path": str(path.resolve()),
            "device": device,
            "threads": threads,
        }
        self._loose: list[int] | None = None
        self._lock, self._busy, self._stopped = threading.Lock(), False, False
        # In a list, for one who tidies up when this engine is forgotten, unclosed.
        self._held: list[Worker] = []
        weakref.finalize(self, _let_go, self._held)
        told = self._open()
        self.name, self.device = str(told["name"]), str(told["device"])
        plain = told["plain"]
        self.metadata, self.dtypes = plain["metadata"], tuple(plain["dtypes"])
        self.window = tuple(plain["window"]) if plain["window"] else None
        self.output_names = tuple(plain["output_names"])
        self.signature = tuple((name, tuple(n)) for name, n in plain["signature"])

    @property
    def pid(self) -> int | None:
        """The number of the process in the system; None where it is gone."""
        return self._held[0].pid if self._held else None

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See :meth:`napari_imagec_ai.engines.engine.Engine.run`.

        Raises
        ------
        OutOfMemory
            If the memory was not enough, or the system ended the process over it.
        EngineDied
            If the process ended in another way.
        """
        arrays = [np.asarray(array) for array in inputs]
        with self._lock:
            self._busy = True
        try:
            if not self._held or not self._held[0].alive:
                self._bury()
                self._open()
            return self._run(self._held[0], arrays)
        except Died as error:
            raise self._obituary([array.shape for array in arrays]) from error
        finally:
            with self._lock:
                self._busy, self._stopped = False, False

    def interrupt(self) -> None:
        """End a call that is under way in another thread; it raises an error there."""
        with self._lock:
            if self._busy and self._held:
                self._stopped = True
                self._held[0].kill()

    def loosen(self, axes: Sequence[int]) -> bool:
        """See :meth:`napari_imagec_ai.engines.engine.Engine.loosen`."""
        self._loose = list(axes)
        try:
            if not self._held:
                self._open()
                return True
            return bool(self._held[0].ask("loosen", axes=self._loose)["loose"])
        except Died as error:
            raise self._obituary([]) from error

    def close(self) -> None:
        """Give the memory back; the process waits for another network."""
        _let_go(self._held)

    # -- the process -------------------------------------------------------------------

    def _open(self) -> dict[str, Any]:
        self._held.append(SPARE.take())
        try:
            if not self._held[0].answered:
                self._greet(self._held[0])
            told = self._held[0].ask("open", **self._request)
            if self._loose is not None:
                self._held[0].ask("loosen", axes=self._loose)
        except Died as error:
            raise self._obituary([]) from error
        except BaseException:
            self.close()
            raise
        return told

    def _greet(self, worker: Worker) -> None:
        """See whether a process is one that understands us.

        Raises
        ------
        OSError
            If it is not: Python may be built into another program, for example.
        """
        try:
            worker.ask("close")
        except Died as error:
            how, words, _ = worker.autopsy()
            self._bury()
            raise OSError(f"{how}: {words}") from error

    def _run(
        self, worker: Worker, arrays: Sequence[NDArray[Any]]
    ) -> list[NDArray[Any]]:
        layout, size = sharing.arrange(arrays)
        sharing.put(worker.segment("inputs", size), layout, arrays)
        reply = worker.ask("run", inputs=layout)
        if "needs" in reply:
            worker.segment("outputs", reply["needs"])
            reply = worker.ask("fetch")
        self.device = str(reply["device"]) or self.device
        results = sharing.views(worker.segment("outputs", 1), reply["outputs"])
        return [result.copy() for result in results]  # the next call writes there

    def _obituary(self, shapes: Sequence[tuple[int, ...]]) -> EngineError:
        """What to tell a person about a process that is gone."""
        how, words, killed = self._held[0].autopsy()
        self._bury()
        engine = self._request["engine"]
        if self._stopped:
            return EngineError(f"The {engine} network was stopped.")
        where = f" on inputs of shape {shapes}" if shapes else " while opening it"
        if killed or is_memory(words):
            return OutOfMemory(
                f"The process of the {engine} network was ended{where}, most likely "
                f"because the memory ran out ({how}); use smaller tiles, or close "
                "other programs."
            )
        return EngineDied(
            f"The process of the {engine} network died{where} ({how}"
            f"{': ' + words if words else ''}); nothing else is lost. Try another "
            "engine or device, or smaller tiles; the next run starts a new process."
        )

    def _bury(self) -> None:
        while self._held:
            self._held.pop().end()


def _let_go(held: list[Worker]) -> None:
    while held:
        worker = held.pop()
        if worker.alive:
            SPARE.give(worker)
        else:
            worker.end()


def _as_raised(name: str, text: str) -> Exception:
    """An exception of the other process, as it was there."""
    if name == "ImportError":
        return ImportError(text)
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, errors.ImagecAIError):
        return known(text)
    return RuntimeError(text)
