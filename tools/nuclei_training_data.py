"""Training crops for the nuclei network: scenes, target maps, augmentation."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage as ndi
from skimage.segmentation import find_boundaries
from synthetic_nuclei import make_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERCENTILES = (1.0, 99.8)  # the RDF's scale_range; robust to debris and hot pixels
CROP = 192
SCENE = 288


@dataclass(frozen=True)
class Sample:
    """One normalised scene with what the network shall say about it.

    Attributes
    ----------
    image
        (Y, X) float32, about 0 to 1.
    maps
        (2, Y, X) float32, foreground and boundary, 0 or 1.
    weight
        (Y, X) float32, loss weight of each pixel, 1 or more.
    """

    image: NDArray[np.float32]
    maps: NDArray[np.float32]
    weight: NDArray[np.float32]


def normalise(image: NDArray[Any]) -> NDArray[np.float32]:
    """Scale as the RDF's ``scale_range`` does, with statistics over the whole image."""
    low, high = np.percentile(image, PERCENTILES)
    return np.asarray((image - low) / (high - low + 1e-6), np.float32)


def _rims(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Inner rims of all objects, thicker for larger ones."""
    # A fixed width would either eat small nuclei or be lost on large blurred ones.
    sizes = np.bincount(labels.ravel())
    diameter = np.sqrt(sizes * 4 / np.pi)
    width = (0.7 + diameter / 40)[labels]
    depth = ndi.distance_transform_edt(~find_boundaries(labels, mode="inner"))
    return np.asarray((labels > 0) & (depth < width))


def _between(labels: NDArray[np.int32], reach: int) -> NDArray[np.bool_]:
    """Pixels with two different objects within ``reach`` pixels."""
    side = 2 * reach + 1
    low = np.where(labels > 0, labels, np.iinfo(np.int32).max)
    least = ndi.minimum_filter(low, side)
    most = ndi.maximum_filter(labels, side)
    return np.asarray((most > 0) & (least < most))


def target_maps(
    labels: NDArray[np.int32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Foreground and boundary maps (2, Y, X), and loss weights (Y, X), of labels.

    The boundary is the inner rim of every object, and the whole gap where two lie
    closer than three pixels: what separates objects has to be learnt there.
    """
    boundary = _rims(labels) | (_between(labels, 1) & (labels == 0))
    maps = np.stack([labels > 0, boundary]).astype(np.float32)
    weight = 1 + 3 * _between(labels, 2).astype(np.float32)
    return maps, weight


def make_sample(seed: np.random.SeedSequence) -> Sample:
    """Draw one training scene."""
    image, labels = make_scene(np.random.default_rng(seed), (SCENE, SCENE))
    maps, weight = target_maps(labels)
    return Sample(normalise(image), maps, weight)


def make_samples(seed: int, number: int, workers: int = 2) -> list[Sample]:
    """Draw training scenes; the result does not depend on the number of workers."""
    seeds = np.random.SeedSequence(seed).spawn(number)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(make_sample, seeds, chunksize=8))


def _resampled(rng: np.random.Generator, sample: Sample) -> Sample:
    """Magnify or shrink one random part of the scene, axes independently."""
    zoom = np.exp(rng.uniform(-0.35, 0.35)) * np.exp(rng.normal(0, 0.08, 2))
    size = np.minimum(np.ceil(CROP / zoom).astype(int) + 2, SCENE)
    y, x = (int(rng.integers(SCENE - n + 1)) for n in size)
    part = slice(y, y + size[0]), slice(x, x + size[1])
    factors = [max(z, CROP / n) for z, n in zip(zoom, size, strict=True)]
    maps = np.stack([ndi.zoom(m[part], factors, order=1) for m in sample.maps])
    return Sample(
        ndi.zoom(sample.image[part], factors, order=1),
        (maps > 0.5).astype(np.float32),
        ndi.zoom(sample.weight[part], factors, order=0),
    )


def _crop(rng: np.random.Generator, sample: Sample) -> Sample:
    """Take a random square, mirrored and turned."""
    height, width = sample.image.shape
    y = int(rng.integers(height - CROP + 1))
    x = int(rng.integers(width - CROP + 1))
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def cut(array: NDArray[np.float32]) -> NDArray[np.float32]:
        part = array[..., y : y + CROP, x : x + CROP]
        part = part[..., ::-1] if mirror else part
        return np.rot90(part, turns, axes=(-2, -1))

    return Sample(cut(sample.image), cut(sample.maps), cut(sample.weight))


def _slope(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a smooth field between about -1 and 1 over the crop."""
    coarse = rng.uniform(-1, 1, (3, 3))
    return np.asarray(ndi.zoom(coarse, CROP / 3, order=1), np.float32)


def _altered(
    rng: np.random.Generator, image: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Change contrast, light, sharpness and noise, never the polarity."""
    if rng.random() < 0.5:
        gamma = np.exp(rng.uniform(-0.6, 0.6))
        image = np.sign(image) * np.abs(image) ** gamma
    if rng.random() < 0.2:
        image = image * (1 + 0.4 * _slope(rng))
    if rng.random() < 0.2:
        image = image + rng.uniform(0.05, 0.3) * _slope(rng)
    if rng.random() < 0.25:
        image = ndi.gaussian_filter(image, rng.uniform(0.4, 1.6))
    if rng.random() < 0.35:
        noise = rng.standard_normal(image.shape)
        if rng.random() < 0.4:  # as after resampling or compression
            noise = 2 * ndi.gaussian_filter(noise, 0.8)
        image = image + np.exp(rng.uniform(-4.5, -1.8)) * noise
    if rng.random() < 0.15:  # as if something bright had stretched the range
        image = image * rng.uniform(0.2, 0.7)
    image = image * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.04)
    if rng.random() < 0.15:
        image = np.minimum(image, rng.uniform(0.6, 1.0))
    return np.asarray(image, np.float32)


def draw_batch(
    rng: np.random.Generator, samples: list[Sample], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Draw augmented crops.

    Returns
    -------
    images
        (N, 1, Y, X) float32.
    maps
        (N, 2, Y, X) float32, 0 or 1.
    weights
        (N, 1, Y, X) float32.
    """
    crops = []
    for index in rng.integers(len(samples), size=size):
        sample = samples[index]
        if rng.random() < 0.25:
            sample = _resampled(rng, sample)
        crops.append(_crop(rng, sample))
    return (
        np.stack([_altered(rng, crop.image)[None] for crop in crops]),
        np.stack([crop.maps for crop in crops]),
        np.stack([crop.weight[None] for crop in crops]),
    )
