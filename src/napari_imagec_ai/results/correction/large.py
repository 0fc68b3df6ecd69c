"""Label images that are too large for the memory: measured block by block."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from napari_imagec_ai.image.blocks import LARGE, SIDE, grid, with_rim
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.results.correction.carried_over import (
    Before,
    Columns,
    intensities,
)
from napari_imagec_ai.results.correction.labels import as_ids
from napari_imagec_ai.results.measure import Sums


def is_large(labels: Any, before: Before) -> bool:
    """Whether labels are measured in blocks: where they are one large plane or volume.

    Of several planes ids may have to be changed, for which all of them are read.
    """
    return not before.planes and math.prod(map(int, labels.shape)) > LARGE


def measured_in_blocks(
    labels: Any, name: str, before: Before, image: ImageInput | None
) -> Columns:
    """The table, with the columns ``id`` and ``plane``.

    Parameters
    ----------
    labels : array-like
        Ids at pixels, with the axes of the frame; only sliced.
    name : str
        For messages.
    before : Before
        What was there.
    image : ImageInput or None
        Its intensities are measured.

    Raises
    ------
    ImageError
        If the pixels are no ids.
    """
    shape = tuple(int(size) for size in labels.shape)
    side = SIDE[len(shape)]
    numbers = np.zeros(0, np.int64)
    for core in grid(shape, side):
        here = np.unique(as_ids(np.asarray(labels[core]), name))
        numbers = np.union1d(numbers, here[here > 0])
    sums = Sums(len(numbers), shape)
    for core in grid(shape, side):
        ids = with_rim(labels, core)
        rows = np.searchsorted(numbers, ids).astype(np.int32) + 1
        rows[ids == 0] = 0
        sums.add(rows, core, intensities(before, image, (), core))
    columns: Columns = dict(sums.columns())
    columns["id"] = numbers
    columns["plane"] = np.zeros((len(numbers), 0), np.int32)
    return columns
