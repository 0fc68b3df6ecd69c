"""Write what Cellpose makes of flows of drawn scenes, for the tests.

The package does not depend on Cellpose; this is run by hand, from the root of the
repository, with an environment of its own that lies elsewhere::

    python3 -m venv ../oracle
    ../oracle/bin/pip install "cellpose==3.1.*"
    ../oracle/bin/python tools/make_cellpose_cases.py

What is written is ``tests/data/cellpose_cases.npz``. There, ``cases`` is JSON in UTF-8:
for each case its name, the size of the image, and how Cellpose was asked. Under the
case's name, ``maps`` is what a network would give: flows and the cell probability,
whole numbers in units of ``UNIT``. The flows are those that Cellpose trains networks
with, and noise. ``labels`` is what Cellpose makes of just these numbers.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose import dynamics
from numpy.typing import NDArray
from scipy import ndimage

logger = logging.getLogger(__name__)

FILE = Path(__file__).resolve().parents[1] / "tests" / "data" / "cellpose_cases.npz"

UNIT = 0.125
"""What one step of a stored number is."""

_LENGTH = 5
"""Networks are trained to give flows this long."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A scene, and how it is decoded.

    Radii are drawn evenly from ``smallest`` to ``largest``; objects may touch where
    ``apart`` is below 1: that part of their radii is between their centres at least.
    ``noise`` is that of the flows.
    """

    name: str
    shape: tuple[int, ...]
    count: int
    smallest: float
    largest: float
    apart: float
    noise: float
    cellprob_threshold: float = 0.0
    flow_threshold: float = 0.4
    min_size: int = 15


CASES = (
    Case("crowded", (380, 380), 230, 6, 13, 0.9, 0.5),
    Case("sizes", (200, 200), 40, 4, 20, 0.9, 0.3, cellprob_threshold=-1.0),
    Case("bad flows", (160, 160), 40, 7, 12, 0.9, 2.2, min_size=30),
    Case("volume", (30, 84, 84), 60, 6, 9, 0.9, 0.4),
)


def scene(case: Case, rng: np.random.Generator) -> Array:
    """Draw wavy blobs, some of them cut by the border."""
    labels = np.zeros(case.shape, np.uint16)
    centres: list[Array] = []
    radii: list[float] = []
    while len(centres) < case.count:
        radius = rng.uniform(case.smallest, case.largest)
        centre = rng.uniform(-0.3 * radius, np.array(case.shape) + 0.3 * radius)
        away = (
            np.linalg.norm(centre - c) / (radius + r)
            for c, r in zip(centres, radii, strict=True)
        )
        if all(distance > case.apart for distance in away):
            centres.append(centre)
            radii.append(radius)
            draw(labels, centre, radius, len(centres), rng)
    return labels


def draw(
    labels: Array,
    centre: Array,
    radius: float,
    number: int,
    rng: np.random.Generator,
) -> None:
    """Draw one of them, where nothing is yet."""
    *z, y, x = (g - c for g, c in zip(np.indices(labels.shape), centre, strict=True))
    angle = np.arctan2(y, x)
    waves = zip(rng.normal(0, 0.07, 4), rng.uniform(0, 6, 4), range(2, 6), strict=True)
    rim = radius * (1 + sum(a * np.cos(n * angle + p) for a, p, n in waves))
    away = np.sqrt(y**2 + x**2 + sum(part**2 for part in z))
    labels[(away < rim) & (labels == 0)] = number


def maps(case: Case, labels: Array, rng: np.random.Generator) -> Array:
    """Give flows and the cell probability, with noise, as they are stored."""
    if labels.ndim == 2:
        flow = dynamics.labels_to_flows([labels], device=torch.device("cpu"))[0][2:]
    else:
        flow = dynamics.masks_to_flows_gpu_3d(
            labels.astype(int), device=torch.device("cpu")
        )
    flow = _LENGTH * flow + rng.normal(0, case.noise, flow.shape)
    # Noise varies slowly, as a network's; elsewhere there is none, to be stored in less
    # room.
    inside = labels > 0
    depth = np.where(inside, 1.0, 0.0)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            mine = labels[box] == number
            depth[box][mine] = ndimage.distance_transform_edt(np.pad(mine, 1))[
                (slice(1, -1),) * labels.ndim
            ][mine]
    logits = np.where(inside, np.minimum(depth, 4) + 0.5, -3.0)
    logits = ndimage.gaussian_filter(logits, 0.7) + rng.normal(0, 0.4, labels.shape)
    near = ndimage.binary_dilation(inside, iterations=2)
    logits[~near] = -4
    flow[:, ~near] = 0
    values = np.concatenate([flow, logits[None]]) / UNIT
    return np.clip(values.round(), -127, 127).astype(np.int8)


def decoded(case: Case, values: Array) -> Array:
    """What Cellpose finds."""
    return dynamics.resize_and_compute_masks(
        values[:-1],
        values[-1],
        cellprob_threshold=case.cellprob_threshold,
        flow_threshold=case.flow_threshold,
        min_size=case.min_size,
        do_3D=len(case.shape) == 3,
    )


def main() -> None:
    """Write the file."""
    stored: dict[str, Array] = {}
    for seed, case in enumerate(CASES):
        rng = np.random.default_rng(seed)
        labels = scene(case, rng)
        values = maps(case, labels, rng)
        found = decoded(case, values * np.float32(UNIT)).astype(np.uint16)
        stored[f"{case.name} maps"] = values
        stored[f"{case.name} labels"] = found
        drawn = len(np.unique(labels)) - 1
        logger.info("%s: %d objects drawn, %d found.", case.name, drawn, found.max())
    text = json.dumps([asdict(case) for case in CASES]).encode()
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, cases=np.frombuffer(text, np.uint8), **stored)
    logger.info("Wrote %s, %d kB.", FILE.name, FILE.stat().st_size // 1000)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
