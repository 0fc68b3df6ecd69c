"""File > Save for formats that napari itself does not write.

The layers are the truth: what was painted, drawn or erased by hand is what is written,
and everything is measured anew. Ids, classes and confidences come from a layer's
features where it has them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_imagec_ai._napari.layers.corners import outline
from napari_imagec_ai._napari.layers.marks import PLACE
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.writing import write_as
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.region import Cut, Region
from napari_imagec_ai.image.units import as_unit, in_one_unit
from napari_imagec_ai.results.correction.read_back import (
    joined,
    read_labels,
    read_outlines,
)
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.part_to_whole import in_whole

LayerData = tuple[Any, dict[str, Any], str]

_USUAL = {2: "YX", 3: "ZYX", 4: "TZYX"}


def write_geojson(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """Write Labels and Shapes layers as GeoJSON for QuPath."""
    return [str(write_as("geojson", objects_of(layer_data), path))]


def write_coco(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """Write Labels and Shapes layers as COCO annotations."""
    return [str(write_as("coco", objects_of(layer_data), path))]


def write_rois(path: str, layer_data: Sequence[LayerData]) -> list[str]:
    """Write Labels and Shapes layers as a set of ImageJ ROIs."""
    return [str(write_as("rois", objects_of(layer_data), path))]


def objects_of(layer_data: Sequence[LayerData]) -> Objects:
    """Objects of Labels and Shapes layers, in pixels of the layers.

    Shapes whose ids are in one of the Labels layers show the same objects again and are
    left out; lines and paths enclose nothing and are, too.

    Parameters
    ----------
    layer_data : sequence of tuple
        Data, state and type of each layer, as napari hands them to writers.

    Raises
    ------
    ImagecAIError
        If there are none, or they do not lie on one image.
    """
    several: dict[Place | None, list[LayerData]] = {}
    for data, state, kind in layer_data:
        if kind in ("labels", "shapes"):
            several.setdefault(place_of(state), []).append((data, state, kind))
    if not several:
        raise ImagecAIError(
            "There is nothing to write: expected a Labels or a Shapes layer, found "
            "none; select one."
        )
    # What has no place of its own lies on the image of the others.
    shape = next((place.shape for place in several if place is not None), None)
    found = [
        _of_one_place(layers, place or (Place(shape) if shape else None))
        for place, layers in several.items()
    ]
    if len({each.frame.shape for each in found}) > 1:
        raise _sizes({each.frame.shape for each in found})
    return joined(found)


def _of_one_place(layer_data: Sequence[LayerData], place: Place | None) -> Objects:
    """Objects of layers whose pixels begin at the same place of an image."""
    labels = [
        (data[0] if state.get("multiscale") else data, state)
        for data, state, kind in layer_data
        if kind == "labels"
    ]
    shapes = [(data, state) for data, state, kind in layer_data if kind == "shapes"]
    frame = _frame(labels, shapes, place)
    found = [_of_labels(data, state, frame) for data, state in labels]
    # What was erased is still in the table of its Labels: its outline is no new one.
    shown = {identity for each in found for identity in each.id.tolist()}
    shown |= {n for _, state in labels for n in _listed(state)}
    for data, state in shapes:
        found.append(_of_shapes(data, state, frame, shown, bool(labels)))
    objects = joined(found)
    if place is None or tuple(place.shape) == frame.shape:
        return objects
    whole = replace(frame, shape=place.shape)
    return in_whole(objects, Cut(Region(box={}), whole, place.corner))


# -- frames ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer's pixels lie in an image.

    Attributes
    ----------
    shape : tuple of int
        Of the image, along the layer's axes.
    corner : tuple of int
        Where the layer's pixels begin in it; empty: at its corner.
    origin : tuple of int
        Position of the image's first plane, where some of its planes were run.
    """

    shape: tuple[int, ...]
    corner: tuple[int, ...] = ()
    origin: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("corner", "origin"):
            if not getattr(self, name):
                object.__setattr__(self, name, (0,) * len(self.shape))


def place_of(state: dict[str, Any]) -> Place | None:
    """Where a result layer lies, by its metadata; None for layers of others."""
    told = (state.get("metadata") or {}).get(PLACE)
    ndim = len(state.get("scale", ()))
    names = ("shape", "corner", "origin")
    if not isinstance(told, dict) or any(len(told.get(n, ())) != ndim for n in names):
        return None
    return Place(*(tuple(int(n) for n in told[name]) for name in names))


def _sizes(sizes: set[tuple[int, ...]]) -> ImagecAIError:
    told = " and ".join(str(size) for size in sorted(sizes))
    return ImagecAIError(
        f"The Labels layers have the sizes {told}; write layers of one image."
    )


def _frame(labels: list[Any], shapes: list[Any], place: Place | None) -> Frame:
    """Where the layers lie: the size of the labels, else what the outlines span."""
    sizes = {tuple(data.shape) for data, _ in labels}
    if len(sizes) > 1:
        raise _sizes(sizes)
    state = (labels or shapes)[0][1]
    if sizes:
        (shape,) = sizes
    elif place is not None:
        shape = tuple(n - a for n, a in zip(place.shape, place.corner, strict=True))
    else:
        points = [np.asarray(ring) for data, _ in shapes for ring in data]
        ndim = len(state.get("scale", (1, 1)))
        ends = [ring.max(axis=0) for ring in points] or [np.zeros(ndim)]
        shape = tuple(int(np.ceil(end)) + 1 for end in np.max(ends, axis=0))
    axes = _axes(state, len(shape))
    scale = np.abs(np.asarray(state.get("scale", np.ones(len(shape))), float))
    words = [str(unit) for unit in state.get("units") or ["pixel"] * len(shape)]
    units = {a: as_unit(word) for a, word in zip(axes, words, strict=True)}
    space = {a: float(s) for a, s in zip(axes, scale, strict=True) if a in "ZYX"}
    known, unit = in_one_unit(space, units)
    return Frame(
        axes=axes,
        shape=tuple(int(size) for size in shape),
        pixel_size=tuple(known.get(axis, 1.0) for axis in space),
        unit=unit,
        unsized="".join(axis for axis in space if axis not in known),
        name=_image_name(str(state.get("name", ""))),
        origin=() if place is None else place.origin,
    )


def _axes(state: dict[str, Any], ndim: int) -> str:
    """By the layer's axis labels, else by the positions in its table, else as usual."""
    named = "".join(str(label)[:1].upper() for label in state.get("axis_labels") or ())
    if len(named) == ndim and named in ("YX", "ZYX", "TYX", "TZYX"):
        return named
    if ndim == 3 and "t" in _features(state):
        return "TYX"
    if ndim not in _USUAL:
        raise ImagecAIError(
            f"Expected layers of 2 to 4 dimensions, found {ndim}; write a part of them."
        )
    return _USUAL[ndim]


def _image_name(name: str) -> str:
    """``cells`` of ``nucleus (cells)``, as result layers are called."""
    found = re.fullmatch(r".+ \((.+)\)", name)
    return found.group(1) if found else name


# -- layers ----------------------------------------------------------------------------


def _features(state: dict[str, Any]) -> dict[str, list[Any]]:
    features = state.get("features")
    if features is None:
        return {}
    return {str(name): list(features[name]) for name in features}


def _listed(state: dict[str, Any]) -> list[int]:
    """Ids in a layer's table."""
    return [int(n) for n in _features(state).get("index", []) if n == n and n > 0]


def _before(state: dict[str, Any], frame: Frame) -> tuple[Objects, str]:
    """The objects that a layer's table tells of, and the class of new ones."""
    table = _features(state)
    ids = table.get("index", [])
    rows: dict[int, int] = {}
    for i, n in enumerate(ids):
        if n == n and n > 0:
            rows.setdefault(int(n), i)
    names = [str(table["class"][i]) for i in rows.values()] if "class" in table else []
    fresh = max(set(names), key=names.count) if names else str(state.get("name", ""))
    names = names or [fresh] * len(rows)
    sure = table.get("confidence", [1.0] * len(ids))
    classes = tuple(dict.fromkeys(names)) or (fresh or "object",)
    volumes = "centroid_z" in table and "z" not in table
    axes = frame.axes[: -3 if volumes else -2]
    places = [table.get(axis.lower(), [0] * len(ids)) for axis in axes]
    planes = [[int(place[i]) for place in places] for i in rows.values()]
    before = Objects(
        frame=frame,
        id=np.array(list(rows), np.int32),
        class_id=np.array([classes.index(name) for name in names], np.int32),
        confidence=np.array([sure[i] for i in rows.values()], np.float32),
        boxes=np.zeros((len(rows), 6 if volumes else 4), np.float32),
        classes=classes,
        planes=np.array(planes, np.int32).reshape(len(rows), len(axes)),
    )
    return before, fresh or "object"


def _of_labels(data: Any, state: dict[str, Any], frame: Frame) -> Objects:
    before, fresh = _before(state, frame)
    return read_labels(data, before, classes=fresh)


def _of_shapes(
    data: Any, state: dict[str, Any], frame: Frame, shown: set[int], pixels: bool
) -> Objects:
    before, fresh = _before(state, frame)
    kinds = state.get("shape_type", "polygon")
    kinds = [kinds] * len(data) if isinstance(kinds, str) else list(kinds)
    ids = _features(state).get("index", [0] * len(data))
    rings, used, left = [], [], set(shown)
    for ring, kind, identity in zip(data, kinds, ids, strict=True):
        if kind in ("line", "path"):
            continue
        if identity in left:
            # Only once: what is drawn anew begins with the id of another one.
            left.discard(identity)
            continue
        rings.append(outline(np.asarray(ring, float), kind))
        used.append(0 if identity in shown else identity)
    boxes = not pixels and {*kinds} - {"line", "path"} == {"rectangle"}
    before = replace(before, boxes=np.zeros((len(before), 4), np.float32))
    return read_outlines(rings, before, ids=used, classes=fresh, pixels=not boxes)
