"""Drawn pictures of a blood smear, for test tensors and covers; not for training."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_GROUND = (0.90, 0.87, 0.83)
_RED = (0.84, 0.66, 0.62)
_PALE = (0.90, 0.80, 0.76)
_PLASMA = (0.76, 0.72, 0.84)
_NUCLEUS = (0.45, 0.32, 0.62)
_PLATELET = (0.62, 0.48, 0.70)
_RADIUS = 52.0  # pixels; of a red cell

Picture = NDArray[np.float32]


def _blob(
    rng: np.random.Generator, shape: tuple[int, int], y: float, x: float, radius: float
) -> NDArray[np.float32]:
    """Cover (0 to 1) of a slightly uneven disk."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    wave = sum(
        rng.normal(0, 0.03) * np.cos(n * angle + rng.uniform(0, 6.3)) for n in (2, 3, 4)
    )
    reach = radius * (1 + wave)
    points = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], axis=1)
    cover = np.zeros(shape, np.float32)
    cv2.fillPoly(cover, [np.rint(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(cover, (0, 0), 1.0))


def _paint(
    image: NDArray[np.float32],
    cover: NDArray[np.float32],
    colour: tuple[float, float, float],
) -> None:
    image += cover[..., None] * (np.array(colour, np.float32) - image)


def make_smear(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw red cells, white cells and platelets.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Height and width; a red cell is about a tenth of 480 pixels.

    Returns
    -------
    NDArray[np.uint8]
        (Y, X, 3) red, green, blue.
    """
    image = np.ones((*shape, 3), np.float32) * np.array(_GROUND, np.float32)
    places: list[tuple[float, float, float]] = []
    area = shape[0] * shape[1] / (480 * 640)
    for number, sizes, paint in (
        (max(1, round(1.2 * area)), (1.5, 2.0), _white_cell),
        (round(14 * area), (0.85, 1.12), _red_cell),
        (max(1, round(2.5 * area)), (0.3, 0.42), _platelet),
    ):
        for _ in range(number):
            radius = _RADIUS * rng.uniform(*sizes)
            if (at := _free(rng, shape, places, radius)) is not None:
                paint(rng, image, *at, radius)
    image += rng.normal(0, 0.008, image.shape).astype(np.float32)
    return np.asarray(np.rint(255 * np.clip(image, 0, 1)), np.uint8)


def _free(
    rng: np.random.Generator,
    shape: tuple[int, int],
    places: list[tuple[float, float, float]],
    radius: float,
) -> tuple[float, float] | None:
    """A place where a cell hardly overlaps others; None where none was found."""
    for _ in range(60):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        if all(np.hypot(y - b, x - a) > 0.85 * (radius + r) for b, a, r in places):
            places.append((y, x, radius))
            return y, x
    return None


def _white_cell(
    rng: np.random.Generator, image: Picture, y: float, x: float, radius: float
) -> None:
    _paint(image, _blob(rng, image.shape[:2], y, x, radius), _PLASMA)
    for _ in range(3):
        dy, dx = rng.normal(0, radius * 0.28, 2)
        lobe = _blob(rng, image.shape[:2], y + dy, x + dx, radius * 0.48)
        _paint(image, 0.9 * lobe, _NUCLEUS)


def _red_cell(
    rng: np.random.Generator, image: Picture, y: float, x: float, radius: float
) -> None:
    _paint(image, _blob(rng, image.shape[:2], y, x, radius), _RED)
    middle = _blob(rng, image.shape[:2], y, x, radius * 0.45)
    _paint(image, 0.7 * cv2.GaussianBlur(middle, (0, 0), 8).astype(np.float32), _PALE)


def _platelet(
    rng: np.random.Generator, image: Picture, y: float, x: float, radius: float
) -> None:
    _paint(image, 0.9 * _blob(rng, image.shape[:2], y, x, radius), _PLATELET)
