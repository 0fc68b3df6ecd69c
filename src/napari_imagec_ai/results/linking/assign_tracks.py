"""Gives objects that are one through a stack the same track number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.linking.distances import linked_by_distance
from napari_imagec_ai.results.linking.link_settings import AXES, Linking
from napari_imagec_ai.results.linking.overlaps import Links, Rows, linked_by_overlap
from napari_imagec_ai.results.linking.volumes import as_volumes
from napari_imagec_ai.results.objects import Objects

TRACK, PARENT = "track", "parent_track"


def link(objects: Objects, linking: Linking | None = None) -> Objects:
    """Follow the objects of a stack from plane to plane.

    Objects of one class only become one; other axes, such as the planes of each time,
    are followed each for itself.

    Parameters
    ----------
    objects : Objects
        Of :func:`napari_imagec_ai.classify`; not changed.
    linking : Linking, optional
        How; by default through time, by overlap.

    Returns
    -------
    Objects
        With the column ``track``, from 1, equal for what is one; with divisions also
        ``parent_track``, 0 where there is none. With ``volumes`` one object for each
        track instead.

    Raises
    ------
    DecodeError
        If there is nothing to follow along, or laptrack is needed and not installed.
    """
    linking = linking or Linking()
    axis = AXES[linking.along]
    if axis not in objects.plane_axes:
        along = " and ".join(objects.plane_axes) or "no axis"
        raise DecodeError(
            f"Expected planes along {axis} to follow objects through {linking.along}, "
            f"found objects of single planes along {along}; choose other axes for the "
            "image, or follow no objects."
        )
    if linking.volumes and linking.along != "depth":
        raise DecodeError(
            "Only planes of a volume become volumes, found objects through time; "
            "follow them through depth."
        )
    divisions = linking.divisions and linking.along == "time"
    links: Links = []
    for planes in _stacks(objects, axis):
        links += _links(objects, planes, linking, divisions)
    tracks, parents = _numbered(len(objects), sorted(links))
    columns = {**objects.features, TRACK: tracks}
    if divisions:
        columns[PARENT] = parents
    followed = replace(objects, features=columns)
    return as_volumes(followed, tracks) if linking.volumes else followed


def _links(
    objects: Objects, planes: list[Rows], linking: Linking, divisions: bool
) -> Links:
    gap = linking.max_gap
    if linking.max_distance is None:
        least = linking.min_overlap
        return linked_by_overlap(objects, planes, least, gap, divisions)
    spacing = np.asarray(objects.frame.spacing[-len(objects.space) :], float)
    centres = _centres(objects) * spacing / spacing[-1]
    return linked_by_distance(centres, planes, linking.max_distance, gap, divisions)


def _centres(objects: Objects) -> NDArray[np.float64]:
    """Centroids, or middles of boxes, in pixels."""
    half = objects.boxes.shape[1] // 2
    middles = (objects.boxes[:, :half] + objects.boxes[:, half:] - 1) / 2
    for i, axis in enumerate(objects.space.lower()[-half:]):
        if (column := objects.features.get(f"centroid_{axis}")) is not None:
            middles[:, i] = column
    return np.asarray(middles, np.float64)


def _stacks(objects: Objects, axis: str) -> Iterator[list[Rows]]:
    """Rows by plane along an axis, for each class and each place along other axes."""
    at = objects.plane_axes.index(axis)
    first = objects.frame.origin[at]
    others = np.delete(objects.planes, at, axis=1)
    keys = np.column_stack([objects.class_id, others])
    for key in np.unique(keys, axis=0):
        mine = np.flatnonzero((keys == key).all(axis=1))
        where = objects.planes[mine, at]
        yield [mine[where == first + plane] for plane in range(objects.frame.shape[at])]


def _numbered(count: int, links: Links) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Track of each object, numbered as they first come, and the track before it."""
    after: dict[int, list[int]] = {}
    before: dict[int, int] = {}
    for first, second in links:
        after.setdefault(first, []).append(second)
        before[second] = first
    tracks, parents = np.zeros(count, np.int64), np.zeros(count, np.int64)
    number = 0
    divided: list[tuple[int, int]] = []
    for row in range(count):
        previous = before.get(row)
        if previous is not None and len(after[previous]) == 1:
            continue  # it goes on with a track
        number += 1
        here = row
        while True:
            tracks[here] = number
            following = after.get(here, [])
            if len(following) != 1:
                break
            here = following[0]
        if previous is not None:
            divided.append((row, previous))
    for row, previous in divided:
        parents[tracks == tracks[row]] = tracks[previous]
    return tracks, parents
