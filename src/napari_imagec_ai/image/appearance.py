"""How an image looks at a glance: its background, its colours, its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import ImageInput

_SIDE = 512
"""Pixels along a side that are looked at, spread over the plane."""

_MOST = 8192
"""Along a side of a larger plane, only its middle is looked at."""

_BRIGHT = 0.55
"""Of the range of grey values: backgrounds above are bright, whatever lies on them."""

_TONED = 0.3
"""Backgrounds above are bright where the dark pixels are the rare ones, or coloured."""

_COLOUR = 0.04
"""Mean difference between channels, as a share of white, from which it is a colour."""

_NOISE = 0.1
"""Noise above this share of the range leaves hardly anything to see."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What is seen at a glance.

    Attributes
    ----------
    background : float
        Where the middle grey value lies in the range of them, 0 to 1.
    skew : float
        Above 0 where the rare pixels are the bright ones.
    colour : float
        Mean difference between three channels of a colour image, as a share of white.
    noise : float
        Standard deviation of the noise, as a share of the range.
    flat : bool
        Whether all pixels have one value.
    """

    background: float
    skew: float
    colour: float
    noise: float
    flat: bool = False

    @property
    def bright_background(self) -> bool:
        """Whether objects are dark on a bright ground."""
        if self.flat:
            return False
        toned = self.background > _TONED and (self.skew < 0 or self.colour > _COLOUR)
        return self.background > _BRIGHT or toned

    @property
    def coloured(self) -> bool:
        """Whether it is a photograph in colours, and no dyes shown side by side."""
        return self.colour > _COLOUR and self.bright_background

    @property
    def noisy(self) -> bool:
        """Whether it is hardly more than noise."""
        return not self.flat and self.noise > _NOISE


def look_at(image: ImageInput, channel: int | None = None) -> Looks:
    """Look at the middle plane of an image.

    Parameters
    ----------
    image : ImageInput
        Only some of its pixels are read.
    channel : int, optional
        The one that counts; by default the mean of all.
    """
    at: dict[str, int | slice] = {
        axis: image.size(axis) // 2 for axis in "TZ" if axis in image.axes
    }
    for axis in "YX":
        size = image.size(axis)
        span = min(size, _MOST)
        start = (size - span) // 2
        at[axis] = slice(start, start + span)
    count = image.size("C") if "C" in image.axes else 1
    several = count in (3, 4) and np.dtype(image.data.dtype) == np.uint8
    planes = []
    for number in range(count) if channel is None or several else [channel]:
        if "C" in image.axes:
            at["C"] = number
        planes.append(_thinned(image.read("YX", at)))
    colour = 0.0
    if several:
        three = np.stack(planes[:3])
        colour = float((three.max(axis=0) - three.min(axis=0)).mean() / 255)
        if channel is not None and 0 <= channel < count and colour <= _COLOUR:
            planes = [planes[channel]]
    return _measured(np.mean(planes[:3], axis=0), colour)


def _thinned(plane: NDArray[np.generic]) -> NDArray[np.float32]:
    """Strips of whole rows: neighbours stay neighbours, which noise is told by."""
    step = max(1, math.ceil(max(plane.shape) / _SIDE))
    if step > 1:
        rows = np.arange(0, plane.shape[0] - 2, 3 * step)[:, None] + np.arange(3)
        plane = plane[rows.ravel()]
    return np.nan_to_num(np.asarray(plane, np.float32), posinf=0, neginf=0)


def _measured(grey: NDArray[np.float32], colour: float) -> Looks:
    low, high = (float(v) for v in np.percentile(grey, (1, 99.8)))
    if not high > low:
        return Looks(0.0, 0.0, colour, 0.0, flat=bool(grey.max() == grey.min()))
    shown = np.clip((grey - low) / (high - low), 0, 1)
    apart = shown - shown.mean()
    spread = float(shown.std())
    skew = float((apart**3).mean()) / (spread**3 + 1e-9)
    bend = np.abs(np.diff(shown, n=2, axis=1))
    noise = float(np.median(bend)) / 0.6745 / math.sqrt(6)
    return Looks(float(np.median(shown)), skew, colour, noise)
