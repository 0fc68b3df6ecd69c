"""Write what StarDist makes of drawn scenes, for the tests.

The package does not depend on StarDist; this is run by hand, from the root of the
repository, with an environment of its own that lies elsewhere. Its suppression and its
geometry do without TensorFlow::

    python3 -m venv ../oracle
    ../oracle/bin/pip install "stardist==0.9.*"
    ../oracle/bin/python tools/make_stardist_cases.py

What is written is ``tests/data/stardist_cases.npz``. There, ``cases`` is JSON in UTF-8:
for each case its name, the size of the image, and what a description would say. Of the
maps, only pixels that are sure enough are there: under the case's name and ``cells``
where they are (numbers of pixels of the map), ``prob`` in 1/65535, and ``dist``
(pixels, rays) in units of ``UNIT`` pixels. ``labels`` is what StarDist makes of just
these numbers.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stardist.geometry import (
    polygons_to_label,
    polyhedron_to_label,
    star_dist,
    star_dist3D,
)
from stardist.nms import non_maximum_suppression, non_maximum_suppression_3d
from stardist.rays3d import Rays_GoldenSpiral
from stardist.utils import edt_prob

logger = logging.getLogger(__name__)

FILE = Path(__file__).resolve().parents[1] / "tests" / "data" / "stardist_cases.npz"

UNIT = 0.25
"""Pixels that one step of a stored distance is."""

_SURE = 0.4
"""Pixels that are less sure are not stored: they have the probability 0."""

_NOISE = 0.03

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A scene, and how it is decoded.

    Radii are drawn evenly from ``smallest`` to ``largest``; objects may touch where
    ``apart`` is below 1: that part of their radii is between their centres at least.
    """

    name: str
    shape: tuple[int, ...]
    count: int
    smallest: float
    largest: float
    apart: float
    rays: int
    grid: tuple[int, ...]
    prob: float = 0.5
    nms: float = 0.4
    anisotropy: tuple[float, ...] = ()


CASES = (
    Case("crowded", (520, 520), 260, 7, 15, 0.9, 32, (2, 2)),
    Case("sizes", (260, 260), 50, 4, 20, 0.95, 16, (1, 1), 0.45, 0.3),
    Case(
        "volume", (40, 150, 150), 110, 7, 11, 0.85, 32, (1, 2, 2), 0.5, 0.3, (2, 1, 1)
    ),
)


def scene(case: Case, rng: np.random.Generator) -> Array:
    """Draw wavy blobs, some of them cut by the border."""
    size = np.array(case.shape, float)
    step = np.array(case.anisotropy or (1.0,) * len(size))
    labels = np.zeros(case.shape, np.uint16)
    centres: list[Array] = []
    radii: list[float] = []
    while len(centres) < case.count:
        radius = rng.uniform(case.smallest, case.largest)
        centre = rng.uniform(-0.3 * radius, size * step + 0.3 * radius)
        away = (
            np.linalg.norm(centre - c) / (radius + r)
            for c, r in zip(centres, radii, strict=True)
        )
        if all(distance > case.apart for distance in away):
            centres.append(centre)
            radii.append(radius)
            draw(labels, centre / step, step, radius, len(centres), rng)
    return labels


def draw(
    labels: Array,
    centre: Array,
    step: Array,
    radius: float,
    number: int,
    rng: np.random.Generator,
) -> None:
    """Draw one of them, where nothing is yet."""
    reach = 1.6 * radius / step
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, labels.shape).astype(int)
    place = tuple(map(slice, low, high))
    axes = np.ogrid[place]
    *z, y, x = ((a - c) * s for a, c, s in zip(axes, centre, step, strict=True))
    angle = np.arctan2(y, x)
    waves = zip(rng.normal(0, 0.07, 4), rng.uniform(0, 6, 4), range(2, 6), strict=True)
    rim = radius * (1 + sum(a * np.cos(n * angle + p) for a, p, n in waves))
    away = np.sqrt(y**2 + x**2 + sum(part**2 for part in z))
    part = labels[place]
    part[(away < rim) & (part == 0)] = number


def maps(case: Case, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Give probabilities and distances, with noise, as they are stored."""
    if len(case.shape) == 2:
        dist = star_dist(labels, case.rays, grid=case.grid)
        prob = edt_prob(labels)
    else:
        dist = star_dist3D(labels, spiral(case), grid=case.grid)
        prob = edt_prob(labels, anisotropy=case.anisotropy)
    prob = prob[tuple(slice(None, None, g) for g in case.grid)]
    # So that even with noise none is as sure as another, nor the surest possible.
    prob = 0.85 * prob + rng.normal(0, _NOISE, prob.shape)
    dist = dist * (1 + rng.normal(0, _NOISE, dist.shape)) / UNIT
    prob = (65535 * np.where(prob > _SURE, prob, 0)).astype(np.uint16)
    return prob, np.clip(dist.round(), 1, 255).astype(np.uint8)


def spiral(case: Case) -> Any:
    """Rays in space."""
    return Rays_GoldenSpiral(case.rays, anisotropy=case.anisotropy)


def decoded(case: Case, prob: Array, dist: Array) -> Array:
    """What StarDist finds."""
    chosen = {"grid": case.grid, "prob_thresh": case.prob, "nms_thresh": case.nms}
    if len(case.shape) == 2:
        points, sure, found = non_maximum_suppression(dist, prob, **chosen)
        return polygons_to_label(found, points, prob=sure, shape=case.shape)
    rays = spiral(case)
    points, sure, found = non_maximum_suppression_3d(dist, prob, rays, **chosen)
    return polyhedron_to_label(
        found, points, rays, prob=sure, shape=case.shape, verbose=False
    )


def main() -> None:
    """Write the file."""
    stored: dict[str, Array] = {}
    for seed, case in enumerate(CASES):
        rng = np.random.default_rng(seed)
        labels = scene(case, rng)
        prob, dist = maps(case, labels, rng)
        dist[prob == 0] = 1
        found = decoded(
            case, (prob / np.float32(65535)), (dist * np.float32(UNIT))
        ).astype(np.uint16)
        cells = np.flatnonzero(prob)
        stored[f"{case.name} cells"] = cells.astype(np.int32)
        stored[f"{case.name} prob"] = prob.reshape(-1)[cells]
        stored[f"{case.name} dist"] = dist.reshape(-1, case.rays)[cells]
        stored[f"{case.name} labels"] = found
        logger.info(
            "%s: %d objects drawn, %d found.", case.name, labels.max(), found.max()
        )
    text = json.dumps([asdict(case) for case in CASES]).encode()
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, cases=np.frombuffer(text, np.uint8), **stored)
    logger.info("Wrote %s, %d kB.", FILE.name, FILE.stat().st_size // 1000)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
