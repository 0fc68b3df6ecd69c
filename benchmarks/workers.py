"""What a second worker brings: many images, and one large one in blocks.

    python -m benchmarks.workers [IMAGES [SIDE]]

Each run is a process of its own with one thread for each worker, timed from its first
import to the last file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import napari_imagec_ai as ai
from napari_imagec_ai.image.samples import sample_image

ROOT = Path(__file__).resolve().parents[1]
MODELS = (
    ROOT.parent / "shared" / "models" / "unet2d_nuclei_broad",
    ROOT / "models" / "nuclei-unet",
)
"""The first one that is there is run."""

IMAGES, SIDE, LARGE = 16, 2048, 8192


def make(folder: Path, images: int, large: int) -> None:
    """Write a recipe, a folder of images, and a large one."""
    import tifffile
    import zarr

    from napari_imagec_ai.recipes.recipe import Recipe, describe_model

    path = next(path for path in MODELS if path.exists())
    Recipe(model=describe_model(ai.load_model(path))).save(folder / "recipe.yaml")
    sample = np.asarray(sample_image().data)
    tiled = np.tile(sample, (SIDE // 512, SIDE // 512))
    (folder / "plate").mkdir()
    for number in range(images):
        shifted = np.roll(tiled, 37 * number, axis=1)
        tifffile.imwrite(folder / "plate" / f"well{number:02}.tif", shifted)
    slide = zarr.create_array(
        str(folder / "slide.zarr"),
        shape=(large, large),
        chunks=(1024, 1024),
        dtype=sample.dtype,
    )
    for y in range(0, large, SIDE):
        for x in range(0, large, SIDE):
            part = slide[y : y + SIDE, x : x + SIDE]
            slide[y : y + SIDE, x : x + SIDE] = tiled[: part.shape[0], : part.shape[1]]


def run(workers: int, folder: Path, pattern: str) -> None:
    """One batch in this process, with one thread for each worker."""
    import cv2

    from napari_imagec_ai.recipes.batch.run_batch import Batch, expand, run_batch
    from napari_imagec_ai.recipes.recipe import Recipe
    from napari_imagec_ai.system import threads

    threads.use(1)
    cv2.setNumThreads(1)
    batch = Batch(Recipe.load(folder / "recipe.yaml"), folder / f"out{workers}")
    images = expand([str(folder / pattern)])
    for outcome in run_batch(batch, images, workers=workers):
        if outcome.report is None:
            raise SystemExit(outcome.problem)


def table(images: int = IMAGES, large: int = LARGE) -> list[str]:
    """A row for the folder, and one for the large image."""
    lines = [
        "| images | one worker | two workers | ratio | processor time |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, images, large)
        for pattern, name in (
            ("plate/*.tif", f"{images} of {SIDE} x {SIDE}"),
            ("slide.zarr", f"1 of {large} x {large}, in blocks"),
        ):
            (one, alone), (two, both) = (
                _seconds(workers, folder, pattern) for workers in (1, 2)
            )
            lines.append(
                f"| {name} | {one:.1f} s | {two:.1f} s | {one / two:.2f} | "
                f"{alone:.1f} s, {both:.1f} s |"
            )
            _compare(folder)
    return lines


def _seconds(workers: int, folder: Path, pattern: str) -> tuple[float, float]:
    """On the clock, and on the processor, all processes together."""
    command = [sys.executable, "-m", "benchmarks.workers", "run", str(workers)]
    started, before = time.perf_counter(), os.times()
    subprocess.run([*command, str(folder), pattern], check=True, cwd=ROOT)
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return time.perf_counter() - started, used


def _compare(folder: Path) -> None:
    """The tables of both runs are the same, to the byte."""
    for path in (folder / "out1").glob("*.csv"):
        if path.read_bytes() != (folder / "out2" / path.name).read_bytes():
            raise SystemExit(f"{path.name} differs between one worker and two.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    else:
        print("\n".join(table(*map(int, sys.argv[1:]))))
