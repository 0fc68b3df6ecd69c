"""Models on the command line: list, test and install them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tifffile
from scenes import maps, pairs

import napari_imagec_ai as ai
from napari_imagec_ai.model.description import Kind

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A file with three pairs of touching discs."""
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, maps(pairs(), "foreground")[0])
    return path


@pytest.fixture
def tiny(make_model: Callable[..., Path]) -> Path:
    return make_model()


def test_models_lists_what_cannot_run_with_the_reason(
    run_cli: Run, make_model: Callable[..., Path]
) -> None:
    make_model("good")
    make_model("lost", network=None)
    broken = make_model("torn")
    (broken / "rdf.yaml").write_text("inputs: [")
    code, out, err = run_cli("models", broken.parent, "--json")
    rows = {Path(row["path"]).name: row for row in json.loads(out)}
    assert (code, err) == (0, "")
    for row in rows.values():
        assert set(row) == {
            *("name", "path", "format_version", "weights", "usable", "problem"),
            *("decoder", "kind", "classes", "inputs", "outputs", "note"),
        }
        assert row["kind"] in get_args(Kind)
    assert {name: row["usable"] for name, row in rows.items()} == {
        **{"good": True, "lost": False, "torn": False}
    }
    assert "weights.onnx" in rows["lost"]["problem"]
    assert rows["torn"]["problem"]
    assert rows["good"]["inputs"][0]["axes"] == "bcyx"
    assert len(rows["good"]["inputs"][0]["shape"]) == 4


def test_the_decoder_is_null_where_a_person_has_to_choose(
    run_cli: Run, make_model: Callable[..., Path]
) -> None:
    folder = make_model(config={"napari_imagec_ai": {"kind": "embedding"}})
    (row,) = json.loads(run_cli("models", folder, "--json")[1])
    assert (row["decoder"], row["kind"]) == (None, "embedding")


@pytest.mark.parametrize(("off", "code"), [(0, 0), (1, 1)], ids=["same", "other"])
def test_a_model_is_tested_with_its_own_tensors(
    off: int, code: int, run_cli: Run, tiny: Path
) -> None:
    values = np.random.default_rng(0).random((1, 1, 32, 32)).astype(np.float32)
    np.save(tiny / "in.npy", values)
    np.save(tiny / "out.npy", values + off)
    text = (tiny / "rdf.yaml").read_text()
    text = text.replace("- id: raw", "- test_tensor: {source: in.npy}\n  id: raw")
    text = text.replace(
        "- id: probability", "- test_tensor: {source: out.npy}\n  id: probability"
    )
    (tiny / "rdf.yaml").write_text(text)
    found, out, _ = run_cli("test", tiny, "--json")
    (row,) = json.loads(out)
    assert found == code
    assert row.keys() == {
        *("engine", "device", "output", "max_abs_error", "passed", "problem")
    }
    assert row["max_abs_error"] == pytest.approx(off, abs=1e-6)
    assert row["passed"] is (code == 0)
    assert (row["problem"] is None) is (code == 0)


def test_an_installed_model_is_found_by_its_name(
    run_cli: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    package = tmp_path / "packed.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for path in tiny.iterdir():
            archive.write(path, path.name)
    code, out, err = run_cli("install", package, "--models", "models")
    assert (code, err) == (0, "")
    assert Path(out.strip()) == Path("models/packed")
    assert run_cli("predict", "packed", scene, "-o", "out")[0] == 0
    code, _, err = run_cli("install", package, "--models", "models")
    assert code == 1
    assert "there already" in err


def test_a_model_runs_from_its_zip(
    run_cli: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for path in tiny.iterdir():
            archive.write(path, path.name)
    assert ai.load_model(tmp_path / "m.zip").name == "Tiny"
    assert run_cli("predict", tmp_path / "m.zip", scene, "-o", "out")[0] == 0
