"""Training batches for the cell detector: scenes, crops, targets, augmentation."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage as ndi
from synthetic_cells import as_input, make_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCENE = 320
CROP = 224
STRIDE = 4
_NEAR, _AROUND = 6.0, 9.5  # pixels from the middle of a cell
_LEAST = 25  # pixels; less of a cell at the border is neither found nor missed
NOBODY, UNDECIDED = -1, -2


@dataclass(frozen=True)
class Sample:
    """One scene as the network sees it.

    Attributes
    ----------
    image
        (3, Y, X) uint8, to keep many in memory.
    labels
        (Y, X) int16, 0 for background.
    kinds
        Class of each cell, (n,).
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int16]
    kinds: NDArray[np.int64]


@dataclass(frozen=True)
class Targets:
    """What the network shall say about one crop.

    Attributes
    ----------
    owners
        Index of the cell that each grid cell shall predict, `NOBODY` or `UNDECIDED`,
        (Y / 4, X / 4).
    boxes
        x1, y1, x2, y2 in pixels, (n, 4).
    kinds
        Class of each cell, (n,).
    labels
        Label image in which cell i has the value i + 1, (Y, X); -1 is undecided.
    """

    owners: NDArray[np.int64]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    labels: NDArray[np.int16]


def make_sample(seed: np.random.SeedSequence) -> Sample:
    """Draw one training scene."""
    cells = make_cells(np.random.default_rng(seed), (SCENE, SCENE))
    image = np.rint(as_input(cells.image) * 255).astype(np.uint8)
    return Sample(image, cells.labels.astype(np.int16), cells.kinds)


def make_samples(seed: int, number: int, workers: int = 2) -> list[Sample]:
    """Draw training scenes; the result does not depend on the number of workers."""
    seeds = np.random.SeedSequence(seed).spawn(number)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(make_sample, seeds, chunksize=8))


def _middle(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Find a point well inside the mask and near its centre of mass."""
    # The centre of mass of a bent rod may lie beside it.
    depth = ndi.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    inside = np.argwhere(depth >= 0.7 * depth.max())
    centre = np.argwhere(mask).mean(axis=0)
    y, x = inside[((inside - centre) ** 2).sum(axis=1).argmin()]
    return float(y), float(x)


def find_targets(labels: NDArray[np.int16], kinds: NDArray[np.int64]) -> Targets:
    """Targets of a crop whose ``labels`` index ``kinds`` from 1."""
    own = np.zeros_like(labels)
    boxes, middles, classes = [], [], []
    for index, part in enumerate(ndi.find_objects(labels), start=1):
        if part is None:
            continue
        mask = labels[part] == index
        if mask.sum() < _LEAST:
            own[part][mask] = -1
            continue
        top, left = part[0].start, part[1].start
        boxes.append((left, top, part[1].stop, part[0].stop))
        y, x = _middle(mask)
        middles.append((top + y, left + x))
        classes.append(kinds[index - 1])
        own[part][mask] = len(boxes)
    return Targets(
        _owners(own, np.array(middles, np.float32).reshape(-1, 2)),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(classes, np.int64),
        own,
    )


def _owners(
    labels: NDArray[np.int16], middles: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Give the grid cells around the middle of each cell to it."""
    rows, columns = (n // STRIDE for n in labels.shape)
    centres = STRIDE / 2 - 0.5 + STRIDE * np.indices((rows, columns))
    below = labels[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    owners = np.where(below < 0, UNDECIDED, NOBODY).astype(np.int64)
    if not len(middles):
        return owners
    gaps = np.hypot(*(centres[:, None] - middles.T[:, :, None, None]))  # (n, Y, X)
    nearest, gap = gaps.argmin(axis=0), gaps.min(axis=0)
    over = below == nearest + 1
    owners[over & (gap <= _AROUND)] = UNDECIDED
    owners[over & (gap <= _NEAR)] = nearest[over & (gap <= _NEAR)]
    # Thin cells may pass between the points of the grid, but each gets a place.
    best = gaps.reshape(len(gaps), -1).argmin(axis=1)
    owners.ravel()[best] = np.arange(len(gaps))
    return owners


def _crop(rng: np.random.Generator, sample: Sample) -> Sample:
    """Take a random square, mirrored and turned."""
    y, x = (int(rng.integers(SCENE - CROP + 1)) for _ in range(2))
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def cut(array: NDArray[Any]) -> NDArray[Any]:
        part = array[..., y : y + CROP, x : x + CROP]
        part = part[..., ::-1] if mirror else part
        return np.ascontiguousarray(np.rot90(part, turns, axes=(-2, -1)))

    return Sample(cut(sample.image), cut(sample.labels), sample.kinds)


def _altered(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Change contrast, brightness and noise; the result is clipped to 0..1."""
    out = image.astype(np.float32) / 255
    if rng.random() < 0.4:
        out = out ** np.exp(rng.uniform(-0.5, 0.5))
    if rng.random() < 0.3:
        out = out * rng.uniform(0.3, 1.5)
    if rng.random() < 0.2:
        out = out + rng.uniform(0, 0.15)
    if rng.random() < 0.2:
        grey = (image[0] == image[1]).all()
        shape = (1, *out.shape[1:]) if grey else out.shape
        out = out + np.exp(rng.uniform(-4.5, -2.5)) * rng.standard_normal(shape)
    return np.clip(out, 0, 1).astype(np.float32)


def draw_batch(
    rng: np.random.Generator, samples: list[Sample], size: int
) -> tuple[NDArray[np.float32], list[Targets]]:
    """Draw augmented crops (N, 3, Y, X) and their targets."""
    crops = [_crop(rng, samples[i]) for i in rng.integers(len(samples), size=size)]
    images = np.stack([_altered(rng, crop.image) for crop in crops])
    return images, [find_targets(crop.labels, crop.kinds) for crop in crops]
