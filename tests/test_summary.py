"""What a batch leaves over all its images: tables, and a sheet to look at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import description, torchscript_network
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai.export.palette import PALETTE
from napari_imagec_ai.export.summary import all_images
from napari_imagec_ai.export.summary.all_images import Line
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.library import trust
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.filters import Filter
from napari_imagec_ai.results.scores import Scores

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recipe(make_model: Callable[..., Path]) -> Recipe:
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    model = ai.load_model(make_model(network=torchscript_network, **rdf))
    trust.remember(model)
    large = Filter(feature="area", minimum=250, becomes="large")
    rule = ClassRule(source="thing", becomes="x", otherwise="small", filters=(large,))
    return Recipe(model=describe_model(model), classes=ClassMap(rules=(rule,)))


@pytest.fixture
def plate(tmp_path: Path, recipe: Recipe) -> Path:
    """A folder of images with 0 to 3 spots, a broken one, and a recipe."""
    folder = tmp_path / "a plate"
    folder.mkdir()
    for count in range(4):
        image = np.zeros((64, 96), np.float32)
        image[16, [12 + 28 * i for i in range(count)]] = 120
        blurred = gaussian_filter(image, 3)
        blurred[40:60, 4 : 24 * count // 2] = 1
        tifffile.imwrite(
            folder / f"Größe {count}.tif",
            blurred,
            imagej=True,
            resolution=(2, 2),
            metadata={"unit": "um", "axes": "YX"},
        )
    (folder / "broken.tif").write_bytes(b"II*\0nonsense")
    recipe.save(tmp_path / "recipe.yaml")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    names = ("summary.csv", "objects.csv", "contact-sheet.png")
    return {name: (folder / name).read_bytes() for name in names}


def test_tables_over_all_images_hold_what_the_single_ones_do(
    plate: Path, run_cli: Run
) -> None:
    argv = ("run", plate.parent / "recipe.yaml", plate / "*.tif", "--workers", "1")
    assert run_cli(*argv, "-o", "out")[0] == 1
    single = {
        path.name.removesuffix(".objects.csv"): pd.read_csv(path)
        for path in Path("out").glob("*.objects.csv")
    }
    assert len(single) == 4
    together = pd.read_csv("out/objects.csv")
    assert list(together.columns[:3]) == ["image", "id", "class"]
    for stem, table in single.items():
        mine = together[together["image"] == f"{stem}.tif"].drop(columns="image")
        pd.testing.assert_frame_equal(
            mine.reset_index(drop=True), table, check_dtype=False
        )
    told = pd.read_csv("out/summary.csv")
    failed = told[told["problem"].notna()]
    assert failed["image"].tolist() == ["broken.tif"]
    assert "cannot be read" in failed["problem"].iloc[0]
    for row in told[told["problem"].isna()].itertuples():
        table = single[row.image.removesuffix(".tif")]
        mine = table[table["class"] == row[2]]
        assert row.count == len(mine)
        if len(mine):
            areas = mine["area_micrometer2"]
            assert row.mean_area == pytest.approx(mine["area"].mean())
            assert row.total_area_micrometer2 == pytest.approx(areas.sum())
            assert row.mean_confidence == pytest.approx(mine["confidence"].mean())
    assert set(told["class"].dropna()) == {"small", "large", "x"}
    assert told.groupby("image")["count"].sum().to_dict() == {
        "broken.tif": 0,
        **{f"{stem}.tif": len(table) for stem, table in single.items()},
    }


def test_a_batch_that_went_on_leaves_the_same(plate: Path, run_cli: Run) -> None:
    argv = ("run", plate.parent / "recipe.yaml", plate / "*.tif", "-o")
    run_cli(*argv, "out", "--workers", "1")
    first = everything(Path("out"))
    for name in (*first, "Größe 2.objects.csv"):
        Path("out", name).unlink()
    run_cli(*argv, "out", "--workers", "1")
    assert everything(Path("out")) == first


def test_the_sheet_shows_every_image_with_its_outlines(
    plate: Path, run_cli: Run
) -> None:
    argv = ("run", plate.parent / "recipe.yaml", plate / "*.tif", "--workers", "1")
    run_cli(*argv, "-o", "out")
    page = cv2.imread("out/contact-sheet.png")[..., ::-1].astype(int)
    assert page.shape[1] == 5 * 344 + 24
    tiles = [page[76:, 24 + 344 * i : 24 + 344 * i + 320] for i in range(5)]
    inks = []
    for tile in tiles:
        near = [np.abs(tile[:200] - ink).sum(axis=-1) < 90 for ink in PALETTE[:3]]
        inks.append([bool(found.sum() > 20) for found in near])
        words = tile[-70:] < 130
        assert words.any(), "a name below each"
    # x, large, small: in the order of the person's classes.
    assert [any(found) for found in inks] == [False, True, True, True, False]
    assert [found[2] or found[1] for found in inks[1:4]] == [True] * 3


def test_without_a_summary_there_is_none(plate: Path, run_cli: Run) -> None:
    argv = ("run", plate.parent / "recipe.yaml", "--workers", "1", "-o")
    run_cli(*argv, "out", "--no-summary", plate / "Größe [12].tif")
    run_cli(*argv, "one", plate / "Größe 1.tif")  # is no batch
    for name in ("summary.csv", "objects.csv", "contact-sheet.png"):
        assert not Path("out", name).exists()
        assert not Path("one", name).exists()


def test_predict_on_a_folder_leaves_what_run_does(plate: Path, run_cli: Run) -> None:
    Path(plate, "broken.tif").unlink()
    recipe = Recipe.load(plate.parent / "recipe.yaml")
    model = Path(recipe.model.path)
    code, said, _ = run_cli("predict", model, plate, "-o", "once")
    assert code == 0
    made = [f"once{os.sep}{name}" for name in everything(Path("once"))]
    assert [line.strip() for line in said.splitlines()[-3:]] == made
    assert len(set(pd.read_csv("once/summary.csv")["image"])) == 4
    run_cli("predict", model, plate, "-o", "bare", "--no-summary")
    assert not Path("bare", "summary.csv").exists()
    assert not Path("bare", "contact-sheet.png").exists()
    with pytest.raises(SystemExit):
        run_cli("predict", "--help")


def test_predict_leaves_a_summary_of_yours_alone(plate: Path, run_cli: Run) -> None:
    Path(plate, "broken.tif").unlink()
    Path("out").mkdir()
    Path("out", "summary.csv").write_text("mine", encoding="utf-8")
    model = Path(Recipe.load(plate.parent / "recipe.yaml").model.path)
    code, _, told = run_cli("predict", model, plate, "-o", "out")
    assert code == 1
    assert "summary.csv" in told
    assert Path("out", "summary.csv").read_text(encoding="utf-8") == "mine"
    assert not list(Path("out").glob("*.labels.tif")), "known before the run"


def lines(folder: Path, count: int) -> list[Line]:
    report = {"objects": 3, "classes": {"nucleus": 2, "a \N{GREEK SMALL LETTER MU}": 1}}
    return [
        Line(Path(f"{i}.tif"), report) if i % 5 else Line(Path(f"{i}.tif"), {}, "Lost.")
        for i in range(count)
    ]


def test_many_images_take_pages_and_older_pages_go(tmp_path: Path) -> None:
    def sheets() -> list[str]:
        return sorted(path.name for path in tmp_path.glob("contact*"))

    (tmp_path / "contact-sheet-of-mine.png").write_bytes(b"")
    all_images.write_all(lines(tmp_path, 61), tmp_path, "Model")
    assert sheets() == [
        *(f"contact-sheet-{n}.png" for n in (1, 2, 3)),
        "contact-sheet-of-mine.png",
    ]
    heights = [
        cv2.imread(str(tmp_path / f"contact-sheet-{n}.png")).shape[0] for n in (1, 2, 3)
    ]
    assert heights[0] == heights[1] > 5 * heights[2] / 2
    all_images.write_all(lines(tmp_path, 4), tmp_path)
    assert sheets() == ["contact-sheet-of-mine.png", "contact-sheet.png"]


def test_tables_of_other_columns_are_joined(tmp_path: Path) -> None:
    (tmp_path / "a.objects.csv").write_text("id,area\n1,5\n2,6\n", encoding="utf-8")
    (tmp_path / "b.objects.csv").write_text("id,mean\n1,0.5\n", encoding="utf-8")
    made = [
        Line(Path(f"{stem}.tif"), {"files": [str(tmp_path / f"{stem}.objects.csv")]})
        for stem in "ab"
    ]
    all_images.write_all(made, tmp_path)
    text = (tmp_path / "objects.csv").read_text(encoding="utf-8")
    assert text.split() == [
        "image,id,area,mean",
        "a.tif,1,5,",
        "a.tif,2,6,",
        "b.tif,1,,0.5",
    ]


def test_scores_have_a_row_for_each_class(tmp_path: Path) -> None:
    values = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    frame = Frame("TYX", (2, 4, 4), (1.0, 1.0))
    measured = all_images.measured(Scores(frame, "T", ("cat", "dog"), values))
    report: dict[str, Any] = {"objects": 0, "classes": {}, "measured": measured}
    all_images.write_all([Line(Path("a.tif"), report)], tmp_path)
    told = pd.read_csv(tmp_path / "summary.csv")
    assert told["class"].tolist() == ["cat", "dog"]
    assert told["score"].tolist() == [0.375, 0.625]
