"""Draws objects into Labels, Shapes and Points layers that are there already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from napari.utils.colormaps import DirectLabelColormap, label_colormap
from numpy.typing import NDArray

from napari_imagec_ai._napari.layers import lazy_labels, traced
from napari_imagec_ai.results.objects import Objects

if TYPE_CHECKING:
    from napari.layers import Labels, Points, Shapes

ShapeKind = Literal["outlines", "boxes", "points"]
"""What objects are drawn as, beside their pixels."""

ONE, EACH, RIM = "colour of the class", "colour for each object", "contours"

Fill = str
"""How the pixels of objects look: :data:`ONE`, :data:`EACH` or :data:`RIM`."""

_COLOURS = 49
"""Of objects that touch; napari's own number."""

_FEW = 0.5
"""A larger share of a class that comes or goes is faster drawn anew as a whole."""

_RIM = 2
"""Pixels of the screen that a contour is wide."""


def label_data(objects: Objects) -> NDArray[Any]:
    """Ids at pixels, in the smallest type that napari draws fast."""
    # napari draws 16 bits without mapping colours on the processor.
    small = np.uint16 if objects.id.max(initial=0) < 2**16 else np.int32
    if objects.masks is not None:
        return objects.as_labels().astype(small)
    return objects.labels_at((slice(None),) * len(objects.frame.shape), small)


def shape_data(objects: Objects, kind: ShapeKind = "outlines") -> list[NDArray[Any]]:
    """Outlines or boxes with the frame's axes, in the order of the rows."""
    flat = traced.polygons(objects) if kind == "outlines" else _boxes(objects)
    return [
        np.hstack([np.tile(plane, (len(polygon), 1)), polygon])
        for plane, polygon in zip(_planes(objects), flat, strict=True)
    ]


def shape_type(objects: Objects, kind: ShapeKind) -> str:
    """What napari calls these shapes."""
    drawn = kind == "outlines" and objects.has_pixels
    return "polygon" if drawn else "rectangle"


def point_data(objects: Objects) -> NDArray[Any]:
    """The middle of each object, with the frame's axes."""
    half = objects.boxes.shape[1] // 2
    middle = [
        objects.features.get(
            f"centroid_{axis.lower()}",
            (objects.boxes[:, i] + objects.boxes[:, half + i] - 1) / 2,
        )
        for i, axis in enumerate(objects.space)
    ]
    return np.column_stack([_planes(objects), *middle])


def _planes(objects: Objects) -> NDArray[Any]:
    """Positions along the plane axes, from the beginning of the frame."""
    begin = objects.frame.origin[: objects.planes.shape[1]]
    return np.asarray(objects.planes - np.asarray(begin, np.int32))


def _boxes(objects: Objects) -> list[NDArray[Any]]:
    if objects.corners is not None:
        return list(objects.corners - 0.5)
    y0, x0, y1, x1 = objects.boxes.T - 0.5  # half-open: edges of the outer pixels
    return list(np.stack([y0, x0, y0, x1, y1, x1, y1, x0], axis=1).reshape(-1, 4, 2))


def one_colour(colour: str, but: int = 0) -> DirectLabelColormap:
    """A colormap that gives every object the same colour, but one, which is white."""
    colours: dict[int | None, str] = {None: colour, 0: "transparent"}
    if but:
        colours[but] = "white"
    return DirectLabelColormap(color_dict=colours)


def has_one_colour(layer: Labels) -> bool:
    """Whether all objects of a Labels layer, but one, have one colour."""
    colours = layer.colormap
    return isinstance(colours, DirectLabelColormap) and len(colours.color_dict) <= 3


def update_labels(
    layer: Labels,
    objects: Objects,
    edited: bool = False,
    before: Objects | None = None,
) -> bool:
    """Show these objects in a Labels layer; gives whether other pixels are shown.

    Parameters
    ----------
    layer, objects
        What to show where.
    edited : bool
        Whether a person paints in the layer: pixels that are there are not set again,
        so that napari's undo goes on working.
    before : Objects, optional
        What the layer shows, where nobody changed it since: what stays of it is not
        drawn again.
    """
    changed = True
    if lazy_labels.is_shown_lazily(layer):
        lazy_labels.update(layer, objects)
    elif edited or before is None or not _come_and_go(layer, before, objects):
        data = label_data(objects)
        changed = not edited or not np.array_equal(layer.data, data)
        if changed:
            layer.data = data
    return changed


def _come_and_go(layer: Labels, before: Objects, objects: Objects) -> bool:
    """Draw into a layer what is new, and erase what is gone, of one decoding.

    Gives whether that was possible.
    """
    known = objects.label_image
    if known is None or known is not before.label_image or len(before) == 0:
        return False
    if objects.masks is not None or objects.frame != before.frame:
        return False
    if objects.id.max(initial=0) > np.iinfo(layer.data.dtype).max:
        return False
    gone = before[~np.isin(before.id, objects.id)]
    new = objects[~np.isin(objects.id, before.id)]
    if len(gone) + len(new) > _FEW * len(before):
        return False
    for these, drawn in ((gone, False), (new, True)):
        for row in range(len(these)):
            where, identity = these.place_of(row), int(these.id[row])
            layer.data[where][known[where] == identity] = identity if drawn else 0
    if len(gone) or len(new):
        layer.refresh(extent=False)
    return True


def label_table(table: pd.DataFrame, corrected: Collection[int]) -> pd.DataFrame:
    """The table of a Labels layer, with a column on what was corrected by hand."""
    table = table.copy()
    if corrected:
        table["corrected"] = table["index"].isin(list(corrected)).astype(int)
    return table


def update_shapes(
    layer: Shapes,
    objects: Objects,
    table: pd.DataFrame,
    kind: ShapeKind,
    in_depth: bool = False,
    own: Mapping[int, tuple[NDArray[Any], str]] | None = None,
) -> None:
    """Show these objects in a Shapes layer.

    napari trims colours and features by position when the data change. All outlines of
    a layer look the same, so only the features have to be set again.

    Parameters
    ----------
    layer, objects, table, kind
        What to show where, and its :func:`feature_table`.
    in_depth : bool
        See :func:`refill`.
    own : mapping of int to (array, str), optional
        Corners and types of those that a person drew, by id.
    """
    usual, own = shape_type(objects, kind), own or {}
    outlines = shape_data(objects, kind)
    shapes = [
        own.get(n, (outline, usual))
        for n, outline in zip(objects.id.tolist(), outlines, strict=True)
    ]
    if not _are_drawn(layer, shapes):
        # Thin outlines leave a thumbnail black: drawing it thrice would be for nothing.
        with layer.block_thumbnail_update():
            refill(layer, shapes, in_depth)
    layer.features = table.copy()


def _are_drawn(layer: Shapes, shapes: Sequence[tuple[NDArray[Any], str]]) -> bool:
    """Whether a layer has these shapes and no others."""
    there = layer.data
    return len(there) == len(shapes) and all(
        one.shape == ring.shape and np.abs(one - ring).max(initial=0) < 1e-3
        for one, (ring, _) in zip(there, shapes, strict=True)
    )


def refill(layer: Shapes, shapes: list[Any], in_depth: bool) -> None:
    """Put shapes in place of those of a layer.

    Parameters
    ----------
    layer : Shapes
        Which one.
    shapes : list of (array, str)
        Corners and type of each.
    in_depth : bool
        Whether napari displays three dimensions. Flat shapes that are given as data
        then raise an error in it and are lost; taken out and added they are not.
    """
    if layer.ndim > 2 or not in_depth:
        layer.data = shapes
        return
    layer.remove(list(range(len(layer.data))))
    if shapes:
        layer.add(shapes)


def update_points(layer: Points, objects: Objects, table: pd.DataFrame) -> None:
    """Show these objects in a Points layer, with their :func:`feature_table`."""
    layer.data = point_data(objects)
    layer.features = table.copy()
    area = np.asarray(objects.features.get("area", [100.0]), float)
    layer.size = layer.current_size = (
        float(np.clip(np.sqrt(np.median(area)) / 3, 1, 40)) if area.size else 5.0
    )


def style_labels(
    layer: Labels,
    colour: str,
    fill: Fill = ONE,
    tracks: Mapping[int, int] | None = None,
) -> None:
    """Give the objects of a Labels layer their look.

    Parameters
    ----------
    layer, colour, fill
        What looks how.
    tracks : mapping of int to int, optional
        Track of each id, where objects are followed: what is one has one colour.
    """
    if fill == EACH:
        layer.colormap = _by_track(tracks) if tracks else label_colormap(_COLOURS)
    else:
        layer.colormap = one_colour(colour)
    layer.contour = _RIM if fill == RIM else 0


def _by_track(tracks: Mapping[int, int]) -> DirectLabelColormap:
    palette = label_colormap(_COLOURS).colors[1:]
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colours |= {n: palette[track % len(palette)] for n, track in tracks.items()}
    return DirectLabelColormap(color_dict=colours)


def style_shapes(layer: Shapes, colour: str) -> None:
    """Give a Shapes layer's outlines their look, those to come as well."""
    layer.current_edge_color = colour
    layer.current_face_color = "transparent"
    layer.current_edge_width = 1
    if len(layer.data):
        layer.edge_color = colour
        layer.face_color = "transparent"
        layer.edge_width = 1


def style_points(layer: Points, colour: str) -> None:
    """Give a Points layer's points their look, those to come as well."""
    layer.current_face_color = colour
    layer.current_border_color = "black"
    if len(layer.data):
        layer.face_color = colour
        layer.border_color = "black"
