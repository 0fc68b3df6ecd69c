"""What was there before a correction, and what is carried over from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.blocks import Where
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.results.objects import Objects

Columns = dict[str, NDArray[Any]]
Classes = str | Mapping[int, str] | None

_MEAN = "mean_intensity"


@dataclass(slots=True)
class Before:
    """What was corrected: a frame, and objects where there were some."""

    frame: Frame
    objects: Objects | None
    planes: int
    _labels: NDArray[np.int32] | None = field(default=None)

    @property
    def space(self) -> str:
        """Space axes of one object."""
        return self.frame.axes[self.planes :]

    @property
    def first(self) -> NDArray[np.int32]:
        """Position of the first plane in the image."""
        return np.asarray(self.frame.origin[: self.planes], np.int32)

    def position(self, index: tuple[int, ...]) -> NDArray[np.int32]:
        """Position of a plane of the frame in the image."""
        return self.first + np.asarray(index, np.int32)

    def labels(self) -> NDArray[np.int32]:
        """Ids at pixels, zeros where there were no pixels."""
        if self._labels is None:
            known = self.objects is not None and self.objects.has_pixels
            self._labels = (
                self.objects.as_labels()
                if known and self.objects is not None
                else np.broadcast_to(np.int32(0), self.frame.shape)
            )
        return self._labels

    def labels_at(self, place: tuple[int | slice, ...]) -> NDArray[np.int32]:
        """A part of :meth:`labels`, without making all of it where that can be."""
        if self.objects is not None and self.objects.label_image is not None:
            return self.objects.labels_at(place)
        return np.asarray(self.labels()[place])

    def rows(self) -> dict[int, int]:
        """Row of each id."""
        if self.objects is None:
            return {}
        return {identity: row for row, identity in enumerate(self.objects.id.tolist())}


def before_of(like: Objects | Frame, volumes: bool | None) -> Before:
    """What was there; volumes are told by their boxes, unless it is said."""
    objects = like if isinstance(like, Objects) else None
    frame = like if isinstance(like, Frame) else like.frame
    if volumes is None:
        volumes = objects is not None and objects.boxes.shape[1] == 6
    return Before(frame, objects, len(frame.axes) - (3 if volumes else 2))


def intensities(
    before: Before,
    image: ImageInput | None,
    index: tuple[int, ...],
    where: Where | None = None,
) -> dict[str, NDArray[Any]]:
    """Pixels of the channels that were measured before, else of all, by column.

    ``where`` is a part of the plane along the space axes; all of it by default.
    """
    if image is None:
        return {}
    at: dict[str, int | slice] = {
        axis: int(n)
        for axis, n in zip(before.frame.axes, before.position(index), strict=False)
        if axis in image.axes
    }
    if where is not None:
        at |= dict(zip(before.space, where, strict=True))
    count = image.size("C")
    if "C" not in image.axes:
        return {_MEAN: image.read(before.space, at)}
    names = {f"{_MEAN}_{i}": i for i in range(count)}
    old = {} if before.objects is None else before.objects.features
    names = {n: i for n, i in names.items() if n in old} or names
    if count == 1:
        names = {_MEAN: 0}
    return {n: image.read(before.space, {**at, "C": i}) for n, i in names.items()}


def boxes(columns: Columns, space: str) -> NDArray[np.float32]:
    """Take the boxes out of a table."""
    sides = [columns.pop(f"box_{axis}{end}") for end in "01" for axis in space.lower()]
    return np.stack(sides, axis=1).astype(np.float32)


def carried(
    before: Before,
    numbers: NDArray[np.int64],
    classes: Classes,
    covered: Callable[[int], NDArray[Any]] | None,
) -> tuple[list[str], list[float]]:
    """Class and confidence of each object."""
    old, rows = before.objects, before.rows()
    by_id = classes if isinstance(classes, Mapping) else {}
    fresh = classes if isinstance(classes, str) else None
    if fresh is None:
        fresh = old.classes[0] if old is not None and old.classes else "object"
    names, sure = [], []
    for i, number in enumerate(numbers.tolist()):
        row = rows.get(number)
        if row is None and covered is not None and rows:
            below = covered(i)
            below = below[below > 0]
            row = rows[int(np.bincount(below).argmax())] if len(below) else None
        if old is None or row is None:
            names.append(by_id.get(number, fresh))
            sure.append(1.0)
        else:
            names.append(by_id.get(number, old.classes[old.class_id[row]]))
            sure.append(float(old.confidence[row]))
    return names, sure


def objects(
    before: Before,
    numbers: NDArray[np.int64],
    carried: tuple[list[str], list[float]],
    boxes: NDArray[np.float32],
    table: Columns,
    planes: NDArray[np.int32],
    **pixels: Any,
) -> Objects:
    """The corrected objects, in the frame of those before."""
    names, sure = carried
    old = before.objects
    known = old.classes if old is not None else ()
    classes = tuple(dict.fromkeys((*known, *names))) or ("object",)
    frame = before.frame
    if frame.unit is not None and not set(before.space) & set(frame.unsized):
        size = math.prod(frame.pixel_size[-len(before.space) :])
        table = table | {f"area_{frame.unit}{len(before.space)}": table["area"] * size}
    return Objects(
        frame=frame,
        id=numbers.astype(np.int32),
        class_id=np.array([classes.index(name) for name in names], np.int32),
        confidence=np.array(sure, np.float32),
        boxes=boxes,
        classes=classes,
        features=table,
        planes=planes.astype(np.int32).reshape(len(numbers), before.planes),
        assumed=() if old is None else old.assumed,
        **pixels,
    )
