"""Ids at pixels as TIFF: plain, OME and ImageJ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.format import Beside, needs_pixels
from napari_imagec_ai.export.planes import Ids, parts
from napari_imagec_ai.export.sizes import in_imagej, in_ome, resolution
from napari_imagec_ai.image.blocks import LARGE
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.objects import Objects

_TILE = 512
"""Side of a tile in pictures that are too large to be written plane by plane."""

_MOST = 1 << 32
"""Bytes in a TIFF with 32 bit offsets, the only one that ImageJ itself reads."""


def write_labels(objects: Objects, path: Path, beside: Beside) -> None:
    """Write ids as int32 TIFF with the axes and the pixel size of the source.

    tifffile keeps int32 out of ImageJ's hyperstacks, but ImageJ reads it: in its own
    words the description tells it, and others that know them, axes, unit and spacing.
    """
    frame = objects.frame
    _save(
        objects,
        path,
        np.int32,
        frame.shape,
        beside,
        description=_description(objects),
        metadata=None,
    )


def _description(objects: Objects) -> str:
    """ImageJ's description of a stack; ``axes`` is a word that it passes over."""
    frame = objects.frame
    sizes = dict(zip(frame.axes, frame.shape, strict=True))
    planes, frames = sizes.get("Z", 1), sizes.get("T", 1)
    told: dict[str, Any] = {"images": planes * frames}
    told |= {"slices": planes} if planes > 1 else {}
    told |= {"frames": frames} if frames > 1 else {}
    told |= {"hyperstack": "true"} if planes > 1 and frames > 1 else {}
    told |= in_imagej(frame) | {"loop": "false", "min": 0.0}
    told |= {"max": float(max(objects.id.max(initial=1), 1)), "axes": frame.axes}
    words = "".join(f"{name}={value}\n" for name, value in told.items())
    return f"ImageJ=1.54f\n{words}"


def write_ome(objects: Objects, path: Path, beside: Beside) -> None:
    """Write ids as OME-TIFF, int32, with axes, pixel size and the channel's name."""
    frame = objects.frame
    metadata: dict[str, Any] = {
        "axes": frame.axes,
        "Name": frame.name or "labels",
        "Channel": {"Name": [f"labels ({', '.join(objects.classes)})"]},
    } | in_ome(frame)
    _save(objects, path, np.int32, frame.shape, beside, ome=True, metadata=metadata)


def write_imagej(objects: Objects, path: Path, beside: Beside) -> None:
    """Write ids as a hyperstack of ImageJ: 16 bit, or 32 bit float for many ids.

    ImageJ knows no other types that ids fit in; float32 holds whole numbers up to
    2**24.
    """
    frame = objects.frame
    sizes = dict(zip(frame.axes, frame.shape, strict=True))
    # An ImageJ hyperstack has all of these, in this order; S is the samples.
    shape = tuple(sizes.get(axis, 1) for axis in "TZCYXS")
    metadata = {"axes": "TZCYXS"} | in_imagej(frame)
    metadata |= {"min": 0.0, "max": float(max(objects.id.max(initial=1), 1))}
    _save(
        objects,
        path,
        _imagej_type(objects),
        shape,
        beside,
        imagej=True,
        metadata=metadata,
    )


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


def _pixels(frame: Frame) -> int:
    return int(np.prod([int(size) for size in frame.shape], dtype=object))


def _save(
    objects: Objects,
    path: Path,
    dtype: type[np.generic],
    shape: tuple[int, ...],
    beside: Beside,
    **options: Any,
) -> None:
    import tifffile

    frame = objects.frame
    height, width = frame.shape[-2:]
    options |= {
        "resolution": resolution(frame),
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
        count = math.prod(frame.shape[:-2]) * -(-height // _TILE) * -(-width // _TILE)
    else:
        data = (part.astype(dtype) for _, part in parts(objects, max(height, width)))
        count = math.prod(frame.shape[:-2])
    data = beside.pace.along(data, count)
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
