"""Training pictures for the blood detector: sizes, mosaics, colours, targets."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from blood_images import Smear
from blood_network import STRIDE
from numpy.typing import NDArray

SIDE = 320  # pixels of a training picture
BEST = 0.5  # the scale at which a photograph of 640 x 480 fits into it
_GREY = 114
_SEEN = 0.45  # less of a box in the picture is left undecided
NOBODY, UNDECIDED = -1, -2


@dataclass(frozen=True)
class Picture:
    """One augmented picture with its boxes.

    Attributes
    ----------
    image
        (Y, X, 3) uint8.
    boxes
        (n, 4) float32: x0, y0, x1, y1, clipped to the picture.
    kinds
        (n,) int64.
    seen
        (n,) float32, the share of each box that lies in the picture.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    seen: NDArray[np.float32]


def _cut(
    rng: np.random.Generator, smear: Smear, height: int, width: int, whole: bool
) -> Picture:
    """Scale a photograph and take a part of it that fills the given size if it can."""
    scale = BEST * np.exp(rng.normal(0, 0.22 if whole else 0.3))
    stretch = np.exp(rng.normal(0, 0.07, 2))
    h, w = smear.image.shape[:2]
    size = (max(32, int(w * scale * stretch[1])), max(32, int(h * scale * stretch[0])))
    image = cv2.resize(smear.image, size, interpolation=cv2.INTER_AREA)
    gain = np.array([size[0] / w, size[1] / h] * 2, np.float32)
    boxes = smear.boxes * gain
    if rng.random() < 0.5:
        image = image[:, ::-1]
        boxes = np.stack(
            [size[0] - boxes[:, 2], boxes[:, 1], size[0] - boxes[:, 0], boxes[:, 3]], 1
        )
    if rng.random() < 0.5:
        image = image[::-1]
        boxes = np.stack(
            [boxes[:, 0], size[1] - boxes[:, 3], boxes[:, 2], size[1] - boxes[:, 1]], 1
        )
    if rng.random() < 0.5:
        image = image.transpose(1, 0, 2)
        boxes = boxes[:, [1, 0, 3, 2]]
    y = int(
        rng.integers(
            min(0, image.shape[0] - height), max(0, image.shape[0] - height) + 1
        )
    )
    x = int(
        rng.integers(min(0, image.shape[1] - width), max(0, image.shape[1] - width) + 1)
    )
    y, x = (max(0, y), max(0, x)) if not whole else (y, x)
    out = np.full((height, width, 3), _GREY, np.uint8)
    source = image[max(y, 0) : y + height, max(x, 0) : x + width]
    top, left = max(-y, 0), max(-x, 0)
    out[top : top + source.shape[0], left : left + source.shape[1]] = source
    boxes = boxes - np.array([x, y, x, y], np.float32)
    bounds = np.array([left, top, left + source.shape[1], top + source.shape[0]])
    low = np.maximum(boxes[:, :2], bounds[:2])
    high = np.minimum(boxes[:, 2:], bounds[2:])
    area = np.clip(high - low, 0, None).prod(1)
    seen = (area / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1)).astype(
        np.float32
    )
    keep = seen > 0.02
    clipped = np.hstack([low, high])[keep].astype(np.float32)
    return Picture(out, clipped, smear.kinds[keep], seen[keep])


def _mosaic(rng: np.random.Generator, smears: list[Smear]) -> Picture:
    """Four parts of photographs in one picture."""
    y, x = (int(v) for v in rng.uniform(0.25 * SIDE, 0.75 * SIDE, 2))
    out = np.full((SIDE, SIDE, 3), _GREY, np.uint8)
    boxes, kinds, seen = [], [], []
    heights, widths = (slice(0, y), slice(y, SIDE)), (slice(0, x), slice(x, SIDE))
    for rows, columns in itertools.product(heights, widths):
        smear = smears[int(rng.integers(len(smears)))]
        height, width = rows.stop - rows.start, columns.stop - columns.start
        part = _cut(rng, smear, height, width, whole=False)
        out[rows, columns] = part.image
        shift = np.array([columns.start, rows.start] * 2, np.float32)
        boxes.append(part.boxes + shift)
        kinds.append(part.kinds)
        seen.append(part.seen)
    return Picture(
        out, np.concatenate(boxes), np.concatenate(kinds), np.concatenate(seen)
    )


def _coloured(
    rng: np.random.Generator, image: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Change colours, light, sharpness and noise; the result is 0 to 1."""
    if rng.random() < 0.8:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + rng.normal(0, 6)) % 180
        hsv[..., 1] *= np.exp(rng.normal(0, 0.3))
        hsv[..., 2] *= np.exp(rng.normal(0, 0.18))
        image = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
    out = image.astype(np.float32) / 255
    if rng.random() < 0.3:
        out = out ** np.exp(rng.uniform(-0.35, 0.35))
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.5, 1.3)))
    if rng.random() < 0.2:
        out = out + rng.uniform(0.005, 0.05) * rng.standard_normal(
            out.shape, np.float32
        )
    return np.clip(out, 0, 1).astype(np.float32)


def owners(picture: Picture) -> NDArray[np.int64]:
    """Which box each square of the grid answers for, (Y, X)."""
    count = SIDE // STRIDE
    out = np.full((count, count), NOBODY, np.int64)
    centre = STRIDE * (np.arange(count) + 0.5)
    sizes = picture.boxes[:, 2:] - picture.boxes[:, :2]
    order = np.argsort(-sizes.prod(1))  # small ones last: they lie before large ones

    def squares(
        index: int, share: float, least: float
    ) -> tuple[NDArray[np.bool_], ...]:
        middle = (picture.boxes[index, :2] + picture.boxes[index, 2:]) / 2
        reach = np.maximum(sizes[index] * share, least)
        return abs(centre - middle[1]) <= reach[1], abs(centre - middle[0]) <= reach[0]

    for index in order:
        rows, columns = squares(index, 0.34, 9.0)
        part = out[np.ix_(rows, columns)]
        part[part == NOBODY] = UNDECIDED
        out[np.ix_(rows, columns)] = part
    for index in order:
        if picture.seen[index] < _SEEN:
            continue
        out[np.ix_(*squares(index, 0.17, 5.7))] = index
    return out


def draw_batch(
    rng: np.random.Generator, smears: list[Smear], size: int
) -> tuple[NDArray[np.float32], list[Picture], NDArray[np.int64]]:
    """Draw pictures (N, 3, Y, X), their boxes and the owners of the squares."""
    pictures = []
    for _ in range(size):
        if rng.random() < 0.5:
            pictures.append(_mosaic(rng, smears))
        else:
            smear = smears[int(rng.integers(len(smears)))]
            pictures.append(_cut(rng, smear, SIDE, SIDE, whole=True))
    images = np.stack([_coloured(rng, p.image).transpose(2, 0, 1) for p in pictures])
    return images, pictures, np.stack([owners(p) for p in pictures])
