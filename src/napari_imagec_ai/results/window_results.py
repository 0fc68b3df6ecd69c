"""What a detector found in the windows of an image, before anything is chosen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results.letterbox import Letterbox


@dataclass(frozen=True, slots=True, eq=False)
class WindowResult:
    """What the network said about one window.

    Attributes
    ----------
    plane : tuple of int
        Index of the plane in the result.
    box : Letterbox
        Where the window lies.
    core : tuple of slice
        Part of the image that it answers for.
    found : Candidates
        Above the floor.
    prototypes : (M, h, w) float32 or float16, or None
        Of the masks; None without, or where nothing was found.
    """

    plane: tuple[int, ...]
    box: Letterbox
    core: tuple[slice, slice]
    found: Candidates
    prototypes: NDArray[Any] | None


FLOOR = 0.05
"""Candidates below this confidence are not kept: no threshold goes lower."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a network's tensors are laid out.

    Attributes
    ----------
    name : str
        ``objectness``, ``scores``, ``end_to_end`` or ``separate``.
    rows, prototypes : int or None
        Which output holds them; of ``separate``, rows are the boxes.
    classes : int or None
        How many; None where rows name a class by number.
    masks : int
        Number of prototypes.
    names : tuple of str
        Of the classes.
    assumed : tuple of str
        Sentences: what was not told.
    confidences, labels, pictures : int or None
        Of ``separate``: which output holds the scores, the classes and the masks.
    rows_first : bool
        Whether the first axis counts rows; else it counts the numbers of a row.
    angles : bool
        Whether boxes are rotated: the number behind the scores is an angle.
    points : tuple of int
        How many key points each box has, and how many numbers each of them.
    point_names : tuple of str
        Of the key points; empty: they have numbers.
    parts : bool or None
        Whether boxes are in parts of the window; None: by their values.
    suppressed : bool
        Whether doubles are not to be removed, although the layout is of a kind that
        has some.
    grid : bool
        Whether boxes count from the cells of grids.
    centred : bool
        Of ``end_to_end``: whether boxes are centres and sides, too.
    """

    name: Literal["objectness", "scores", "end_to_end", "separate"]
    rows: int
    prototypes: int | None
    classes: int | None
    masks: int
    names: tuple[str, ...]
    assumed: tuple[str, ...] = ()
    confidences: int | None = None
    labels: int | None = None
    pictures: int | None = None
    rows_first: bool = False
    angles: bool = False
    points: tuple[int, int] = (0, 0)
    point_names: tuple[str, ...] = ()
    parts: bool | None = None
    suppressed: bool = False
    grid: bool = False
    centred: bool = False

    @property
    def final(self) -> bool:
        """Whether the network suppressed doubles itself."""
        return self.suppressed or self.name in ("end_to_end", "separate")

    @property
    def has_masks(self) -> bool:
        """Whether objects have masks, and not only boxes."""
        return self.prototypes is not None or self.pictures is not None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Rows above the floor.

    Attributes
    ----------
    boxes : (N, 4) float32
        y0, x0, y1, x1 in pixels of the window.
    confidence : (N,) float32
    class_id : (N,) int32
    coefficients : (N, M) float32
        Of the mask prototypes; M is 0 without.
    pictures : (N, h, w) float16, or None
        Of a ``separate`` layout: each mask, from 0 to 1, spread over its box.
    rotated : (N, 5) float32, or None
        cx, cy, w, h, angle (radians) of rotated boxes; ``boxes`` are around them.
    points : (N, K, 3) float32, or None
        Key points: y, x, confidence.
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    coefficients: NDArray[np.float32]
    pictures: NDArray[np.float16] | None = None
    rotated: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.confidence)

    def __getitem__(self, rows: NDArray[Any]) -> Candidates:
        """Candidates of a boolean mask or of indices."""
        return Candidates(
            self.boxes[rows],
            self.confidence[rows],
            self.class_id[rows],
            self.coefficients[rows],
            None if self.pictures is None else self.pictures[rows],
            None if self.rotated is None else self.rotated[rows],
            None if self.points is None else self.points[rows],
        )

    def scaled(self, height: float, width: float) -> Candidates:
        """The same with all places along y and x multiplied."""
        sides = np.array([height, width], np.float32)
        moved = replace(self, boxes=self.boxes * np.tile(sides, 2))
        if self.rotated is not None:
            turned = self.rotated.copy()
            turned[:, :4] *= np.tile(sides[::-1], 2)
            moved = replace(moved, rotated=turned)
        if self.points is not None:
            points = self.points.copy()
            points[..., :2] *= sides
            moved = replace(moved, points=points)
        return moved


def nothing() -> Candidates:
    """No candidates."""
    return Candidates(
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
        np.zeros(0, np.int32),
        np.zeros((0, 0), np.float32),
    )
