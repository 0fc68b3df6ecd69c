"""The notebook runs as it is written, and was stored as it ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tifffile
from conftest import ROOT

NOTEBOOK = ROOT / "docs" / "notebooks" / "first_run.ipynb"


@pytest.fixture
def cells() -> list[dict[str, Any]]:
    text = NOTEBOOK.read_text(encoding="utf-8")
    return [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_tells_the_whole_story(
    cells: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in cells:
        # Notebooks keep a cell as one text, or as its lines.
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert names["same"] is True
    assert capsys.readouterr().out.endswith("the same bytes\n")
    counts = names["kept"].counts()
    assert set(counts) == {"round", "odd"}
    assert min(counts.values()) > 20
    labels = tifffile.imread("first-run/nuclei.labels.tif")
    assert labels.shape == names["image"].shape
    assert len(names["measured"]) == len(names["kept"])


def test_its_outputs_are_those_of_a_whole_run(cells: list[dict[str, Any]]) -> None:
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    kinds = [out["output_type"] for cell in cells for out in cell["outputs"]]
    assert "error" not in kinds
    shown = [out for cell in cells for out in cell["outputs"] if "data" in out]
    assert any("image/jpeg" in out["data"] for out in shown)
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert len(text) < 200_000
