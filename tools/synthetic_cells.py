"""Synthetic micrographs of round cells and rods, grey or coloured, with labels.

Round cells, optics and camera are those of `synthetic_nuclei`; `cells_rods` adds the
rods. Everything is drawn from the generator that the caller passes, so equal seeds
give equal scenes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cells_rods import LENGTHS, WIDTHS, RodStyle, add_rods
from nuclei_layout import Canvas, Float, Labels, SceneStyle, draw_style, log_uniform
from numpy.typing import NDArray
from synthetic_nuclei import expose, specimen, tidy

CLASSES = ("round", "rod")
PERCENTILES = (0.0, 99.8)
_COLOURED = 0.3  # part of the scenes

Image = NDArray[Any]


@dataclass(frozen=True)
class Cells:
    """One scene.

    Attributes
    ----------
    image
        Grey values (Y, X) or colours (Y, X, 3), uint8 or uint16.
    labels
        0 for background, 1 to n for the cells, (Y, X) int32.
    kinds
        Index into `CLASSES` for each cell, (n,); of label 1 first.
    """

    image: Image
    labels: Labels
    kinds: NDArray[np.int64]


def draw_styles(rng: np.random.Generator) -> tuple[SceneStyle, RodStyle]:
    """Draw random styles of round cells and rods for one scene."""
    kind = rng.random()
    crowd = float(rng.uniform(0.03, 0.45))
    share = float(rng.uniform(0.25, 0.8))
    if kind < 0.05:  # nearly empty
        crowd = 0.01
    elif kind < 0.2:  # one kind only
        share = float(rng.integers(2))
    bits = 8 if rng.random() < 0.5 else 16
    style = replace(
        draw_style(rng),
        diameter=log_uniform(rng, 15, 44),
        spread=float(rng.uniform(0.03, 0.13)),
        coverage=crowd * share,
        count=4000 if crowd * share else 0,
        clustering=float(rng.uniform(0.1, 0.8)),
        overlap=float(rng.choice([0.02, 0.05, 0.12])),
        elongation=float(rng.uniform(0.03, 0.22)),
        irregularity=float(rng.uniform(0.01, 0.08)),
        faint=float(rng.choice([0.0, 0.05])),
        psf=log_uniform(rng, 0.5, 1.8),
        background=log_uniform(rng, 0.01, 0.4),
        haze=log_uniform(rng, 0.02, 0.4),
        ghosts=float(rng.choice([0.0, 0.1, 0.3])),
        photons=log_uniform(rng, 25, 2000),
        bits=bits,
        peak=log_uniform(rng, 0.12 if bits == 8 else 0.006, 0.7),
    )
    rods = RodStyle(
        width=log_uniform(rng, *WIDTHS),
        length=float(rng.uniform(24, LENGTHS[1] - 6)),
        # Rods fill space badly: the same coverage would be a denser tangle.
        coverage=0.7 * crowd * (1 - share),
        clustering=float(rng.uniform(0.1, 0.7)),
        alignment=float(rng.uniform(0.0, 0.5)),
        bend=float(rng.uniform(0.05, 0.6)),
        rim=float(rng.uniform(-0.8, 0.6)),
        texture=float(rng.uniform(0, 0.4)),
        brightness=log_uniform(rng, 0.6, 1.6),
        sigma=float(rng.uniform(0.08, 0.4)),
    )
    return style, rods


def _colour(rng: np.random.Generator, strongest: int) -> NDArray[np.float64]:
    """Draw a colour with one leading channel: 0 red, 1 green, 2 blue."""
    colour = rng.uniform(0.0, 0.45, 3)
    colour[strongest] = rng.uniform(0.8, 1.0)
    return np.asarray(colour)


def _coloured(canvas: Canvas, cells: Float, rods: Float) -> Image:
    """Merge the pictures of both kinds, each in a colour of its own."""
    rng = canvas.rng
    canvas.style = replace(canvas.style, bits=8, peak=float(rng.uniform(0.3, 0.9)))
    blue, other = _colour(rng, 2), _colour(rng, int(rng.integers(2)))
    if rng.random() < 0.2:  # one stain that shows both
        blue = other
    total = np.zeros((*canvas.shape, 3))
    for light, colour in ((cells, blue), (rods, other)):
        picture = expose(canvas, light, rng)
        # The full range of one part does not depend on how faint the other is.
        total += picture[..., None] * colour
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)


def make_cells(
    rng: np.random.Generator,
    shape: tuple[int, int] = (512, 512),
    style: SceneStyle | None = None,
    rod_style: RodStyle | None = None,
    coloured: bool | None = None,
) -> Cells:
    """Make one synthetic micrograph of round cells and rods.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Height and width in pixels.
    style, rod_style
        Looks of the scene; drawn at random if not given.
    coloured
        Whether it shall be pseudo-coloured; drawn at random if not given.
    """
    random_style, random_rods = draw_styles(rng)
    canvas = Canvas(rng, style or random_style, shape)
    canvas.fill()
    rod_light, _ = add_rods(canvas, rod_style or random_rods)
    cell_light = specimen(canvas)
    if coloured is None:
        coloured = rng.random() < _COLOURED
    if coloured:
        image = _coloured(canvas, cell_light, rod_light)
    else:
        image = expose(canvas, cell_light + rod_light, rng)
    labels = tidy(canvas.labels)
    numbers, first = np.unique(labels, return_index=True)
    origins = canvas.labels.ravel()[first[numbers > 0]]
    return Cells(image, labels, (origins > len(canvas.nuclei)).astype(np.int64))


def as_input(image: Image) -> NDArray[np.float32]:
    """Scale a whole image to 0..1 and return it as (3, Y, X).

    8 bit is divided by 255; anything else is scaled by percentiles and clipped.
    """
    if image.dtype == np.uint8:
        scaled = image.astype(np.float32) / 255
    else:
        low, high = np.percentile(image, PERCENTILES)
        scaled = np.clip((image - low) / (high - low + 1e-6), 0, 1)
    if scaled.ndim == 2:
        scaled = np.repeat(scaled[..., None], 3, axis=2)
    return np.ascontiguousarray(np.moveaxis(scaled, 2, 0), np.float32)
