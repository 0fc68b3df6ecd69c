"""Try what a stranger's architecture could do while it is converted, and say what held.

Each case is a model folder whose network does one wicked thing when it is built. It is
converted with its code trusted, once in bubblewrap (where that is installed) and once
without; what came of it is looked at from outside::

    python tools/hostile_architectures.py --write docs/faults.md

Nothing is harmed: what is reached is a file, a port and a process of this program.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

import napari_imagec_ai as ai
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.library.convert import sandbox

BEGIN, END = "<!-- architectures: begin -->", "<!-- architectures: end -->"

SECONDS = 40.0
"""How long a conversion may take here."""

NETWORK = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Conv2d(1, 1, 3, padding=1)
    def forward(self, x):
        return torch.sigmoid(self.last(x))
"""

_REPORT = """
def attempt(action):
    try:
        action()
    except BaseException as error:
        raise SystemExit(f"HELD {type(error).__name__}")
    raise SystemExit("REACHED")
"""


@dataclass(frozen=True)
class Around:
    """What there is to be reached.

    Attributes
    ----------
    home, temporary : str
        Files with a secret.
    mark : str
        Where code could leave something.
    port : int
        Where somebody listens.
    """

    home: str
    temporary: str
    mark: str
    port: int


@dataclass(frozen=True)
class Wicked:
    """One thing that code does.

    Attributes
    ----------
    what : str
        In words.
    code : callable
        Gives the Python code; it ends in ``attempt(...)`` where it says itself whether
        it managed.
    wait : float
        Seconds until what it left behind shows.
    """

    what: str
    code: Callable[[Around], str]
    wait: float = 0.0


def _attempt(expression: str) -> Callable[[Around], str]:
    return lambda around: f"{_REPORT}\nattempt(lambda: {expression.format(a=around)})"


def _plain(code: str) -> Callable[[Around], str]:
    return lambda around: f"{code.format(a=around)}\n{NETWORK}"


_FORK = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(4)
        open({a.mark!r}, "w")
    os._exit(0)
"""

_PICKLED = """
import os
class Trap:
    def __reduce__(self):
        return open, ({a.mark!r}, "w")
import io, numpy, builtins
written = io.BytesIO()
numpy.savez(written, onnx=numpy.array([Trap()], object), torchscript=numpy.zeros(1))
for handle in range(3, 20):
    try:
        os.write(handle, written.getvalue())
    except OSError:
        pass
os._exit(0)
"""

_MANY = """
import os, time
made = 0
try:
    for _ in range(400):
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        made += 1
except OSError:
    raise SystemExit("HELD at " + str(made))
raise SystemExit("REACHED")
"""

_FOREVER = "import time\nwhile True: {what}\n"

_TOO_MUCH = """
import os
for handle in range(3, 20):
    try:
        os.ftruncate(handle, 9 << 29)
    except OSError:
        pass
import time; time.sleep(1e6)
"""

_HANDLES = """
import os
for handle in range(1, 20):
    try:
        os.write(handle, b"nonsense")
    except OSError:
        pass
os._exit(0)
"""

CASES = (
    Wicked("reads a file in the home folder", _attempt("open({a.home!r})")),
    Wicked("reads a temporary file", _attempt("open({a.temporary!r})")),
    Wicked(
        "reads a secret in the environment",
        _attempt("__import__('os').environ['IMAGEC_TEST_SECRET']"),
    ),
    Wicked("reads files of the system (/etc)", _attempt("open('/etc/passwd')")),
    Wicked(
        "reaches a server over the network",
        _attempt(
            "__import__('socket').create_connection(('127.0.0.1', {a.port}), 3).send("
            "b'secret')"
        ),
    ),
    Wicked("writes a file where others look", _attempt("open({a.mark!r}, 'w')")),
    Wicked(
        "changes an installed package",
        _attempt("open(__import__('yaml').__file__, 'a')"),
    ),
    Wicked(
        "changes its own model folder", _attempt("open(__file__.strip() + 'x', 'w')")
    ),
    Wicked(
        "leaves something in shared memory",
        _attempt("open('/dev/shm/imagec-hostile', 'w')"),
    ),
    Wicked(
        "signals another process",
        _attempt(f"__import__('os').kill({os.getpid()}, 0)"),
    ),
    Wicked("starts a process that stays behind", _plain(_FORK), 7),
    Wicked("starts 400 processes", lambda _: _MANY),
    Wicked(
        "asks for more memory than the machine has",
        _attempt("__import__('mmap').mmap(-1, 1 << 40)"),
    ),
    Wicked(
        "writes one huge file",
        _attempt("__import__('tempfile').TemporaryFile().truncate(5 << 30)"),
    ),
    Wicked("computes for ever", lambda _: _FOREVER.format(what="pass")),
    Wicked("waits for ever", lambda _: _FOREVER.format(what="time.sleep(9)")),
    Wicked(
        "replaces functions of PyTorch",
        _plain(
            "import torch\ntorch.onnx.export = torch.load = torch.jit.trace = "
            "lambda *a, **k: None"
        ),
    ),
    Wicked(
        "prints without end",
        _plain(
            "import sys\nfor _ in range(3000000): print('secret', file=sys.stderr); "
            "print('x')"
        ),
    ),
    Wicked("answers in our place", lambda _: _HANDLES),
    Wicked("answers too much", lambda _: _TOO_MUCH),
    Wicked("answers with a pickle", lambda a: _PICKLED.format(a=a)),
    Wicked(
        "writes to the terminal by its error",
        lambda _: "raise SystemExit('\\x1b[2J\\x1b]0;mine\\x07')",
    ),
    Wicked("crashes", lambda _: "import ctypes; ctypes.string_at(0)"),
    Wicked(
        "gives another network than was published",
        lambda _: NETWORK.replace("self.last(x)", "self.last(x) + 1"),
    ),
)


def tried(wicked: Wicked, isolated: bool) -> str:
    """Convert one folder; what came of it."""
    with tempfile.TemporaryDirectory(prefix="hostile_") as place, _around(place) as a:
        around, accepted = a
        source = _folder(Path(place) / "source", wicked.code(around))
        before = sorted(source.iterdir()), Path(yaml.__file__).read_bytes()
        os.environ["IMAGEC_TEST_SECRET"] = "a secret"
        said = _converted(source, Path(place) / "out", isolated)
        time.sleep(wicked.wait)
        shared = Path("/dev/shm/imagec-hostile")
        harmed = os.path.exists(around.mark) or shared.exists() or accepted()
        harmed |= (sorted(source.iterdir()), Path(yaml.__file__).read_bytes()) != before
        shared.unlink(missing_ok=True)
    if "REACHED" in said or harmed:
        return "**not held**"
    if "\x1b" in said:
        return "**not held**"
    if "HELD" in said:
        return "held"
    return "refused, and said" if said else "had no effect"


def _converted(source: Path, out: Path, isolated: bool) -> str:
    """What a person is told; empty where the folder was written, and is right."""
    found = sandbox.bubblewrap
    if not isolated:
        sandbox.bubblewrap = lambda: None
    try:
        made = ai.convert_model(source, out, trust_code=True)
    except ImagecAIError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  (it shall be none, and is told)
        return f"REACHED {error}"
    finally:
        sandbox.bubblewrap = found
    right = all(result.passed for result in ai.test_model(made.model))
    return "" if right else "REACHED"


@contextmanager
def _around(place: str) -> Iterator[tuple[Around, Callable[[], bool]]]:
    home = Path.home() / f".imagec-hostile-{os.getpid()}"
    temporary = Path(place) / "temporary"
    for path in (home, temporary):
        path.write_text("a secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)

        def accepted() -> bool:
            try:
                server.accept()[0].close()
            except OSError:
                return False
            return True

        port = server.getsockname()[1]
        try:
            mark = str(Path(place) / "mark")
            yield Around(str(home), str(temporary), mark, port), accepted
        finally:
            home.unlink()


def _folder(place: Path, code: str) -> Path:
    place.mkdir()
    (place / "net.py").write_text(code, encoding="utf-8")
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    state = {f"last.{key}": value for key, value in network.state_dict().items()}
    torch.save(state, place / "weights.pt")
    x = np.random.default_rng(0).random((1, 1, 64, 64)).astype(np.float32)
    with torch.no_grad():
        y = torch.sigmoid(network(torch.from_numpy(x))).numpy()
    np.save(place / "in.npy", x)
    np.save(place / "out.npy", y)
    axes = [
        {"type": "batch"},
        {"type": "channel", "channel_names": ["c"]},
        *({"type": "space", "id": axis, "size": 64} for axis in "yx"),
    ]
    rdf = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Wicked network",
        "inputs": [{"id": "x", "axes": axes, "test_tensor": {"source": "in.npy"}}],
        "outputs": [{"id": "y", "axes": axes, "test_tensor": {"source": "out.npy"}}],
        "weights": {
            "pytorch_state_dict": {
                "source": "weights.pt",
                "pytorch_version": "2.2",
                "architecture": {"source": "net.py", "callable": "Net", "kwargs": {}},
            }
        },
    }
    (place / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
    return place


def main() -> int:
    """Try all, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", type=int, default=())
    parser.add_argument("--write", type=Path)
    told = parser.parse_args()
    sandbox.SECONDS = SECONDS
    ways = (True, False) if sandbox.bubblewrap() else (False,)
    lines = [
        "| the code | in bubblewrap | without |",
        "| --- | --- | --- |",
    ]
    for number, wicked in enumerate(CASES, start=1):
        if told.only and number not in told.only:
            continue
        found = {isolated: tried(wicked, isolated) for isolated in ways}
        lines.append(
            f"| {wicked.what} | {found.get(True, 'not tried')} | {found[False]} |"
        )
        sys.stderr.write(f"{number}: {lines[-1]}\n")
    table = "\n".join(lines)
    sys.stdout.write(f"{table}\n")
    if told.write:
        text = told.write.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        text = f"{before}{BEGIN}\n{table}\n{END}{after}"
        told.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
