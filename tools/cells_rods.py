"""Rods: bent capsules as bacteria are, their place in the scene and their light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nuclei_layout import Canvas, Float
from numpy.typing import NDArray

WIDTHS = (5.0, 12.0)
LENGTHS = (20.0, 60.0)
_SLENDER = 2.4  # shorter ones could as well be round cells
_SHARED = 0.05  # part of a rod that may lie on others; the others keep it


@dataclass(frozen=True)
class RodStyle:
    """What the rods of one image have in common, lengths in pixels.

    Attributes
    ----------
    width, length
        Typical width and length.
    coverage
        Part of the area that rods cover.
    clustering, alignment
        Chance that a rod lies next to another cell, and that it is then parallel.
    bend
        Deviation of the angle by which a rod turns from end to end.
    rim
        Brightness of the rim less that of the axis, as of stained membranes; negative
        for filled rods.
    texture
        Contrast of the blobs along the axis.
    brightness, sigma
        Brightness relative to the round cells, log deviation between rods.
    """

    width: float = 8.0
    length: float = 36.0
    coverage: float = 0.1
    clustering: float = 0.4
    alignment: float = 0.3
    bend: float = 0.4
    rim: float = -0.4
    texture: float = 0.2
    brightness: float = 1.0
    sigma: float = 0.25


@dataclass(frozen=True)
class Rod:
    """A circular arc from end to end, thickened by `radius`."""

    y: float
    x: float
    radius: float
    length: float
    angle: float
    bend: float
    brightness: float
    blobs: NDArray[np.float64]  # (n, 3): place on the axis, size, strength


def draw_rod(
    rng: np.random.Generator, style: RodStyle, y: float, x: float, angle: float
) -> Rod:
    """Draw one rod with its middle at ``y``, ``x``."""
    width = float(np.clip(style.width * np.exp(rng.normal(0, 0.1)), *WIDTHS))
    length = float(np.clip(style.length * np.exp(rng.normal(0, 0.25)), *LENGTHS))
    number = int(rng.integers(0, 4))
    blobs = np.stack(
        [
            rng.uniform(-0.4, 0.4, number),
            rng.uniform(0.08, 0.25, number),
            style.texture * rng.normal(0, 1, number),
        ],
        axis=1,
    )
    return Rod(
        y,
        x,
        width / 2,
        max(length, _SLENDER * width),
        angle,
        float(np.clip(rng.normal(0, style.bend), -1.4, 1.4)),
        style.brightness * float(np.exp(rng.normal(0, style.sigma))),
        blobs,
    )


def window(rod: Rod, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the part of the scene that the rod can reach."""
    reach = rod.length / 2 + rod.radius + 2
    low = [max(0, int(c - reach)) for c in (rod.y, rod.x)]
    high = [
        max(0, min(n, int(c + reach) + 2))
        for n, c in zip(shape, (rod.y, rod.x), strict=True)
    ]
    return slice(low[0], high[0]), slice(low[1], high[1])


def place(rod: Rod, part: tuple[slice, slice]) -> tuple[Float, Float]:
    """Distance to the axis of the rod, and place along it from -0.5 to 0.5."""
    yy, xx = np.ogrid[part]
    dy, dx = yy - rod.y, xx - rod.x
    cos, sin = np.cos(rod.angle), np.sin(rod.angle)
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    axis = rod.length - 2 * rod.radius  # the caps stick out at both ends
    bend = rod.bend if abs(rod.bend) > 1e-3 else 1e-3
    bow = axis / bend  # radius of the arc; its centre is at v = bow
    turn = np.clip(
        np.arctan2(u, np.sign(bow) * (bow - v)), -abs(bend / 2), abs(bend / 2)
    )
    near_u, near_v = abs(bow) * np.sin(turn), bow - bow * np.cos(turn)
    distance = np.hypot(u - near_u, v - near_v)
    return distance.astype(np.float32), (turn / abs(bend)).astype(np.float32)


def _propose(
    canvas: Canvas, style: RodStyle, rods: list[Rod]
) -> tuple[float, float, float]:
    """Pick a middle and an angle: anywhere, or beside a cell that is there already."""
    rng, (height, width) = canvas.rng, canvas.shape
    angle = float(rng.uniform(0, np.pi))
    cells = len(rods) + len(canvas.nuclei)
    if not cells or rng.random() > style.clustering:
        return float(rng.uniform(0, height)), float(rng.uniform(0, width)), angle
    index = int(rng.integers(cells))
    if index >= len(rods):
        nucleus = canvas.nuclei[index - len(rods)]
        turn = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.6:  # lie along the outline rather than point at it
            angle = turn + np.pi / 2 + rng.normal(0, 0.3)
            reach = nucleus.radius + style.width / 2 + rng.uniform(0, 3)
        else:
            reach = nucleus.radius + style.length * rng.uniform(0.3, 0.6)
        return nucleus.y + reach * np.sin(turn), nucleus.x + reach * np.cos(turn), angle
    other = rods[index]
    if rng.random() < style.alignment:
        angle = other.angle + rng.normal(0, 0.15)
    across = rng.choice([-1, 1]) * (other.radius + style.width / 2 + rng.uniform(0, 2))
    along = rng.uniform(-0.5, 0.5) * other.length
    if rng.random() < 0.3:  # end to end, as after division
        across, along = 0.0, rng.choice([-1, 1]) * (other.length + style.length) / 2
    cos, sin = np.cos(other.angle), np.sin(other.angle)
    return (
        float(other.y + along * sin + across * cos),
        float(other.x + along * cos - across * sin),
        float(angle),
    )


def add_rods(canvas: Canvas, style: RodStyle) -> tuple[Float, list[Rod]]:
    """Lay rods out between the cells of the canvas, whose labels they join.

    Returns
    -------
    light
        What the rods emit (Y, X).
    rods
        The rods; their labels follow those of the nuclei.
    """
    wanted = style.coverage * canvas.labels.size
    tries = int(20 + 12 * wanted / (style.width * style.length))
    light = np.zeros(canvas.shape, np.float32)
    rods: list[Rod] = []
    covered = 0
    for _ in range(tries if wanted else 0):
        if covered >= wanted:
            break
        y, x, angle = _propose(canvas, style, rods)
        rod = draw_rod(canvas.rng, style, y, x, angle)
        part = window(rod, canvas.shape)
        distance, along = place(rod, part)
        mask, others = distance < rod.radius, canvas.labels[part] > 0
        if mask.sum() < 12 or (mask & others).sum() > _SHARED * mask.sum():
            continue
        rods.append(rod)
        canvas.labels[part][mask & ~others] = len(canvas.nuclei) + len(rods)
        light[part] += _glow(rod, style, distance, along) * np.where(others, 0.15, 1)
        covered += int(mask.sum())
    return light, rods


def _glow(rod: Rod, style: RodStyle, distance: Float, along: Float) -> Float:
    """Light of one rod before optics."""
    body = 1 + style.rim * (distance / rod.radius) ** 2
    for at, size, strength in rod.blobs:
        body = body + strength * np.exp(-(((along - at) / size) ** 2))
    edge = np.clip(rod.radius - distance + 0.5, 0, 1)
    return np.asarray(rod.brightness * np.clip(body, 0.2, 3) * edge, np.float32)
