"""Ids at pixels as TIFF: plain, OME and ImageJ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.formats import Beside, needs_pixels
from napari_imagec_ai.export.images import IMAGEJ_UNITS
from napari_imagec_ai.export.planes import Ids, parts
from napari_imagec_ai.image.blocks import LARGE
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.objects import Objects

_TILE = 512
"""Side of a tile in pictures that are too large to be written plane by plane."""

_OME_UNITS = {
    "micrometer": "µm",
    "nanometer": "nm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "angstrom": "Å",
    "inch": "in",
}
"""Units of length as OME writes them."""

_MOST = 1 << 32
"""Bytes in a TIFF with 32 bit offsets, the only one that ImageJ itself reads."""


def write_labels(objects: Objects, path: Path, beside: Beside) -> None:
    """Write ids as int32 TIFF with the axes and the pixel size of the source.

    ImageJ's own hyperstacks have no 32 bit integers: tifffile's description keeps axes
    and spacing, and readers find the pixel size in the resolution tags.
    """
    frame = objects.frame
    metadata = {"axes": frame.axes} | _imagej_scale(frame)
    _save(objects, path, np.int32, frame.shape, metadata=metadata)


def write_ome(objects: Objects, path: Path, beside: Beside) -> None:
    """Write ids as OME-TIFF, int32, with axes, pixel size and the channel's name."""
    frame = objects.frame
    unit = _OME_UNITS.get(frame.unit or "", "pixel")
    metadata: dict[str, Any] = {
        "axes": frame.axes,
        "Name": frame.name or "labels",
        "Channel": {"Name": [f"labels ({', '.join(objects.classes)})"]},
    }
    for axis, size in zip(frame.space, frame.pixel_size, strict=True):
        metadata[f"PhysicalSize{axis}"] = size
        metadata[f"PhysicalSize{axis}Unit"] = unit
    _save(objects, path, np.int32, frame.shape, ome=True, metadata=metadata)


def write_imagej(objects: Objects, path: Path, beside: Beside) -> None:
    """Write ids as a hyperstack of ImageJ: 16 bit, or 32 bit float for many ids.

    ImageJ knows no other types that ids fit in; float32 holds whole numbers up to
    2**24.
    """
    frame = objects.frame
    sizes = dict(zip(frame.axes, frame.shape, strict=True))
    # An ImageJ hyperstack has all of these, in this order; S is the samples.
    shape = tuple(sizes.get(axis, 1) for axis in "TZCYXS")
    metadata = {"axes": "TZCYXS"} | _imagej_scale(frame)
    metadata |= {"min": 0.0, "max": float(max(objects.id.max(initial=1), 1))}
    _save(objects, path, _imagej_type(objects), shape, imagej=True, metadata=metadata)


def imagej_lacks(objects: Objects) -> str:
    """Why these objects do not fit into a hyperstack; empty: they do."""
    if not objects.has_pixels:
        return needs_pixels(objects)
    if objects.id.max(initial=0) > 1 << 24:
        return "ImageJ's floats hold ids up to 16777216 only"
    size = np.dtype(_imagej_type(objects)).itemsize * _pixels(objects.frame)
    return "ImageJ's hyperstacks end at 4 GB" if size >= _MOST else ""


def _imagej_type(objects: Objects) -> type[np.generic]:
    return np.uint16 if objects.id.max(initial=0) < 1 << 16 else np.float32


def _imagej_scale(frame: Frame) -> dict[str, Any]:
    unit = frame.unit or "pixel"
    scale: dict[str, Any] = {"unit": IMAGEJ_UNITS.get(unit, unit)}
    sizes = dict(zip(frame.space, frame.pixel_size, strict=True))
    return scale | ({"spacing": sizes["Z"]} if "Z" in sizes else {})


def _pixels(frame: Frame) -> int:
    return int(np.prod([int(size) for size in frame.shape], dtype=object))


def _save(
    objects: Objects,
    path: Path,
    dtype: type[np.generic],
    shape: tuple[int, ...],
    **options: Any,
) -> None:
    import tifffile

    frame = objects.frame
    height, width = frame.shape[-2:]
    sizes = dict(zip(frame.space, frame.pixel_size, strict=True))
    options |= {
        "resolution": (1 / sizes["X"], 1 / sizes["Y"]),
        # The description has the unit; without this tag readers take it for inches.
        "resolutionunit": "NONE",
        "photometric": "minisblack",
    }
    if "imagej" not in options:  # its stacks lie in one piece
        options["compression"] = "zlib"
    data: Any
    if "imagej" not in options and height * width > LARGE:
        options["tile"] = (_TILE, _TILE)
        data = _tiles(objects, dtype)
    else:
        data = (part.astype(dtype) for _, part in parts(objects, max(height, width)))
    if _pixels(frame) <= LARGE:
        data = np.concatenate([part.reshape(-1) for part in data]).reshape(shape)
        tifffile.imwrite(path, data, **options)
    else:
        tifffile.imwrite(path, data, shape=shape, dtype=dtype, **options)


def _tiles(objects: Objects, dtype: type[np.generic]) -> Iterator[NDArray[Any]]:
    """Tiles of every plane, row by row, the last ones filled up with background."""
    ids, (height, width) = Ids(objects), objects.frame.shape[-2:]
    for index in np.ndindex(objects.frame.shape[:-2]):
        for y in range(0, height, _TILE):
            row = ids.read(index, (slice(y, min(y + _TILE, height)), slice(0, width)))
            wide = np.pad(row, [(0, _TILE - len(row)), (0, -width % _TILE)])
            for x in range(0, width, _TILE):
                yield wide[:, x : x + _TILE].astype(dtype)
