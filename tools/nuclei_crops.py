"""Training crops for the nuclei network: sizes, target maps, augmentation."""

from __future__ import annotations

import cv2
import numpy as np
from nuclei_images import Sample
from numpy.typing import NDArray

Float = NDArray[np.float32]

CROP = 192
BEST = 24.0  # pixels; the diameter that the network shall know best
_ROOM = 1.45  # a turned square of CROP fits into one larger by this
_EMPTY = 0.1  # share of crops without any nucleus: noise, haze, dust


def _zoom(rng: np.random.Generator, diameter: float) -> float:
    """Draw the scale of a crop: mostly about the best size, some as they come."""
    if rng.random() < 0.75:
        wanted = BEST * np.exp(rng.normal(0, 0.38))
        zoom = np.clip(wanted, 11, 64) / diameter
    else:
        zoom = np.exp(rng.normal(0, 0.2))
    return float(np.clip(zoom, 0.2, 4.0))


def _window(
    rng: np.random.Generator, sample: Sample, side: int
) -> tuple[list[NDArray[np.float32]], int]:
    """Image, labels, depth and validity of a random window that may hang over."""
    height, width = sample.image.shape
    if sample.labels.any() and rng.random() < 0.7:
        ys, xs = np.nonzero(sample.labels)
        pick = int(rng.integers(len(ys)))
        middle = np.array([ys[pick], xs[pick]]) + rng.normal(0, side / 8, 2)
    else:
        middle = rng.uniform((0, 0), (height, width))
    # What the turned crop will show shall lie in the image, if that is large enough.
    reach = np.minimum(side / _ROOM / 2, (height / 2, width / 2))
    middle = np.clip(middle, reach, (height, width) - reach)
    y, x = (int(v) - side // 2 for v in middle)
    top, left = max(0, -y), max(0, -x)
    bottom, right = max(0, y + side - height), max(0, x + side - width)
    part = (
        slice(max(y, 0), min(y + side, height)),
        slice(max(x, 0), min(x + side, width)),
    )
    planes = []
    for array in (sample.image, sample.labels.astype(np.float32), sample.depth):
        planes.append(
            cv2.copyMakeBorder(
                np.ascontiguousarray(array[part]),
                top, bottom, left, right, cv2.BORDER_REFLECT_101,
            )
        )  # fmt: skip
    valid = np.ones(sample.image[part].shape, np.float32)
    planes.append(
        cv2.copyMakeBorder(
            valid, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0
        )
    )
    return planes, side


def _turned(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Affine map of a square onto the crop: turned, mirrored, slightly stretched."""
    angle = (
        rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.integers(4) * np.pi / 2
    )
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s], [s, c]])
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([1, -1])
    matrix = matrix @ np.diag(np.exp(rng.normal(0, 0.06, 2)))
    middle = np.array([side / 2 - 0.5, side / 2 - 0.5])
    shift = np.array([CROP / 2 - 0.5, CROP / 2 - 0.5]) - matrix @ middle
    return np.hstack([matrix, shift[:, None]]).astype(np.float32)


def targets(labels: Float, depth: Float) -> tuple[Float, Float]:
    """Maps (3, Y, X) and loss weights (Y, X) of a label image.

    The maps are the foreground, the boundary (the inner rim of every object and the
    gaps between close ones) and the depth in the object.
    """
    inside = labels > 0
    shared = np.where(inside, labels, np.float32(1e6))
    near, close = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    thin = (cv2.dilate(labels, near) != labels) | (cv2.erode(labels, near) != labels)
    thick = (cv2.dilate(labels, round_) != labels) | (
        cv2.erode(labels, round_) != labels
    )
    numbers = labels.astype(np.int32)
    areas = np.bincount(numbers.ravel())
    areas[0] = 0
    diameter = np.sqrt(areas * 4 / np.pi)[numbers].astype(np.float32)
    # A fixed width would eat small nuclei or be lost on large blurred ones.
    rim = inside & np.where(diameter < 13, thin, thick)

    def between(reach: NDArray[np.uint8]) -> NDArray[np.bool_]:
        most, least = cv2.dilate(labels, reach), cv2.erode(shared, reach)
        return np.asarray((most > 0) & (least < most))

    boundary = rim | (between(near) & ~inside)
    maps = np.stack([inside, boundary, depth * inside]).astype(np.float32)
    weight = 1 + 3 * between(close).astype(np.float32)
    weight *= np.where(inside, np.clip(20 / np.maximum(diameter, 1), 1, 2), 1)
    return maps, weight.astype(np.float32)


def _slope(rng: np.random.Generator, knots: int = 3) -> Float:
    """Draw a smooth field between about -1 and 1 over the crop."""
    coarse = rng.uniform(-1, 1, (knots, knots)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (CROP, CROP), interpolation=cv2.INTER_CUBIC))


def _blurred(image: Float, sigma: float) -> Float:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))


def _noise(rng: np.random.Generator, sigma: float = 0.0) -> Float:
    """Unit noise, of grains of ``sigma`` pixels."""
    field = rng.standard_normal((CROP, CROP), np.float32)
    if sigma > 0.3:
        field = _blurred(field, sigma)
        field /= field.std() + 1e-6
    return field


def dust(rng: np.random.Generator, strength: float) -> Float:
    """Specks, fibres and spots far out of focus, which are no nuclei."""
    out = np.zeros((CROP, CROP), np.float32)
    for _ in range(int(rng.integers(1, 7))):
        y, x = rng.uniform(0, CROP, 2)
        angle, length = rng.uniform(0, np.pi), rng.exponential(6) * (rng.random() < 0.4)
        end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        bright = float(rng.uniform(0.3, 1.5))
        cv2.line(out, (int(x), int(y)), end, bright, int(rng.integers(1, 4)))
    out = _blurred(out, float(rng.uniform(0.5, 1.1)))
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 4))):
            spot = np.zeros((CROP, CROP), np.float32)
            middle = tuple(int(v) for v in rng.integers(0, CROP, 2))
            axes = tuple(int(v) for v in rng.uniform(6, 26, 2))
            cv2.ellipse(spot, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
            out += float(rng.uniform(0.05, 0.3)) * _blurred(
                spot, float(rng.uniform(7, 18))
            )
    return out * np.float32(strength)


def _empty(rng: np.random.Generator) -> Float:
    """Draw what is no nucleus at all, in full contrast."""
    kind = rng.random()
    if kind < 0.15:
        image = _noise(rng, float(rng.choice([0, rng.uniform(0.4, 1.5)])))
        return np.asarray(0.45 + rng.uniform(0.1, 0.25) * image, np.float32)
    if kind < 0.25:  # noise of all grains
        image = np.zeros((CROP, CROP), np.float32)
        for sigma in (0.0, 2.0, 6.0, 15.0, 40.0):
            image += float(rng.exponential(1)) * _noise(rng, sigma)
    elif kind < 0.35:
        image = _slope(rng, int(rng.integers(2, 6))) + rng.uniform(0, 0.3) * _noise(rng)
    elif kind < 0.55:
        image = dust(rng, 1.0) + rng.uniform(0, 0.2) * _noise(rng)
        image = image + rng.uniform(0, 0.5) * _slope(rng)
        return np.asarray(image * rng.uniform(0.5, 1.5), np.float32)
    else:  # haze, as coarse as nuclei and coarser
        image = _noise(rng, float(np.exp(rng.uniform(np.log(2), np.log(60)))))
        image = image + rng.exponential(0.1) * _noise(rng)
    low, high = np.percentile(image, (1, 99.8))
    return np.asarray((image - low) / (high - low + 1e-6), np.float32)


def altered(rng: np.random.Generator, image: Float) -> Float:
    """Change light, sharpness, noise and contrast, never the polarity."""
    return _contrasted(rng, _noisy(rng, _lit(rng, image)))


def _lit(rng: np.random.Generator, image: Float) -> Float:
    """Change the light: its curve, slopes, focus, haze and dust."""
    if rng.random() < 0.5:
        gamma = np.exp(rng.uniform(-0.7, 0.6))
        image = np.sign(image) * np.abs(image) ** gamma
    if rng.random() < 0.15:
        image = image * (1 + 0.5 * _slope(rng))
    if rng.random() < 0.2:
        image = image + rng.uniform(0.03, 0.3) * _slope(rng, int(rng.integers(2, 5)))
    if rng.random() < 0.25:
        image = _blurred(image, float(rng.uniform(0.5, 2.2)))
    if rng.random() < 0.15:  # haze of the nuclei themselves
        glow = _blurred(image, float(rng.uniform(6, 25)))
        image = (image + rng.uniform(0.2, 1) * glow) / 1.4
    if rng.random() < 0.15:
        image = image + dust(rng, float(rng.uniform(0.3, 1.5)))
    return image


def _noisy(rng: np.random.Generator, image: Float) -> Float:
    """Add noise, sometimes."""
    if rng.random() < 0.35:
        grain = float(rng.uniform(0.5, 1.2)) if rng.random() < 0.4 else 0.0
        noise = _noise(rng, grain) * np.exp(rng.uniform(-4.5, -1.7))
        if rng.random() < 0.5:  # photons: more where it is bright
            noise = noise * np.sqrt(np.clip(image, 0.02, 2) * 2)
        image = image + noise
    return image


def _contrasted(rng: np.random.Generator, image: Float) -> Float:
    """Change the range of grey values, and their number."""
    if rng.random() < 0.15:  # as if something bright had stretched the range
        image = image * rng.uniform(0.15, 0.7)
    image = image * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.03)
    if rng.random() < 0.15:
        image = np.minimum(image, rng.uniform(0.5, 1.0))
    if rng.random() < 0.1:  # few grey values
        levels = rng.uniform(8, 40)
        image = np.rint(image * levels) / levels
    return np.asarray(np.clip(image, -1.0, 2.0), np.float32)


def draw_crop(rng: np.random.Generator, sample: Sample) -> tuple[Float, Float, Float]:
    """Image (Y, X), maps (3, Y, X) and weights (Y, X) of one augmented crop."""
    if rng.random() < _EMPTY:
        image = _empty(rng)
        nothing = np.zeros((3, CROP, CROP), np.float32)
        return np.clip(image, -1, 2), nothing, np.ones((CROP, CROP), np.float32)
    zoom = _zoom(rng, sample.diameter)
    planes, side = _window(rng, sample, max(24, int(np.ceil(CROP * _ROOM / zoom))))
    size = max(round(side * zoom), CROP)
    smooth = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    image, labels, depth, valid = (
        cv2.resize(plane, (size, size), interpolation=how)
        for plane, how in zip(
            planes,
            (smooth, cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_NEAREST),
            strict=True,
        )
    )
    turn = _turned(rng, size)
    image, labels, depth, valid = (
        cv2.warpAffine(
            plane, turn, (CROP, CROP), flags=how, borderMode=cv2.BORDER_REFLECT
        )
        for plane, how in (
            (image, cv2.INTER_LINEAR),
            (labels, cv2.INTER_NEAREST),
            (depth, cv2.INTER_LINEAR),
            (valid, cv2.INTER_NEAREST),
        )
    )
    maps, weight = targets(labels, depth)
    return altered(rng, image), maps, weight * valid


def draw_batch(
    rng: np.random.Generator,
    samples: list[Sample],
    odds: NDArray[np.float64],
    size: int,
) -> tuple[Float, Float, Float]:
    """Draw augmented crops.

    Returns
    -------
    images
        (N, 1, Y, X).
    maps
        (N, 3, Y, X), 0 to 1.
    weights
        (N, 1, Y, X), 0 where nothing is known.
    """
    picks = rng.choice(len(samples), size=size, p=odds)
    images, maps, weights = zip(
        *(draw_crop(rng, samples[i]) for i in picks), strict=True
    )
    return np.stack(images)[:, None], np.stack(maps), np.stack(weights)[:, None]
