"""Real images of fluorescent nuclei to train and validate on.

They are stage 1 of the Data Science Bowl 2018 (BBBC038v1 of the Broad Bioimage
Benchmark Collection, CC0), https://bbbc.broadinstitute.org/BBBC038, as one folder
with ``NAME.png``, ``NAME.labels.png`` (0 is background) and an ``index.csv`` whose
column ``kind`` says which images are of fluorescence.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

PERCENTILES = (1.0, 99.8)  # the RDF's scale_range; robust to debris and hot pixels
VALIDATION_IMAGES = 60
_SPLIT_SEED = 2018


@dataclass(frozen=True)
class Sample:
    """One normalised image with its objects.

    Attributes
    ----------
    name
        What it is called in its folder.
    image
        (Y, X) float32, about 0 to 1.
    labels
        (Y, X) int32, 0 for background.
    depth
        (Y, X) float32, distance to the edge of the object, 1 at its deepest point.
    diameter
        Of a disk of the median area of the objects, in pixels.
    """

    name: str
    image: NDArray[np.float32]
    labels: NDArray[np.int32]
    depth: NDArray[np.float32]
    diameter: float


def normalise(image: NDArray[Any]) -> NDArray[np.float32]:
    """Scale as the RDF's ``scale_range`` does, with statistics over the whole image."""
    low, high = np.percentile(image, PERCENTILES)
    return np.asarray((image - low) / (high - low + 1e-6), np.float32)


def depth(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Distance to the edge of each object, divided by the largest in the object."""
    out = np.zeros(labels.shape, np.float32)
    for index, window in enumerate(ndi.find_objects(labels), start=1):
        if window is None:
            continue
        # Objects that the picture cuts off go on beyond it: only what lies in the
        # picture is an edge.
        grown = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in window)
        inside = labels[grown] == index
        far = ndi.distance_transform_edt(inside) if not inside.all() else inside * 1.0
        out[grown][inside] = (far / far.max())[inside]
    return out


def sample(name: str, image: NDArray[Any], labels: NDArray[np.int32]) -> Sample:
    """Prepare one image for training."""
    areas = np.bincount(labels.ravel())[1:]
    middle = float(np.median(areas[areas > 0])) if areas.any() else 450.0
    return Sample(
        name,
        normalise(image),
        labels,
        depth(labels),
        float(np.sqrt(middle * 4 / np.pi)),
    )


def split(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the fluorescence images to train on, and of those to validate on."""
    with (folder / "index.csv").open(encoding="utf-8") as file:
        names = [r["name"] for r in csv.DictReader(file) if r["kind"] == "fluorescence"]
    order = np.random.default_rng(_SPLIT_SEED).permutation(sorted(names)).tolist()
    return order[VALIDATION_IMAGES:], order[:VALIDATION_IMAGES]


def load(folder: Path, names: list[str]) -> list[Sample]:
    """Read images and labels and prepare them."""
    out = []
    for name in names:
        image = iio.imread(folder / f"{name}.png")
        labels = iio.imread(folder / f"{name}.labels.png").astype(np.int32)
        out.append(sample(name, image, labels))
    return out
