"""Recipes: what is saved is what runs again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from conftest import ROOT, onnx_network
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import maps, pairs

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.image.region import Region
from napari_imagec_ai.recipes.recipe import VERSION, ModelRef, Recipe, describe_model
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.filters import Filter
from napari_imagec_ai.run.settings import RunSettings

IMAGE = maps(pairs(), "foreground")[0]

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x85"), max_size=9)
TARGETS = st.none() | NAMES
FILTERS = st.builds(
    Filter,
    feature=NAMES,
    minimum=st.floats(allow_nan=False),
    maximum=st.just(float("inf")) | st.floats(0, 1e6),
    becomes=TARGETS,
)
RULES = st.builds(
    ClassRule,
    source=NAMES,
    becomes=TARGETS,
    otherwise=TARGETS,
    handicap=st.floats(-1, 1),
    filters=st.lists(FILTERS, max_size=2).map(tuple),
    require_all=st.booleans(),
)
CORNERS = st.tuples(st.floats(-9, 9), st.floats(-9, 9))
REGIONS = st.builds(
    Region,
    box=st.just({"Z": (0, 3), "X": (-2, 40)}),
    polygons=st.lists(
        st.lists(CORNERS, min_size=3, max_size=4).map(tuple), max_size=2
    ).map(tuple),
)
RECIPES = st.builds(
    Recipe,
    model=st.builds(ModelRef, name=NAMES),
    predict=st.builds(
        RunSettings,
        tile=st.none() | st.tuples(st.integers(1, 999)),
        channels=st.none() | st.tuples(st.integers(0, 5), st.integers(0, 5)),
        planes=st.none() | st.just({"T": (1, 4), "Z": 3}),
        region=st.none() | REGIONS,
    ),
    decoder=st.none() | NAMES,
    settings=st.just({"mask_threshold": 0.3, "split": False}),
    classes=st.none()
    | st.builds(
        ClassMap,
        rules=st.lists(RULES, max_size=3, unique_by=lambda r: r.source).map(tuple),
        class_threshold=st.floats(0, 1),
    ),
)


@settings(deadline=None, max_examples=100)
@given(recipe=RECIPES)
def test_a_recipe_comes_back_from_its_file(
    recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = recipe.save(tmp_path_factory.mktemp("recipe") / "a.yaml")
    assert Recipe.load(path) == recipe


@pytest.fixture
def recipe(make_model: Callable[..., Path]) -> Recipe:
    model = ai.load_model(make_model())
    return Recipe(
        model=describe_model(model),
        decoder="unet",
        settings={"mask_threshold": 0.6, "min_size": 20},
        classes=ClassMap(
            rules=(
                ClassRule(
                    source="thing",
                    becomes="large",
                    filters=(Filter(feature="area", minimum=360),),
                    otherwise="small",
                ),
            ),
            class_threshold=0.2,
        ),
    )


def test_the_command_line_and_python_write_the_same_table(
    recipe: Recipe, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "scene.tif", IMAGE)
    saved = recipe.save(tmp_path / "r.yaml")
    image = ai.open_image(tmp_path / "scene.tif")
    model = ai.load_model(recipe.model.path)
    raw = ai.predict(model, image)
    decoded = ai.decode(raw, recipe.decoder_settings(model))
    tables = [
        ai.write(Recipe.load(saved).run(image), tmp_path / "recipe.csv"),
        ai.write(ai.classify(decoded, recipe.classes), tmp_path / "python.csv"),
    ]
    argv = ["run", str(saved), str(tmp_path / "scene.tif"), "-o", str(tmp_path / "o")]
    assert main(argv) == 0
    tables.append(tmp_path / "o" / "scene.objects.csv")
    first, *others = [table.read_bytes() for table in tables]
    assert first.count(b"large") + first.count(b"small") == 6
    assert others == [first, first]


def test_the_recipe_of_a_run_makes_the_run_again(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "scene.tif", IMAGE)
    image = str(tmp_path / "scene.tif")
    tuned = ["--mask-threshold", "0.3", "--class-threshold", "0.1", "--tile", "64"]
    argv = ["predict", str(make_model()), image, "-o", str(tmp_path / "a"), *tuned]
    assert main(argv) == 0
    again = str(tmp_path / "a" / "scene.recipe.yaml")
    assert main(["run", again, image, "-o", str(tmp_path / "b")]) == 0
    for name in ("scene.objects.csv", "scene.geojson", "scene.labels.tif"):
        first, second = (tmp_path / folder / name for folder in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_a_recipe_with_one_tile_size_runs_from_python(recipe: Recipe) -> None:
    tiled = recipe.model_copy(update={"predict": RunSettings(tile=(64,))})
    image = ai.ImageInput(IMAGE, "YX")
    prediction = tiled.predict_image(image)
    assert prediction.network_calls > 1
    assert len(tiled.tune(prediction)) == len(recipe.run(image)) == 6


def test_settings_that_are_left_out_are_the_models_own(
    make_model: Callable[..., Path],
) -> None:
    config = {"napari_imagec_ai": {"decoder": "unet", "min_size": 99}}
    model = ai.load_model(make_model(config=config))
    made = Recipe(model=describe_model(model), settings={"neck": 0.5})
    chosen = made.decoder_settings(model)
    assert (chosen.min_size, chosen.neck) == (99, 0.5)  # type: ignore[attr-defined]


def test_a_setting_out_of_range_is_named(recipe: Recipe) -> None:
    wrong = recipe.model_copy(update={"settings": {"mask_threshold": 3}})
    with pytest.raises(ai.ImagecAIError, match="'mask_threshold' cannot be 3"):
        wrong.run(ai.ImageInput(IMAGE, "YX"))


def test_a_relative_model_folder_is_found_from_another_directory(
    make_model: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = make_model()
    monkeypatch.chdir(folder.parent)
    made = Recipe(model=describe_model(ai.load_model(folder.name)))
    monkeypatch.chdir(tmp_path)
    assert made.open_model().name == "Tiny"


def test_a_model_that_moved_is_found_in_the_library(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model()
    made = Recipe(model=describe_model(ai.load_model(folder)))
    folder.rename(tmp_path / "moved")
    monkeypatch.setenv("IMAGEC_AI_MODELS", str(tmp_path / "moved"))
    assert made.open_model().folder == tmp_path / "moved"


def test_a_model_that_is_nowhere_is_told_in_words() -> None:
    lost = Recipe(model=ModelRef(name="Lost", path="/nowhere/rdf.yaml"))
    with pytest.raises(
        ai.ModelError, match=r"'Lost' is neither at '/nowhere/rdf\.yaml'"
    ):
        lost.open_model()


def test_a_model_that_is_nowhere_and_one_that_changed_are_told_by_their_hashes(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = make_model()
    made = Recipe(model=describe_model(ai.load_model(folder)))
    before = made.model.sha256["onnx"]
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(ai.ModelError, match=rf"sha256: onnx {before}\)"):
        made.open_model()
    copy = make_model()
    weights = copy / "weights.onnx"
    onnx_network(weights, expression="double")
    after = describe_model(ai.load_model(copy)).sha256["onnx"]
    with pytest.raises(ai.ModelError, match=f"with sha256 {before}, found {after};"):
        made.open_model()
    # The old one is still in the library, under the same name.
    monkeypatch.setenv("IMAGEC_AI_MODELS", str(moved))
    assert made.open_model().folder == moved


def old(name: str) -> Recipe:
    return Recipe.load(ROOT / "tests" / "data" / "recipes" / f"{name}.yaml")


@pytest.mark.parametrize("layout", range(VERSION + 1))
def test_recipes_of_every_layout_stay_readable(
    layout: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = old(f"layout-{layout}")
    assert found.version == VERSION
    monkeypatch.setenv("IMAGEC_AI_MODELS", str(ROOT / "models" / "nuclei-unet"))
    bare = found.model.model_copy(update={"sha256": {}})
    model = found.model_copy(update={"model": bare}).open_model()
    assert model.name == "Nuclei U-Net"
    settings = found.decoder_settings(model)
    assert settings.model_dump()["mask_threshold"] in (0.4, 0.5)
    # It is written in today's layout, and means the same.
    text = found.save(tmp_path / "r.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"version: {VERSION}\n")
    assert Recipe.load(tmp_path / "r.yaml") == found


def test_what_the_first_files_left_out_was_null() -> None:
    classes = old("layout-1").classes
    assert classes is not None
    nucleus, debris = classes.rules
    assert debris.becomes is None
    assert [each.becomes for each in nucleus.filters] == [None, ""]
    # A person leaves out what is as usual.
    by_hand = old("layout-0").classes
    assert by_hand is not None
    assert by_hand.rules[0].filters[0].becomes == ""


def test_a_recipe_of_a_later_version_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    path = recipe.save(tmp_path / "r.yaml")
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    later: dict[str, Any] = data | {"version": VERSION + 1, "unheard": "of"}
    path.write_text(yaml.safe_dump(later), encoding="utf-8")
    with pytest.raises(ai.ImagecAIError, match="later version"):
        Recipe.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a list",
        b"model: [",
        b"\xff\xfe\x00",
        b"model: {name: x}\ndecodre: unet",
        b"model: {name: x}\nclasses: {class_threshold: 2}",
        b"version: two\nmodel: {name: x}",
        b"model: {name: x}\npredict: {region: {box: {Y: [9, 3]}}}",
        b"model: {name: x}\nused: {device: cpu}\nclasses: {rules: [3, {filters: 5}]}",
    ],
    ids=[
        *("empty", "a list", "no YAML", "no text", "a misspelt name", "out of range"),
        *("a version in words", "a region upside down", "rules that are none"),
    ],
)
def test_what_is_no_recipe_is_refused_in_words(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(ai.ImagecAIError, match=r"'r\.yaml' is not a recipe"):
        Recipe.load(path)


def test_a_recipe_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ai.ImagecAIError, match=r"Could not read the recipe"):
        Recipe.load(tmp_path / "none.yaml")


def test_a_recipe_runs_on_images_of_other_sizes(recipe: Recipe) -> None:
    large = np.pad(IMAGE, ((0, 37), (21, 0)), constant_values=0.03)
    assert len(recipe.run(ai.ImageInput(large, "YX"))) == 6
