"""A YOLO training's own file is exported by the exporter that the person has."""

from __future__ import annotations

import os
import stat
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from test_package import table_network

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert import other_python, sandbox

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script")


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return training(tmp_path, monkeypatch)


def training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pickled program, as the training saves it: opened here, it would say so."""
    module = types.ModuleType("ultralytics")
    network = type("Network", (), {"__module__": "ultralytics", "__reduce__": _reduce})
    module.Network = network  # type: ignore[attr-defined]
    module.opened = _opened  # type: ignore[attr-defined]
    _opened.__module__, _opened.__qualname__ = "ultralytics", "opened"
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    path = folder / "nuclei" / "weights" / "best.pt"
    path.parent.mkdir(parents=True)
    torch.save({"model": network()}, path)
    monkeypatch.delitem(sys.modules, "ultralytics")
    monkeypatch.delenv(other_python.VARIABLE, raising=False)
    return path


def _opened() -> None:
    raise AssertionError("the checkpoint was executed here")


def _reduce(_: Any) -> Any:
    return sys.modules["ultralytics"].opened, ()


def yolo(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> Path:
    """A stand-in for the command, in an environment of its own."""
    place = folder / "environment" / "bin"
    place.mkdir(parents=True)
    command = place / "yolo"
    command.write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    return place


def test_it_is_exported_once_the_person_says_so(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = yolo(
        tmp_path,
        monkeypatch,
        '[ "$*" = "export format=onnx model=best.pt" ] || exit 3\n'
        'cp "$(dirname "$0")/made.onnx" best.onnx',
    )
    table_network(place / "made.onnx", "scores", masks=False)
    assert main(["convert", str(checkpoint)]) == 1
    said = capsys.readouterr().err
    assert "--trust-code" in said
    assert str(place / "yolo") in said
    assert not (tmp_path / "models").exists()
    assert main(["convert", str(checkpoint), "--trust-code"]) == 0
    model = ai.load_model(tmp_path / "models" / "nuclei")
    assert model.kind == "boxes"
    assert model.name == "nuclei"
    assert all(result.passed for result in ai.test_model(model))
    source = model.settings["converted_from"]
    assert (source["kind"], source["file"]) == ("YOLO", "best.pt")
    assert [p.name for p in checkpoint.parent.iterdir()] == ["best.pt"]
    assert sandbox.guards()[:12] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("echo no GPU today >&2; exit 1", "failed: no GPU today"),
        ("exit 0", "wrote none"),
        ("echo nonsense > best.onnx", "onnx"),
        ("kill -9 $$", "failed|ended"),
    ],
)
def test_an_exporter_that_fails_leaves_nothing(
    does: str,
    words: str,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    yolo(tmp_path, monkeypatch, does)
    with pytest.raises(ai.ImagecAIError, match=f"(?i){words}"):
        ai.convert_model(checkpoint, tmp_path / "made", trust_code=True)
    assert not (tmp_path / "made").exists()


def test_without_an_exporter_the_command_is_told(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(ModelError, match=r"yolo export model=best\.pt format=onnx"):
        ai.convert_model(checkpoint, trust_code=True)


def test_a_named_python_is_looked_at_first(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found no ultralytics; install it there"):
        ai.convert_model(checkpoint, trust_code=True, python=sys.executable)
    with pytest.raises(ModelError, match="Expected a Python program"):
        ai.convert_model(checkpoint, trust_code=True, python=tmp_path / "none")


def test_a_python_that_has_the_exporter_runs_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    import venv

    place = tmp_path / "with exporter"
    venv.create(place, symlinks=True, with_pip=False)
    packages = next(place.glob("lib/python*/site-packages"))
    made = table_network(packages / "made.onnx", "scores", masks=False)
    (packages / "ultralytics.py").write_text(
        "import shutil\n"
        "class YOLO:\n"
        "    def __init__(self, path):\n"
        "        assert open(path, 'rb').read(2) == b'PK'\n"
        "    def export(self, format):\n"
        f"        shutil.copy({str(made)!r}, 'best.' + format)\n",
        encoding="utf-8",
    )
    found = ai.convert_model(
        checkpoint, tmp_path / "made", trust_code=True, python=place
    )
    assert found.model.kind == "boxes"
