"""What a detector found in the windows of an image, before anything is chosen."""

from __future__ import annotations

from dataclasses import dataclass
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
        Of ``scores``: whether the first axis counts rows, as in no usual export.
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

    @property
    def final(self) -> bool:
        """Whether the network suppressed doubles itself."""
        return self.name in ("end_to_end", "separate")

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
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    coefficients: NDArray[np.float32]
    pictures: NDArray[np.float16] | None = None

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
        )
