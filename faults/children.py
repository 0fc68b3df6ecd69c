"""Runs cases in a child process, so that a crash or a hang costs one case only.

The child says which case it begins and how it ended, a line each. When it dies or is
silent for too long, the case that it had begun is lost, and another child goes on with
the next one. Each case has random numbers of its own, so that it can be made again by
its number.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from faults import mutants
from faults.fault import LOST, Chance, Fault, Outcome, attempt

_START = 120.0
"""Seconds that a child may take to begin."""

_PATIENCE = 6.0
"""Times the processor time of a case after which a silent child hangs."""

_BUSY = 10.0
"""Times longer that it may take where other programs have the processor."""


def outcomes(
    word: str, fault: Fault, count: int, seed: int, first: int = 0
) -> Iterator[Outcome]:
    """Try the cases of a class from ``first`` on, before ``count``."""
    while first < count:
        for outcome in _child(word, fault, first, count, seed):
            first = outcome.number + 1
            yield outcome


def serve(fault: Fault, first: int, count: int, seed: int) -> None:
    """What the child does."""
    warnings.simplefilter("ignore")
    limit = int(fault.gigabytes * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whoever runs this with `| head` shall not leave children behind.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    mutants.apply()
    lines = sys.stdout
    sys.stdout = sys.stderr
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        make = fault.prepare(Path(place))
        for number in range(first, count):
            case = make(Chance(seed, number))
            _tell(lines, {"begins": number, "name": case.name})
            _tell(lines, {"ended": asdict(attempt(fault, number, case))})
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _tell(lines, {"peak": peak})


def _tell(lines: Any, what: dict[str, Any]) -> None:
    print(json.dumps(what), file=lines, flush=True)


_PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that spin while they wait would count as time of the case's own."""


def _child(
    word: str, fault: Fault, first: int, count: int, seed: int
) -> Iterator[Outcome]:
    """Outcomes of one child until it is done, or the one that it was lost with."""
    command = [sys.executable, "-m", "faults", "--child", word]
    command += ["--first", str(first), "--count", str(count), "--seed", str(seed)]
    # What a child that dies leaves behind goes with this folder.
    place = tempfile.TemporaryDirectory(prefix="faults-")
    with tempfile.TemporaryFile() as noise, place as folder:
        child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=noise,
            env=os.environ | _PATIENT | {"TMPDIR": folder},
        )
        begun: dict[str, Any] = {"begins": first, "name": "start"}
        try:
            for line in _lines(child, fault):
                if "begins" in line:
                    begun = line
                elif "ended" in line:
                    begun = {}
                    yield Outcome(**line["ended"])
            code = child.wait()
        except TimeoutError:
            code = None
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        if begun.get("name") == "start" and code == 1:
            raise RuntimeError(f"The child of '{word}' did not start. {_last(noise)}")
        if begun:
            told = _death(code) + _last(noise)
            yield Outcome(begun["begins"], begun["name"], LOST, 0.0, told)
        elif code != 0:
            raise RuntimeError(f"The child of '{word}' ended badly. {_last(noise)}")


def _lines(child: subprocess.Popen[bytes], fault: Fault) -> Iterator[dict[str, Any]]:
    """What the child says; a TimeoutError when it is silent for too long."""
    assert child.stdout is not None
    patience, rest = _START, b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ)
        since, used = time.monotonic(), _processor_time(child.pid)
        while True:
            if not waiting.select(patience):
                spent = _processor_time(child.pid) - used
                if spent > patience or time.monotonic() - since > _BUSY * patience:
                    raise TimeoutError
                continue
            some = child.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            if not some:
                return
            *whole, rest = (rest + some).split(b"\n")
            for line in whole:
                yield json.loads(line)
            patience = max(30.0, _PATIENCE * fault.seconds)
            since, used = time.monotonic(), _processor_time(child.pid)


def _processor_time(process: int) -> float:
    """Seconds of a processor that a process and those below it have had."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        above = psutil.Process(process)
        for one in (above, *above.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system
    return total


def _death(code: int | None) -> str:
    if code is None:
        return "hung, and was killed. "
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}. "
    return f"the process ended with code {code}. "


def _last(noise: Any) -> str:
    """The last words of a child."""
    noise.seek(0)
    lines = noise.read().decode(errors="replace").strip().splitlines()
    return " ".join(lines[-1:])[:300]


def repeat(fault: Fault, number: int, seed: int) -> int:
    """Try one case in this process, and let its error come out."""
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        make = fault.prepare(Path(place))
        case = make(Chance(seed, number))
        print(case.name)
        case.run()
    return 0
