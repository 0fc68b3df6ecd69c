"""Images that come with the package, made by ``tools/train_demo_models.py``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.opening_files import open_image
from napari_imagec_ai.system import own_files
from napari_imagec_ai.system.whole_files import replace_whole

_FOLDER = Path(__file__).resolve().parents[1] / "data"


def sample_path(name: str) -> Path:
    """File of a sample image: ``nuclei`` or ``nuclei_stack``."""
    return _FOLDER / f"{name}.tif"


def write_samples(folder: Path) -> list[Path]:
    """Write images to try: ``image.tif``, a stack, a film and a plate of four fields.

    They are drawn, not photographed: the bundled sample, and parts of it.

    Parameters
    ----------
    folder : Path
        Made where it is missing.

    Returns
    -------
    list of Path
        ``image.tif`` (YX), ``stack.tif`` (ZYX), ``film.tif`` (TYX, five times half a
        minute apart) and ``plate/a1.tif``, ``a2``, ``a10`` and ``b1`` (YX).

    Raises
    ------
    ImagecAIError
        If a file cannot be written, or others are there: then none is written.
    """
    image = sample_image()
    pixels = np.asarray(image.data)
    parts = {
        "image.tif": (pixels, "YX"),
        "stack.tif": (np.asarray(sample_image("nuclei_stack").data), "ZYX"),
        "film.tif": (np.stack([_moved(pixels, 3 * t) for t in range(5)]), "TYX"),
    }
    for number, name in enumerate(("a1", "a2", "a10", "b1")):
        y, x = 256 * (number // 2), 256 * (number % 2)
        part = pixels[y : y + 256, x : x + 256]
        parts[f"plate/{name}.tif"] = np.ascontiguousarray(part), "YX"
    _check(folder, list(parts))
    side = image.frame.pixel_size[-1]
    return [
        replace_whole(folder / name, partial(_write, values, axes, side))
        for name, (values, axes) in parts.items()
    ]


def _check(folder: Path, names: list[str]) -> None:
    """Write among nobody's files: a plate is run as a whole, and is to be ours."""
    if folder.exists() and not folder.is_dir():
        raise ImagecAIError(
            f"Expected a folder for the samples, found the file '{folder}'; name "
            "another with -o."
        )
    plate = folder / "plate"
    there = [folder / name for name in names]
    if plate.is_dir():
        there += sorted(path for path in plate.iterdir() if path.name[:1] != ".")
    elif os.path.lexists(plate):
        there.append(plate)
    for path in there:
        if os.path.lexists(path) and not own_files.is_ours(path):
            raise ImagecAIError(
                f"Expected '{folder}' without files of yours that samples would lie "
                f"among or replace, found '{path}'; choose another folder, such as "
                "'imagec-ai samples -o samples'."
            )


def _moved(pixels: NDArray[np.uint16], by: int) -> NDArray[np.uint16]:
    """A part of the picture, which moves over it."""
    return np.ascontiguousarray(pixels[by : by + 256, 2 * by : 2 * by + 256])


def _write(values: NDArray[np.uint16], axes: str, side: float, place: Path) -> None:
    import tifffile

    about: dict[str, Any] = {"axes": axes, "unit": "um"}
    about |= {"spacing": 2.0} if "Z" in axes else {}
    about |= {"finterval": 30.0} if "T" in axes else {}
    tifffile.imwrite(
        place, values, imagej=True, resolution=(1 / side, 1 / side), metadata=about
    )


def sample_image(name: str = "nuclei") -> ImageInput:
    """Open a sample image."""
    return open_image(sample_path(name))
