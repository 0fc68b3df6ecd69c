"""Tables, data sets and outlines as the programs that read them want them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from pycocotools.coco import COCO
from scenes import drawn

import napari_imagec_ai as ai
from napari_imagec_ai.export.csv_files import harmless
from napari_imagec_ai.results.scores import Scores

Run = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept:DeprecationWarning"
)


def named(*classes: str) -> ai.Objects:
    """An object of each class."""
    labels = np.zeros((12, 4 * len(classes)), np.int32)
    for number in range(len(classes)):
        labels[2:5, 4 * number : 4 * number + 3] = number + 1
    objects = drawn(labels)
    return replace(
        objects, classes=classes, class_id=np.arange(len(classes), dtype=np.int32)
    )


# -- CSV -------------------------------------------------------------------------------

LIVE = ['=HYPERLINK("http://x.invalid","y")', "+1+1", "-2+3", "@SUM(1)", "\t=1", "-"]


def test_no_text_is_a_formula(tmp_path: Path) -> None:
    path = ai.write(named(*LIVE, "cell"), tmp_path / "a.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["class"] for row in rows] == [*(f"'{name}" for name in LIVE), "cell"]
    frame = ai.ImageInput(np.zeros((4, 4)), "YX").frame
    scores = Scores(frame, "", ("=1+1", "b"), np.array([-1e-5, 0.5], np.float32))
    told = pd.read_csv(ai.write(scores, tmp_path / "s.csv"))
    assert told["class"].tolist() == ["'=1+1", "b"]
    assert told["score"].tolist() == pytest.approx([-1e-5, 0.5])


def test_numbers_stay_numbers() -> None:
    assert [harmless(v) for v in (-3, -0.5, "-1e-05", "+2", "-x")] == [
        *(-3, -0.5, "-1e-05", "+2"),
        "'-x",
    ]


def test_names_that_are_not_ascii_are_marked_as_utf_8(tmp_path: Path) -> None:
    path = ai.write(named("µ-nucleus", "NA", "None"), tmp_path / "a.csv")
    assert path.read_bytes().startswith(b"\xef\xbb\xbfid,")
    told = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert next(iter(told)) == "id"
    assert told["class"].tolist() == ["µ-nucleus", "NA", "None"]
    path = ai.write(named("nucleus"), tmp_path / "b.csv")
    assert path.read_bytes().startswith(b"id,")


def test_what_is_no_number_is_a_gap(tmp_path: Path) -> None:
    objects = named("a", "b")
    objects = replace(objects, features={"depth": np.array([np.nan, 2.5])})
    text = ai.write(objects, tmp_path / "a.csv").read_text(encoding="utf-8")
    assert [line.split(",")[-1] for line in text.splitlines()] == ["depth", "", "2.5"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images with one and two bright squares."""
    for number in (1, 2):
        pixels = np.zeros((40, 60), np.float32)
        for i in range(number):
            pixels[10:24, 5 + 25 * i : 20 + 25 * i] = 0.97
        tifffile.imwrite(tmp_path / f"=bild {number}.tif", pixels)
    return tmp_path


def test_tables_over_a_batch_are_harmless_and_keep_their_marks(
    images: Path, run_cli: Run, make_model: Callable[..., Path]
) -> None:
    model, files = make_model(), sorted(images.glob("*.tif"))
    words = ("--classes", "µ-cell")
    code, _, err = run_cli("predict", model, files[0], "-o", images / "r", *words)
    assert (code, err) == (0, "")
    recipe = images / "r" / "=bild 1.recipe.yaml"
    code, _, err = run_cli("run", recipe, *files, "-o", images / "o", "--workers", "1")
    assert (code, err) == (0, "")
    for name in ("summary.csv", "objects.csv"):
        told = pd.read_csv(images / "o" / name)
        assert set(told["image"]) == {"'=bild 1.tif", "'=bild 2.tif"}
        assert set(told["class"]) == {"µ-cell"}


# -- COCO ------------------------------------------------------------------------------


def test_a_batch_has_one_data_set(
    images: Path, run_cli: Run, make_model: Callable[..., Path]
) -> None:
    files = sorted(images.glob("*.tif"))
    argv = ("predict", make_model(), *files, "-o", images / "o", "--export", "coco")
    assert run_cli(*argv)[0] == 0
    found = COCO(str(images / "o" / "coco.json"))
    assert [i["file_name"] for i in found.imgs.values()] == [f.name for f in files]
    assert [len(found.getAnnIds(imgIds=[i])) for i in found.imgs] == [1, 2]
    assert sorted(found.anns) == [1, 2, 3]
    assert len(found.cats) == 1


def test_a_loaded_prediction_knows_the_file_it_came_from(
    images: Path, run_cli: Run, make_model: Callable[..., Path]
) -> None:
    (image, _), folder = sorted(images.glob("*.tif")), images / "o"
    argv = ("predict", make_model(), image, "-o", folder, "--save-prediction")
    assert run_cli(*argv)[0] == 0
    saved = folder / "=bild 1.prediction.npz"
    assert run_cli("decode", saved, "-o", images / "d", "--export", "coco")[0] == 0
    told = json.loads((images / "d" / "=bild 1.coco.json").read_text(encoding="utf-8"))
    assert told["images"][0]["file_name"] == image.name


# -- QuPath ----------------------------------------------------------------------------


def test_a_cell_holds_its_nucleus(tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[1:9, 1:9], labels[3:5, 3:5] = 1, 2  # a cell and its nucleus
    labels[10:19, 1:14], labels[12:14, 2:4], labels[12:14, 8:10] = 3, 4, 5  # two in it
    labels[1:5, 20:24] = 6  # a nucleus alone
    frame = ai.ImageInput(labels, "YX").frame
    names = ("cell", "nucleus", "cell", "nucleus", "nucleus", "nucleus")
    objects = ai.read_labels(labels, frame, classes=dict(enumerate(names, start=1)))
    parent = np.array([0, 1, 0, 3, 3, 0])
    objects = replace(objects, features={**objects.features, "parent": parent})
    path = ai.write(objects, tmp_path / "a.geojson")
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert [f["id"] for f in features] == [1, 2, 3, 4, 5, 6]
    cell, *others = features
    assert cell["properties"]["objectType"] == "cell"
    assert cell["nucleusGeometry"]["coordinates"][0][0] == [3, 3]
    assert cell["properties"]["measurements"]["Nucleus: area"] == 4
    assert {f["properties"]["objectType"] for f in others} == {"detection"}
    colours = {
        f["properties"]["classification"]["name"]: tuple(
            f["properties"]["classification"]["color"]
        )
        for f in features
    }
    assert len(set(colours.values())) == 2


# -- channels --------------------------------------------------------------------------


def test_means_are_named_by_channel(
    tmp_path: Path, run_cli: Run, make_model: Callable[..., Path]
) -> None:
    pixels = np.zeros((2, 40, 60), np.float32)
    pixels[0, 10:24, 5:20], pixels[1] = 0.97, 7
    told: dict[str, Any] = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CD3+"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata=told)
    argv = ("predict", make_model(), tmp_path / "a.ome.tif", "-o", tmp_path / "o")
    assert run_cli(*argv, "--channels", "0")[0] == 0
    table = pd.read_csv(tmp_path / "o" / "a.ome.objects.csv")
    assert table["mean_intensity"].tolist() == pytest.approx([0.97], rel=1e-5)
    assert table["mean_intensity_DAPI"].tolist() == table["mean_intensity"].tolist()
    assert table["mean_intensity_CD3+"].tolist() == [7]
