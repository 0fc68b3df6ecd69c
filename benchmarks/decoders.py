"""What decoding costs, beside the original packages where these are at hand.

``IMAGEC_AI_ORIGINALS`` names a Python that has stardist and cellpose; without it, only
our own decoders are measured. The maps are those of an ideal network, with noise.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.library.agreement import agreement
from napari_imagec_ai.model.rdf import parse_rdf
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

SIDE, COUNT, RAYS = 2048, 1000, 32
Map = NDArray[np.float32]

_THEIRS = {
    "stardist": """
from stardist.geometry import polygons_to_label
from stardist.nms import non_maximum_suppression
def decode(maps, grid):
    points, scores, distances = non_maximum_suppression(
        np.maximum(np.ascontiguousarray(maps[1:].transpose(1, 2, 0)), 1e-3), maps[0],
        grid=(grid, grid), prob_thresh=0.5, nms_thresh=0.4)
    return polygons_to_label(distances, points, prob=scores, shape=(SIDE, SIDE))
""",
    "cellpose": """
from cellpose import dynamics
def decode(maps, grid):
    return dynamics.resize_and_compute_masks(maps[:2], maps[2], niter=200,
        cellprob_threshold=0.0, flow_threshold=0.4, min_size=15)
""",
}

_AROUND = """
import sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
SIDE = {side}
{decode}
given, grid, result = sys.argv[1], int(sys.argv[2]), sys.argv[3]
maps = np.load(given)
decode(maps, grid)
started = time.perf_counter()
labels = decode(maps, grid)
print(time.perf_counter() - started)
np.save(result, labels)
"""


def table() -> list[str]:
    """Times of one decoding, of one move of a threshold, and of the originals."""
    lines = [
        (
            f"| decoder, {SIDE} x {SIDE} | objects | decode | threshold moved | "
            "original | original's objects |"
        ),
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    centres, radii = _discs()
    cases: list[tuple[str, str, int, dict[str, float]]] = [
        ("StarDist, grid 2", "stardist", 2, {"nms_threshold": 0.5}),
        ("StarDist, grid 1", "stardist", 1, {"nms_threshold": 0.5}),
        ("Cellpose", "cellpose", 1, {"flow_threshold": 0.3}),
    ]
    for title, kind, grid, move in cases:
        maps = (
            _star(centres, radii, grid) if kind == "stardist" else _flow(centres, radii)
        )
        first, moved, found = _ours(maps, kind, move)
        theirs, said = _original(maps, kind, grid, found.as_labels())
        lines.append(
            f"| {title} | {len(found)} | {first:.2f} s | {1000 * moved:.0f} ms | "
            f"{theirs} | {said} |"
        )
    return lines


def _discs() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres and radii of discs that hardly touch."""
    rng = np.random.default_rng(0)
    centres, radii = np.zeros((COUNT, 2)), np.zeros(COUNT)
    made = 0
    while made < COUNT:
        radius, centre = rng.uniform(10, 25), rng.uniform(0, SIDE, 2)
        away = np.hypot(*(centres[:made] - centre).T)
        if (away > 0.97 * (radii[:made] + radius)).all():
            centres[made], radii[made] = centre, radius
            made += 1
    return centres, radii


def _own(
    centres: NDArray[np.float64], radii: NDArray[np.float64], grid: int
) -> tuple[NDArray[np.int64], Map]:
    """Disc of each pixel (-1: none), and where the pixel lies from its centre."""
    side = SIDE // grid
    own, away = np.full((side, side), -1), np.zeros((2, side, side), np.float32)
    for number, ((y, x), radius) in enumerate(zip(centres, radii, strict=True)):
        low = np.maximum(np.floor((np.array([y, x]) - radius) / grid).astype(int), 0)
        high = np.ceil((np.array([y, x]) + radius) / grid).astype(int) + 1
        high = np.minimum(high, side)
        part = (slice(low[0], high[0]), slice(low[1], high[1]))
        rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]] * grid
        inside = np.hypot(rows - y, columns - x) < radius
        inside &= own[part] < 0
        own[part][inside] = number
        away[0][part][inside] = (rows - y)[inside]
        away[1][part][inside] = (columns - x)[inside]
    return own, away


def _star(centres: NDArray[np.float64], radii: NDArray[np.float64], grid: int) -> Map:
    """Probabilities, and distances to the rim of the disc along each ray."""
    own, away = _own(centres, radii, grid)
    rng = np.random.default_rng(1)
    maps = np.zeros((1 + RAYS, *own.shape), np.float32)
    inside = own >= 0
    radius, (y, x) = radii[own[inside]], away[:, inside]
    maps[0][inside] = 1 - np.hypot(y, x) / radius
    maps[0] += rng.normal(0, 0.03, own.shape)
    for ray in range(RAYS):
        angle = 2 * np.pi * ray / RAYS
        along = y * np.sin(angle) + x * np.cos(angle)
        length = -along + np.sqrt(np.maximum(radius**2 - y**2 - x**2 + along**2, 0))
        maps[1 + ray][inside] = length * rng.normal(1, 0.03, len(length))
    np.clip(maps[0], 0, 1, out=maps[0])
    return maps


def _flow(centres: NDArray[np.float64], radii: NDArray[np.float64]) -> Map:
    """Flows to the centres, and a cell probability."""
    own, away = _own(centres, radii, 1)
    rng = np.random.default_rng(2)
    inside = own >= 0
    maps = np.zeros((3, *own.shape), np.float32)
    maps[:2] = -5 * away / np.maximum(np.hypot(*away), 1)
    maps[2] = np.where(inside, 4, -4)
    maps += rng.normal(0, 0.5, maps.shape).astype(np.float32)
    return maps


def _prediction(maps: Map, kind: str) -> Prediction:
    """What a network of that kind gave, for an image of the full size."""
    space = [{"type": "space", "id": a, "size": {"min": 16, "step": 16}} for a in "yx"]
    channels = [f"channel{n}" for n in range(len(maps))]
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": channels}, *space]
    rdf = {
        "format_version": "0.5.4",
        "type": "model",
        "name": kind,
        "inputs": [{"id": "raw", "axes": [{"type": "batch"}, *space]}],
        "outputs": [{"id": "maps", "axes": axes}],
        "weights": {},
        "config": {"napari_imagec_ai": {"kind": kind}},
    }
    return Prediction(
        model=parse_rdf(yaml.safe_dump(rdf).encode(), Path("nowhere") / "rdf.yaml"),
        frame=Frame("YX", (SIDE, SIDE), (1.0, 1.0)),
        space="YX",
        maps={"maps": maps},
        engine="none",
        device="none",
        network_seconds=0.0,
        network_calls=0,
    )


def _ours(maps: Map, kind: str, move: dict[str, float]) -> tuple[float, float, Objects]:
    """Seconds of a decoding from scratch, and of one after a threshold was moved."""
    first = []
    for _ in range(2):
        made = _prediction(maps.copy(), kind)
        settings = choose_decoder(made.model).defaults(made.model)
        started = time.perf_counter()
        found: Any = ai.decode(made, settings)
        first.append(time.perf_counter() - started)
    ai.decode(made, settings_with(settings, move))
    started = time.perf_counter()
    ai.decode(made, settings_with(settings, {n: 0.9 * v for n, v in move.items()}))
    return min(first), time.perf_counter() - started, found


def _original(
    maps: Map, kind: str, grid: int, ours: NDArray[np.int32]
) -> tuple[str, str]:
    """Seconds of the original package, and how well its objects agree with ours."""
    python = os.environ.get("IMAGEC_AI_ORIGINALS")
    if python is None:
        return "-", "-"
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "maps.npy"), Path(folder, "labels.npy")
        np.save(given, maps)
        script = _AROUND.format(side=SIDE, decode=_THEIRS[kind])
        done = subprocess.run(
            [python, "-c", script, str(given), str(grid), str(result)],
            check=True,
            capture_output=True,
            text=True,
        )
        found = agreement(np.load(result), ours)
    seconds = float(done.stdout.split()[-1])
    return (
        f"{seconds:.2f} s",
        f"{found.published}, mean overlap {found.overlap:.3f}",
    )
