"""OME-Zarr 0.4: an image pyramid with labels in its ``labels`` group.

See https://ngff.openmicroscopy.org/0.4. Places are centres of pixels: a coarser level
of the image, whose pixels are means, is moved by half of what they grew; a coarser
level of the labels keeps every second pixel as it is, and is not. Version 0.4 is the
one that all readers know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.pace import Pace
from napari_imagec_ai.export.palette import colour
from napari_imagec_ai.export.planes import Ids
from napari_imagec_ai.export.sizes import in_zarr
from napari_imagec_ai.export.tables import measurements
from napari_imagec_ai.image.blocks import grid
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.results.objects import Objects

VERSION = "0.4"
NAME = "objects"
"""Of the labels in their group."""

_CHUNK, _BLOCK = 512, 2048

Read = Callable[[tuple[int, ...], tuple[slice, slice]], NDArray[Any]]


def write_ome_zarr(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the image, where its pixels are at hand, and the labels with their table.

    Without pixels the picture that the folder shows first is the labels themselves.
    """
    import zarr

    root = zarr.open_group(path, mode="w", zarr_format=2)
    labels = root.create_group("labels")
    labels.attrs["labels"] = [NAME]
    group = labels.create_group(NAME)
    frame, name = objects.frame, objects.frame.name
    read = Ids(objects).read
    pace = beside.pace
    levels = _pyramid(group, frame.axes, frame.shape, np.int32, read, 1, pace)
    scales = _multiscales(frame, frame.axes, levels, f"{name} {NAME}".strip(), False)
    group.attrs["multiscales"] = scales
    group.attrs["image-label"] = _label_metadata(objects)
    if beside.image is None:
        for dataset in (shown := _copy(scales))[0]["datasets"]:
            dataset["path"] = f"labels/{NAME}/{dataset['path']}"
        root.attrs["multiscales"] = shown
        return
    image = beside.image
    axes = "".join(axis for axis in "TCZYX" if axis in image.axes)
    shape = tuple(image.size(axis) for axis in axes)
    dtype = np.dtype(image.data.dtype)
    dtype = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
    levels = _pyramid(root, axes, shape, dtype, _reader(image, axes), 2, pace)
    title = image.name or "image"
    root.attrs["multiscales"] = _multiscales(image.frame, axes, levels, title, True)


def _copy(scales: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        scale | {"datasets": [dict(dataset) for dataset in scale["datasets"]]}
        for scale in scales
    ]


def _reader(image: ImageInput, axes: str) -> Read:
    def read(index: tuple[int, ...], place: tuple[slice, slice]) -> NDArray[Any]:
        at: dict[str, int | slice] = dict(zip(axes, index, strict=False))
        return image.read("YX", at | dict(zip("YX", place, strict=True)))

    return read


def _pyramid(
    group: Any,
    axes: str,
    shape: tuple[int, ...],
    dtype: Any,
    read: Read,
    window: int,
    pace: Pace,
) -> int:
    """Write all levels; gives how many.

    Each pixel of a coarser level is the mean of ``window`` times ``window`` finer ones.
    """
    from numcodecs import Blosc

    level = 0
    while True:
        array = group.create_array(
            str(level),
            shape=shape,
            dtype=dtype,
            chunks=(1,) * (len(shape) - 2)
            + tuple(min(_CHUNK, size) for size in shape[-2:]),
            chunk_key_encoding={"name": "v2", "separator": "/"},
            compressors=Blosc(cname="lz4"),  # which every reader of 0.4 has
            fill_value=0,
        )
        for index, place in pace.along(list(_places(shape))):
            array[(*index, *place)] = read(index, place)
        level += 1
        if max(shape[-2:]) <= _CHUNK:
            return level
        shape = (*shape[:-2], *(-(-size // 2) for size in shape[-2:]))
        read = _halved(array, window)


def _places(
    shape: tuple[int, ...],
) -> Iterator[tuple[tuple[int, ...], tuple[slice, slice]]]:
    for index in np.ndindex(shape[:-2]):
        for y, x in grid(shape[-2:], _BLOCK):
            yield index, (y, x)


def _halved(array: Any, window: int) -> Read:
    """Reads a level at half the resolution of the one before it."""

    def read(index: tuple[int, ...], place: tuple[slice, slice]) -> NDArray[Any]:
        finer = tuple(
            slice(2 * part.start, min(2 * part.stop, size))
            for part, size in zip(place, array.shape[-2:], strict=True)
        )
        part = np.asarray(array[(*index, *finer)])
        if window == 1:
            return part[::2, ::2]
        part = np.pad(part, [(0, size % 2) for size in part.shape], mode="edge")
        height, width = part.shape
        mean = part.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        kept = mean if array.dtype.kind == "f" else np.rint(mean)
        return np.asarray(kept, array.dtype)

    return read


def _multiscales(
    frame: Frame, axes: str, levels: int, name: str, means: bool
) -> list[dict[str, Any]]:
    sizes, unit = in_zarr(frame)
    units = dict.fromkeys(sizes, unit)
    if frame.interval is not None:
        sizes, units = sizes | {"T": frame.interval}, units | {"T": "second"}
    first = dict(zip(frame.axes, frame.origin, strict=True))
    datasets = []
    for level in range(levels):
        factor = {axis: 2**level if axis in "YX" else 1 for axis in axes}
        scale = [sizes.get(axis, 1.0) * factor[axis] for axis in axes]
        moved = [
            sizes.get(axis, 1.0)
            * (first.get(axis, 0) + ((factor[axis] - 1) / 2 if means else 0))
            for axis in axes
        ]
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if any(moved):
            steps.append({"type": "translation", "translation": moved})
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    return [
        {
            "version": VERSION,
            "name": name,
            "axes": [_axis(axis, units.get(axis)) for axis in axes],
            "datasets": datasets,
            "type": "mean" if means else "nearest",
        }
    ]


def _axis(axis: str, unit: str | None) -> dict[str, str]:
    kind = {"T": "time", "C": "channel"}.get(axis, "space")
    known = {} if unit is None else {"unit": unit}
    return {"name": axis.lower(), "type": kind} | known


def _label_metadata(objects: Objects) -> dict[str, Any]:
    """Class, measurements and colour of each label."""
    rows = zip(objects.id.tolist(), objects.class_id, strict=True)
    known = measurements(objects)
    return {
        "version": VERSION,
        "source": {"image": "../../"},
        "colors": [
            {"label-value": identity, "rgba": [*colour(class_id), 255]}
            for identity, class_id in zip(
                objects.id.tolist(), objects.class_id, strict=True
            )
        ],
        "properties": [
            {"label-value": identity, "class": objects.classes[class_id], **columns}
            for (identity, class_id), columns in zip(rows, known, strict=True)
        ],
    }
