"""The pixels of a network's output, which may be coarser than those of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.output_scale import scale_between
from napari_imagec_ai.results.prediction import Prediction

Map = NDArray[np.float32]
"""One map, or several along further axes."""


@dataclass(frozen=True, slots=True)
class OutputGrid:
    """The pixels of the output: their size, and how many make one of the image."""

    spacing: tuple[float, ...]
    density: float = 1.0

    def sigmas(self, sigma: float, least: float = 0.0) -> tuple[float, ...]:
        """The same length along each axis, in its pixels, or at least so many."""
        finest = min(self.spacing)
        return tuple(max(sigma * finest / step, least) for step in self.spacing)

    def scaled(self, count: int) -> int:
        """How many it has where the image has at least so many."""
        return math.ceil(count * self.density - 1e-6)


def grid_of(prediction: Prediction, values: Map) -> OutputGrid:
    """The grid of a map (planes, C, space) of the prediction."""
    space = len(prediction.space)
    own, image = values.shape[-space:], prediction.frame.shape[-space:]
    factors = list(map(scale_between, own, image))
    sizes = prediction.frame.spacing[-space:]
    spacing = tuple(s / f for s, f in zip(sizes, factors, strict=True))
    return OutputGrid(spacing, float(np.prod(factors)))
