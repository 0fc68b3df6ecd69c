"""Processes that are killed at any moment: what lies there is whole, or not there."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faults.fault import Case, Fault, Lost, Make

MODELS = Path(__file__).resolve().parents[1] / "models"

_LONGEST = 600.0
"""Seconds after which a process that should have ended is hung."""


# -- readers ---------------------------------------------------------------------------


def _tiff(path: Path) -> None:
    import tifffile

    tifffile.imread(path)


def _table(path: Path) -> None:
    rows = list(csv.reader(path.open(newline="")))
    if len({len(row) for row in rows}) != 1:
        raise ValueError("rows of several lengths")


def _json(path: Path) -> None:
    json.loads(path.read_text())


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise ValueError("a damaged entry")


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def _page(path: Path) -> None:
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("no end")


def _parquet(path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.read_table(path)


def _prediction(path: Path) -> None:
    from napari_imagec_ai.results.prediction import Prediction

    Prediction.load(path)


def _lines(path: Path) -> None:
    if not path.read_text().endswith("\n"):
        raise ValueError("half a line")


def _store(path: Path) -> None:
    import zarr

    group = zarr.open_group(path, mode="r")
    for array in ("0", "labels/objects/0"):
        if array in group:
            np.asarray(group[array])
    if "0" not in group:
        raise ValueError("no image")


READERS: dict[str, Callable[[Path], None]] = {
    ".prediction.npz": _prediction,
    ".parquet": _parquet,
    ".tif": _tiff,
    ".csv": _table,
    ".geojson": _json,
    ".json": _json,
    ".zip": _zip,
    ".png": _picture,
    ".html": _page,
    ".yaml": _lines,
    ".txt": _lines,
    ".ome.zarr": _store,
}


def check(folder: Path) -> int:
    """Read all that lies under a final name; gives how many things there are."""
    count = 0
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in inside)
        within = any(part.endswith(".zarr") for part in inside[:-1])
        if hidden or within or "models" in inside[:-1]:
            continue
        reader = next((r for s, r in READERS.items() if path.name.endswith(s)), None)
        if path.name == "models" and path.is_dir():
            reader = _models
        if reader is None:
            continue
        try:
            reader(path)
        except Exception as error:  # what a reader says of half a file has no root
            raise Lost(f"'{path.name}' is damaged: {error}") from error
        count += 1
    return count


def _models(folder: Path) -> None:
    import napari_imagec_ai as ai

    for place in folder.iterdir():
        if not place.name.startswith("."):
            model = ai.load_model(place)
            if model.problems:
                raise ValueError(model.problem)


# -- exports ---------------------------------------------------------------------------


def exports(folder: Path) -> Make:
    """Every format, a prediction, a recipe and an unpacked model."""
    import napari_imagec_ai as ai
    from napari_imagec_ai.image.samples import sample_image

    model = ai.load_model(MODELS / "nuclei-unet")
    ai.predict(model, sample_image()).save(folder / "prediction.npz")
    package = folder / "tiny.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for name in ("rdf.yaml", "weights.onnx", "weights.pt"):
            archive.write(MODELS / "nuclei-unet" / name, name)
    command = [sys.executable, "-m", "faults.mutants", "faults.forking"]
    command += [str(folder / "prediction.npz"), str(package)]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    place = folder / "results"

    def ask(line: str) -> str:
        assert server.stdin is not None
        assert server.stdout is not None
        if line:
            server.stdin.write(line + "\n")
            server.stdin.flush()
        return server.stdout.readline().strip()

    if ask("") != "ready":
        raise RuntimeError("The process that writes did not start.")

    def make(chance: random.Random) -> Case:
        wait = chance.choice((0.02, 0.1, 0.5, 1.5)) * chance.random() * 2
        # Half of them die at a file, the others at any moment.
        at = chance.choice(("", str(chance.randrange(1, 10))))

        def run() -> None:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            writer = int(ask(f"{place}|{at}"))
            if not at:
                time.sleep(wait)
                os.kill(writer, signal.SIGKILL)
            _gone(writer)
            check(place)

        when = f"half way through file {at}" if at else f"after {wait * 1000:.0f} ms"
        return Case(f"killed {when}", run)

    return make


def _gone(process: int) -> None:
    """Wait until a process that was killed has ended."""
    for _ in range(6000):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise RuntimeError("The process that was killed is still there.")


# -- batches ---------------------------------------------------------------------------


def batches(folder: Path) -> Make:
    """A batch that is killed, and then goes on to its end."""
    import tifffile

    from napari_imagec_ai.image.samples import sample_image

    sample = np.asarray(sample_image().data)
    images = folder / "images"
    images.mkdir()
    for n in range(4):
        tifffile.imwrite(images / f"{n}.tif", np.roll(sample, 50 * n, 0))
    out = folder / "results"
    paths = [str(path) for path in sorted(images.iterdir())]
    ai = [sys.executable, "-m", "faults.mutants", "napari_imagec_ai.cli"]
    first = [*ai, "predict", str(MODELS / "nuclei-unet"), paths[0], "-o", str(folder)]
    _finished(subprocess.run(first, capture_output=True, text=True))
    recipe = str(folder / "0.recipe.yaml")
    words = "labels,csv,geojson,ometiff,rois"
    run_all = [*ai, "run", recipe, *paths, "-o", str(out), "--export", words]
    run_all += ["--workers", "1", "--json"]

    def make(chance: random.Random) -> Case:
        waits = [chance.uniform(0.8, 5.0) for _ in range(chance.choice((1, 1, 2)))]

        def run() -> None:
            shutil.rmtree(out, ignore_errors=True)
            for wait in waits:
                batch = subprocess.Popen(
                    run_all, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                with contextlib.suppress(subprocess.TimeoutExpired):
                    batch.wait(wait)
                batch.kill()
                batch.wait(_LONGEST)
                check(out)
            done = subprocess.run(
                run_all, capture_output=True, text=True, timeout=_LONGEST
            )
            reports = [json.loads(line) for line in _finished(done).splitlines()]
            if len(reports) != 4 or check(out) < 4 * 6:
                raise Lost(f"the batch did not go on: {done.stdout} {done.stderr}")
            missing = [f for r in reports for f in r["files"] if not Path(f).exists()]
            if missing:
                raise Lost(f"not written: {missing}")

        told = ", ".join(f"{wait:.1f} s" for wait in waits)
        return Case(f"killed after {told}", run)

    return make


def _finished(done: Any) -> str:
    if done.returncode != 0:
        raise Lost(f"a run ended with code {done.returncode}: {done.stderr[-300:]}")
    told: str = done.stdout
    return told


# -- corrections -----------------------------------------------------------------------


def edits(folder: Path) -> Make:
    """A corrected result that is tuned again and again, and killed at it."""
    from faults.editing import corrected
    from napari_imagec_ai.results.correction.safe_copy import bring

    command = [sys.executable, "-m", "faults.editing"]
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(line: str) -> str:
        assert server.stdin is not None
        assert server.stdout is not None
        if line:
            server.stdin.write(line + "\n")
            server.stdin.flush()
        return server.stdout.readline().strip()

    if ask("") != "ready":
        raise RuntimeError("The process that tunes did not start.")
    like: Any = corrected(0)[0]
    path = folder / "copy.npz"

    def make(chance: random.Random) -> Case:
        wait = chance.choice((0.05, 0.2, 0.8)) * chance.random() * 2

        def run() -> None:
            there = path.exists()
            worker = int(ask(str(path)))
            time.sleep(wait)
            os.kill(worker, signal.SIGKILL)
            _gone(worker)
            if not path.exists():
                if there:
                    raise Lost("the copy of the corrections is gone")
                return
            found = bring(path, like).get("thing")
            if found is None or len(found) != 2 or found.erased != 1:
                raise Lost("the copy of the corrections is damaged")
            if not (found.kept.as_labels()[120:124, 50:58] == 99).all():
                raise Lost("what was painted is not in the copy")

        return Case(f"killed after {wait * 1000:.0f} ms", run)

    return make


EDITS = Fault(
    "killed while an edited layer is re-tuned", edits, count=60, quick=4, seconds=30
)
EXPORTS = Fault("killed while it writes", exports, count=150, quick=8, seconds=30)
BATCHES = Fault("killed batches", batches, count=12, quick=1, seconds=30)
