"""Runs one Python program of ours that executes code of strangers, as alone as can be.

On Linux with bubblewrap the program has no network, no home folder, no temporary files
of others, no processes but its own, and may write nothing but a few
temporary files in memory. Elsewhere only its memory,
time and environment are limited; :func:`guards` says which.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.resources import files as resources
from pathlib import Path

import psutil

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.other_python import OtherPython

SECONDS = 900.0
"""How long it may take."""

MOST_BYTES = 4 << 30
"""What it may answer."""

_TEMPORARY = "/tmp/imagec-ai"
"""The one place inside that may be written to; it ends with the process."""

_MOST_TEMPORARY = 1 << 30

_PROBE = "true"

_MORE_PROCESSES = 256 + 8 * (os.cpu_count() or 1)
"""How many it may start; threads count, and frameworks start some for each core."""


def bubblewrap() -> str | None:
    """The program that isolates, where it is installed and allowed to."""
    found = shutil.which("bwrap")
    if found is None or not sys.platform.startswith("linux"):
        return None
    done = subprocess.run(
        [found, *_ALONE, "--ro-bind", "/", "/", _PROBE],
        capture_output=True,
        check=False,
    )
    return found if done.returncode == 0 else None


_ALONE = (
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
)


def guards() -> str:
    """A sentence: what protects here, and what does not."""
    if bubblewrap():
        return (
            "The code ran in bubblewrap: without network, home folder, other "
            "processes or files that it may write, and with limits on time and memory."
        )
    return (
        "The code ran with limits on time and memory only, as this system has no "
        "bubblewrap: it could read and write what you can."
    )


def run_alone(
    script: str,
    job: bytes,
    readable: Sequence[Path],
    tick: Callable[[], None],
    python: OtherPython | None = None,
) -> bytes:
    """Run a Python script in a process of its own.

    Parameters
    ----------
    script : str
        Python code of ours. It reads its job from standard input and writes its answer
        to standard output.
    job : bytes
        What it gets.
    readable : sequence of Path
        Folders that it needs, although they lie where nothing is shown to it.
    tick : callable
        Called about five times a second; may raise to stop.
    python : OtherPython, optional
        What runs it; the Python that runs us by default.

    Returns
    -------
    bytes
        The answer.

    Raises
    ------
    ModelError
        If it failed, took too long, or answered too much.
    """
    paths = [] if python else [p for p in sys.path if p]
    # -B: nothing is left beside the code that it imports.
    program = str(python.program) if python else sys.executable
    command = [program, "-I", "-B", "-c", _start(), *_limits(), script]
    readable = [*readable, *(python.places if python else ())]
    isolating = bubblewrap()
    if isolating:
        command = [isolating, *_ALONE, *_view(paths, readable), *command]
    environment = {
        "PATH": os.defpath,
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "IMAGEC_AI_PATHS": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "2",
    }
    if isolating:
        environment["TMPDIR"] = _TEMPORARY
    if sys.platform == "win32":
        environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as answer,
        tempfile.TemporaryFile() as complaints,
    ):
        given.write(job)
        given.seek(0)
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=answer,
            stderr=complaints,
            env=environment,
            cwd=tempfile.gettempdir() if not isolating else "/",
            start_new_session=sys.platform != "win32",
        )
        try:
            _wait(process, answer.fileno(), tick)
        finally:
            _end(process)
        complaints.seek(0)
        said = complaints.read(1 << 20).decode(errors="replace").strip()
        if process.returncode:
            raise ModelError(_reason(process.returncode, said))
        answer.seek(0)
        return answer.read()


def _view(paths: Sequence[str], readable: Sequence[Path]) -> list[str]:
    """Everything may be read, but what lies in people's own places."""
    view = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    hidden = {"/home", "/root", "/tmp", "/run", "/var/tmp", str(Path.home())}
    empty = [p for p in sorted(hidden) if Path(p).is_dir() and Path(p) != Path("/")]
    for place in empty:
        view += ["--tmpfs", place]
    needed = [*paths, sys.prefix, sys.base_prefix, *map(str, readable)]
    for place in dict.fromkeys(os.path.realpath(p) for p in needed):
        if os.path.exists(place) and place != "/":
            view += ["--ro-bind", place, place]
    # A program and its folder may also be named by links.
    for place in dict.fromkeys([sys.executable, *paths]):
        if os.path.islink(place):
            view += ["--ro-bind-try", os.path.dirname(place), os.path.dirname(place)]
    # Packages want a place for temporary files: a small one, in memory.
    view += ["--size", str(_MOST_TEMPORARY), "--tmpfs", _TEMPORARY]
    # Memory, too, could be filled with files.
    for place in [*empty, "/dev"]:
        view += ["--remount-ro", place]
    return view


def _wait(
    process: subprocess.Popen[bytes], answer: int, tick: Callable[[], None]
) -> None:
    until = time.monotonic() + SECONDS
    while process.poll() is None:
        tick()
        if time.monotonic() > until:
            raise ModelError(
                f"The code of the network did not end within {SECONDS:.0f} seconds; "
                "it was stopped."
            )
        if os.fstat(answer).st_size > MOST_BYTES:
            raise ModelError("The code of the network wrote too much; it was stopped.")
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It, and all that it started."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _reason(code: int, said: str) -> str:
    last = said.splitlines()[-1][:300] if said else ""
    shown = "".join(c if c.isprintable() else " " for c in last)
    if code < 0 or code in (134, 137, 139):
        return (
            f"The code of the network was ended by the system (code {code}); it may "
            "have asked for more memory than it may have."
        )
    return f"The code of the network failed: {shown or f'exit code {code}'}"


def _start() -> str:
    """The script that every such process begins with."""
    script = resources("napari_imagec_ai.library.convert") / "start_alone.py"
    return script.read_text(encoding="utf-8")


def _limits() -> list[str]:
    """Bytes, seconds of processor time and processes, as that script takes them.

    Of memory it may have two thirds of what the machine has, and of time as much as all
    cores have while it is waited for: that it took too long is said by who waits.
    """
    memory = int(psutil.virtual_memory().total * 2 / 3)
    seconds = int(SECONDS) * (os.cpu_count() or 1) + 60
    return [str(memory), str(seconds), str(_process_limit())]


def _process_limit() -> int:
    """Processes and threads that it may have, with those that run here already.

    The system counts all of a person's, and a desktop has more than a thousand.
    """
    mine = psutil.Process().username()
    there = 0
    for process in psutil.process_iter(["username", "num_threads"]):
        if process.info["username"] == mine:
            there += process.info["num_threads"] or 1
    return there + _MORE_PROCESSES
