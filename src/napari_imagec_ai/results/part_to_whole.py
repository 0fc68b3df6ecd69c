"""Where the objects of a part of an image lie in the whole of it, and back.

A network is run on the part; whatever leaves the package counts from the corner of the
whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.region import Cut, Part, Placed
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.objects import Objects


def in_whole(objects: Objects, cut: Cut) -> Objects:
    """Objects of a part, in pixels of the whole image.

    Only those whose centre lies in one of the region's polygons, where it has some.
    Whether an object touches the edge is still told by the part's edge: what lies there
    was not seen as a whole.

    Parameters
    ----------
    objects : Objects
        Of the part.
    cut : Cut
        Where it lies.
    """
    begin, shape = cut.begin, cut.whole.shape
    labels: Any = objects.label_image
    if labels is not None:
        labels = Placed(labels, shape, begin)
    moved = _moved(objects, begin)
    moved = replace(moved, frame=cut.whole, label_image=labels)
    if not cut.region.polygons:
        return moved
    return moved[cut.region.holds(centres(moved))]


def in_part(objects: Objects, begin: Sequence[int], shape: Sequence[int]) -> Objects:
    """Objects of an image, in pixels of a part of it that holds them all.

    Parameters
    ----------
    objects : Objects
        In pixels of the whole image.
    begin : sequence of int
        Where the part begins, for each axis of the frame.
    shape : sequence of int
        Of the part.
    """
    size = tuple(int(n) for n in shape)
    labels: Any = objects.label_image
    if isinstance(labels, Placed) and labels.begin == tuple(begin):
        labels = labels.part
    elif labels is not None:
        spans = [(a, a + n) for a, n in zip(begin, size, strict=True)]
        labels = Part(labels, spans)
    moved = _moved(objects, [-n for n in begin])
    return replace(moved, frame=replace(objects.frame, shape=size), label_image=labels)


def centres(objects: Objects) -> NDArray[np.float64]:
    """(y, x) of the middle of each object, as its table has it."""
    half = objects.boxes.shape[1] // 2
    columns = []
    for i, axis in ((half - 2, "y"), (half - 1, "x")):
        middle = (objects.boxes[:, i] + objects.boxes[:, half + i] - 1) / 2
        columns.append(objects.features.get(f"centroid_{axis}", middle))
    return np.stack(columns, axis=1).astype(np.float64)


def is_place(feature: str, axis: str) -> bool:
    """Whether a feature is the place of a key point along an axis."""
    return feature.startswith("point_") and feature.endswith(f"_{axis}")


def _moved(objects: Objects, begin: Sequence[int]) -> Objects:
    """The same objects further along the space axes; planes stay."""
    planes = objects.planes.shape[1]
    shift = np.asarray(begin[planes:], np.int64)
    half = objects.boxes.shape[1] // 2
    own = shift[len(shift) - half :]  # a flat object has two axes
    features = dict(objects.features)
    for axis, step in zip(objects.space.lower(), shift, strict=True):
        name = f"centroid_{axis}"
        if name in features:
            features[name] = features[name] + step
    for axis, step in zip("yx", shift[-2:], strict=True):
        for name in features:
            if is_place(name, axis):
                features[name] = features[name] + step
    corners = objects.corners
    if corners is not None:
        corners = (corners + shift[-2:]).astype(np.float32)
    masks = objects.masks
    if masks is not None:
        origins = (masks.origins + shift[-2:]).astype(np.int32)
        masks = Masks(origins, masks.pixels)
    return replace(
        objects,
        boxes=(objects.boxes + np.tile(own, 2)).astype(np.float32),
        features=features,
        masks=masks,
        corners=corners,
    )
