"""Reads back what was corrected by hand: the layers are the truth.

Pixels and outlines are taken as they are, and everything in the table is measured anew.
Class and confidence are those of the object with the same id; a new object takes them
from the one that it mostly lies on; what lies on none was drawn by a person, who is
sure (confidence 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.results.correction.carried_over import (
    Before,
    Classes,
    before_of,
    boxes,
    carried,
    objects,
)
from napari_imagec_ai.results.correction.join_objects import joined
from napari_imagec_ai.results.correction.labels import (
    as_ids,
    measured_labels,
    opened,
    unique_over_planes,
)
from napari_imagec_ai.results.correction.large import is_large, measured_in_blocks
from napari_imagec_ai.results.correction.outlines_to_masks import (
    masks,
    measured_masks,
    numbers,
    of_boxes,
    plane_steps,
    span,
    vertices,
)
from napari_imagec_ai.results.objects import Objects

__all__ = ["joined", "read_labels", "read_outlines"]


def read_labels(
    labels: Any,
    like: Objects | Frame,
    *,
    classes: Classes = None,
    image: ImageInput | None = None,
    volumes: bool | None = None,
) -> Objects:
    """Objects of a label image that a person has corrected.

    Parameters
    ----------
    labels : array or path
        Ids at pixels, 0 is background; shaped as the frame. A large plane or volume is
        read block by block, and never as a whole: give a zarr or a dask array, or a
        file.
    like : Objects or Frame
        What was corrected, or where the labels lie.
    classes : str or mapping of int to str, optional
        Class of the objects that have none yet, or classes by id, which come before
        all others.
    image : ImageInput, optional
        Its intensities are measured; else there are none in the table.
    volumes : bool, optional
        Whether an object goes through all planes of Z; by default as in ``like``.

    Returns
    -------
    Objects
        With the ids of the label image. One that is used in several planes stays in
        one of them, the others get new ones.

    Raises
    ------
    ImageError
        If the labels do not fit the frame, or are no ids.
    """
    before = before_of(like, volumes)
    name, given = opened(labels, before.frame)
    ids: Any
    if is_large(given, before):
        ids, table = given, measured_in_blocks(given, name, before, image)
    else:
        ids = unique_over_planes(as_ids(np.asarray(given), name), before)
        table = measured_labels(ids, before, image)
    found, planes = table.pop("id"), table.pop("plane")
    sides = boxes(table, before.space)

    def covered(row: int) -> NDArray[Any]:
        low, high = np.split(sides[row].astype(int), 2)
        inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        index = (planes[row] - before.first).tolist()
        place: tuple[int | slice, ...] = (*index, *inside)
        mine: NDArray[np.bool_] = np.asarray(ids[place]) == found[row]
        return np.asarray(before.labels_at(place)[mine])

    known = carried(before, found, classes, covered)
    return objects(before, found, known, sides, table, planes, label_image=ids)


def read_outlines(
    rings: Sequence[NDArray[Any]],
    like: Objects | Frame,
    *,
    ids: Sequence[int] | None = None,
    classes: Classes = None,
    image: ImageInput | None = None,
    pixels: bool | None = None,
) -> Objects:
    """Objects of outlines that a person has corrected.

    A pixel belongs to an object if its centre lies in the outline; outlines may
    overlap. One that was not changed keeps its pixels as they were, with holes and
    parts.

    Parameters
    ----------
    rings : sequence of (P, D) array
        Vertices with the axes of the frame, in pixels, centres at integers: as in a
        Shapes layer.
    like : Objects or Frame
        What was corrected, or where the outlines lie.
    ids : sequence of int, optional
        Id of each; what is no number above 0, or is there already, gets a new one.
    classes, image
        See :func:`read_labels`.
    pixels : bool, optional
        Whether objects have pixels, or boxes only; by default as in ``like``.

    Raises
    ------
    ImageError
        If the outlines do not fit the frame.
    """
    before = before_of(like, False)
    if pixels is None:
        pixels = not isinstance(like, Objects) or like.has_pixels or not len(like)
    drawn = [vertices(ring, before.frame) for ring in rings]
    found = numbers(ids, len(drawn), before)
    steps = plane_steps(drawn, before)
    if pixels:
        return _with_pixels(before, drawn, found, steps, classes, image)
    sides = np.array([span(ring) for ring in drawn], np.float32).reshape(-1, 4)
    known, table = carried(before, found, classes, None), of_boxes(sides, before)
    return objects(before, found, known, sides, table, steps + before.first)


def _with_pixels(
    before: Before,
    drawn: list[NDArray[np.float64]],
    found: NDArray[np.int64],
    steps: NDArray[np.int32],
    classes: Classes,
    image: ImageInput | None,
) -> Objects:
    """Objects with a mask each; what has no pixel in the image is none."""
    own = masks(drawn, found, before)
    inside = (steps >= 0) & (steps < before.frame.shape[: before.planes])
    drawn_on = np.array([mask.any() for mask in own.pixels], bool)
    kept = np.flatnonzero(inside.all(axis=1) & drawn_on)
    own, found, steps = own[kept], found[kept], steps[kept]
    planes = steps + before.first
    table = measured_masks(own, planes, before, image)

    def covered(row: int) -> NDArray[Any]:
        (y, x), mask = own.origins[row], own.pixels[row]
        place = (slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1]))
        return np.asarray(before.labels()[(*steps[row], *place)][mask])

    known = carried(before, found, classes, covered)
    return objects(before, found, known, boxes(table, "YX"), table, planes, masks=own)
