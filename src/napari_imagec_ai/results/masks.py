"""Masks of objects that may overlap: a small picture each, no stack of full ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.results import outlines
from napari_imagec_ai.results.measure import measure


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """One mask for each object.

    Attributes
    ----------
    origins : (N, 2) int32
        (y, x) of each mask's first pixel in the image.
    pixels : tuple of (h, w) bool
        What belongs to the object.
    """

    origins: NDArray[np.int32]
    pixels: tuple[NDArray[np.bool_], ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Any) -> Masks:
        """Masks of a boolean mask, a slice or indices."""
        chosen = np.arange(len(self))[rows]
        return Masks(self.origins[chosen], tuple(self.pixels[i] for i in chosen))

    def paint(
        self, canvas: NDArray[np.int32], row: int, value: int, origin: tuple[int, int]
    ) -> None:
        """Write a value into the pixels of one object.

        Parameters
        ----------
        canvas : (Y, X) int32
            Changed in place.
        row : int
            Which object.
        value : int
            Its id.
        origin : tuple of int
            (y, x) of the canvas in the image.
        """
        mask = self.pixels[row]
        y, x = self.origins[row] - origin
        part = canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
        part[mask] = value

    def _atlas(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All masks below each other in one label image, and where each begins."""
        heights = np.array([mask.shape[0] + 1 for mask in self.pixels], np.int64)
        starts = np.concatenate([[0], np.cumsum(heights)])[:-1]
        width = max((mask.shape[1] for mask in self.pixels), default=0)
        atlas = np.zeros((int(heights.sum()), width), np.int32)
        for i, (mask, start) in enumerate(zip(self.pixels, starts, strict=True)):
            part = atlas[start : start + mask.shape[0], : mask.shape[1]]
            part[mask] = i + 1
        return atlas, starts

    def outlines(self, smooth: bool = True) -> list[list[outlines.Outline]]:
        """Outlines of each object in pixels of the image; see `outlines.trace`."""
        if not len(self):
            return []
        atlas, starts = self._atlas()
        found = outlines.trace(atlas, smooth)
        result = []
        for i, start in enumerate(starts):
            shift = (self.origins[i] - (int(start), 0)).astype(np.float32)
            result.append([part.moved(shift) for part in found.get(i + 1, [])])
        return result

    def measure(
        self, shape: tuple[int, int], intensity: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[np.float64]]:
        """Measure each object by its own mask; see `features.measure`.

        Parameters
        ----------
        shape : tuple of int
            Of the image (Y, X), for the edge.
        intensity : mapping of str to (Y, X) array
            Pixels of the image, by the name of the column for their mean.
        """
        if not len(self):
            return measure(
                np.zeros((1, 1), np.int32),
                0,
                dict.fromkeys(intensity, np.zeros((1, 1))),
            )
        atlas, starts = self._atlas()
        pictures = {
            name: self._pictures(atlas.shape, starts, pixels)
            for name, pixels in intensity.items()
        }
        columns = measure(atlas, len(self), pictures)
        for i, axis in enumerate("yx"):
            shift = self.origins[:, i] - (starts if axis == "y" else 0)
            for name in (f"centroid_{axis}", f"box_{axis}0", f"box_{axis}1"):
                columns[name] = columns[name] + shift
        touching = (columns["box_y0"] <= 0) | (columns["box_x0"] <= 0)
        touching |= (columns["box_y1"] >= shape[0]) | (columns["box_x1"] >= shape[1])
        columns["touches_edge"] = touching.astype(np.float64)
        return columns

    def _pictures(
        self,
        shape: tuple[int, ...],
        starts: NDArray[np.int64],
        pixels: NDArray[Any],
    ) -> NDArray[Any]:
        result = np.zeros(shape, pixels.dtype)
        for mask, start, (y, x) in zip(self.pixels, starts, self.origins, strict=True):
            height, width = mask.shape
            result[start : start + height, :width] = pixels[
                y : y + height, x : x + width
            ]
        return result
