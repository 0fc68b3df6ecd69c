"""No traceback and no silence: whatever is wrong around us is said in one line."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from conftest import ROOT, description, onnx_network, torchscript_network

import napari_imagec_ai as ai
from napari_imagec_ai.decoders import decoding
from napari_imagec_ai.errors import shown
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.recipes.batch import jobs
from napari_imagec_ai.recipes.batch.run_batch import Batch, run_batch
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.system import scratch

Run = Callable[..., tuple[int, str, str]]
MakeModel = Callable[..., Path]
NUCLEI = ROOT / "models" / "nuclei-unet"
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes so")


def refused(err: str) -> str:
    """What was said, if it is one sentence."""
    assert err.startswith("imagec-ai: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", np.asarray(sample_image().data)[:96, :96])
    return tmp_path / "a.tif"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    made = Recipe(model=describe_model(ai.load_model(NUCLEI)))
    return made.save(tmp_path / "recipe.yaml")


# -- names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\nimagec-ai: all is well", "a\\nimagec-ai: all is well"),
        ("a\r\x1b[2Jb", "a\\r\\x1b[2Jb"),
        ("a\u202etxt.exe", "a\\u202etxt.exe"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
        ("a\udcffb", "a\\udcffb"),
        ("Zellkern µ 核 é", "Zellkern µ 核 é"),
    ],
)
def test_no_name_looks_like_something_that_we_said(
    name: str, expected: str, make_model: MakeModel, run_cli: Run, tmp_path: Path
) -> None:
    assert shown(name) == expected
    assert str(ai.ModelError(f"'{name}' is none")) == f"'{expected}' is none"
    if "\udcff" not in name:
        folder = make_model("m", network=onnx_network)
        rdf = yaml.safe_load((folder / "rdf.yaml").read_text()) | {"name": name}
        (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
        code, out, _ = run_cli("models", tmp_path)
        assert code == 0
        assert any(line.startswith(f"{expected} (") for line in out.splitlines())
    code, _, err = run_cli("predict", NUCLEI, f"{name}.tif", "-o", "out")
    assert code == 1
    assert expected in refused(err)


LONG = "n" * 300


@pytest.mark.parametrize(
    "words",
    [
        ("models", LONG),
        ("test", LONG),
        ("predict", LONG, "a.tif", "-o", "out"),
        ("predict", "nuclei-unet", f"{LONG}.tif", "-o", "out"),
        ("predict", "nuclei-unet", "a.tif", "-o", LONG),
        ("run", LONG, "a.tif", "-o", "out"),
        ("run", "recipe.yaml", "a.tif", "-o", LONG),
        ("run", "recipe.yaml", f"{LONG}.tif", "a.tif", "-o", "out", "--workers", "1"),
        ("decode", LONG, "-o", "out"),
        ("install", LONG),
        ("install", f"{LONG}.zip"),
        ("package", f"{LONG}.onnx"),
    ],
    ids=lambda words: words[0],
)
def test_names_of_300_letters(
    words: tuple[str, ...], run_cli: Run, image: Path, recipe: Path
) -> None:
    code, out, err = run_cli(*words)
    if words[0] == "models":
        assert "There is no folder" in out
        return
    assert code == 1
    assert "Traceback" not in err
    assert "Give the image or the folder" in err or "nnnn" in err


def test_a_name_as_long_as_the_system_takes(
    run_cli: Run, image: Path, recipe: Path
) -> None:
    long = image.rename(image.with_name("b" * 230 + ".tif"))
    words = ("--export", "csv", "--workers", "1")
    tifffile.imwrite("c.tif", tifffile.imread(long))
    for _ in range(2):
        code, _, err = run_cli("run", recipe, long, "c.tif", "-o", "out", *words)
        assert (code, err) == (0, "")
    with pytest.raises(ai.ImagecAIError, match="a shorter name"):
        Recipe.load(recipe).save(Path("out", "d" * 260))


# -- pipes and things without an end ---------------------------------------------------


@posix
@pytest.mark.parametrize("kind", ["pipe", "endless", "folder"])
@pytest.mark.parametrize("command", ["run", "decode", "test", "install", "predict"])
def test_what_is_no_file_is_refused_at_once(
    kind: str, command: str, run_cli: Run, image: Path, tmp_path: Path
) -> None:
    suffix = {"run": ".yaml", "decode": ".npz", "test": ".yaml", "install": ".zip"}
    place = tmp_path / f"it{suffix.get(command, '.tif')}"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "endless":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    words: dict[str, list[Any]] = {
        "run": ["run", place, image, "-o", "out"],
        "decode": ["decode", place, "-o", "out"],
        "test": ["test", place],
        "install": ["install", place],
        "predict": ["predict", NUCLEI, place, "-o", "out"],
    }
    found: list[Any] = []
    running = threading.Thread(
        target=lambda: found.append(run_cli(*words[command])), daemon=True
    )
    running.start()
    running.join(60)
    assert found, "it waits for something without an end"
    code, _, err = found[0]
    assert code == 1
    refused(err)


# -- folders for what is too large -----------------------------------------------------


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder in which nobody, not even root, may make anything."""
    place = Path("/sys/kernel")  # of Linux, and closed to root too
    if not place.is_dir():
        place = tmp_path / "closed"
        place.mkdir(mode=0o500)
    try:
        (place / "tried").mkdir()
    except OSError:
        return place
    (place / "tried").rmdir()
    pytest.skip("this system has no folder that is closed to the one who runs tests")


def test_scratch_that_is_closed_to_us(
    run_cli: Run, recipe: Path, image: Path, closed: Path
) -> None:
    words = ("--scratch", closed, "--split-above", "1000")
    code, _, err = run_cli("run", recipe, image, "-o", "out", *words)
    assert code == 1
    assert "name another one" in refused(err)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_scratch_that_is_a_file(
    workers: str, run_cli: Run, recipe: Path, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = ("--scratch", tmp_path / "file", "--split-above", "1000")
    words += ("--workers", workers)
    code, _, err = run_cli("run", recipe, image, "-o", "out", *words)
    assert code == 1
    assert "cannot be used" in refused(err)
    assert "--scratch" in err


def test_scratch_that_is_taken_away_meanwhile(
    recipe: Path, image: Path, tmp_path: Path
) -> None:
    import shutil

    place = tmp_path / "blocks"
    batch = Batch(Recipe.load(recipe), tmp_path / "out", scratch=place, split_above=99)

    def take_away(*_: Any) -> None:
        shutil.rmtree(place, ignore_errors=True)

    (found,) = run_batch(batch, [image], progress=take_away)
    assert "cannot be used" in found.problem or "meanwhile" in found.problem


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_no_folder_for_temporary_files(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", fail)
    with pytest.raises(ai.ImageError, match=r"cannot be used .*TMPDIR"):
        scratch.Scratch()


# -- memory ----------------------------------------------------------------------------

OUT = [
    MemoryError(),
    MemoryError("Unable to allocate 8 GiB"),
    cv2.error("OpenCV(4.9) alloc.cpp: (-4:Insufficient memory) Failed to allocate"),
    RuntimeError("std::bad_alloc"),
    SystemError("Cannot allocate memory"),
]


@pytest.mark.parametrize("error", OUT, ids=lambda error: f"{error}"[:20])
def test_memory_that_is_not_enough_for_the_objects(
    error: Exception, monkeypatch: pytest.MonkeyPatch, image: Path, recipe: Path
) -> None:
    found = ai.predict(ai.load_model(NUCLEI), ai.open_image(image))

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(decoding, "_decoded", fail)
    with pytest.raises(ai.DecodeError, match="The memory was not enough to find"):
        ai.decode(found)
    batch = Batch(Recipe.load(recipe), image.parent / "out")
    (outcome,) = run_batch(batch, [image])
    assert "The memory was not enough" in outcome.problem


@pytest.mark.parametrize("error", [*OUT, OSError(errno.EIO, "Input/output error")])
def test_one_image_that_fails_stops_no_other(
    error: Exception, monkeypatch: pytest.MonkeyPatch, image: Path, recipe: Path
) -> None:
    tifffile.imwrite(image.with_name("b.tif"), tifffile.imread(image))
    finished = jobs._finished

    def fail(runner: Any, batch: Any, path: Path, *given: Any, **more: Any) -> Any:
        if path.name == "a.tif":
            raise error
        return finished(runner, batch, path, *given, **more)

    monkeypatch.setattr(jobs, "_finished", fail)
    batch = Batch(Recipe.load(recipe), image.parent / "out")
    first, second = run_batch(batch, [image, image.with_name("b.tif")])
    assert first.problem.endswith((".", "room."))
    assert second.report is not None


def test_a_bug_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        jobs.said(KeyError("a"))


# -- consent and names -----------------------------------------------------------------


def test_a_recipe_that_names_a_program_asks(
    make_model: MakeModel, run_cli: Run, image: Path, tmp_path: Path
) -> None:
    rdf = description(weights={"torchscript": {"source": "w.pt"}})
    model = ai.load_model(make_model(network=torchscript_network, **rdf))
    made = Recipe(model=describe_model(model))
    made.save(tmp_path / "theirs.yaml")
    words = ("run", tmp_path / "theirs.yaml", image, "-o", "out")
    code, _, err = run_cli(*words)
    assert code == 1
    assert "is a program (TorchScript)" in refused(err)
    assert "--trust" in err
    assert not Path("out").exists()
    code, _, err = run_cli(*words, "--trust")
    assert (code, err) == (0, "")
    code, _, err = run_cli(*words, "--again")  # it was said once
    assert (code, err) == (0, "")
    # Another program under the same name is another one.
    torchscript_network(model.folder / "w.pt", "x * 2")
    made = Recipe(model=describe_model(ai.load_model(model.folder)))
    made.save(tmp_path / "theirs.yaml")
    code, _, err = run_cli(*words)
    assert (code, "--trust" in err) == (1, True)
    # Who names a model trusts it.
    assert run_cli("predict", model.folder, image, "-o", "other")[0] == 0
    assert run_cli(*words)[0] == 0


def test_a_model_that_takes_the_place_of_a_bundled_one_says_so(
    run_cli: Run, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.chdir(tmp_path)
    assert "nuclei-unet" not in run_cli("test", "nuclei-unet")[2]
    shutil.copytree(NUCLEI, tmp_path / "models" / "nuclei-unet")
    code, _, err = run_cli("test", "nuclei-unet")
    assert (code, err) == (0, "")  # a copy is the same model
    rdf = tmp_path / "models" / "nuclei-unet" / "rdf.yaml"
    rdf.write_text(rdf.read_text() + "\n# changed\n")
    assert run_cli("test", "nuclei-unet")[0] == 0
    said = "bears the name of 'nuclei-unet', which comes with this software"
    assert said in caplog.text
    code, out, _ = run_cli("models")
    assert out.count("bears the name of") == 1
