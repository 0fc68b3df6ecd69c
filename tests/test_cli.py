"""The command line: exit codes, what is printed where, and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import onnx_network
from scenes import maps, pairs

Run = Callable[..., tuple[int, str, str]]

REPORT = {
    *("image", "model", "engine", "device", "decoder", "objects", "classes"),
    *("network_seconds", "network_calls", "total_seconds", "files", "assumed"),
    *("object_size", "scale", "warnings"),
}


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


def test_predict_reports_what_was_promised(
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    code, out, err = run_cli("predict", tiny, scene, "-o", "out", "--json")
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
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    _, out, _ = run_cli("predict", tiny, scene, "-o", "out", "--json")
    written = [Path(name) for name in json.loads(out)["files"]]
    assert {path.name for path in written} == {
        *("scene.labels.tif", "scene.objects.csv", "scene.geojson"),
        "scene.recipe.yaml",
    }
    assert set(Path("out").iterdir()) == set(written)
    assert tifffile.imread("out/scene.labels.tif").max() == 6


def test_predict_tells_a_person_how_many_and_where(
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    code, out, err = run_cli("predict", tiny, scene, "-o", "out")
    assert (code, err) == (0, "")
    assert "6 thing" in out
    assert "out/scene.objects.csv" in out


def test_only_the_exports_that_were_asked_for_are_written(
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    run_cli("predict", tiny, scene, "-o", "out", "--export", "csv")
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"scene.objects.csv", "scene.recipe.yaml"}


def test_thresholds_are_obeyed(run_cli: Run, tiny: Path, scene: Path) -> None:
    argv = ["predict", tiny, scene, "-o", "out", "--json"]
    reports = [
        json.loads(run_cli(*argv, *flags)[1])
        for flags in (["--class-threshold", 0.99], ["--mask-threshold", 0.98])
    ]
    assert [report["objects"] for report in reports] == [0, 0]
    assert pd.read_csv("out/scene.objects.csv").empty


def test_any_setting_of_the_decoder_can_be_given(
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    argv = ["predict", tiny, scene, "-o", "out", "--json"]
    code, out, _ = run_cli(*argv, "--set", "min_size=100000", "--set", "split=false")
    assert code == 0
    assert json.loads(out)["objects"] == 0
    for wrong in ("min_size", "min_size=many", "nonsense=1"):
        code, _, err = run_cli(*argv, "--set", wrong)
        assert code == 1
        assert wrong.partition("=")[0] in err


def test_one_bad_image_does_not_stop_the_others(
    run_cli: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"no image")
    code, out, err = run_cli("predict", tiny, bad, scene, "-o", "out", "--json")
    assert code == 1
    assert [json.loads(line)["image"] for line in out.splitlines()] == [str(scene)]
    assert "bad.tif" in err
    assert "1 of 2 images failed" in err
    assert "Traceback" not in err


def test_a_stack_runs_plane_by_plane(run_cli: Run, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "stack.npy"
    np.save(path, np.stack([maps(pairs(), "foreground")[0]] * 3))
    code, out, err = run_cli("predict", tiny, path, "-o", "out", "--json")
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
    run_cli: Run, volume_model: Path, tmp_path: Path
) -> None:
    data = np.zeros((16, 40, 40), np.float32)
    data[4:10, 10:20, 10:20] = 1
    np.save(tmp_path / "ball.npy", data)
    argv = ("predict", volume_model, tmp_path / "ball.npy", "-o", "out", "--json")
    code, out, err = run_cli(*argv)
    assert (code, err) == (0, "")
    assert {Path(name).name for name in json.loads(out)["files"]} == {
        *("ball.labels.tif", "ball.objects.csv", "ball.recipe.yaml"),
    }
    code, _, err = run_cli(*argv, "--export", "geojson")
    assert code == 1
    assert "volumes have labels" in err


# -- progress --------------------------------------------------------------------------


@pytest.mark.parametrize("person", [False, True], ids=["a pipe", "a terminal"])
def test_progress_is_shown_only_where_a_person_looks_on(
    person: bool, run_cli: Run, tiny: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: person)
    _, out, err = run_cli("predict", tiny, scene, "-o", "out", "--tile", 64)
    assert ("tiles" in err) is person
    assert "tiles" not in out


# -- decode and run --------------------------------------------------------------------


def test_a_saved_prediction_is_decoded_with_other_thresholds(
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    _, out, _ = run_cli(
        "predict", tiny, scene, "-o", "a", "--save-prediction", "--json"
    )
    (saved,) = [f for f in json.loads(out)["files"] if f.endswith(".npz")]
    before = pd.read_csv("a/scene.objects.csv")
    code, out, err = run_cli(
        *("decode", saved, "-o", "b", "--mask-threshold", 0.3, "--json")
    )
    assert (code, err) == (0, "")
    assert set(json.loads(out)) == REPORT
    after = pd.read_csv("b/scene.objects.csv")
    assert len(after) == 6
    assert after["area"].sum() > before["area"].sum()


def test_decoding_again_with_the_same_settings_changes_nothing(
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    run_cli("predict", tiny, scene, "-o", "a", "--save-prediction")
    run_cli("decode", "a/scene.prediction.npz", "-o", "b")
    first, second = (Path(f, "scene.labels.tif").read_bytes() for f in "ab")
    assert first == second


def test_run_repeats_a_recipe_on_other_images(
    run_cli: Run, tiny: Path, scene: Path, tmp_path: Path
) -> None:
    run_cli("predict", tiny, scene, "-o", "a", "--mask-threshold", 0.3)
    other = tmp_path / "other.npy"
    np.save(other, np.flipud(tifffile.imread(scene)))
    code, out, _ = run_cli(
        "run", "a/scene.recipe.yaml", scene, other, "-o", "b", "--json"
    )
    reports = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [set(report) for report in reports] == [REPORT, REPORT]
    assert [report["objects"] for report in reports] == [6, 6]


def test_the_recipe_of_a_decoded_prediction_runs(
    run_cli: Run, tiny: Path, scene: Path
) -> None:
    run_cli("predict", tiny, scene, "-o", "a", "--save-prediction")
    run_cli("decode", "a/scene.prediction.npz", "-o", "b", "--mask-threshold", 0.3)
    code, out, err = run_cli("run", "b/scene.recipe.yaml", scene, "-o", "c", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["objects"] == 6
    first, second = (Path(f, "scene.labels.tif").read_bytes() for f in "bc")
    assert first == second
