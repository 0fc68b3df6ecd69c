"""Objects: what was found in an image, one row for each.

Order of axes is (T)(Z)YX; pixel centres lie at integers, boxes are half-open, label 0
is background. Ids never change: a subset keeps those of its objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.blocks import LARGE, grid
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results import outlines
from napari_imagec_ai.results.masks import Masks


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Objects found in an image.

    Attributes
    ----------
    frame : Frame
        Where they lie.
    id : (N,) int32
        Above 0, unique over all planes.
    class_id : (N,) int32
        Index into ``classes``.
    confidence : (N,) float32
        In [0, 1]: how sure the network is that the object is one of its class.
    boxes : (N, 4) or (N, 6) float32
        y0, x0, y1, x1 (z0, y0, x0, z1, y1, x1), half-open, in pixels of the image.
    classes : tuple of str
        Names of the classes.
    label_image : array of int32, or None
        Ids at pixels, shaped as the frame; may hold ids that are no longer among
        ``id``. A zarr array where it is too large for the memory.
    masks : Masks or None
        One for each object, where they may overlap; instead of ``label_image``.
    features : mapping of str to (N,) array
        Columns of the table.
    corners : (N, 4, 2) float32, or None
        Of rotated boxes: y, x of each corner as edges of boxes are; ``boxes`` are
        around them.
    planes : (N, P) int32
        Position along each plane axis (such as T) in the image; P is 0 without.
    assumed : tuple of str
        Sentences: what was assumed on the way here.
    place : object
        Keeps the folder alive that a large label image lies in, as a zarr array.
    """

    frame: Frame
    id: NDArray[np.int32]
    class_id: NDArray[np.int32]
    confidence: NDArray[np.float32]
    boxes: NDArray[np.float32]
    classes: tuple[str, ...]
    label_image: NDArray[np.int32] | None = field(default=None, repr=False)
    masks: Masks | None = field(default=None, repr=False)
    corners: NDArray[np.float32] | None = field(default=None, repr=False)
    features: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    planes: NDArray[np.int32] = field(
        default_factory=lambda: np.zeros((0, 0), np.int32), repr=False
    )
    assumed: tuple[str, ...] = ()
    place: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        count = len(self.id)
        if self.planes.shape[0] != count:
            object.__setattr__(self, "planes", np.zeros((count, 0), np.int32))
        for name, column in (
            ("class_id", self.class_id),
            ("confidence", self.confidence),
            ("boxes", self.boxes),
            *self.features.items(),
        ):
            if len(column) != count:
                raise DecodeError(
                    f"Column '{name}' has {len(column)} rows for {count} objects."
                )

    def __len__(self) -> int:
        return len(self.id)

    def __getitem__(self, rows: Any) -> Objects:
        """Objects of a boolean mask, a slice or indices; ids stay as they are."""
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        return replace(
            self,
            id=self.id[rows],
            class_id=self.class_id[rows],
            confidence=self.confidence[rows],
            boxes=self.boxes[rows],
            masks=None if self.masks is None else self.masks[rows],
            corners=None if self.corners is None else self.corners[rows],
            features={name: column[rows] for name, column in self.features.items()},
            planes=self.planes[rows],
        )

    @property
    def plane_axes(self) -> str:
        """Axes of the frame that ``planes`` gives positions along, such as ``T``."""
        return self.frame.axes[: self.planes.shape[1]]

    @property
    def space(self) -> str:
        """Space axes of one object: ``YX``, or ``ZYX`` for volumes."""
        return self.frame.axes[self.planes.shape[1] :]

    def is_same(self, other: Objects) -> bool:
        """Whether two are the same objects of one decoding, with the same pixels."""
        if self.label_image is not other.label_image:
            return False
        if not np.array_equal(self.id, other.id):
            return False
        if self.masks is None or other.masks is None:
            same = self.masks is other.masks
            return same and np.array_equal(self.boxes, other.boxes)
        pairs = zip(self.masks.pixels, other.masks.pixels, strict=True)
        return all(mine is theirs for mine, theirs in pairs)

    def counts(self) -> dict[str, int]:
        """How many objects each class has."""
        found = np.bincount(self.class_id, minlength=len(self.classes))
        return {name: int(found[i]) for i, name in enumerate(self.classes)}

    def as_labels(self) -> NDArray[np.int32]:
        """Ids at pixels, shaped as the frame, int32; a new array.

        Where objects overlap, the surer one is on top.

        Raises
        ------
        DecodeError
            If the objects have boxes only.
        """
        if self.masks is not None:
            return self._painted(self.masks)
        return self.labels_at((slice(None),) * len(self.frame.shape))

    def labels_at(
        self, where: tuple[int | slice, ...], dtype: type[np.integer] = np.int32
    ) -> NDArray[Any]:
        """Part of what :meth:`as_labels` gives, for objects with a label image.

        Parameters
        ----------
        where : tuple of int or slice
            Which part, along the axes of the frame.
        dtype : type
            Of the result; holds all ids.

        Raises
        ------
        DecodeError
            If there is no label image.
        """
        if self.label_image is None:
            raise DecodeError(
                "These objects have boxes but no pixels; ask for filled boxes instead."
            )
        part = np.asarray(self.label_image[where])
        highest = int(max(part.max(initial=0), self.id.max(initial=0)))
        if len(self) == highest:  # nothing was left out
            return np.array(part, dtype)
        kept = np.zeros(highest + 1, dtype)
        kept[self.id] = self.id
        return kept.take(part)

    def place_of(self, row: int) -> tuple[int | slice, ...]:
        """The part of the frame that holds one object: its plane, and its box there."""
        planes, half = self.planes.shape[1], self.boxes.shape[1] // 2
        begin = np.asarray(self.frame.origin)
        plane = self.planes[row] - begin[:planes]
        box = self.boxes[row].astype(int)
        low, high = box[:half] - begin[planes:], box[half:] - begin[planes:]
        sides = zip(np.maximum(low, 0).tolist(), high.tolist(), strict=True)
        return (*plane.tolist(), *(slice(*side) for side in sides))

    def _painted(self, masks: Masks) -> NDArray[np.int32]:
        labels = np.zeros(self.frame.shape, np.int32)
        plane_axes = self.planes.shape[1]
        start = np.asarray(self.frame.origin[:plane_axes], np.int32)
        y, x = self.frame.origin[plane_axes:]
        for row in np.argsort(self.confidence, kind="stable"):
            canvas = labels[tuple(self.planes[row] - start)]
            masks.paint(canvas, int(row), int(self.id[row]), (y, x))
        return labels

    @property
    def has_pixels(self) -> bool:
        """Whether the objects have pixels, and not boxes alone."""
        return self.masks is not None or self.label_image is not None

    def as_polygons(self, smooth: bool = True) -> list[outlines.Ring]:
        """Outer outline of each object's largest part, in the order of the rows.

        Parameters
        ----------
        smooth : bool
            Cut the corners of the pixels' stairs; otherwise along the pixels' edges.

        Returns
        -------
        list of (P, 2) float32
            Vertices (y, x) in pixels of the image; centres lie at integers.
        """
        parts = self.as_outlines(smooth)
        empty = np.zeros((0, 2), np.float32)
        return [part[0].outer if part else empty for part in parts]

    def as_outlines(self, smooth: bool = True) -> list[list[outlines.Outline]]:
        """All parts and holes of each object, in the order of the rows; see above."""
        if self.boxes.shape[1] != 4:
            raise DecodeError("Outlines are for 2D objects; volumes have labels.")
        if self.corners is not None:
            return [[outlines.Outline(ends - 0.5)] for ends in self.corners]
        if self.masks is not None:
            return self.masks.outlines(smooth)
        if self.label_image is None:
            return [[outlines.Outline(_corners(box))] for box in self.boxes]
        found: dict[int, list[outlines.Outline]] = {}
        for index in np.ndindex(self.frame.shape[:-2]):
            for corner, labels in self._pieces(index):
                traced = outlines.trace(labels, smooth)
                if any(corner):
                    shift = np.asarray(corner, np.float32)
                    traced = {i: [p.moved(shift) for p in t] for i, t in traced.items()}
                found |= traced
        return [found.get(int(identity), []) for identity in self.id]

    def _pieces(
        self, index: tuple[int, ...]
    ) -> Iterator[tuple[tuple[int, int], NDArray[np.int32]]]:
        """Whole objects of one plane: all of it, or block by block where it is large.

        Each block holds the objects whose box begins in it, and no others.
        """
        plane = self.frame.shape[-2:]
        if math.prod(plane) <= LARGE:
            yield (0, 0), self.labels_at((*index, slice(None), slice(None)))
            return
        origin = np.asarray(self.frame.origin)
        position = origin[: len(index)] + np.asarray(index, int)
        here = np.all(self.planes == position, axis=1)
        low = self.boxes[:, :2].astype(int) - origin[len(index) :]
        high = self.boxes[:, 2:].astype(int) - origin[len(index) :]
        for block in grid(plane):
            rows = here.copy()
            for axis, part in enumerate(block):
                rows &= (low[:, axis] >= part.start) & (low[:, axis] < part.stop)
            if rows.any():
                y0, x0 = (int(n) for n in low[rows].min(axis=0))
                y1, x1 = (int(n) for n in high[rows].max(axis=0))
                where: tuple[int | slice, ...]
                where = (*index, slice(y0, y1), slice(x0, x1))
                yield (y0, x0), self[rows].labels_at(where)


def _corners(box: NDArray[np.float32]) -> outlines.Ring:
    """A box as an outline: half-open edges lie half a pixel before their number."""
    y0, x0, y1, x1 = box - 0.5
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], np.float32)
