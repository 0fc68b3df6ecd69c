"""Write the sample images that come with the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile
from cells_rods import RodStyle
from synthetic_cells import make_cells
from synthetic_nuclei import SceneStyle, make_scene, make_stack

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PIXEL_SIZE = 0.325  # micrometre, as of a 20x objective and 6.5 micrometre pixels
PLANE_DISTANCE = 2.0
CELLS_PIXEL_SIZE = 0.2  # rods of 8 x 40 pixels are then bacteria of 1.6 x 8 micrometre

_STYLE = SceneStyle(
    diameter=34,
    spread=0.14,
    coverage=0.4,
    clustering=0.75,
    overlap=0.1,
    elongation=0.35,
    irregularity=0.06,
    dome=0.45,
    texture=0.28,
    grain=0.07,
    nucleoli=0.7,
    brightness_sigma=0.28,
    faint=0.04,
    defocus=0.15,
    contact_shade=0.4,
    psf=1.1,
    background=0.08,
    haze=0.3,
    ghosts=0.25,
    light=0.25,
    debris=0.01,
    photons=450,
    read_noise=2.0,
    bits=16,
    offset=0.0016,  # 105 grey values
    peak=0.0075,  # about 490
)

_ROUND_STYLE = SceneStyle(
    diameter=33,
    spread=0.12,
    coverage=0.12,
    clustering=0.65,
    overlap=0.04,
    elongation=0.16,
    irregularity=0.05,
    dome=0.45,
    texture=0.24,
    grain=0.08,
    nucleoli=0.6,
    brightness_sigma=0.22,
    faint=0.0,
    defocus=0.1,
    contact_shade=0.4,
    psf=1.05,
    background=0.07,
    haze=0.25,
    ghosts=0.15,
    light=0.25,
    debris=0.01,
    photons=400,
    read_noise=2.0,
    bits=16,
    offset=0.0016,
    peak=0.0075,
)
_ROD_STYLE = RodStyle(
    width=7.5,
    length=38,
    coverage=0.055,
    clustering=0.45,
    alignment=0.15,
    bend=0.45,
    rim=-0.35,
    texture=0.25,
    brightness=0.9,
    sigma=0.2,
)


def write(folder: Path, seed: int) -> None:
    """Write nuclei.tif, cells.tif (Y, X) and nuclei_stack.tif (Z, Y, X), all uint16."""
    folder.mkdir(parents=True, exist_ok=True)
    image, _ = make_scene(np.random.default_rng((seed, 15)), (512, 512), _STYLE)
    _save(folder / "nuclei.tif", image, "YX")
    stack = make_stack(np.random.default_rng((seed, 4)), 5, (256, 256), _STYLE)
    _save(folder / "nuclei_stack.tif", stack, "ZYX")
    rng = np.random.default_rng((seed, 26))
    cells = make_cells(rng, (512, 512), _ROUND_STYLE, _ROD_STYLE, coloured=False)
    _save(folder / "cells.tif", cells.image, "YX", CELLS_PIXEL_SIZE)


def _save(
    path: Path,
    pixels: NDArray[np.uint8 | np.uint16],
    axes: str,
    pixel_size: float = PIXEL_SIZE,
) -> None:
    metadata: dict[str, str | float] = {"axes": axes, "unit": "um"}
    if "Z" in axes:
        metadata["spacing"] = PLANE_DISTANCE
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(1 / pixel_size, 1 / pixel_size),
        metadata=metadata,
        compression="zlib",
        predictor=True,
    )
