"""What the README says is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_story_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").symlink_to(ROOT / "src")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert code is not None
    exec(compile(code.group(1), "README.md", "exec"), {})
    found = json.loads((tmp_path / "nuclei.geojson").read_text())
    assert len(found["features"]) > 100


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        assert "://" in link or (ROOT / link.partition("#")[0]).exists(), link


def test_the_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)`?", TEXT):
        assert f"\n{target}:" in makefile or target in ("and",), target
