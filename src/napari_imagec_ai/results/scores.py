"""Scores: what a network says about a whole image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One number for each class and plane.

    Attributes
    ----------
    frame : Frame
        Where the image lies.
    planes : str
        Axes that there is a row of scores along, such as ``T``; mostly empty.
    classes : tuple of str
        Names of the classes.
    values : (planes ..., C) float32
        The scores: probabilities where the network gives them.
    assumed : tuple of str
        Sentences: what was assumed on the way here.
    """

    frame: Frame
    planes: str
    classes: tuple[str, ...]
    values: NDArray[np.float32] = field(repr=False)
    assumed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.values.size

    def best(self) -> NDArray[np.intp]:
        """Number of the class with the highest score, for each plane."""
        return np.asarray(self.values.argmax(axis=-1))
