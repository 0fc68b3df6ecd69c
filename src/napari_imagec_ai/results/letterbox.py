"""Fits a piece of an image into a network's fixed window, aspect kept, and back.

The piece is scaled to fit and put into the middle; what is left over is filled with a
grey value. That is how YOLO networks are fed in training and by every export's own
runner: sizes and margins are rounded as there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FILL = 114 / 255
"""Grey of the margins, as in training."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a piece lies in the window.

    Attributes
    ----------
    origin : tuple of int
        (y, x) of the piece in the image.
    piece : tuple of int
        (height, width) of the piece, in image pixels.
    inner : tuple of int
        (height, width) that it is scaled to, in window pixels.
    margin : tuple of int
        (top, left) of the scaled piece in the window.
    window : tuple of int
        (height, width) of the window.
    """

    origin: tuple[int, int]
    piece: tuple[int, int]
    inner: tuple[int, int]
    margin: tuple[int, int]
    window: tuple[int, int]

    @property
    def gain(self) -> tuple[float, float]:
        """Window pixels for each image pixel, along y and x."""
        return (self.inner[0] / self.piece[0], self.inner[1] / self.piece[1])

    def apply(self, pixels: NDArray[np.generic], fill: float) -> NDArray[np.generic]:
        """Scale (C, height, width) pixels into the (C, window) with filled margins."""
        result = np.full((len(pixels), *self.window), fill, pixels.dtype)
        top, left = self.margin
        height, width = self.inner
        for source, target in zip(pixels, result, strict=True):
            if self.inner != self.piece:
                source = cv2.resize(
                    np.ascontiguousarray(source),
                    (width, height),
                    interpolation=cv2.INTER_LINEAR,
                )
            target[top : top + height, left : left + width] = source
        return result

    def places_to_image(self, places: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn (..., 2) places y, x in the window into those in the image."""
        shift, gain = np.array(self.margin), np.array(self.gain)
        there = (places - shift) / gain + np.array(self.origin)
        return np.asarray(there, np.float32)

    def boxes_to_image(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn (N, 4) boxes y0, x0, y1, x1 of the window into those of the image."""
        shift = np.array([*self.margin, *self.margin], np.float32)
        gain = np.array([*self.gain, *self.gain], np.float32)
        origin = np.array([*self.origin, *self.origin], np.float32)
        low = origin
        high = origin + np.array([*self.piece, *self.piece], np.float32)
        there = np.clip((boxes - shift) / gain + origin, low, high)
        return np.asarray(there, np.float32)


def fit(
    origin: tuple[int, int], piece: tuple[int, int], window: tuple[int, int]
) -> Letterbox:
    """Letterbox a piece of an image into a window; small pieces are enlarged."""
    scale = min(window[0] / piece[0], window[1] / piece[1])
    inner = (
        max(1, min(window[0], round(piece[0] * scale))),
        max(1, min(window[1], round(piece[1] * scale))),
    )
    margin = (
        round((window[0] - inner[0]) / 2 - 0.1),
        round((window[1] - inner[1]) / 2 - 0.1),
    )
    return Letterbox(origin, piece, inner, margin, window)
