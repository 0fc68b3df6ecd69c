"""Images that come with the package, made by ``tools/train_demo_models.py``."""

from __future__ import annotations

from pathlib import Path

from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.opening import open_image

_FOLDER = Path(__file__).resolve().parents[1] / "data"


def sample_path(name: str) -> Path:
    """File of a sample image: ``nuclei`` or ``nuclei_stack``."""
    return _FOLDER / f"{name}.tif"


def sample_image(name: str = "nuclei") -> ImageInput:
    """Open a sample image."""
    return open_image(sample_path(name))
