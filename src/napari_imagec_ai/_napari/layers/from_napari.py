"""Between napari's layers and our values: pixels in, objects out.

Nothing here knows a window; a :class:`Source` is taken when a run starts, so that what
the person does to the layer meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_imagec_ai._napari.layers.places import length_of, state
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.export.palette import PALETTE, as_hex
from napari_imagec_ai.export.writing import table
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.region import Region, corner, cropped
from napari_imagec_ai.image.units import in_one_unit, seconds
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects

if TYPE_CHECKING:
    from napari.layers import Image, Layer

AXES = {
    2: ("YX",),
    3: ("ZYX", "TYX", "CYX", "YXC"),
    4: ("TZYX", "CZYX", "TCYX", "ZCYX", "ZYXC", "TYXC"),
    5: ("TCZYX", "TZCYX", "TZYXC"),
}
"""What the dimensions of a layer may mean, the usual meaning first."""

MOST_AXES = 5
"""Dimensions that an image may have."""

MOST_CHANNELS = 6
"""More channels of a computed image than these share a layer."""

COLOURS = tuple(map(as_hex, range(len(PALETTE))))
"""Colours of classes: apart in hue and lightness, on grey images."""

_NEARLY = 1e-3
"""Part of a pixel that a corner may be off: napari keeps shapes in single precision."""


@dataclass(frozen=True, slots=True)
class Style:
    """What the layers of a class look like."""

    colour: str
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """An image layer as it was when a run started.

    Attributes
    ----------
    image : ImageInput
        Its pixels, not copied.
    name : str
        Of the layer.
    placement : dict
        Scale, translate, rotate, shear, affine, units and axis labels for layers that
        have the image's axes without channels.
    corner : tuple of int
        Where the pixels begin in the layer, along the same axes, where they are a part
        of it; empty: all are there.
    layer : hashable
        Which layer it was: its ``unique_id``.
    print : int
        Fingerprint of its pixels, where that was taken.
    array : int
        Which array they lay in: its ``id``.
    state : dict
        Transforms and units of the layer, see :func:`state`.
    """

    image: ImageInput
    name: str
    placement: dict[str, Any] = field(repr=False)
    corner: tuple[int, ...] = ()
    layer: Hashable = None
    print: int = 0
    array: int = 0
    state: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def matrix(self) -> NDArray[Any]:
        """From pixels of the image to the world, for homogeneous coordinates."""
        outer = np.asarray(self.placement["affine"])
        parts = ("scale", "translate", "rotate", "shear")
        inner = Affine(**{name: self.placement[name] for name in parts})
        return np.asarray(outer @ inner.affine_matrix)


def guess_axes(layer: Image) -> str:
    """What the layer's dimensions mean: by its axis labels, else what is usual."""
    labels = "".join(str(label)[:1].upper() for label in layer.axis_labels)
    if (
        len(labels) == layer.ndim
        and set(labels) <= set("TCZYX")
        and len(set(labels)) == len(labels)
        and {"Y", "X"} <= set(labels)
    ):
        return labels
    usual = AXES.get(layer.ndim, ())
    return usual[0] if usual else ""


def take(layer: Image, axes: str, level: int = 0, print_: int = 0) -> Source:
    """Take an image layer as it is now.

    Parameters
    ----------
    layer : Image
        Which one.
    axes : str
        Meaning of the dimensions, without the colours of an RGB layer.
    level : int
        Of a multiscale layer; 0 is the finest.
    print_ : int
        Fingerprint of its pixels: others, in the same array, are another image.

    Raises
    ------
    ImageError
        If layer and axes do not fit each other.
    """
    data = layer.data[level] if layer.multiscale else layer.data
    finest = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim > MOST_AXES:
        raise ImageError(
            f"Layer '{layer.name}' has {layer.ndim} dimensions: what has more than "
            f"{MOST_AXES} dimensions is run in parts; choose one under 'Scene'."
        )
    if len(axes) != layer.ndim:
        raise ImageError(
            f"Layer '{layer.name}' has {layer.ndim} dimensions, but the axes '{axes}' "
            f"name {len(axes)}; choose what its dimensions mean."
        )
    coarser = np.divide(finest.shape[: layer.ndim], data.shape[: layer.ndim])
    scale = np.abs(np.asarray(layer.scale, float)) * coarser
    sizes = dict(zip(axes, scale, strict=True))
    lengths = dict(zip(axes, map(length_of, layer.units), strict=True))
    space = {axis: float(size) for axis, size in sizes.items() if axis in "ZYX"}
    known, unit = in_one_unit(space, lengths)
    image = ImageInput(
        data,
        axes + "C" if layer.rgb else axes,
        pixel_size=tuple(known.get(axis) for axis in axes if axis in "ZYX"),
        unit=unit,
        name=layer.name,
        rgb=layer.rgb,
        key=(layer.unique_id, id(data), axes, tuple(known.items()), unit, print_),
        interval=_interval(sizes.get("T"), layer.units, axes),
        file=Path(layer.source.path).name if layer.source.path else "",
    )
    placement = _placement(layer, axes)
    kept = [factor for axis, factor in zip(axes, coarser, strict=True) if axis != "C"]
    placement = _enlarged(placement, kept)
    return Source(
        image,
        layer.name,
        placement,
        layer=layer.unique_id,
        print=print_,
        array=id(layer.data),
        state=state(layer),
    )


def _interval(step: Any, units: Sequence[Any], axes: str) -> float | None:
    """Seconds from one time to the next, where the layer has a unit of time."""
    return seconds(step, str(units[axes.index("T")])) if "T" in axes else None


def _placement(layer: Image, axes: str) -> dict[str, Any]:
    """The layer's transforms without its channel axis."""
    keep = [i for i, axis in enumerate(axes) if axis != "C"]
    square = np.ix_(keep, keep)
    shear = layer.shear
    if len(keep) < layer.ndim:
        # napari keeps the upper triangle of the shear as a vector.
        matrix = np.eye(layer.ndim)
        matrix[np.triu_indices(layer.ndim, 1)] = shear
        shear = matrix[square][np.triu_indices(len(keep), 1)]
    whole = np.ix_([*keep, layer.ndim], [*keep, layer.ndim])
    return {
        "scale": np.asarray(layer.scale)[keep],
        "translate": np.asarray(layer.translate)[keep],
        "rotate": np.asarray(layer.rotate)[square],
        "shear": np.asarray(shear),
        "affine": np.asarray(layer.affine.affine_matrix)[whole],
        "units": tuple(layer.units[i] for i in keep),
        "axis_labels": tuple(layer.axis_labels[i] for i in keep),
    }


def _enlarged(placement: dict[str, Any], factors: Sequence[float]) -> dict[str, Any]:
    """Transforms for pixels that are larger by these factors, lying edge on edge."""
    first = (np.asarray(factors) - 1) / 2
    if not first.any():
        return placement
    shift = _linear(placement) @ first
    return placement | {
        "scale": placement["scale"] * np.asarray(factors),
        "translate": placement["translate"] + shift,
    }


def _linear(placement: dict[str, Any]) -> NDArray[Any]:
    """Scale, rotation and shear as one matrix."""
    parts = {name: placement[name] for name in ("scale", "rotate", "shear")}
    return np.asarray(Affine(**parts).linear_matrix)


def region_of(
    source: Source, rings: Sequence[NDArray[Any]], exact: bool = True
) -> Region:
    """The region of an image that is drawn in the world.

    Parameters
    ----------
    source : Source
        The whole image.
    rings : sequence of (N, 2) float
        Corners in the world, along the last two axes.
    exact : bool
        Keep the shapes, where they are more than one upright rectangle; otherwise the
        box around all of them is meant.
    """
    pixels = [_flat_pixels(source, ring) for ring in rings]
    together = np.concatenate(pixels)
    # A pixel reaches half of its size to each side of its centre.
    start = np.floor(together.min(axis=0) + 0.5 + _NEARLY).astype(int)
    stop = np.ceil(together.max(axis=0) + 0.5 - _NEARLY).astype(int)
    stop = np.maximum(stop, start + 1)
    box = {a: (int(i), int(j)) for a, i, j in zip("YX", start, stop, strict=True)}
    upright = len(pixels) == 1 and _is_upright(pixels[0])
    if not exact or upright:
        return Region(box=box)
    return Region(
        box=box,
        polygons=tuple(
            tuple((round(float(y), 3), round(float(x), 3)) for y, x in ring)
            for ring in pixels
        ),
    )


def _flat_pixels(source: Source, world: NDArray[Any]) -> NDArray[Any]:
    """Points in the world, along the last two axes, as (y, x) of the first plane."""
    matrix = source.matrix
    points = np.tile(matrix[:-1, -1], (len(world), 1))
    points[:, -2:] = world
    found = np.linalg.solve(matrix[:-1, :-1], (points - matrix[:-1, -1]).T)
    return np.asarray(found[-2:].T)


def _is_upright(ring: NDArray[Any]) -> bool:
    """Whether a ring is a rectangle along the axes."""
    ends = np.stack([ring.min(axis=0), ring.max(axis=0)])
    off = np.abs(ring[:, None] - ends).min(axis=1)
    return len(ring) == 4 and bool((off < 10 * _NEARLY).all())


def cut(source: Source, region: Region) -> Source:
    """The part of an image in the box of a region.

    Raises
    ------
    ImageError
        If the image has no pixel there.
    """
    begin = corner(source.image, region.box)
    return replace(
        source,
        image=cropped(source.image, region.box),
        placement=placed(source, begin),
        corner=begin,
    )


def in_pixels(source: Source, world: NDArray[Any]) -> NDArray[Any]:
    """Points in the world, along the image's axes, as pixels of the image."""
    matrix = source.matrix
    missing = len(matrix) - 1 - world.shape[1]
    if missing > 0:  # drawn on a flat layer, they are meant for the first plane
        first = np.tile(matrix[:missing, -1], (len(world), 1))
        world = np.hstack([first, world])
    world = world[:, world.shape[1] - len(matrix) + 1 :]
    shifted = (world - matrix[:-1, -1]).T
    return np.asarray(np.linalg.solve(matrix[:-1, :-1], shifted).T)


def placed(source: Source, origin: Sequence[int]) -> dict[str, Any]:
    """Transforms of a result that begins at ``origin`` in the image."""
    placement = dict(source.placement)
    if any(origin):
        shift = _linear(placement) @ np.asarray(origin, float)
        placement["translate"] = placement["translate"] + shift
    return placement


def move(layer: Layer, source: Source, origin: Sequence[int]) -> None:
    """Put a result that is there already to where its frame begins now."""
    there = placed(source, origin)["translate"]
    if not np.array_equal(layer.translate, there):
        layer.translate = there


def feature_table(objects: Objects, source: Source) -> pd.DataFrame:
    """The objects' table; ``index`` is the id, as napari's Labels want it.

    Positions are in pixels of the whole layer, and the centroid in the world, too.
    """
    columns = table(objects)
    axes = objects.frame.axes.lower()
    named = [axis if axis in columns else f"centroid_{axis}" for axis in axes]
    points = np.stack([np.asarray(columns[name], float) for name in named], axis=1)
    matrix = source.matrix
    world = points @ matrix[:-1, :-1].T + matrix[:-1, -1]
    for axis, start in zip(axes, source.corner, strict=False):
        for name in (f"centroid_{axis}", f"box_{axis}0", f"box_{axis}1"):
            if name in columns:
                columns[name] = columns[name] + start
    columns |= {f"world_{axis}": world[:, i] for i, axis in enumerate(axes)}
    frame = pd.DataFrame({"index": columns.pop("id"), **columns})
    return frame.astype({"class": "string"})


def image_layers(
    source: Source, images: Images, output: str
) -> list[tuple[NDArray[Any], dict[str, Any]]]:
    """Data and arguments of the Image layers that show one output.

    A few channels are a layer each; many stay together, along an axis of their own.
    """
    values, space = images.maps[output], len(images.space)
    planes = len(images.frame.axes) - space
    factors = (1.0,) * planes + tuple(1 / f for f in images.factors(output))
    placement = _enlarged(placed(source, images.frame.origin), factors)
    title = f"{output} ({source.name})"
    count = values.shape[planes]
    if count > MOST_CHANNELS:
        return [(values, {"name": title} | _with_axis(placement, planes))]
    names = images.channel_names.get(output, ())
    names = names if len(set(names)) == count else tuple(map(str, range(count)))
    return [
        (
            values[(slice(None),) * planes + (channel,)],
            {"name": title if count == 1 else f"{names[channel]} - {title}"}
            | placement
            | ({"blending": "additive"} if count > 1 else {}),
        )
        for channel in range(count)
    ]


def _with_axis(placement: dict[str, Any], position: int) -> dict[str, Any]:
    """Transforms with one more axis, along which nothing is moved."""

    def grown(matrix: NDArray[Any]) -> NDArray[Any]:
        wider = np.insert(matrix, position, 0.0, axis=0)
        wider = np.insert(wider, position, 0.0, axis=1)
        wider[position, position] = 1.0
        return wider

    length = len(placement["scale"])
    shear = np.eye(length)
    shear[np.triu_indices(length, 1)] = placement["shear"]
    units, labels = list(placement["units"]), list(placement["axis_labels"])
    units.insert(position, "pixel")
    labels.insert(position, "channel")
    return {
        "scale": np.insert(placement["scale"], position, 1.0),
        "translate": np.insert(placement["translate"], position, 0.0),
        "rotate": grown(placement["rotate"]),
        "shear": grown(shear)[np.triu_indices(length + 1, 1)],
        "affine": grown(placement["affine"]),
        "units": tuple(units),
        "axis_labels": tuple(labels),
    }
