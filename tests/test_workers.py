"""Processes of our own: what they run, who reaches them, and if they do not come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import tifffile
from conftest import ROOT

import napari_imagec_ai as ai
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.recipes.batch import on_worker, workers
from napari_imagec_ai.recipes.batch.run_batch import Batch, run_batch
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.system import child_process

TRAP = "import pathlib\npathlib.Path(r'{mark}').touch()\n"

NAMES = ("signal", "random", "numpy", "onnxruntime", "_bz2", "sitecustomize")


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images, a recipe, and files with the names of modules; we stand there."""
    pixels = sample_image().data[:96, :96]
    for number in range(2):
        tifffile.imwrite(tmp_path / f"{number}.tif", pixels)
    Recipe(model=describe_model(ai.load_model(ROOT / "models" / "nuclei-unet"))).save(
        tmp_path / "recipe.yaml"
    )
    for name in NAMES:
        text = TRAP.format(mark=tmp_path / f"{name}.was-run")
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "json").mkdir()
    text = TRAP.format(mark=tmp_path / "json.was-run")
    (tmp_path / "json" / "__init__.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batch_of(plate: Path) -> tuple[Batch, list[Path]]:
    recipe = Recipe.load(plate / "recipe.yaml")
    return Batch(recipe, plate / "out"), sorted(plate.glob("*.tif"))


@pytest.mark.parametrize(("python_path", "isolated"), [(None, "1"), (":.:", "0")])
def test_nothing_beside_the_images_is_run(
    plate: Path, python_path: str | None, isolated: str
) -> None:
    environ = {**os.environ, "IMAGEC_AI_ISOLATED": isolated}
    source = Path(child_process.__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); sys.path.append('')"
    code += "; from napari_imagec_ai import cli; import os"
    if python_path is not None:
        code += f"; os.environ['PYTHONPATH'] = {python_path!r}"
    code += "; sys.exit(cli.main(sys.argv[1:]))"
    words = ["run", "recipe.yaml", "0.tif", "1.tif", "-o", "out", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *words],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(list(plate.glob("out/*.csv"))) == 2 + 2
    assert list(plate.glob("*.was-run")) == []


@pytest.mark.parametrize("how", ["-m", "PYTHONPATH"])
def test_the_command_itself_leaves_the_folder_where_it_stands(
    plate: Path, how: str
) -> None:
    """But for `sitecustomize`, which Python runs before any of ours."""
    (plate / "sitecustomize.py").unlink()
    text = TRAP.format(mark=plate / "argparse.was-run")
    (plate / "argparse.py").write_text(text)
    words = [sys.executable, "-m", "napari_imagec_ai.cli", "models", "--json"]
    environ = dict(os.environ)
    if how == "PYTHONPATH":
        script = plate / "imagec-ai"
        script.write_text("from napari_imagec_ai.cli import main\nmain()\n")
        words = [sys.executable, "-P", str(script), "models", "--json"]
        environ["PYTHONPATH"] = f"{environ.get('PYTHONPATH', '')}:"
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=environ
    )
    assert json.loads(done.stdout)
    assert list(plate.glob("*.was-run")) == []


def alive() -> list[psutil.Process]:
    """Workers of this process."""
    children = psutil.Process().children()
    return [one for one in children if "batch.serving" in " ".join(one.cmdline())]


def listening(process: psutil.Process) -> list[object]:
    found = []
    for one in [process, *process.children(recursive=True)]:
        try:
            found += [c for c in one.net_connections() if c.status == "LISTEN"]
        except psutil.Error:
            continue
    return found


def test_workers_listen_nowhere(plate: Path) -> None:
    batch, images = batch_of(plate)
    seen = []
    for _ in run_batch(batch, images, workers=2):
        seen.append(len(alive()))
        assert listening(psutil.Process()) == []
    assert max(seen) >= 1


STARTS = {
    "dies": "raise SystemExit('no room on this ship')",
    "is silent": "import time; time.sleep(60)",
    "says nonsense": "print('hello')",
}


@pytest.mark.parametrize("how", STARTS)
def test_a_worker_that_does_not_come_up_ends_the_batch(
    plate: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "_START", STARTS[how] + " # {module}")
    monkeypatch.setattr(workers, "_PATIENCE", 25.0 if how == "dies" else 2.0)
    batch, images = batch_of(plate)
    with pytest.raises(ai.ImagecAIError, match="A worker process could not be") as told:
        list(run_batch(batch, images, workers=2))
    expected = {
        "dies": "no room on this ship",
        "is silent": "it was silent for 2 seconds",
        "says nonsense": "exit code 0",
    }
    assert expected[how] in str(told.value)
    assert alive() == []


def test_half_a_minute_is_not_exceeded() -> None:
    assert workers._PATIENCE < 30


def test_a_python_that_cannot_be_started_is_said(
    plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(plate / "gone"))
    batch, images = batch_of(plate)
    with pytest.raises(ai.ImagecAIError, match="No such file"):
        list(run_batch(batch, images, workers=2))


def test_a_worker_that_takes_all_the_memory_is_stopped(
    plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*_: object) -> None:
        import time

        taken = bytearray(1 << 29)
        taken[::4096] = b"x" * len(taken[::4096])
        time.sleep(60)

    greedy.__module__ = "__main__"  # so that it is sent as it is
    monkeypatch.setattr(on_worker, "image_job", greedy)
    monkeypatch.setattr(workers, "_MEMORY", (1 << 29) / psutil.virtual_memory().total)
    monkeypatch.setattr(workers, "_RETRIES", 0)
    batch, images = batch_of(plate)
    (found,) = run_batch(batch, images[:1], workers=2)
    assert "if memory ran out, try fewer workers" in found.problem


def test_what_a_task_raises_is_said_in_a_sentence(
    plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("a bug\nof two lines")

    fails.__module__ = "__main__"
    monkeypatch.setattr(on_worker, "image_job", fails)
    batch, images = batch_of(plate)
    found = list(run_batch(batch, images, workers=2))
    assert len(found) == 2
    for outcome in found:
        assert "failed ('a bug" in outcome.problem
        assert "\n" not in outcome.problem


def test_no_worker_is_left_when_a_batch_is_stopped(plate: Path) -> None:
    batch, images = batch_of(plate)
    run = run_batch(batch, images, workers=2)
    next(run)
    run.close()
    assert alive() == []


def test_a_worker_that_is_slow_to_die_gets_no_other_task(tmp_path: Path) -> None:
    mark = tmp_path / "died"

    def job(mark: Path) -> str:
        import os
        import time

        if mark.exists():
            return "done"
        mark.touch()
        os.closerange(3, 64)  # what it says is cut off, though it is still there
        time.sleep(60)
        return "too late"

    with workers.Workers(1) as pool:
        pool.submit("a.tif", job, mark)
        assert [result for _, result in pool.completed()] == ["done"]
