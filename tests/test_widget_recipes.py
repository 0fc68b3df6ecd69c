"""What the widget shows, done again: recipes, Python and a command, byte for byte."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from conftest import discs, finish
from napari.layers import Image
from napari.layers._source import layer_source
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter

from napari_imagec_ai import cli
from napari_imagec_ai._napari.image.origin import origin
from napari_imagec_ai._napari.layers.from_napari import take
from napari_imagec_ai.export.writing import write
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.results.filters import Filter

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def dish(tmp_path: Path) -> Path:
    """An image file that knows its pixel size, which napari's own reader leaves out."""
    labels = discs((96, 96), [(30, 30), (30, 53), (70, 30), (70, 70)], (13, 13, 10, 9))
    values = np.array([0.02, 0.98, 0.98, 0.98, 0.65], np.float32)[labels]
    path = tmp_path / "my dish.tif"
    tifffile.imwrite(
        path,
        gaussian_filter(values, 1).astype(np.float32),
        imagej=True,
        resolution=(4.0, 4.0),
        metadata={"unit": "um"},
    )
    return path


@pytest.fixture
def tuned(
    qtbot: Any, open_widget: Open, dish: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Any]:
    """A widget that ran on a file, tuned with everything that can be tuned."""
    viewer, widget = open_widget()
    viewer.open(str(dish), plugin="napari")
    widget.assumptions.normalize.value = "range"
    widget.run()
    finish(qtbot, widget)
    widget.mask_threshold.value = 0.4
    widget.class_threshold.value = 0.3
    return viewer, widget


def tables(widget: Any, folder: Path) -> bytes:
    """What the widget shows, as a table."""
    return write(widget.objects(), folder / "shown.csv").read_bytes()


def sort_by_size(widget: Any) -> None:
    line = widget.classes[0]
    line.target.value = "colony"
    line.filters.set_filters([Filter(feature="area", maximum=300.0, becomes="speck")])
    line.otherwise.value = "colony"


def replayed(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Run a script or a command in an empty folder; gives the table that it wrote."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    if text.startswith("imagec-ai "):
        assert cli.main(shlex.split(text)[1:]) == 0
    else:
        exec(compile(text, "copied", "exec"), {"__name__": "__main__"})
    (found,) = folder.rglob("*.objects.csv")
    return found.read_bytes()


def test_the_copied_script_and_command_give_the_same_table(
    tuned: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, widget = tuned
    shown = tables(widget, tmp_path)
    assert shown.count(b"\n") == 1 + 4
    widget.repeat.python.native.trigger()
    python = QApplication.clipboard().text()
    widget.repeat.command.native.trigger()
    command = QApplication.clipboard().text()
    assert "--mask-threshold 0.4" in command
    assert "--normalize=range" in command
    assert "recipe" not in command
    assert replayed(python, tmp_path / "python", monkeypatch) == shown
    assert replayed(command, tmp_path / "command", monkeypatch) == shown


def test_what_flags_cannot_say_is_in_a_recipe_that_the_command_runs(
    tuned: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, widget = tuned
    sort_by_size(widget)
    shown = tables(widget, tmp_path)
    assert b"speck" in shown
    assert b"colony" in shown
    command = widget.repeating.copy_command()
    assert command.startswith("imagec-ai run ")
    assert ".recipe.yaml" in widget.status.value
    python = widget.repeating.copy_python()
    assert replayed(command, tmp_path / "command", monkeypatch) == shown
    assert replayed(python, tmp_path / "python", monkeypatch) == shown


def test_a_saved_recipe_gives_the_same_table_and_comes_back(
    qtbot: Any,
    tuned: tuple[Any, Any],
    dish: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, widget = tuned
    sort_by_size(widget)
    shown = tables(widget, tmp_path)
    saved = tmp_path / "tuned.recipe.yaml"
    widget.repeating.save(saved)
    line = f"imagec-ai run {shlex.quote(str(saved))} {shlex.quote(str(dish))} -o out"
    assert replayed(line, tmp_path / "run", monkeypatch) == shown

    monkeypatch.chdir(tmp_path)
    widget.choose("nuclei-unet")
    widget.assumptions.forget.native.click()
    widget.repeating.load(saved)
    assert widget.entry.path.name == "tiny"
    assert widget.mask_threshold.value == pytest.approx(0.4)
    assert widget.class_threshold.value == pytest.approx(0.3)
    assert widget.assumptions.normalize.value == "range"
    assert widget.classes[0].target.value == "colony"
    widget.run()
    finish(qtbot, widget)
    assert tables(widget, tmp_path) == shown


def test_a_recipe_never_replaces_a_file_that_nobody_was_asked_about(
    tuned: tuple[Any, Any], tmp_path: Path
) -> None:
    _, widget = tuned
    theirs = tmp_path / "mine.yaml"
    theirs.write_text("theirs: 1\n")
    widget.repeating.save(tmp_path / "mine")
    assert theirs.read_text() == "theirs: 1\n"
    assert "choose another folder or name" in widget.status.value
    widget.repeating.save(theirs)  # the dialog has asked
    assert "model:" in theirs.read_text()


def test_what_of_a_recipe_cannot_be_restored_is_said(
    tuned: tuple[Any, Any], tmp_path: Path
) -> None:
    _, widget = tuned
    saved = tmp_path / "odd.yaml"
    widget.repeating.save(saved)
    data = yaml.safe_load(saved.read_text(encoding="utf-8"))
    data["predict"] |= {"engine": "tensorrt", "axes": "TZYX", "tile": [64]}
    data["classes"]["rules"][0]["source"] = "cat"
    saved.write_text(yaml.safe_dump(data), encoding="utf-8")
    widget.repeating.load(saved)
    said = widget.status.value
    assert "engine 'tensorrt' is not known here" in said
    assert "axes TZYX" in said
    assert "'cat' is none of the model's" in said
    assert widget.recipe().predict.tile == (64,)  # no control, but not forgotten


def test_a_recipe_whose_model_is_gone_says_which_and_changes_nothing(
    tuned: tuple[Any, Any], tmp_path: Path
) -> None:
    _, widget = tuned
    saved = tmp_path / "gone.yaml"
    recipe = widget.recipe()
    gone = recipe.model.model_copy(update={"name": "Gone", "path": "/nowhere"})
    recipe.model_copy(update={"model": gone}).save(saved)
    widget.repeating.load(saved)
    assert "'Gone' is neither at" in widget.status.value
    assert widget.entry.path.name == "tiny"
    widget.repeating.load(tmp_path / "none.yaml")
    assert "Could not read the recipe" in widget.status.value


def test_a_model_outside_the_library_comes_with_its_recipe(
    tuned: tuple[Any, Any], make_model: Any, tmp_path: Path
) -> None:
    _, widget = tuned
    folder = make_model("elsewhere", name="Elsewhere")
    recipe = widget.recipe()
    there = recipe.model.model_copy(
        update={"name": "Elsewhere", "path": str(folder), "sha256": {}}
    )
    saved = tmp_path / "elsewhere.yaml"
    recipe.model_copy(update={"model": there}).save(saved)
    widget.repeating.load(saved)
    assert widget.entry.name == "Elsewhere"
    widget.refresh_models()
    assert widget.entry.name == "Elsewhere"


def test_an_image_that_is_no_file_is_said(
    open_widget: Open, dish: Path, tmp_path: Path
) -> None:
    _, widget = open_widget(tifffile.imread(dish))
    assert "'image.tif'" in widget.repeating.copy_python()
    assert "'dish' was not opened from a file" in widget.status.value
    assert " image.tif " in widget.repeating.copy_command()
    widget.repeating.save(tmp_path / "one")
    assert Recipe.load(tmp_path / "one.yaml").model.name == "Tiny"


def test_a_layer_of_another_scene_is_opened_as_that_scene(tmp_path: Path) -> None:
    path = tmp_path / "dish.ome.tif"
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 99, (3, 20, 24)).astype(np.uint8)
    with tifffile.TiffWriter(path, ome=True) as file:
        for plane in planes:
            file.write(plane, metadata={"axes": "YX"})
    for number, plane in enumerate(planes):
        with layer_source(path=str(path)):
            layer = Image(plane)
        found = origin(layer, take(layer, "YX").image)
        assert found.path == path
        assert found.opened.get("scene") == (str(number) if number else None)
