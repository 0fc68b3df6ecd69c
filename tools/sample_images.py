"""Write the sample images of nuclei that come with the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile
from synthetic_nuclei import SceneStyle, make_scene, make_stack

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PIXEL_SIZE = 0.325  # micrometre, as of a 20x objective and 6.5 micrometre pixels
PLANE_DISTANCE = 2.0

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


def write(folder: Path, seed: int) -> None:
    """Write nuclei.tif (Y, X) and nuclei_stack.tif (Z, Y, X), both uint16."""
    folder.mkdir(parents=True, exist_ok=True)
    image, _ = make_scene(np.random.default_rng((seed, 15)), (512, 512), _STYLE)
    _save(folder / "nuclei.tif", image, "YX")
    stack = make_stack(np.random.default_rng((seed, 4)), 5, (256, 256), _STYLE)
    _save(folder / "nuclei_stack.tif", stack, "ZYX")


def _save(path: Path, pixels: NDArray[np.uint8 | np.uint16], axes: str) -> None:
    metadata: dict[str, str | float] = {"axes": axes, "unit": "um"}
    if "Z" in axes:
        metadata["spacing"] = PLANE_DISTANCE
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(1 / PIXEL_SIZE, 1 / PIXEL_SIZE),
        metadata=metadata,
        compression="zlib",
        predictor=True,
    )
