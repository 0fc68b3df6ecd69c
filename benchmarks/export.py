"""How long it takes to write many objects, format by format."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import napari_imagec_ai as ai
from napari_imagec_ai.export.writing import EXPORTS, FORMATS, write_all
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.objects import Objects

COUNT = 5000
SIDE = 2048
ROUNDS = 3


def table() -> list[str]:
    """Time to write each format: objects of a label image, and with own masks."""
    image, flat = _scene()
    masked = _with_masks(flat)
    lines = [
        f"{len(flat)} objects in {SIDE} x {SIDE} pixels.",
        "",
        "| format | label image | masks | size |",
        "| --- | ---: | ---: | ---: |",
    ]
    totals = np.zeros(2)
    with tempfile.TemporaryDirectory() as folder:
        for each in FORMATS:
            path = Path(folder) / f"a{each.suffix}"
            times = [_fastest(o, path, image) for o in (flat, masked)]
            totals += times
            lines.append(
                f"| {each.word} | {times[0]:.2f} s | {times[1]:.2f} s | "
                f"{_size(path) / 1e6:.1f} MB |"
            )
        together = [_together(o, Path(folder), image) for o in (flat, masked)]
    lines.append(f"| sum | {totals[0]:.2f} s | {totals[1]:.2f} s | |")
    lines.append(f"| all in one run | {together[0]:.2f} s | {together[1]:.2f} s | |")
    return lines


def _together(objects: Objects, folder: Path, image: ai.ImageInput) -> float:
    started = time.perf_counter()
    write_all(objects, folder, "b", list(EXPORTS), image)
    return time.perf_counter() - started


def _scene() -> tuple[ai.ImageInput, Objects]:
    """Discs of many sizes, some with a hole and some cut in two, in two classes."""
    rng = np.random.default_rng(0)
    cells = int(np.ceil(np.sqrt(COUNT)))
    step = SIDE // cells
    y, x = np.indices((step, step)) - (step - 1) / 2
    labels = np.zeros((SIDE, SIDE), np.int32)
    for n in range(COUNT):
        radius = rng.uniform(0.25, 0.48) * step
        disc = np.hypot(y, x) <= radius
        if n % 10 == 0:
            disc &= np.hypot(y, x) > radius / 3
        if n % 10 == 1:
            disc &= np.abs(x) > 1
        row, column = divmod(n, cells)
        part = labels[
            row * step : (row + 1) * step, column * step : (column + 1) * step
        ]
        part[disc] = n + 1
    pixels = (labels > 0) * 20_000 + rng.integers(0, 9000, labels.shape)
    image = ai.ImageInput(
        pixels.astype(np.uint16), "YX", (0.5, 0.5), "micrometer", "discs"
    )
    frame = Frame("YX", labels.shape, (0.5, 0.5), "micrometer", "discs")
    classes = {n: ("nucleus", "debris")[n % 2] for n in range(1, COUNT + 1)}
    return image, read_labels(labels, frame, classes=classes, image=image)


def _with_masks(objects: Objects) -> Objects:
    labels: Any = objects.as_labels()
    low, high = objects.boxes[:, :2].astype(int), objects.boxes[:, 2:].astype(int)
    pixels = tuple(
        labels[y0:y1, x0:x1] == n
        for n, (y0, x0), (y1, x1) in zip(objects.id, low, high, strict=True)
    )
    return Objects(
        **{
            name: getattr(objects, name)
            for name in ("frame", "id", "class_id", "confidence", "boxes", "classes")
        },
        masks=Masks(low.astype(np.int32), pixels),
        features=objects.features,
    )


def _fastest(objects: Objects, path: Path, image: ai.ImageInput) -> float:
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        ai.write(objects, path, image)
        rounds.append(time.perf_counter() - started)
    return min(rounds)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
