"""Models on the command line: list, test and install them."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
import tifffile
import yaml
from conftest import ROOT
from scenes import maps, pairs

import napari_imagec_ai as ai
from napari_imagec_ai.model.description import Kind
from napari_imagec_ai.model.weights import fingerprint

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


def test_a_broken_folder_is_not_said_to_be_taken(run_cli: Run, scene: Path) -> None:
    mine = Path("models", "nuclei-unet")
    shutil.copytree(ROOT / "models" / "nuclei-unet", mine)
    for file in mine.glob("weights.*"):
        file.unlink()
    out = run_cli("models")[1]
    note = next(line for line in out.splitlines() if "bears the name" in line)
    assert "taken instead" not in note
    assert f"to run '{ROOT / 'models' / 'nuclei-unet'}'" in note
    code, _, err = run_cli("predict", "nuclei-unet", scene, "-o", "out")
    assert code == 1
    assert "taken instead" not in err
    assert "weights.onnx" in err.splitlines()[-1]
    (mine / "rdf.yaml").write_text("{ broken: [", encoding="utf-8")
    code, _, err = run_cli("predict", "nuclei-unet", scene, "-o", "out")
    assert code == 1
    assert f"{mine}' cannot be run" in err
    assert "Rename or remove that folder to run" in err


def test_a_package_of_other_weights_than_it_describes_is_not_installed(
    run_cli: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "apart"
    folder.mkdir()
    source = ROOT / "models" / "nuclei-unet"
    network = onnx.load(str(source / "weights.onnx"))
    onnx.save(
        network, str(folder / "weights.onnx"), save_as_external_data=True,
        location="weights.onnx.data", size_threshold=0,
    )  # fmt: skip
    files = {name: folder / name for name in ("weights.onnx", "weights.onnx.data")}
    told = {
        name: {"source": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for name, path in files.items()
    }
    rdf = yaml.safe_load((source / "rdf.yaml").read_text(encoding="utf-8"))
    rdf["weights"] = {
        "onnx": told["weights.onnx"]
        | {"opset_version": 17, "external_data": told["weights.onnx.data"]}
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")

    def packed(name: str) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
        return tmp_path / name

    code, _, err = run_cli("install", packed("good.zip"), "--models", "models")
    assert (code, err) == (0, "")
    before = fingerprint(ai.load_model(folder), "onnx")
    numbers = bytearray(files["weights.onnx.data"].read_bytes())
    numbers[100] ^= 1
    files["weights.onnx.data"].write_bytes(numbers)
    assert fingerprint(ai.load_model(folder), "onnx") != before
    code, _, err = run_cli("install", packed("bad.zip"), "--models", "models")
    assert code == 1
    assert "'weights.onnx.data' is not the file that the description means" in err
    assert "Download it again" in err
    assert not Path("models", "bad").exists()


def test_a_model_runs_from_its_zip(
    run_cli: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for path in tiny.iterdir():
            archive.write(path, path.name)
    assert ai.load_model(tmp_path / "m.zip").name == "Tiny"
    assert run_cli("predict", tmp_path / "m.zip", scene, "-o", "out")[0] == 0
