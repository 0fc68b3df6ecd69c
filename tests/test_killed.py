"""A batch that is killed at any moment leaves nothing half done, and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import description, torchscript_network
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.system import whole_files

SCRIPT = """
import json, os, resource, signal, sys
from pathlib import Path
from napari_imagec_ai import cli  # once, for all processes
from napari_imagec_ai.recipes import runner
from napari_imagec_ai.recipes.batch import run_batch as batch
import napari_imagec_ai.export.writing, torch, tifffile

recipe, plate, moments = json.loads(sys.argv[1])

def run(folder, moment=None, most=0):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if most:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        if moment == "writing":
            tifffile.imwrite = die_halfway
        elif moment:
            die_at(*moment)
        argv = ["run", recipe, plate, "-o", folder, "--workers", "1", "--trust"]
        os._exit(cli.main(argv))
    return os.waitpid(child, 0)[1]

def die_halfway(path, *_, **__):
    Path(path).write_bytes(b"II*")
    os.kill(os.getpid(), signal.SIGKILL)

def die_at(number, after):
    real, calls = os.replace, []
    def replace(*names):
        calls.extend([names] * (Path(names[1]).parts[0] == "out"))
        last = len(calls) == number
        if not last or after:
            real(*names)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
    os.replace = replace

def content(folder):
    names = [p for p in Path(folder).iterdir() if not p.name.startswith(".")]
    return {p.name: p.read_bytes() for p in names if p.is_file()}

whole = run("whole")
told = {"code": os.waitstatus_to_exitcode(whole), "kills": []}
expected = content("whole")
for moment in moments:
    code = os.waitstatus_to_exitcode(run("out", moment))
    found = content("out")
    wrong = [name for name, data in found.items() if expected.get(name) != data]
    for note in Path("out", ".imagec-ai-batch").glob("*.json"):
        json.loads(note.read_text())
    told["kills"].append([code, len(found), wrong])
told["last"] = os.waitstatus_to_exitcode(run("out"))
told["same"] = content("out") == expected
told["names"] = sorted(expected)
# Tables fit, the picture over all images does not.
told["full"] = os.waitstatus_to_exitcode(run("full", most=12_000))
told["fitted"] = sorted(content("full"))
print(json.dumps(told))
"""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has neither fork nor SIGKILL"
)


@pytest.fixture
def plate(tmp_path: Path, make_model: Callable[..., Path]) -> Path:
    folder = tmp_path / "a plate with ümlauts"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for count in range(1, 4):
        image = rng.random((64, 96)).astype(np.float32) * 0.1
        image[16, [12 + 24 * i for i in range(count)]] = 120
        tifffile.imwrite(folder / f"well {count}.tif", gaussian_filter(image, 3))
    rdf = description(weights={"torchscript": {"source": "weights.pt"}})
    model = ai.load_model(make_model(network=torchscript_network, **rdf))
    Recipe(model=describe_model(model)).save(tmp_path / "recipe.yaml")
    return folder


def test_a_batch_is_killed_again_and_again_and_goes_on(plate: Path) -> None:
    # Before and after a file takes its name: labels, table, outlines, recipe, picture,
    # note of the first image, and so on; at last the tables over all of them.
    moments: list[Any] = [[4, True], "writing", [6, False], [6, True], [14, True]]
    given = [str(plate.parent / "recipe.yaml"), str(plate / "*.tif"), moments]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(given)],
        cwd=plate.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["code"] == told["last"] == 0
    assert [kill[0] for kill in told["kills"]] == [-9] * len(moments)
    assert [kill[2] for kill in told["kills"]] == [[]] * len(moments)
    assert told["same"]
    assert len(told["names"]) == 3 * 4 + 3
    # A full disk is told, and leaves no half of a file.
    assert told["full"] == 1
    assert "Could not write 'full/contact-sheet.png': File too large." in done.stderr
    assert told["fitted"] == [n for n in told["names"] if n != "contact-sheet.png"]
    assert not list(plate.parent.glob("**/.writing-*"))


def test_only_what_the_dead_left_is_swept_away(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    mine = whole_files.begun()
    dead = mine.replace(str(os.getpid()), str(gone.pid))
    elsewhere = dead.replace(whole_files._MACHINE, "elsewhere")
    for name in (f"{mine}a.csv", f"{dead}b.csv", f"{elsewhere}c.csv", ".writing-d"):
        (tmp_path / name).touch()
    (tmp_path / f"{dead}e").mkdir()
    whole_files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"{mine}a.csv", f"{elsewhere}c.csv", ".writing-d"]
    )
    whole_files.sweep(tmp_path / "nowhere")
