"""What was followed through a stack: a table of tracks, and their numbers at pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_imagec_ai.export.csv_files import write_rows
from napari_imagec_ai.export.format import Beside, needs_pixels
from napari_imagec_ai.export.labels import write_labels
from napari_imagec_ai.export.tables import plain
from napari_imagec_ai.results.linking.assign_tracks import TRACK
from napari_imagec_ai.results.linking.track_table import is_followed, track_table
from napari_imagec_ai.results.objects import Objects


def needs_tracks(objects: Objects) -> str:
    """Objects that were not followed have no tracks."""
    return "" if is_followed(objects) else "these objects were not followed"


def needs_tracked_pixels(objects: Objects) -> str:
    """Boxes alone have no pixels, whatever they become."""
    return needs_tracks(objects) or needs_pixels(objects)


def write_tracks(objects: Objects, path: Path, beside: Beside) -> None:
    """Write one row for each track, as CSV."""
    columns = track_table(objects)
    rows = zip(*(map(plain, column) for column in columns.values()), strict=True)
    write_rows(path, list(columns), rows, objects.classes)


def write_track_labels(objects: Objects, path: Path, beside: Beside) -> None:
    """Write the number of its track at each pixel of an object, as `labels` does."""
    flat = objects.as_labels()
    numbers = np.asarray(objects.features[TRACK], np.int32)
    highest = int(max(flat.max(initial=0), objects.id.max(initial=0)))
    lookup = np.zeros(highest + 1, np.int32)
    lookup[objects.id] = numbers
    each, first = np.unique(numbers, return_index=True)
    tracked = replace(
        objects[first], id=each, label_image=lookup[flat], masks=None, corners=None
    )
    write_labels(tracked, path, beside)
