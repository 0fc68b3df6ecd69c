"""What the README says is true."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from napari_imagec_ai.cli import main
from napari_imagec_ai.library.folders import find_models

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_story_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert code is not None
    exec(compile(code.group(1), "README.md", "exec"), {})
    found = json.loads((tmp_path / "nuclei.geojson").read_text())
    assert len(found["features"]) > 100


def test_the_command_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = ROOT / "src" / "napari_imagec_ai" / "data" / "nuclei.tif"
    (tmp_path / "plate").mkdir()
    for name in ("image.tif", "plate/a1.tif", "plate/a2.tif"):
        shutil.copy(sample, tmp_path / name)
    for name, folder in (("best", "cells-yolov5seg"), ("unet", "nuclei-unet")):
        weights = ROOT / "models" / folder / "weights.onnx"
        shutil.copy(weights, tmp_path / f"{name}.onnx")
    shutil.make_archive(str(tmp_path / "model"), "zip", ROOT / "models" / "nuclei-unet")
    saved = tmp_path / "my-stardist-folder"
    saved.mkdir()
    with np.load(ROOT / "tests" / "data" / "convert_stardist.npz") as cases:
        for name in ("config.json", "weights_best.h5"):
            (saved / name).write_bytes(cases[f"plain/{name}"].tobytes())
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    imagec-ai (.*?)(?:\s+#.*)?$", TEXT, re.MULTILINE)
    assert len(lines) == 9
    for line in lines:
        assert main(shlex.split(line)) == 0, line
    listed = {entry.path.name for entry in find_models("models")}
    assert listed == {"best", "unet", "my-stardist-folder"}
    assert all(entry.problem is None for entry in find_models("models"))


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        assert "://" in link or (ROOT / link.partition("#")[0]).exists(), link


def test_the_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)`?", TEXT):
        assert f"\n{target}:" in makefile or target in ("and",), target
