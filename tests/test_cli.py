"""The command line: exit codes, what is printed where, and files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import onnx_network
from scenes import maps, pairs

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.model import Kind

Run = Callable[..., tuple[int, str, str]]

REPORT = {
    *("image", "model", "engine", "device", "decoder", "objects", "classes"),
    *("network_seconds", "network_calls", "total_seconds", "files", "assumed"),
}


@pytest.fixture
def run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run a command in an empty folder; gives exit code, stdout and stderr."""
    place = tmp_path / "cwd"
    place.mkdir()
    monkeypatch.chdir(place)

    def command(*argv: object) -> tuple[int, str, str]:
        code = main([str(part) for part in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A file with three pairs of touching discs."""
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, maps(pairs(), "foreground")[0])
    return path


@pytest.fixture
def tiny(make_model: Callable[..., Path]) -> Path:
    return make_model()


# -- predict ---------------------------------------------------------------------------


def test_predict_reports_what_was_promised(run: Run, tiny: Path, scene: Path) -> None:
    code, out, err = run("predict", tiny, scene, "-o", "out", "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    report = json.loads(out)
    assert set(report) == REPORT
    assert report["image"] == str(scene)
    assert (report["model"], report["engine"]) == ("Tiny", "onnx")
    assert (report["device"], report["decoder"]) == ("cpu", "unet")
    assert (report["objects"], report["classes"]) == (6, {"thing": 6})
    assert 0 < report["network_seconds"] <= report["total_seconds"]
    assert any("taken as probabilities" in sentence for sentence in report["assumed"])


def test_predict_writes_the_files_that_it_names(
    run: Run, tiny: Path, scene: Path
) -> None:
    _, out, _ = run("predict", tiny, scene, "-o", "out", "--json")
    written = [Path(name) for name in json.loads(out)["files"]]
    assert {path.name for path in written} == {
        *("scene.labels.tif", "scene.objects.csv", "scene.geojson"),
        "scene.recipe.yaml",
    }
    assert set(Path("out").iterdir()) == set(written)
    assert tifffile.imread("out/scene.labels.tif").max() == 6


def test_predict_tells_a_person_how_many_and_where(
    run: Run, tiny: Path, scene: Path
) -> None:
    code, out, err = run("predict", tiny, scene, "-o", "out")
    assert (code, err) == (0, "")
    assert "6 thing" in out
    assert "out/scene.objects.csv" in out


def test_only_the_exports_that_were_asked_for_are_written(
    run: Run, tiny: Path, scene: Path
) -> None:
    run("predict", tiny, scene, "-o", "out", "--export", "csv")
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"scene.objects.csv", "scene.recipe.yaml"}


def test_thresholds_are_obeyed(run: Run, tiny: Path, scene: Path) -> None:
    argv = ["predict", tiny, scene, "-o", "out", "--json"]
    reports = [
        json.loads(run(*argv, *flags)[1])
        for flags in (["--class-threshold", 0.99], ["--mask-threshold", 0.98])
    ]
    assert [report["objects"] for report in reports] == [0, 0]
    assert pd.read_csv("out/scene.objects.csv").empty


def test_one_bad_image_does_not_stop_the_others(
    run: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"no image")
    code, out, err = run("predict", tiny, bad, scene, "-o", "out", "--json")
    assert code == 1
    assert [json.loads(line)["image"] for line in out.splitlines()] == [str(scene)]
    assert "bad.tif" in err
    assert "1 of 2 images failed" in err
    assert "Traceback" not in err


def test_a_stack_runs_plane_by_plane(run: Run, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "stack.npy"
    np.save(path, np.stack([maps(pairs(), "foreground")[0]] * 3))
    code, out, err = run("predict", tiny, path, "-o", "out", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["objects"], len(report["files"])) == (18, 4)


@pytest.fixture
def volume_model(make_model: Callable[..., Path]) -> Path:
    def tensor(name: str, halo: dict[str, int]) -> dict[str, Any]:
        space = [{"type": "space", "id": a, "size": 16} | halo for a in "zyx"]
        channel = {"type": "channel", "channel_names": ["foreground"]}
        return {"id": name, "axes": [{"type": "batch"}, channel, *space]}

    return make_model(
        "volume",
        lambda path: onnx_network(path, shape=("b", 1, "z", "y", "x")),
        inputs=[tensor("raw", {})],
        outputs=[tensor("probability", {"halo": 2})],
    )


def test_volumes_get_the_files_that_volumes_have(
    run: Run, volume_model: Path, tmp_path: Path
) -> None:
    data = np.zeros((16, 40, 40), np.float32)
    data[4:10, 10:20, 10:20] = 1
    np.save(tmp_path / "ball.npy", data)
    argv = ("predict", volume_model, tmp_path / "ball.npy", "-o", "out", "--json")
    code, out, err = run(*argv)
    assert (code, err) == (0, "")
    assert {Path(name).name for name in json.loads(out)["files"]} == {
        *("ball.labels.tif", "ball.objects.csv", "ball.recipe.yaml"),
    }
    code, _, err = run(*argv, "--export", "geojson")
    assert code == 1
    assert "volumes have labels" in err


# -- progress --------------------------------------------------------------------------


@pytest.mark.parametrize("person", [False, True], ids=["a pipe", "a terminal"])
def test_progress_is_shown_only_where_a_person_looks_on(
    person: bool, run: Run, tiny: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: person)
    _, out, err = run("predict", tiny, scene, "-o", "out", "--tile", 64)
    assert ("tiles" in err) is person
    assert "tiles" not in out


# -- decode and run --------------------------------------------------------------------


def test_a_saved_prediction_is_decoded_with_other_thresholds(
    run: Run, tiny: Path, scene: Path
) -> None:
    _, out, _ = run("predict", tiny, scene, "-o", "a", "--save-prediction", "--json")
    (saved,) = [f for f in json.loads(out)["files"] if f.endswith(".npz")]
    before = pd.read_csv("a/scene.objects.csv")
    code, out, err = run(
        *("decode", saved, "-o", "b", "--mask-threshold", 0.3, "--json")
    )
    assert (code, err) == (0, "")
    assert set(json.loads(out)) == REPORT
    after = pd.read_csv("b/scene.objects.csv")
    assert len(after) == 6
    assert after["area"].sum() > before["area"].sum()


def test_decoding_again_with_the_same_settings_changes_nothing(
    run: Run, tiny: Path, scene: Path
) -> None:
    run("predict", tiny, scene, "-o", "a", "--save-prediction")
    run("decode", "a/scene.prediction.npz", "-o", "b")
    first, second = (Path(f, "scene.labels.tif").read_bytes() for f in "ab")
    assert first == second


def test_run_repeats_a_recipe_on_other_images(
    run: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    run("predict", tiny, scene, "-o", "a", "--mask-threshold", 0.3)
    other = tmp_path / "other.npy"
    np.save(other, np.flipud(tifffile.imread(scene)))
    code, out, _ = run("run", "a/scene.recipe.yaml", scene, other, "-o", "b", "--json")
    reports = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [set(report) for report in reports] == [REPORT, REPORT]
    assert [report["objects"] for report in reports] == [6, 6]


# -- models, test, install -------------------------------------------------------------


def test_models_lists_what_cannot_run_with_the_reason(
    run: Run, make_model: Callable[..., Path]
) -> None:
    make_model("good")
    make_model("lost", network=None)
    broken = make_model("torn")
    (broken / "rdf.yaml").write_text("inputs: [")
    code, out, err = run("models", broken.parent, "--json")
    rows = {Path(row["path"]).name: row for row in json.loads(out)}
    assert (code, err) == (0, "")
    for row in rows.values():
        assert set(row) == {
            *("name", "path", "format_version", "weights", "usable", "problem"),
            *("decoder", "kind", "classes", "inputs", "outputs"),
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
    run: Run, make_model: Callable[..., Path]
) -> None:
    folder = make_model(config={"napari_imagec_ai": {"kind": "image"}})
    (row,) = json.loads(run("models", folder, "--json")[1])
    assert (row["decoder"], row["kind"]) == (None, "image")


@pytest.mark.parametrize(("off", "code"), [(0, 0), (1, 1)], ids=["same", "other"])
def test_a_model_is_tested_with_its_own_tensors(
    off: int, code: int, run: Run, tiny: Path
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
    found, out, _ = run("test", tiny, "--json")
    (row,) = json.loads(out)
    assert found == code
    assert row.keys() == {
        *("engine", "device", "output", "max_abs_error", "passed", "problem")
    }
    assert row["max_abs_error"] == pytest.approx(off, abs=1e-6)
    assert row["passed"] is (code == 0)
    assert (row["problem"] is None) is (code == 0)


def test_an_installed_model_is_found_by_its_name(
    run: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    package = tmp_path / "packed.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for path in tiny.iterdir():
            archive.write(path, path.name)
    code, out, err = run("install", package, "--models", "models")
    assert (code, err) == (0, "")
    assert Path(out.strip()) == Path("models/packed")
    assert run("predict", "packed", scene, "-o", "out")[0] == 0
    code, _, err = run("install", package, "--models", "models")
    assert code == 1
    assert "there already" in err


def test_a_model_runs_from_its_zip(
    run: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for path in tiny.iterdir():
            archive.write(path, path.name)
    assert ai.load_model(tmp_path / "m.zip").name == "Tiny"
    assert run("predict", tmp_path / "m.zip", scene, "-o", "out")[0] == 0
