"""Objects of several classes that lie over each other, such as nuclei in their cells.

Each class is decoded by itself, into ids that do not overlap. Put together, every
object has a mask of its own, and knows in which one of a larger class it lies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.blocks import grid
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.rows_together import rows_together

_INNER = re.compile("nucle|inner|organelle", re.IGNORECASE)

_HOLDS = 0.5
"""Part of an object that must lie in another one for it to be in that one."""

PARENT, CHILDREN = "parent", "children"
"""Columns: id of the object that this one lies in, 0 for none; how many lie in it."""


def put_together(layers: Sequence[Objects], classes: tuple[str, ...]) -> Objects:
    """Make one table of objects of several layers.

    Parameters
    ----------
    layers : sequence of Objects
        One for each class, with a label image, of the same 2D image or planes.
    classes : tuple of str
        Their names.

    Returns
    -------
    Objects
        With masks, those of the larger classes first: where ids of all classes are
        painted into one image, smaller objects are on top. The columns ``parent`` and
        ``children`` link each object with the one of a larger class that holds more
        than half of it.

    Raises
    ------
    DecodeError
        If objects of different classes overlap in a volume.
    """
    frame = layers[0].frame
    order = _outer_first(layers, classes)
    starts = dict(zip(order, _starts([layers[n] for n in order]), strict=True))
    rows = [layers[n] for n in order]
    total = sum(map(len, rows))
    fields = rows_together(rows) | {
        "frame": frame,
        "id": np.arange(1, total + 1, dtype=np.int32),
        "class_id": np.repeat(np.array(order, np.int32), list(map(len, rows))),
        "classes": classes,
    }
    if layers[0].boxes.shape[1] != 4:
        return Objects(**fields, label_image=_flat(layers, order, starts))
    parents = _parents(layers, order)
    parent = np.zeros(total + 1, np.int64)
    for (inner, outer), links in parents.items():
        for row, above in links.items():
            # The nearest class above comes first.
            if not parent[starts[inner] + row + 1]:
                parent[starts[inner] + row + 1] = starts[outer] + above + 1
    children = np.bincount(parent, minlength=total + 1)[1:]
    masks = [_masks(layer) for layer in rows]
    fields["features"] |= {PARENT: parent[1:], CHILDREN: children}
    fields["masks"] = Masks(
        np.concatenate([m.origins for m in masks]),
        tuple(pixels for m in masks for pixels in m.pixels),
    )
    return Objects(**fields)


def _starts(rows: Sequence[Objects]) -> list[int]:
    """Number of objects before those of each layer."""
    return [sum(len(layer) for layer in rows[:n]) for n in range(len(rows))]


def _outer_first(layers: Sequence[Objects], classes: Sequence[str]) -> list[int]:
    """Numbers of the layers, those of larger objects first; nuclei lie in the rest."""
    areas = [float(np.mean(o.features["area"])) if len(o) else 0.0 for o in layers]
    inner = [bool(_INNER.search(name)) for name in classes]
    return sorted(range(len(layers)), key=lambda n: (inner[n], -areas[n], n))


def _parents(
    layers: Sequence[Objects], order: Sequence[int]
) -> dict[tuple[int, int], dict[int, int]]:
    """For each pair of layers (inner, outer), the row in which each row lies."""
    found = {}
    for place, inner in enumerate(order):
        for outer in reversed(order[:place]):
            found[inner, outer] = _holders(layers[inner], layers[outer])
    return found


def _holders(inner: Objects, outer: Objects) -> dict[int, int]:
    """Row of ``outer`` that holds most of each row of ``inner``, where one does."""
    shape, space = inner.frame.shape, len(inner.space)
    counts: dict[int, int] = {}
    many = len(outer) + 1
    for index in np.ndindex(shape[:-space]):
        for where in grid(shape[-space:]):
            mine = inner.labels_at((*index, *where)).astype(np.int64)
            theirs = outer.labels_at((*index, *where))
            both = (mine > 0) & (theirs > 0)
            pairs, sizes = np.unique(
                mine[both] * many + theirs[both], return_counts=True
            )
            for pair, size in zip(pairs.tolist(), sizes.tolist(), strict=True):
                counts[pair] = counts.get(pair, 0) + size
    area = inner.features["area"]
    found: dict[int, int] = {}
    for pair, size in counts.items():
        row, above = pair // many - 1, pair % many - 1
        if size > _HOLDS * area[row]:
            found[row] = above
    return found


def _masks(layer: Objects) -> Masks:
    """A mask of each object of one layer, cut out of its label image."""
    origin = np.asarray(layer.frame.origin, np.int64)
    planes = len(layer.frame.shape) - 2
    boxes = np.rint(layer.boxes).astype(np.int64) - np.tile(origin[planes:], 2)
    at = layer.planes - origin[:planes] if planes else layer.planes
    pixels = []
    for row, (y0, x0, y1, x1) in enumerate(boxes.tolist()):
        where = (*at[row].tolist(), slice(y0, y1), slice(x0, x1))
        image = layer.label_image
        part = np.asarray(image[where]) if image is not None else np.zeros((0, 0))
        pixels.append(part == layer.id[row])
    corners = np.asarray(np.rint(layer.boxes[:, :2]), np.int32)
    return Masks(corners.reshape(-1, 2), tuple(pixels))


def _flat(
    layers: Sequence[Objects], order: Sequence[int], starts: dict[int, int]
) -> NDArray[np.int32]:
    """Objects that do not overlap in one label image."""
    image = layers[0].as_labels()
    image[...] = 0
    for number in order:
        labels = layers[number].as_labels()
        if np.any(image[labels > 0]):
            raise DecodeError(
                "Expected objects of different classes that do not overlap in a "
                "volume, found some that do; choose the channel of one class."
            )
        image[labels > 0] = labels[labels > 0] + starts[number]
    return image
