"""Sample images as napari layers."""

from __future__ import annotations

from typing import Any

from napari_imagec_ai.image.samples import sample_image

LayerData = tuple[Any, dict[str, Any], str]


def nuclei() -> list[LayerData]:
    """Crowded nuclei, (Y, X) uint16."""
    return [_layer("nuclei")]


def nuclei_stack() -> list[LayerData]:
    """Nuclei that come into focus and go out of it, (Z, Y, X) uint16."""
    return [_layer("nuclei_stack")]


def cells() -> list[LayerData]:
    """Round cells and rods, (Y, X) uint16."""
    return [_layer("cells")]


def _layer(name: str) -> LayerData:
    image = sample_image(name)
    axes = [axis for axis in image.axes if axis in "ZYX"]
    space = dict(zip(axes, image.pixel_size or (), strict=True))
    known = image.frame.sizes
    options = {
        "name": name,
        "scale": [space.get(axis, 1.0) for axis in image.axes],
        "units": [image.unit or "pixel" if a in known else "pixel" for a in image.axes],
        "axis_labels": [axis.lower() for axis in image.axes],
    }
    return image.data, options, "image"
