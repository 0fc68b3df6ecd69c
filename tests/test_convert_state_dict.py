"""State dicts: the network's code runs once, alone, and what it gives is compared."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.library.convert import sandbox
from napari_imagec_ai.model.weights import sha256

NETWORK = """
import torch
from torch import nn
from helper import DEPTH

class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 1, 1)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = nn.functional.max_pool2d(x, 2)
        return torch.sigmoid(self.last(nn.functional.interpolate(x, scale_factor=2.0)))
"""


def _folder(place: Path, code: str = NETWORK, shift: float = 0.0) -> Path:
    """A model folder of format 0.5 whose weights are a state dict."""
    place.mkdir()
    (place / "net.py").write_text(code)
    (place / "helper.py").write_text("DEPTH = 1\n")
    torch.manual_seed(3)
    first = torch.nn.Conv2d(1, 4, 3, padding=1)
    last = torch.nn.Conv2d(4, 1, 1)
    state = {f"first.{k}": v for k, v in first.state_dict().items()}
    state |= {f"last.{k}": v for k, v in last.state_dict().items()}
    torch.save(state, place / "weights.pt")
    x = np.random.default_rng(0).random((1, 1, 32, 48)).astype(np.float32)
    with torch.no_grad():
        y = torch.relu(first(torch.from_numpy(x)))
        y = torch.nn.functional.max_pool2d(y, 2)
        y = torch.nn.functional.interpolate(y, scale_factor=2.0)
        y = torch.sigmoid(last(y)) + shift
    np.save(place / "in.npy", x)
    np.save(place / "out.npy", y.numpy())

    def space(name: str, of: str = "") -> dict[str, object]:
        size = {"tensor_id": of, "axis_id": name} if of else {"min": 16, "step": 2}
        return {"type": "space", "id": name, "size": size}

    rdf = {
        "format_version": "0.5.4",
        "type": "model",
        "id": "tiny-mouse",
        "name": "Tiny network",
        "authors": [{"name": "A. Person"}],
        "license": "MIT",
        "cite": [{"text": "A paper", "doi": "10.1000/x"}],
        "inputs": [
            {
                "id": "raw",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["c"]},
                    space("y"),
                    space("x"),
                ],
                "test_tensor": {"source": "in.npy"},
            }
        ],
        "outputs": [
            {
                "id": "foreground",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["foreground"]},
                    space("y", "raw"),
                    space("x", "raw"),
                ],
                "test_tensor": {"source": "out.npy"},
            }
        ],
        "weights": {
            "pytorch_state_dict": {
                "source": "weights.pt",
                "sha256": sha256(place / "weights.pt"),
                "pytorch_version": "2.5",
                "architecture": {
                    "source": "net.py",
                    "sha256": sha256(place / "net.py"),
                    "callable": "Net",
                    "kwargs": {"channels": 4},
                },
            }
        },
    }
    (place / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
    return place


def test_a_state_dict_becomes_onnx_that_gives_what_was_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _folder(tmp_path / "source")
    out = tmp_path / "out"
    argv = ["convert", str(source), "-o", str(out), "--trust-code", "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert any("reproduced" in sentence for sentence in told["checked"])
    model = ai.load_model(out)
    assert tuple(model.runnable) == ("onnx", "torchscript")
    rdf = yaml.safe_load((out / "rdf.yaml").read_text())
    assert rdf["parent"] == {"id": "tiny-mouse"}
    assert rdf["cite"] == [{"text": "A paper", "doi": "10.1000/x"}]
    origin = rdf["config"]["napari_imagec_ai"]["converted_from"]
    assert origin["sha256"] == sha256(source / "weights.pt")
    assert (model.license, model.authors) == ("MIT", ("A. Person",))
    assert not list(out.rglob("*.py"))
    assert all(result.passed for result in ai.test_model(model))
    raw = ai.predict(model, ai.ImageInput(np.zeros((50, 70), np.float32), "YX"))
    assert raw.maps["foreground"].shape[-2:] == (50, 70)


def test_code_of_a_folder_runs_only_if_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "ran"
    source = _folder(tmp_path / "source", f"open({str(mark)!r}, 'w')\n{NETWORK}")
    assert main(["convert", str(source), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "net.py" in said
    assert "imports torch" in said
    assert "--trust-code" in said
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_a_network_that_gives_something_else_is_not_called_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _folder(tmp_path / "source", shift=0.1)
    argv = ["convert", str(source), "-o", str(tmp_path / "out"), "--trust-code"]
    assert main(argv) == 1
    assert "0.1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*argv, "--untested"]) == 0
    assert "NOT TESTED" in capsys.readouterr().out


def _missing_weights(source: Path) -> None:
    state = torch.load(source / "weights.pt", weights_only=True)
    del state["last.bias"]
    _save(source, state)


def _surplus_weights(source: Path) -> None:
    state = torch.load(source / "weights.pt", weights_only=True)
    _save(source, state | {"extra.weight": torch.zeros(1)})


def _save(source: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, source / "weights.pt")
    _describe(source, "sha256", sha256(source / "weights.pt"))


def _describe(source: Path, key: str, value: object) -> None:
    rdf = yaml.safe_load((source / "rdf.yaml").read_text())
    rdf["weights"]["pytorch_state_dict"][key] = value
    (source / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))


def _changed_code(source: Path) -> None:
    (source / "net.py").write_text(NETWORK + "\n# changed")


def _no_code(source: Path) -> None:
    (source / "net.py").unlink()


def _not_installed(source: Path) -> None:
    code = "import a_package_that_is_not_there\n" + NETWORK
    (source / "net.py").write_text(code)
    told = {"source": "net.py", "callable": "Net", "kwargs": {"channels": 4}}
    _describe(source, "architecture", told)


def _module_not_installed(source: Path) -> None:
    told = {"import_from": "a_package_that_is_not_there.nets", "callable": "Net"}
    _describe(source, "architecture", told)


def _outside(source: Path) -> None:
    (source.parent / "other.py").write_text(NETWORK)
    told = {"source": "../other.py", "callable": "Net", "kwargs": {"channels": 4}}
    _describe(source, "architecture", told)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_missing_weights, ("last.bias",)),
        (_surplus_weights, ("extra.weight",)),
        (_changed_code, ("net.py", "sha256")),
        (_no_code, ("net.py", "found none")),
        (_not_installed, ("pip install a_package_that_is_not_there",)),
        (_module_not_installed, ("pip install a_package_that_is_not_there",)),
        (_outside, ("other.py", "found none")),
    ],
)
def test_folders_that_do_not_fit_are_refused_in_a_sentence(
    spoil: object,
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = _folder(tmp_path / "source")
    spoil(source)  # type: ignore[operator]
    out = tmp_path / "out"
    assert main(["convert", str(source), "-o", str(out), "--trust-code"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in words:
        assert word in said
    assert not out.exists()


def test_a_desktop_with_many_programs_leaves_room_for_the_network(
    tmp_path: Path,
) -> None:
    """The system counts all threads of an ordinary user; root it does not count."""
    ended = threading.Event()
    many = [threading.Thread(target=ended.wait) for _ in range(300)]
    for each in many:
        each.start()
    try:
        code = (
            "import resource\n"
            "if resource.getrlimit(resource.RLIMIT_NPROC)[0] < 400:\n"
            "    raise RuntimeError('no room')\n"
        )
        source = _folder(tmp_path / "source", code + NETWORK)
        ai.convert_model(source, tmp_path / "out", trust_code=True)
    finally:
        ended.set()


needs_bubblewrap = pytest.mark.skipif(
    sandbox.bubblewrap() is None, reason="bubblewrap is not installed here"
)


@needs_bubblewrap
def test_code_of_strangers_reaches_nothing_of_a_person(tmp_path: Path) -> None:
    """One network tries it all; what it managed would stand in a message."""
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    home = Path.home()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
import os, socket, subprocess
done = []

def attempt(what, action):
    try:
        action()
        done.append(what)
    except BaseException:
        pass

attempt("network", lambda: socket.create_connection(("127.0.0.1", {port}), 2))
attempt("read", lambda: open({str(secret)!r}).read())
attempt("home", lambda: [open(os.path.join({str(home)!r}, n)) for n in
                         os.listdir({str(home)!r})][0])
attempt("write", lambda: open({str(tmp_path / "written")!r}, "w"))
attempt("shared memory", lambda: open("/dev/shm/mine", "w"))
attempt("package", lambda: open(os.path.dirname(os.__file__) + "/mine.py", "w"))
attempt("processes", lambda: [os.kill(int(p), 0) for p in os.listdir("/proc")
                              if p.isdigit() and int(p) > 100][0])
attempt("environment", lambda: os.environ["IMAGEC_TEST_SECRET"])
print("printed to nobody")
if done:
    raise RuntimeError("reached: " + ", ".join(done))
{NETWORK}
"""
        source = _folder(tmp_path / "source", code)
        made = ai.convert_model(source, tmp_path / "out", trust_code=True)
        server.settimeout(0)
        with pytest.raises(OSError):
            server.accept()
    assert any("bubblewrap" in sentence for sentence in made.checked)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        ("while True: pass", "stopped"),
        ("import time; time.sleep(1e6)", "stopped"),
        ("import os; os._exit(0)", "gave no ONNX"),
        ("import os; os.write(1, b'nonsense'); os._exit(0)", "gave no ONNX"),
        ("import sys; sys.exit('my own words\\x1b[31m')", "my own words [31m"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "by the system"),
        ("x = bytearray(1 << 60)", "failed"),
        ("import torch; torch.onnx.export = None; torch.load = None", ""),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are of other systems")
def test_code_that_misbehaves_ends_in_a_sentence(
    hostile: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds = 20 if words == "stopped" else 300
    monkeypatch.setattr(sandbox, "SECONDS", seconds)
    source = _folder(tmp_path / "source", f"{hostile}\n{NETWORK}")
    out = tmp_path / "out"
    code = main(["convert", str(source), "-o", str(out), "--trust-code"])
    said = capsys.readouterr().err
    assert code == 1
    assert said.count("\n") == 1
    assert words in said
    assert not out.exists()
