"""Pixel sizes and intervals, as each format writes them; nothing is invented."""

from __future__ import annotations

from typing import Any

from napari_imagec_ai.image import units
from napari_imagec_ai.image.image_input import Frame


def in_imagej(frame: Frame) -> dict[str, Any]:
    """Words of ImageJ's description: unit, spacing and interval.

    ImageJ's files are ASCII, and have one unit for all axes. What has no spacing there
    is shown by ImageJ as 1.
    """
    found = units.length(frame.unit)
    told: dict[str, Any] = {"unit": "pixel" if found is None else found.word}
    if found is None and frame.unit is not None and frame.unit.isascii():
        told["unit"] = frame.unit
    if "Z" in frame.sizes:
        told["spacing"] = frame.sizes["Z"]
    if frame.interval is not None and "T" in frame.axes:
        told |= {"finterval": frame.interval, "tunit": "sec"}
    return told


def resolution(frame: Frame) -> tuple[float, float]:
    """Pixels for each unit along X and Y, for the tags of a TIFF."""
    x, y = (frame.pixel_size[frame.space.index(axis)] for axis in "XY")
    return 1 / x, 1 / y


def in_ome(frame: Frame) -> dict[str, Any]:
    """Attributes of OME's Pixels; an axis whose size nobody knows has none."""
    found = units.length(frame.unit)
    told: dict[str, Any] = {}
    for axis, size in frame.sizes.items():
        if found is None and size == 1.0:
            continue
        told[f"PhysicalSize{axis}"] = size
        told[f"PhysicalSize{axis}Unit"] = "pixel" if found is None else found.symbol
    if frame.interval is not None and "T" in frame.axes:
        told |= {"TimeIncrement": frame.interval, "TimeIncrementUnit": "s"}
    return told


def in_zarr(frame: Frame) -> tuple[dict[str, float], str | None]:
    """Sizes of the space axes and their unit, one that OME-Zarr lists.

    Sizes in units that it does not list are brought to metres.
    """
    found = units.length(frame.unit)
    if found is None or found.in_zarr:
        return frame.sizes, None if found is None else found.name
    return {axis: size * found.metres for axis, size in frame.sizes.items()}, "meter"


def lost_in_imagej(frame: Frame) -> str:
    """What ImageJ's files cannot hold of these sizes, as a sentence; empty: all."""
    if "Z" in frame.unsized:
        return (
            "ImageJ's files cannot say that a depth is unknown: ImageJ shows planes 1 "
            f"{frame.unit} apart."
        )
    return _lost_unit(frame)


def lost_in_ome(frame: Frame) -> str:
    """The same of OME-TIFF and OME-Zarr."""
    return _lost_unit(frame)


def _lost_unit(frame: Frame) -> str:
    if frame.unit is None or units.length(frame.unit) is not None:
        return ""
    return (
        f"The unit '{frame.unit}' is no unit of length that files know: sizes were "
        "written in pixels."
    )
