"""The table of tracks: one row for what was followed through a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.linking.assign_tracks import PARENT, TRACK
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.part_to_whole import centres


def is_followed(objects: Objects) -> bool:
    """Whether objects have tracks."""
    return TRACK in objects.features


def track_table(objects: Objects) -> dict[str, NDArray[Any]]:
    """Measure tracks.

    Parameters
    ----------
    objects : Objects
        With the column ``track``.

    Returns
    -------
    dict of str to (N,) array
        ``track``, ``class``, ``objects`` (in how many planes it was found), positions
        of the first and the last one along each plane axis, mean ``confidence`` and
        ``area``, ``path`` (pixels along the way from centroid to centroid) and
        ``displacement`` (pixels from the first to the last), both in the image's unit,
        too, where it has one; with divisions ``parent_track``; through time with a
        known interval ``duration_second``.
    """
    tracks = np.asarray(objects.features[TRACK], np.int64)
    order = np.lexsort((*objects.planes.T[::-1], tracks))
    tracks = tracks[order]
    numbers, first, count = np.unique(tracks, return_index=True, return_counts=True)
    last = first + count - 1
    middles = centres(objects)[order]
    steps = np.append(np.linalg.norm(np.diff(middles, axis=0), axis=1), 0.0)
    steps[last] = 0
    found: dict[str, NDArray[Any]] = {
        "track": numbers,
        "class": np.array(objects.classes or ("",), dtype=object)[
            objects.class_id[order][first]
        ],
        "objects": count,
    }
    if PARENT in objects.features:
        found[PARENT] = np.asarray(objects.features[PARENT])[order][first]
    planes = objects.planes[order]
    for i, axis in enumerate(objects.plane_axes.lower()):
        found[f"first_{axis}"] = planes[first, i]
        found[f"last_{axis}"] = planes[last, i]
    for name in ("confidence", "area"):
        column = (
            objects.confidence if name == "confidence" else objects.features.get(name)
        )
        if column is not None:
            sums = np.add.reduceat(np.asarray(column, float)[order], first)
            found[name] = sums / count
    found["path"] = np.add.reduceat(steps, first)
    found["displacement"] = np.linalg.norm(middles[last] - middles[first], axis=1)
    return found | _in_units(objects, found)


def _in_units(
    objects: Objects, found: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    frame, told = objects.frame, {}
    side = set(frame.pixel_size[-2:])
    if frame.unit is not None and len(side) == 1 and not set("YX") & set(frame.unsized):
        for name in ("path", "displacement"):
            told[f"{name}_{frame.unit}"] = found[name] * side.copy().pop()
    if frame.interval is not None and "first_t" in found:
        took = found["last_t"] - found["first_t"]
        told["duration_second"] = took * frame.interval
    return told
