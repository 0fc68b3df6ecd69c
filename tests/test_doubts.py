"""What a network was not made for is said, and nothing is refused for it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import ROOT
from numpy.typing import NDArray

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.errors import DecodeError, ModelError
from napari_imagec_ai.image.appearance import look_at
from napari_imagec_ai.model.domain import Domain, domain_of
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.run.feed.doubts import doubts

NUCLEI = ROOT / "models" / "nuclei-unet"


@pytest.fixture(scope="module")
def nuclei() -> ai.Model:
    """The bundled model."""
    return ai.load_model(NUCLEI)


def described(model: ai.Model, **own: Any) -> ai.Model:
    """The same model with other words for this package in its description."""
    hints = {**model.hints, "napari_imagec_ai": {**model.settings, **own}}
    return replace(model, hints=hints)


def cells(seed: int, share: float = 0.1) -> NDArray[np.float32]:
    """A map from 0 to 1 with blurred disks."""
    rng = np.random.default_rng(seed)
    image = np.zeros((256, 256), np.float32)
    while (image > 0).mean() < share:
        x, y, radius = (int(v) for v in rng.integers((0, 0, 6), (256, 256, 14)))
        cv2.circle(image, (x, y), radius, float(rng.uniform(0.4, 1)), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.5))


def stained(seed: int) -> ai.ImageInput:
    """Violet nuclei on a rose tissue, as with haematoxylin and eosin."""
    rng = np.random.default_rng(seed)
    cover = cells(seed, 0.3)[..., None]
    rose, violet = np.array([236, 190, 214.0]), np.array([104, 70, 150.0])
    image = rose * (1 - cover) + violet * cover + rng.normal(0, 4, (256, 256, 3))
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return ai.ImageInput(np.moveaxis(pixels, -1, 0), "CYX", name="tissue", rgb=True)


def test_stained_tissue_is_said_not_to_be_fluorescence(nuclei: ai.Model) -> None:
    prediction = ai.predict(nuclei, stained(1))
    assert len(prediction.doubts) == 1
    assert "bright background" in prediction.doubts[0]
    assert "colours" in prediction.doubts[0]
    assert "choose a model" in prediction.doubts[0]
    assert prediction.doubts[0] in ai.decode(prediction).assumed


def test_a_bright_field_image_is_told_and_its_inverse_is_not(nuclei: ai.Model) -> None:
    dark = (220 - 160 * cells(2)).astype(np.uint8)
    assert "bright background" in doubts(nuclei, ai.ImageInput(dark, "YX"))[0]
    assert doubts(nuclei, ai.ImageInput(255 - dark, "YX")) == ()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("bits", [8, 16])
def test_fluorescence_is_not_doubted(nuclei: ai.Model, share: float, bits: int) -> None:
    rng = np.random.default_rng(5)
    light = cells(3, share) + 0.05 + rng.normal(0, 0.01, (256, 256))
    most = 2**bits - 1
    kind = np.uint8 if bits == 8 else np.uint16
    image = np.clip(light * 0.6 * most, 0, most).astype(kind)
    assert doubts(nuclei, ai.ImageInput(image, "YX")) == ()


def test_dyes_side_by_side_are_no_photograph(nuclei: ai.Model) -> None:
    dyes = [255 * cells(seed) for seed in (1, 2, 3)]
    image = ai.ImageInput(np.clip(dyes, 0, 255).astype(np.uint8), "CYX")
    assert look_at(image).colour > 0.04
    assert doubts(nuclei, image, (2,)) == ()


def test_noise_is_told(nuclei: ai.Model) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(100, 20, (256, 256)).clip(0, 255).astype(np.uint8)
    said = doubts(nuclei, ai.ImageInput(image, "YX"))
    assert "more than noise" in said[-1]


def test_a_model_of_blood_is_told_of_grey_images() -> None:
    blood = ai.load_model(ROOT / "models" / "blood-yolov5")
    image = ai.ImageInput((255 * cells(1)).astype(np.uint8), "YX")
    assert "dark background" in doubts(blood, image)[0]
    bright = ai.ImageInput((220 - 160 * cells(1)).astype(np.uint8), "YX")
    assert "colours" in doubts(blood, bright)[0]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("nuclei", "fluorescence-light-microscopy"), ("bright on dark", "grey")),
        (("histology", "H&E"), ("dark on bright", "colour")),
        (("brightfield",), ("dark on bright", None)),
        (("fluorescence", "brightfield"), (None, None)),
        (("electron-microscopy",), (None, None)),
    ],
)
def test_tags_tell_the_domain_where_nothing_else_does(
    nuclei: ai.Model, tags: tuple[str, ...], expected: tuple[Any, Any]
) -> None:
    told = replace(nuclei, hints={}, tags=tags, name="some network")
    assert domain_of(told) == Domain(*expected)


@pytest.mark.parametrize("told", ["bright", {"polarity": "white"}, {"colours": 3}])
def test_words_for_a_domain_that_are_none_are_told_of(
    nuclei: ai.Model, told: Any
) -> None:
    with pytest.raises(ModelError, match="'polarity'"):
        domain_of(described(nuclei, domain=told))


def test_doubts_are_on_the_command_line_and_in_the_tables(
    tmp_path: Path, nuclei: ai.Model, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.moveaxis(np.asarray(stained(4).data), 0, -1)
    iio.imwrite(tmp_path / "tissue.png", pixels)
    iio.imwrite(tmp_path / "good.png", (230 * cells(6)).astype(np.uint8))
    recipe = Recipe(model=describe_model(nuclei)).save(tmp_path / "r.yaml")
    args = [
        "run",
        str(recipe),
        str(tmp_path / "good.png"),
        str(tmp_path / "tissue.png"),
    ]
    assert main([*args, "-o", str(tmp_path / "out"), "--workers", "1", "--json"]) == 0
    told = capsys.readouterr()
    reports = [json.loads(line) for line in told.out.splitlines()]
    by_name = {Path(report["image"]).name: report for report in reports}
    assert by_name["good.png"]["warnings"] == []
    assert "bright background" in by_name["tissue.png"]["warnings"][0]
    assert "bright background" in told.err
    with (tmp_path / "out" / "summary.csv").open(encoding="utf-8") as file:
        rows = {row["image"]: row["problem"] for row in csv.DictReader(file)}
    assert rows["good.png"] == ""
    assert "bright background" in rows["tissue.png"]


def test_confidence_is_the_share_that_the_description_tells(nuclei: ai.Model) -> None:
    image = ai.ImageInput((230 * cells(6)).astype(np.uint8), "YX")
    prediction = ai.predict(nuclei, image)
    plain = replace(
        prediction, model=described(nuclei, confidence=None, min_confidence=0.0)
    )
    raw = ai.decode(plain).confidence
    half = described(nuclei, confidence=[[0, 0], [1, 0.5]], min_confidence=0.0)
    told = ai.decode(replace(prediction, model=half)).confidence
    assert told == pytest.approx(raw / 2, abs=1e-6)


def test_objects_below_the_least_confidence_are_left_out(nuclei: ai.Model) -> None:
    image = ai.ImageInput((230 * cells(6)).astype(np.uint8), "YX")
    prediction = ai.predict(nuclei, image)
    every = described(nuclei, confidence=None, min_confidence=0.0)
    found = ai.decode(replace(prediction, model=every))
    middle = float(np.median(found.confidence))
    some = described(nuclei, confidence=None, min_confidence=middle)
    kept = ai.decode(replace(prediction, model=some))
    assert 0 < len(kept) < len(found)
    assert kept.confidence.min() >= middle
    assert set(np.unique(kept.as_labels())) - {0} == set(kept.id)


@pytest.mark.parametrize(
    "curve", [[[0, 0]], [[0, 1], [1, 0]], "high", [[0, 0], [2, 1]]]
)
def test_curves_that_do_not_rise_are_told_of(nuclei: ai.Model, curve: Any) -> None:
    image = ai.ImageInput((230 * cells(6)).astype(np.uint8), "YX")
    prediction = replace(
        ai.predict(nuclei, image), model=described(nuclei, confidence=curve)
    )
    with pytest.raises(DecodeError, match="that rise for 'confidence'"):
        ai.decode(prediction)


def test_real_images_are_told_apart(shared: Path, nuclei: ai.Model) -> None:
    folder = shared / "data" / "nuclei_dsb2018"
    if not folder.exists():
        pytest.skip("needs the images of shared/data")
    with (folder / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wrong: dict[str, int] = {}
    count: dict[str, int] = {}
    for row in rows:
        pixels = iio.imread(folder / f"{row['name']}.png")
        axes = "YX" if pixels.ndim == 2 else "CYX"
        data = pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
        doubted = bool(doubts(nuclei, ai.ImageInput(data, axes), (0,)))
        count[row["kind"]] = count.get(row["kind"], 0) + 1
        expected = row["kind"] != "fluorescence"
        wrong[row["kind"]] = wrong.get(row["kind"], 0) + (doubted != expected)
    assert wrong["colour"] == wrong["brightfield"] == 0
    assert wrong["fluorescence"] <= 0.02 * count["fluorescence"]
