"""Inputs that take the size of the image, as detectors have beside the image itself.

RT-DETR and D-FINE take ``orig_target_sizes`` (width, height) and give boxes in pixels
of an image of that size; PaddleDetection's take ``im_shape`` (height, width) and a
``scale_factor``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.model.description import TensorSpec

_WIDTH_FIRST = re.compile(r"target_?sizes?|orig\w*_?sizes?|image_?sizes?|img_?sizes?")
_HEIGHT_FIRST = re.compile(r"im\w*_?shape|im_?info")
_FACTOR = re.compile(r"scale_?factors?")


def takes_size(spec: TensorSpec) -> bool:
    """Whether an input takes the size of the image, by its name and its axes."""
    space = {"y", "x"} & set(spec.space)
    return not space and is_size(spec.id) and spec.channels in (None, 1, 2, 3)


def is_size(name: str) -> bool:
    """Whether a name is that of an input for the size of the image."""
    known = (_WIDTH_FIRST, _HEIGHT_FIRST, _FACTOR)
    return any(pattern.search(name.lower()) for pattern in known)


def size_values(name: str, window: tuple[int, int], count: int) -> NDArray[np.float32]:
    """What such an input takes for a window (height, width)."""
    word = name.lower()
    if _FACTOR.search(word):
        return np.ones(count, np.float32)
    height_first = _HEIGHT_FIRST.search(word) is not None
    values = [*(window if height_first else window[::-1]), 1.0]
    return np.asarray(values[:count], np.float32)


def frame_of(name: str, values: Sequence[float]) -> tuple[float, float] | None:
    """(height, width) that boxes lie in, where a person gave the size; else None."""
    word = name.lower()
    if _FACTOR.search(word) or len(values) < 2 or min(values[:2]) <= 0:
        return None
    first, second = float(values[0]), float(values[1])
    return (first, second) if _HEIGHT_FIRST.search(word) else (second, first)
