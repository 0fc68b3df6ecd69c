"""From the labels of each plane to one table of objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.splitting.split_touching import (
    Labels,
    Mask,
    Relief,
    without_small,
)
from napari_imagec_ai.image.output_scale import scale_between
from napari_imagec_ai.results.intensities import (
    measured_pixels,
    physical_area,
    plane_position,
)
from napari_imagec_ai.results.measure import measure
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Labelled objects of one plane or volume, at the resolution of the output.

    Attributes
    ----------
    labels : (Y, X) or (Z, Y, X) int32
        Ids 1 to ``count``, each of them present; 0 is background.
    count : int
        How many.
    confidence : float32, as labels
        How sure the network is of each pixel.
    known : bool, as labels
        Pixels that count for an object's confidence: those that the network called
        one of it, and none that were only filled in.
    class_id : (count,) int32, or None
        Class of each object; None: all have the first.
    smallest : int
        Objects of fewer pixels of the image are left out where it has others than the
        output.
    assumed : tuple of str
        Sentences on what was assumed for them.
    """

    labels: Labels
    count: int
    confidence: Relief
    known: Mask
    class_id: NDArray[np.int32] | None = None
    smallest: int = 0
    assumed: tuple[str, ...] = ()


def tabulate(
    prediction: Prediction,
    find: Callable[[tuple[int, ...]], Regions],
    classes: tuple[str, ...],
    *assumed: str,
) -> Objects:
    """Find the objects of every plane, and measure them.

    Parameters
    ----------
    prediction : Prediction
        For its frame and its image.
    find : callable
        Gives the regions of the plane with that index; a volume's is ().
    classes : tuple of str
        Names of the classes.
    *assumed : str
        Sentences: what was assumed; empty ones are left out.
    """
    whole = prediction.frame.shape
    label_image = np.zeros(whole, np.int32) if prediction.planes else None
    tables: list[Columns] = []
    found = 0
    said = list(assumed)
    for index in np.ndindex(prediction.planes):
        regions = find(index)
        said += regions.assumed
        regions = _resized(regions, whole[len(index) :])
        tables.append(_table(prediction, index, regions))
        if label_image is None:
            label_image = np.asarray(regions.labels, np.int32)
        else:
            label_image[index] = regions.labels
            label_image[index][regions.labels > 0] += found
        found += regions.count
    assert label_image is not None
    columns = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
    sentences = (*prediction.assumed, *dict.fromkeys(filter(None, said)))
    return _objects(prediction, label_image, columns, classes, sentences)


def _table(prediction: Prediction, index: tuple[int, ...], regions: Regions) -> Columns:
    labels, count = regions.labels, regions.count
    pixels: Columns = measured_pixels(prediction, index)
    guessed = (labels > 0) & ~regions.known
    if guessed.any():
        pixels["known"] = regions.known
        pixels["confidence"] = np.where(guessed, 0, regions.confidence)
    else:
        pixels["confidence"] = regions.confidence
    columns: Columns = dict(measure(labels, count, pixels))
    if (share := columns.pop("known", None)) is not None:
        columns["confidence"] /= np.maximum(share, 1e-9)
    columns["class_id"] = (
        np.zeros(count, np.int32) if regions.class_id is None else regions.class_id
    )
    columns["plane"] = np.tile(plane_position(prediction, index), (count, 1))
    return columns


def _resized(regions: Regions, shape: tuple[int, ...]) -> Regions:
    """Regions at the resolution of the image; what is too small there is left out."""
    if regions.labels.shape == shape:
        return regions
    nearest = np.ix_(
        *(
            np.minimum(
                (np.arange(size) + 0.5) * scale_between(own, size), own - 1
            ).astype(int)
            for own, size in zip(regions.labels.shape, shape, strict=True)
        )
    )
    labels = regions.labels[nearest]
    smallest = max(regions.smallest, 1)
    sizes = np.bincount(labels.reshape(-1), minlength=regions.count + 1)
    present = sizes[1:] >= smallest
    labels, count = without_small(labels, regions.count, smallest)
    class_id = regions.class_id
    return Regions(
        labels,
        count,
        regions.confidence[nearest],
        regions.known[nearest],
        None if class_id is None else class_id[present],
    )


def _objects(
    prediction: Prediction,
    label_image: Labels,
    columns: Columns,
    classes: tuple[str, ...],
    assumed: tuple[str, ...],
) -> Objects:
    space = [axis.lower() for axis in prediction.space]
    boxes = np.stack(
        [columns.pop(f"box_{axis}{end}") for end in "01" for axis in space], axis=1
    )
    confidence = columns.pop("confidence")
    class_id, planes = columns.pop("class_id"), columns.pop("plane")
    count = len(confidence)
    return Objects(
        frame=prediction.frame,
        id=np.arange(1, count + 1, dtype=np.int32),
        class_id=class_id.astype(np.int32),
        confidence=np.clip(confidence, 0, 1).astype(np.float32),
        boxes=boxes.astype(np.float32),
        classes=classes,
        label_image=label_image,
        features=columns | physical_area(prediction, columns["area"]),
        planes=planes.reshape(count, len(prediction.planes)).astype(np.int32),
        assumed=assumed,
    )
