"""Objects are brought to the size that a network knows, told or found out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import ROOT, match_f1
from numpy.typing import NDArray

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.errors import ImageError, ModelError
from napari_imagec_ai.image.samples import sample_path
from napari_imagec_ai.model.object_size import known_sizes
from napari_imagec_ai.recipes.recipe import Recipe

NUCLEI = ROOT / "models" / "nuclei-unet"
BLOOD = ROOT / "models" / "blood-yolov5"


def scene(seed: int, side: int, diameter: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """A drawn image of nuclei, and their labels."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from synthetic_nuclei import make_scene
    finally:
        sys.path.pop(0)
    return make_scene(
        np.random.default_rng(seed),
        (side, side),
        diameter=diameter,
        coverage=0.35,
        clustering=0.3,
        defocus=0.0,
        faint=0.0,
        photons=800,
        bits=8,
    )


@pytest.fixture(scope="module")
def nuclei() -> ai.Model:
    """The bundled model."""
    return ai.load_model(NUCLEI)


def described(model: ai.Model, **own: Any) -> ai.Model:
    """The same model with other words for this package in its description."""
    hints = {**model.hints, "napari_imagec_ai": {**model.settings, **own}}
    return replace(model, hints=hints)


@pytest.mark.parametrize("diameter", [11, 30, 100])
def test_nuclei_of_every_size_are_found_at_the_first_press(
    nuclei: ai.Model, diameter: float
) -> None:
    image, truth = scene(7, 6 * int(diameter) + 220, diameter)
    prediction = ai.predict(nuclei, ai.ImageInput(image, "YX"))
    labels = ai.decode(prediction).as_labels()
    assert labels.shape == image.shape
    assert match_f1(truth, labels) > 0.75
    known = known_sizes(nuclei)
    assert known is not None
    assert known.least <= diameter * prediction.scale[0] <= known.most


def test_a_told_size_is_a_scale_and_results_lie_on_the_image(nuclei: ai.Model) -> None:
    image, truth = scene(3, 800, 96)
    prediction = ai.predict(nuclei, ai.ImageInput(image, "YX"), object_size=96)
    assert prediction.scale == pytest.approx((0.25, 0.25))
    assert prediction.object_size == 96
    assert any("96 px" in sentence for sentence in prediction.assumed)
    objects = ai.decode(prediction)
    # Half a pixel of the network is two of the image: an offset would show.
    found, there = objects.as_labels() > 0, truth > 0
    centre = [np.mean(np.nonzero(mask), axis=1) for mask in (found & there, there)]
    assert np.abs(centre[0] - centre[1]).max() < 3
    assert match_f1(truth, objects.as_labels()) > 0.8


def test_as_described_leaves_the_image_as_it_is(nuclei: ai.Model) -> None:
    image, _ = scene(3, 400, 96)
    given = ai.ImageInput(image, "YX")
    prediction = ai.predict(nuclei, given, object_size="as described")
    assert prediction.scale == (1.0, 1.0)
    assert prediction.object_size is None
    objects = ai.decode(prediction)
    assert any("does not know" in sentence for sentence in objects.assumed)


def test_models_that_tell_no_sizes_run_as_described(nuclei: ai.Model) -> None:
    image, _ = scene(3, 400, 60)
    silent = described(nuclei, object_size=None)
    prediction = ai.predict(silent, ai.ImageInput(image, "YX"))
    assert prediction.scale == (1.0, 1.0)
    with pytest.raises(ImageError, match="does not say which sizes"):
        ai.predict(silent, ai.ImageInput(image, "YX"), object_size=60)


@pytest.mark.parametrize("size", [0, -5, float("nan"), "wide", True])
def test_sizes_that_are_none_are_refused(nuclei: ai.Model, size: Any) -> None:
    image = ai.ImageInput(np.zeros((64, 64), np.uint8), "YX")
    with pytest.raises(ImageError, match="diameter of an object"):
        ai.predict(nuclei, image, object_size=size)


def test_a_size_larger_than_the_image_is_refused(nuclei: ai.Model) -> None:
    image = ai.ImageInput(np.zeros((64, 80), np.uint8), "YX", name="small")
    with pytest.raises(ImageError, match=r"at most 80 pixels.*80 x 64.*found 200"):
        ai.predict(nuclei, image, object_size=200)


def test_a_scale_and_a_size_exclude_each_other(nuclei: ai.Model) -> None:
    image = ai.ImageInput(np.zeros((64, 80), np.uint8), "YX")
    with pytest.raises(ImageError, match="leave one of them out"):
        ai.predict(nuclei, image, object_size=20, scale=0.5)


@pytest.mark.parametrize("what", ["one value", "noise", "haze"])
def test_where_nothing_is_the_size_cannot_be_told_and_nothing_is_found(
    nuclei: ai.Model, what: str
) -> None:
    rng = np.random.default_rng(2)
    image = np.full((512, 512), 90.0)
    if what == "noise":
        image = rng.normal(100, 12, (512, 512))
    if what == "haze":
        cloud = cv2.GaussianBlur(rng.standard_normal((512, 512)), (0, 0), 70)
        image = 60 + 900 * cloud + rng.normal(0, 2, (512, 512))
    grey = np.clip(image, 0, 255).astype(np.uint8)
    prediction = ai.predict(nuclei, ai.ImageInput(grey, "YX"))
    assert prediction.scale == (1.0, 1.0)
    assert any("could not be told" in sentence for sentence in prediction.assumed)
    assert len(ai.decode(prediction)) == 0


def test_an_image_that_cannot_be_resized_as_a_whole_runs_as_described(
    nuclei: ai.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = scene(3, 400, 96)
    monkeypatch.setattr("napari_imagec_ai.run.size.choose.LARGE", 100_000)
    prediction = ai.predict(nuclei, ai.ImageInput(image, "YX"))
    assert prediction.scale == (1.0, 1.0)
    assert any("too large to be resized" in told for told in prediction.assumed)


def test_planes_of_different_objects_are_told_of(nuclei: ai.Model) -> None:
    planes = [scene(1, 420, 90)[0], scene(2, 420, 26)[0], scene(3, 420, 90)[0]]
    stack = ai.ImageInput(np.stack(planes), "ZYX")
    prediction = ai.predict(nuclei, stack)
    assert any("differ between planes" in sentence for sentence in prediction.assumed)
    assert ai.decode(prediction).as_labels().shape == stack.shape


def test_boxes_come_back_in_pixels_of_the_image() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from synthetic_blood import make_smear
    finally:
        sys.path.pop(0)
    smear = make_smear(np.random.default_rng(4), (480, 640))
    model = ai.load_model(BLOOD)
    large = cv2.resize(smear, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_LINEAR)
    found = []
    for pixels, size in ((smear, 112), (large, 168)):
        image = ai.ImageInput(np.moveaxis(pixels, -1, 0), "CYX")
        prediction = ai.predict(model, image, object_size=size)
        assert prediction.scale[0] == pytest.approx(56 / size, rel=0.02)
        objects = ai.classify(ai.decode(prediction), class_threshold=0.5)
        found.append(objects.boxes[objects.class_id == 0])
    assert len(found[0]) > 5
    assert abs(len(found[0]) - len(found[1])) <= 2
    middle = [np.median(boxes[:, 2] - boxes[:, 0]) for boxes in found]
    assert middle[1] == pytest.approx(1.5 * middle[0], rel=0.1)


@pytest.mark.parametrize(
    ("told", "least", "best", "most"),
    [(24, 12, 24, 48), ([10, 40], 10, 20, 40), ([10, 24, 48], 10, 24, 48)],
)
def test_descriptions_tell_sizes_in_three_ways(
    nuclei: ai.Model, told: Any, least: float, best: float, most: float
) -> None:
    known = known_sizes(described(nuclei, object_size=told))
    assert known is not None
    assert (known.least, known.best, known.most) == (least, best, most)


@pytest.mark.parametrize("told", ["24 px", [40, 10], [1, 2, 3, 4], 0, [], [True]])
def test_descriptions_whose_sizes_are_none_are_told_of(
    nuclei: ai.Model, told: Any
) -> None:
    with pytest.raises(ModelError, match="expected one diameter"):
        known_sizes(described(nuclei, object_size=told))


def test_volumes_take_one_diameter_for_anisotropic_voxels(nuclei: ai.Model) -> None:
    from napari_imagec_ai.run.feed.feed import plan_feed
    from napari_imagec_ai.run.size.choose import _scaled

    spec = nuclei.inputs[0]
    image = ai.ImageInput(
        np.zeros((4, 64, 64), np.uint8), "ZYX", (2.0, 0.5, 0.5), "micrometer"
    )
    feed = plan_feed(spec, image)
    volume = replace(feed, space="ZYX", scale=(2.0, 0.5, 0.5))
    assert _scaled(volume, 0.25, 96.0, "").scale == pytest.approx((1.0, 0.25, 0.25))


def test_the_command_line_and_the_recipe_hold_the_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import imageio.v3 as iio

    image, _ = scene(5, 420, 80)
    iio.imwrite(tmp_path / "a.png", image)
    args = ["predict", str(NUCLEI), str(tmp_path / "a.png"), "-o", str(tmp_path / "r")]
    assert main([*args, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["object_size"] == pytest.approx(80, rel=0.3)
    recipe = Recipe.load(tmp_path / "r" / "a.recipe.yaml")
    assert recipe.predict.object_size == report["object_size"]
    again = ["run", str(tmp_path / "r" / "a.recipe.yaml"), str(tmp_path / "a.png")]
    assert main([*again, "-o", str(tmp_path / "s"), "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert (same["scale"], same["objects"]) == (report["scale"], report["objects"])
    other = [*again, "-o", str(tmp_path / "t"), "--object-size", "as-described"]
    assert main([*other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scale"] == [1.0, 1.0]
    assert main([*args[:3], "-o", str(tmp_path / "u"), "--object-size", "0"]) == 1
    assert "diameter of an object" in capsys.readouterr().err


def test_a_recipe_says_where_its_size_comes_from(
    tmp_path: Path,
    run_cli: Callable[..., tuple[int, str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    plate = tmp_path / "plate"
    plate.mkdir()
    for name in "ab":
        shutil.copy(sample_path("nuclei"), plate / f"{name}.tif")
    out = str(tmp_path / "out")
    assert run_cli("predict", "nuclei-unet", str(plate / "a.tif"), "-o", out)[0] == 0
    recipe = str(tmp_path / "out" / "a.recipe.yaml")
    assert run_cli("run", recipe, str(plate), "-o", out, "--no-summary")[0] == 0
    assert "found on the image that it was made with; --object-size auto" in caplog.text
    caplog.clear()
    again = ("run", recipe, str(plate), "-o", out, "--object-size", "auto")
    assert run_cli(*again, "--no-summary")[0] == 0
    assert "found on the image that" not in caplog.text
