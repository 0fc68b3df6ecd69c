"""A region of an image: only it is run, and what is found lies in the whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
import yaml
from conftest import discs
from detectors import SceneEngine, detector_rdf, scene
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai.image.region import Cut, Region
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.filters import Filter
from napari_imagec_ai.results.part_to_whole import in_part, in_whole
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.run.settings import RunSettings

Run = Callable[..., tuple[int, str, str]]
MakeModel = Callable[..., Path]

SHAPE, CENTRES = (96, 128), [(20, 20), (20, 60), (20, 100), (70, 30), (70, 80)]
BOX = {"Y": (4, 90), "X": (45, 120)}  # three discs, none of them cut
INSIDE = [(20, 60), (20, 100), (70, 80)]


def picture() -> np.ndarray:
    labels = discs(SHAPE, CENTRES, (9,) * 5)
    return np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)


@pytest.fixture
def recipe(make_model: MakeModel) -> Recipe:
    model = ai.load_model(make_model())
    # A filter by position counts from the corner of the whole image, too.
    right = Filter(feature="centroid_x", minimum=75, becomes="right")
    rule = ClassRule(source="thing", becomes="x", otherwise="left", filters=(right,))
    return Recipe(
        model=describe_model(model),
        predict=RunSettings(region=Region(box=BOX)),
        decoder="unet",
        classes=ClassMap(rules=(rule,)),
    )


def centroids(objects: ai.Objects) -> list[tuple[int, int]]:
    found = zip(
        objects.features["centroid_y"], objects.features["centroid_x"], strict=True
    )
    return sorted((round(y), round(x)) for y, x in found)


def test_what_is_found_lies_in_pixels_of_the_whole_image(recipe: Recipe) -> None:
    image = ai.ImageInput(picture(), "YX")
    prediction = recipe.predict_image(image)
    assert prediction.maps["probability"].shape[-2:] == (86, 75)
    objects = recipe.tune(prediction)
    whole = recipe.model_copy(update={"predict": RunSettings()}).run(image)
    assert isinstance(objects, ai.Objects)
    assert isinstance(whole, ai.Objects)
    assert centroids(objects) == INSIDE
    assert objects.counts() == {"x": 0, "right": 2, "left": 1}
    same = whole[whole.features["centroid_x"] > 50].as_labels() > 0
    np.testing.assert_array_equal(objects.as_labels() > 0, same)
    mine = {tuple(box) for box in objects.boxes.tolist()}
    assert mine < {tuple(box) for box in whole.boxes.tolist()}
    outer = np.concatenate(objects.as_polygons())
    assert outer[:, 1].min() > 45


def test_every_file_counts_from_the_corner_of_the_whole_image(
    recipe: Recipe, tmp_path: Path, run_cli: Run
) -> None:
    tifffile.imwrite(tmp_path / "scene.tif", picture())
    words = "labels,csv,geojson,rois,coco,imagej,overlay"
    code, _, err = run_cli(
        *("run", recipe.save(tmp_path / "r.yaml"), tmp_path / "scene.tif"),
        *("-o", "out", "--export", words),
    )
    assert (code, err) == (0, "")
    labels = tifffile.imread("out/scene.labels.tif")
    assert labels.shape == SHAPE
    assert tifffile.imread("out/scene.imagej.tif").shape == SHAPE
    for y, x in INSIDE:
        assert labels[y, x] > 0
    with Path("out/scene.objects.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        mine = np.argwhere(labels == int(row["id"]))
        middle = [float(row["centroid_y"]), float(row["centroid_x"])]
        np.testing.assert_allclose(mine.mean(axis=0), middle, atol=1e-4)
        low = [float(row["box_y0"]), float(row["box_x0"])]
        assert mine.min(axis=0).tolist() == low
    shapes = json.loads(Path("out/scene.geojson").read_text(encoding="utf-8"))
    middles = [
        np.mean(one["geometry"]["coordinates"][0][:-1], axis=0)[::-1] - 0.5
        for one in shapes["features"]
    ]
    assert sorted(tuple(np.rint(m).astype(int).tolist()) for m in middles) == INSIDE
    rois = roifile.roiread("out/scene.rois.zip")
    assert sorted(round((r.top + r.bottom - 1) / 2) for r in rois) == [20, 20, 70]
    assert sorted(round((r.left + r.right - 1) / 2) for r in rois) == [60, 80, 100]
    coco = json.loads(Path("out/scene.coco.json").read_text(encoding="utf-8"))
    sides = [(one["bbox"][0], one["bbox"][2]) for one in coco["annotations"]]
    assert sorted(round(x + (w - 1) / 2) for x, w in sides) == [60, 80, 100]


def test_python_command_line_and_a_saved_prediction_write_the_same_bytes(
    recipe: Recipe, tmp_path: Path, run_cli: Run
) -> None:
    tifffile.imwrite(tmp_path / "scene.tif", picture())
    saved = recipe.save(tmp_path / "r.yaml")
    again = Recipe.load(saved)
    assert again == recipe
    image = ai.open_image(tmp_path / "scene.tif")
    prediction = again.predict_image(image)
    prediction.save(tmp_path / "p.npz")
    tables = [
        ai.write(again.run(image), tmp_path / "recipe.csv"),
        ai.write(again.tune(prediction), tmp_path / "prediction.csv"),
    ]
    loaded = again.tune(Prediction.load(tmp_path / "p.npz"))
    assert isinstance(loaded, ai.Objects)
    assert centroids(loaded) == INSIDE
    assert loaded.frame.shape == SHAPE
    code, *_ = run_cli("run", saved, tmp_path / "scene.tif", "-o", "out")
    assert code == 0
    tables.append(Path("out/scene.objects.csv"))
    # The recipe beside the results makes them once more.
    run_cli("run", "out/scene.recipe.yaml", tmp_path / "scene.tif", "-o", "more")
    tables.append(Path("more/scene.objects.csv"))
    first, *others = [table.read_bytes() for table in tables]
    assert first.count(b"\n") == 4
    assert others == [first] * 3


def test_a_region_on_the_command_line(
    make_model: MakeModel, tmp_path: Path, run_cli: Run
) -> None:
    tifffile.imwrite(tmp_path / "scene.tif", picture())
    argv = ("predict", make_model(), tmp_path / "scene.tif", "-o", "out", "--json")
    code, out, _ = run_cli(*argv, "--region", "Y=0:50")
    assert (code, json.loads(out)["objects"]) == (0, 3)
    told = yaml.safe_load(Path("out/scene.recipe.yaml").read_text(encoding="utf-8"))
    assert told["predict"]["region"] == {"box": {"Y": [0, 50]}, "polygons": []}
    code, _, err = run_cli(*argv, "--region", "Y=96:100")
    assert code == 1
    assert "The region lies outside of 'scene'" in err


def test_of_several_shapes_only_objects_with_their_centre_in_one_count(
    recipe: Recipe,
) -> None:
    corner = ((10.0, 50.0), (10.0, 70.0), (30.0, 70.0), (30.0, 50.0))
    around = ((50.0, 70.0), (66.0, 95.0), (90.0, 80.0))
    region = Region(box=BOX, polygons=(corner, around))
    chosen = recipe.model_copy(update={"predict": RunSettings(region=region)})
    objects = chosen.run(ai.ImageInput(picture(), "YX"))
    assert isinstance(objects, ai.Objects)
    assert centroids(objects) == [(20, 60), (70, 80)]
    assert len(np.unique(objects.as_labels())) == 3


def test_planes_are_chosen_where_the_network_runs_plane_by_plane(
    recipe: Recipe,
) -> None:
    stack = np.stack([np.zeros(SHAPE, np.float32) + 0.02, picture(), picture() * 0.9])
    image = ai.ImageInput(stack, "TYX")
    region = Region(box={"T": (1, 9), **BOX})
    chosen = recipe.model_copy(update={"predict": RunSettings(region=region)})
    prediction = chosen.predict_image(image)
    assert (prediction.frame.shape[0], prediction.frame.origin[0]) == (2, 1)
    objects = chosen.tune(prediction)
    assert isinstance(objects, ai.Objects)
    assert centroids(objects) == sorted(INSIDE * 2)
    assert np.unique(objects.planes).tolist() == [1, 2]
    assert objects.as_labels().shape == (2, *SHAPE)
    both = RunSettings(region=region, planes={"T": 1})
    with pytest.raises(ai.ImageError, match="Both planes and a region"):
        recipe.model_copy(update={"predict": both}).run(image)


def test_masks_of_detectors_lie_in_the_whole_image_too(make_model: MakeModel) -> None:
    pixels, labels = scene((64, 128), [(8, 8, 20, 24, 0), (30, 90, 44, 110, 1)])
    model = ai.load_model(make_model("yolo", **detector_rdf()))
    image = ai.ImageInput(pixels, "YX")
    region = {"Y": (10, 64), "X": (64, 128)}
    engine = SceneEngine()
    part = ai.decode(ai.predict(model, image, engine=engine, scale=1.0, region=region))
    assert isinstance(part, ai.Objects)
    assert part.counts() == {"round": 0, "rod": 1}
    np.testing.assert_allclose(part.boxes, [(30, 90, 44, 110)], atol=1)
    found = part.as_labels() > 0
    assert found.shape == labels.shape
    both, either = found & (labels == 2), found | (labels == 2)
    assert both.sum() > 0.8 * either.sum()


def test_there_and_back_again(recipe: Recipe) -> None:
    image = ai.ImageInput(picture(), "YX")
    prediction = recipe.predict_image(image)
    cut = prediction.cut
    assert isinstance(cut, Cut)
    objects = recipe.tune(prediction)
    assert isinstance(objects, ai.Objects)
    here = in_part(objects, cut.begin, prediction.frame.shape)
    assert here.as_labels().shape == prediction.frame.shape
    there = in_whole(here, cut)
    np.testing.assert_array_equal(there.as_labels(), objects.as_labels())
    np.testing.assert_array_equal(there.boxes, objects.boxes)
    # Labels that are not placed are read where the part lies.
    painted = replace(objects, label_image=objects.as_labels())
    again = in_part(painted, cut.begin, prediction.frame.shape)
    np.testing.assert_array_equal(again.as_labels(), here.as_labels())
