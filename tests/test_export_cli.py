"""Every format from the command line: words, names of files, and what is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scenes import maps, pairs

from napari_imagec_ai.export.writing import EXPORTS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "Größe 1.tif"
    tifffile.imwrite(path, maps(pairs(), "foreground")[0])
    return path


def test_every_word_writes_its_file(
    run_cli: Run, make_model: Callable[..., Path], scene: Path
) -> None:
    suffixes = {w: s for w, s in EXPORTS.items() if w not in ("tracks", "tracklabels")}
    words = ",".join(suffixes)
    code, out, err = run_cli(
        "predict", make_model(), scene, "-o", "out", "--export", words, "--json"
    )
    assert (code, err) == (0, "")
    written = json.loads(out)["files"]
    names = [f"Größe 1{suffix}" for suffix in suffixes.values()]
    names.insert(list(suffixes).index("yolo") + 1, "data.yaml")
    assert [Path(name).name for name in written] == [*names, "Größe 1.recipe.yaml"]
    assert all(Path(name).exists() for name in written)
    # The pixels of the image and the recipe are in those that show them.
    page = Path("out/Größe 1.report.html").read_text(encoding="utf-8")
    assert "mask_threshold" in page
    assert "not at hand" not in page
    annotated = json.loads(Path("out/Größe 1.coco.json").read_text(encoding="utf-8"))
    assert annotated["images"][0]["file_name"] == "Größe 1.tif"


def test_a_saved_prediction_is_written_in_other_formats(
    run_cli: Run, make_model: Callable[..., Path], scene: Path
) -> None:
    run_cli("predict", make_model(), scene, "-o", "out", "--save-prediction")
    saved = "out/Größe 1.prediction.npz"
    code, out, _ = run_cli(
        "decode", saved, "-o", "again", "--export", "ometiff,report", "--json"
    )
    assert code == 0
    report, *_ = [name for name in json.loads(out)["files"] if name.endswith("html")]
    assert "6 objects" in Path(report).read_text(encoding="utf-8")
    labels = tifffile.imread("again/Größe 1.ome.tif")
    assert len(np.unique(labels)) == 7


def test_a_word_that_does_not_fit_names_those_that_do(
    run_cli: Run, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    stack = tmp_path / "stack.tif"
    values = np.stack([maps(pairs(), "foreground")[0]] * 2)
    tifffile.imwrite(stack, values, metadata={"axes": "TYX"})
    code, out, err = run_cli(
        "predict", make_model(), stack, "-o", "out", "--export", "csv,yolo"
    )
    assert (code, out) == (1, "")
    assert "YOLO labels cannot be written" in err
    assert "what fits is labels, csv, geojson" in err
    assert not list(Path("out").glob("*.csv"))
