"""Nothing that this software did not write is replaced, whoever writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
import zarr
from conftest import description
from scenes import maps, pairs, prediction

import napari_imagec_ai as ai
from napari_imagec_ai.export.writing import FORMATS
from napari_imagec_ai.recipes.batch.image_files import expand, images_in
from napari_imagec_ai.results.objects import Objects

Run = Callable[..., tuple[int, str, str]]
MakeModel = Callable[..., Path]
OLD = b"made by hand, over weeks"


@pytest.fixture
def spots(make_model: MakeModel) -> Path:
    """A model that finds what is bright."""
    return make_model("spots")


def image_at(path: Path, count: int = 2) -> Path:
    pixels = np.zeros((48, 64), np.float32)
    for i in range(count):
        pixels[10:24, 4 + 20 * i : 18 + 20 * i] = 1
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels)
    return path


def store_at(path: Path) -> Path:
    """A raw OME-Zarr."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    pixels = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    group.create_array("0", data=pixels)
    axes = [{"name": axis, "type": "space"} for axis in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": levels, "name": "raw"}
    ]
    return path


def content(path: Path) -> Any:
    if path.is_dir():
        return {p.relative_to(path): content(p) for p in path.rglob("*") if p.is_file()}
    return path.read_bytes()


def one_sentence(told: tuple[int, str, str], *words: str) -> None:
    code, out, err = told
    assert (code, out) == (1, "")
    assert err.startswith("imagec-ai: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


THEIRS = [
    ("labels", "plain.labels.tif"),
    ("csv", "plain.objects.csv"),
    ("geojson", "plain.geojson"),
    ("ometiff", "plain.ome.tif"),
    ("omezarr", "plain.ome.zarr"),
    ("labels", "plain.recipe.yaml"),
]


@pytest.mark.parametrize(("word", "name"), THEIRS)
def test_a_run_replaces_no_file_of_a_person_unless_told_to(
    word: str, name: str, spots: Path, run_cli: Run
) -> None:
    image, theirs = image_at(Path("q/plain.tif")), Path("q", name)
    if theirs.suffix == ".zarr":
        store_at(theirs)
    else:
        theirs.write_bytes(OLD)
    before = content(theirs)
    argv = ("predict", spots, image, "-o", "q", "--export", word)
    one_sentence(run_cli(*argv), name, "--overwrite", "choose another folder")
    assert content(theirs) == before
    assert {path.name for path in Path("q").iterdir()} == {"plain.tif", name}
    assert run_cli(*argv, "--overwrite")[0] == 0
    assert content(theirs) != before
    # Now it is ours.
    assert run_cli(*argv)[0] == 0


def test_nothing_is_computed_for_a_run_that_may_not_write(
    spots: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_imagec_ai.recipes.runner import Runner

    image_at(Path("q/a.tif"))
    image_at(Path("q/b.tif"))
    Path("q/b.labels.tif").write_bytes(OLD)
    monkeypatch.setattr(Runner, "run_file", lambda *_, **__: pytest.fail("it ran"))
    told = run_cli("predict", spots, "q/a.tif", "q/b.tif", "-o", "q")
    one_sentence(told, "b.labels.tif")


def test_a_file_that_was_changed_since_is_the_persons(
    spots: Path, run_cli: Run
) -> None:
    image_at(Path("a.tif"))
    argv = ("predict", spots, "a.tif", "-o", "out")
    assert run_cli(*argv)[0] == 0
    table = Path("out/a.objects.csv")
    table.write_text(table.read_text() + "3,thing,1.0\n")
    mine = table.read_bytes()
    one_sentence(run_cli(*argv), "a.objects.csv")
    assert table.read_bytes() == mine


def test_a_recipe_that_was_changed_since_is_the_persons(
    spots: Path, run_cli: Run
) -> None:
    image_at(Path("a.tif"))
    assert run_cli("predict", spots, "a.tif", "-o", "out")[0] == 0
    recipe = Path("out/a.recipe.yaml")
    assert run_cli("run", recipe, "a.tif", "-o", "out")[0] == 0
    recipe.write_text(f"# the good one\n{recipe.read_text()}")
    for more in ((), ("--overwrite",)):  # it is what the run reads
        told = run_cli("run", recipe, "a.tif", "-o", "out", *more)
        one_sentence(told, "a.recipe.yaml")
    assert recipe.read_text().startswith("# the good one")
    assert run_cli("run", recipe, "a.tif", "-o", "other")[0] == 0


@pytest.mark.parametrize("where", ["here", "on another machine"])
def test_the_same_command_may_be_run_again(
    where: str,
    spots: Path,
    run_cli: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image_at(Path("a.tif"))
    words = ",".join(f.word for f in FORMATS if f.word not in ("tracks", "tracklabels"))
    argv = ("predict", spots, "a.tif", "-o", "out", "--export", words)
    argv = (*argv, "--save-prediction")
    assert run_cli(*argv)[0] == 0
    if where != "here":
        home = str(tmp_path / "elsewhere")
        monkeypatch.setattr("platformdirs.user_data_dir", lambda *a, **k: home)
        shutil.copytree("out", "copied")
        argv = tuple("copied" if part == "out" else part for part in argv)
    code, _, err = run_cli(*argv)
    assert code == 0, err


def test_a_batch_goes_on_with_its_own_files_on_another_machine(
    spots: Path, run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        image_at(Path(f"q/{name}.tif"))
    recipe = run_cli("predict", spots, "q/a.tif", "-o", "one")[0] == 0
    assert recipe
    argv = ("run", "one/a.recipe.yaml", "q/*.tif", "-o", "out", "--workers", "1")
    assert run_cli(*argv)[0] == 0
    monkeypatch.setattr(
        "platformdirs.user_data_dir", lambda *a, **k: str(tmp_path / "x")
    )
    image_at(Path("q/c.tif"))
    assert run_cli(*argv)[0] == 0
    assert run_cli(*argv, "--again")[0] == 0
    summary = Path("out/summary.csv")
    summary.write_bytes(OLD)
    one_sentence(run_cli(*argv, "--again"), "summary.csv")
    assert summary.read_bytes() == OLD


def test_a_contact_sheet_of_a_person_is_not_taken_away(
    spots: Path, run_cli: Run
) -> None:
    for name in ("a", "b"):
        image_at(Path(f"q/{name}.tif"))
    assert run_cli("predict", spots, "q/a.tif", "-o", "one")[0] == 0
    theirs = Path("out/contact-sheet-7.png")
    theirs.parent.mkdir()
    theirs.write_bytes(OLD)
    argv = ("run", "one/a.recipe.yaml", "q/*.tif", "-o", "out", "--workers", "1")
    assert run_cli(*argv)[0] == 0
    assert theirs.read_bytes() == OLD


# -- sources ---------------------------------------------------------------------------


def test_a_source_is_never_replaced_whoever_says_so(spots: Path, run_cli: Run) -> None:
    image_at(Path("q/a.tif"))
    truth = image_at(Path("q/a.labels.tif"), 3)
    before = truth.read_bytes()
    argv = ("predict", spots, "q/a.tif", truth, "-o", "q", "--overwrite")
    one_sentence(run_cli(*argv), "a.labels.tif", "never replaced")
    assert truth.read_bytes() == before


def test_a_store_that_is_read_is_never_replaced(spots: Path, run_cli: Run) -> None:
    image_at(Path("q/a.tif"))
    store = store_at(Path("q/a.ome.zarr"))
    before = content(store)
    argv = ("predict", spots, "q/a.tif", store, "-o", "q", "--overwrite")
    told = run_cli(*argv, "--export", "omezarr")
    one_sentence(told, "a.ome.zarr", "never replaced")
    assert content(store) == before
    # Nor is anything written into it.
    told = run_cli("predict", spots, store, "-o", store / "out", "--overwrite")
    one_sentence(told, "a.ome.zarr")
    assert content(store) == before


def test_a_link_to_a_source_is_the_source(spots: Path, run_cli: Run) -> None:
    image_at(Path("raw/a.tif"))
    Path("q").mkdir()
    link = Path("q/a.labels.tif")
    link.symlink_to(Path("raw/a.tif").resolve())
    told = run_cli("predict", spots, "raw/a.tif", "-o", "q", "--overwrite")
    one_sentence(told, "a.labels.tif", "never replaced")
    assert link.is_symlink()


def test_the_file_of_an_image_is_never_replaced_in_python(spots: Path) -> None:
    path = image_at(spots.parent / "a.ome.tif")
    before = path.read_bytes()
    image = ai.open_image(path)
    found = ai.decode(ai.predict(ai.load_model(spots), image))
    assert isinstance(found, Objects)
    with pytest.raises(ai.ImagecAIError, match="never replaced"):
        ai.write(found, path, image=image, overwrite=True)
    assert path.read_bytes() == before


# -- every writer ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def six() -> Objects:
    found = ai.decode(prediction(maps(pairs(), "foreground")))
    assert isinstance(found, Objects)
    # Followed, so that every format takes them.
    return replace(found, features={**found.features, "track": found.id})


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.word)
def test_no_writer_replaces_what_it_did_not_write(
    form: Any, six: Objects, tmp_path: Path
) -> None:
    path = tmp_path / f"a{form.suffix}"
    if form.folder:
        store_at(path)
    else:
        path.write_bytes(OLD)
    before = content(path)
    with pytest.raises(ai.ImagecAIError, match="is there already"):
        ai.write(six, path)
    assert content(path) == before
    ai.write(six, path, overwrite=True)
    assert content(path) != before
    ai.write(six[:3], path)
    ai.write(six, path)


def test_an_image_output_and_scores_replace_nothing_of_a_person(
    make_model: MakeModel, run_cli: Run
) -> None:
    rdf = description()
    rdf["config"]["napari_imagec_ai"] = {"decoder": "image"}
    restored = make_model("restored", **rdf)
    image_at(Path("a.tif"))
    theirs = Path("out/a.probability.tif")
    theirs.parent.mkdir()
    theirs.write_bytes(OLD)
    argv = ("predict", restored, "a.tif", "-o", "out")
    one_sentence(run_cli(*argv), "a.probability.tif")
    assert theirs.read_bytes() == OLD
    assert run_cli(*argv, "--overwrite")[0] == 0
    assert run_cli(*argv)[0] == 0


def test_saved_predictions_and_recipes_replace_nothing_of_a_person(
    tmp_path: Path, spots: Path
) -> None:
    from napari_imagec_ai.recipes.recipe import Recipe, describe_model

    recipe = Recipe(model=describe_model(ai.load_model(spots)))
    values = prediction(maps(pairs(), "foreground"))
    for name, save in (("a.npz", values.save), ("a.yaml", recipe.save)):
        path = tmp_path / name
        path.write_bytes(OLD)
        with pytest.raises(ai.ImagecAIError, match="is there already"):
            save(path)
        assert path.read_bytes() == OLD
        save(path, overwrite=True)
        save(path)


def test_a_decoding_asks_too_and_says_that_no_network_ran(
    spots: Path, run_cli: Run
) -> None:
    image_at(Path("a.tif"))
    assert run_cli("predict", spots, "a.tif", "-o", "out", "--save-prediction")[0] == 0
    Path("tuned").mkdir()
    theirs = Path("tuned/a.geojson")
    theirs.write_bytes(OLD)
    argv = ("decode", "out/a.prediction.npz", "-o", "tuned", "--json")
    one_sentence(run_cli(*argv), "a.geojson")
    assert theirs.read_bytes() == OLD
    code, out, _ = run_cli(*argv, "--overwrite")
    report = json.loads(out)
    assert (code, report["network_calls"], report["network_seconds"]) == (0, 0, 0)
    assert report["objects"] == 2


# -- results are no images -------------------------------------------------------------


def test_results_beside_images_are_never_run_as_images(
    spots: Path, make_model: MakeModel, run_cli: Run
) -> None:
    rdf = description()
    rdf["config"]["napari_imagec_ai"] = {"decoder": "image"}
    restored = make_model("restored", **rdf)
    for name in ("a", "b"):
        image_at(Path(f"q/{name}.tif"))
    words = "labels,csv,ometiff,imagej,overlay"
    argv = ("predict", spots, "q/a.tif", "-o", "q", "--export", words)
    assert run_cli(*argv)[0] == 0
    assert run_cli("predict", restored, "q/*.tif", "-o", "q")[0] == 0
    run = ("run", "q/a.recipe.yaml", "q/*.tif", "-o", "q", "--workers", "1")
    shutil.copy("q/a.recipe.yaml", "recipe.yaml")
    for recipe in (("recipe.yaml",), ("recipe.yaml",)):
        code, _, err = run_cli(run[0], *recipe, *run[2:])
        assert code == 0, err
        listed = Path("q/summary.csv").read_text().splitlines()[1:]
        assert [line.split(",")[0] for line in listed] == ["a.tif", "b.tif"]
    everything = [str(p) for p in Path("q").iterdir() if not p.name.startswith(".")]
    images = [Path("q/a.tif"), Path("q/b.tif")]
    assert (
        sorted(expand(everything, output=Path("q"))) == images
    )  # as a shell gives them
    assert expand(["q/*"], output=Path("q")) == images
    assert expand(["q"], output=Path("q")) == images
    assert images_in(Path("q"), Path("q")) == images


def test_images_that_a_network_made_are_images_for_the_next(
    make_model: MakeModel, run_cli: Run
) -> None:
    rdf = description()
    rdf["config"]["napari_imagec_ai"] = {"decoder": "image"}
    image_at(Path("q/a.tif"))
    argv = ("predict", make_model("restored", **rdf), "q/a.tif", "-o", "restored")
    assert run_cli(*argv)[0] == 0
    made = Path("restored/a.probability.tif")
    assert expand(["restored/*.tif"], output=Path("out")) == [made]
    assert expand([str(made)], output=Path("restored")) == [made]


def test_a_label_image_that_was_corrected_is_no_image_either(
    spots: Path, run_cli: Run
) -> None:
    image_at(Path("q/a.tif"))
    assert run_cli("predict", spots, "q/a.tif", "-o", "q")[0] == 0
    tifffile.imwrite("q/a.labels.tif", np.ones((48, 64), np.int32))
    assert expand(["q/*.tif"], output=Path("q")) == [Path("q/a.tif")]


def test_a_folder_means_its_images_in_the_order_that_people_count(
    tmp_path: Path,
) -> None:
    for name in ("a10.tif", "a2.tif", "a1.png.tif", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    names = ["a1.png.tif", "a2.tif", "a10.tif"]
    assert [path.name for path in expand([str(tmp_path)])] == names
    assert [path.name for path in expand([str(tmp_path / "*.tif")])] == names


@pytest.mark.parametrize("what", ["empty", "empty/*.tif"])
def test_a_folder_without_images_is_told_in_words(what: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ai.ImagecAIError, match="empty"):
        expand([str(tmp_path / what)])


def test_the_recipe_tells_which_files_it_is_of(spots: Path, run_cli: Run) -> None:
    image_at(Path("a.tif"))
    assert run_cli("predict", spots, "a.tif", "-o", "out")[0] == 0
    told = yaml.safe_load(Path("out/a.recipe.yaml").read_text())["used"]["files"]
    assert set(told) == {"a.labels.tif", "a.objects.csv", "a.geojson"}


def test_a_corrected_result_of_a_batch_is_made_again_and_kept(
    spots: Path, run_cli: Run
) -> None:
    for name in ("a", "b"):
        image_at(Path(f"q/{name}.tif"))
    assert run_cli("predict", spots, "q/a.tif", "-o", "one")[0] == 0
    argv = ("run", "one/a.recipe.yaml", "q/*.tif", "-o", "out", "--workers", "1")
    assert run_cli(*argv)[0] == 0
    mine = b"id,class\n1,mine\n"
    for number in (1, 2):
        Path("out/a.objects.csv").write_bytes(mine)
        code, out, err = run_cli(*argv, "--json")
        assert code == 0, err
        kept = Path(f"out/.imagec-ai-batch/changed/{number}-a.objects.csv")
        assert kept.read_bytes() == mine
        assert str(kept) in out
    assert run_cli(*argv)[0] == 0


def test_the_recipe_tells_which_engine_ran_and_replays_it(
    spots: Path, run_cli: Run
) -> None:
    image_at(Path("a.tif"))
    assert run_cli("predict", spots, "a.tif", "-o", "out")[0] == 0
    told = yaml.safe_load(Path("out/a.recipe.yaml").read_text())
    assert told["predict"]["engine"] == told["used"]["engine"] == "onnx"
