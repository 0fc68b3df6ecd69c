"""Images: what a network gives that is no objects, such as a denoised image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.output_scale import scale_between


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Restored, stained or otherwise computed images, one for each output.

    Attributes
    ----------
    frame : Frame
        Where the image lies that was fed.
    space : str
        Space axes of a map, such as ``YX``; the frame's other axes are planes.
    maps : mapping of str to array
        By output of the network: float32 with the axes planes, channel, space. A map
        may have another resolution than the image.
    channel_names : mapping of str to tuple of str
        Names of the channels, empty where the description has none.
    depths : mapping of str to int
        Planes that an output has for each plane of the image, where it makes a volume
        of it: they lie along the axis of channels, fastest.
    assumed : tuple of str
        Sentences: what was assumed on the way here.
    """

    frame: Frame
    space: str
    maps: Mapping[str, NDArray[np.float32]] = field(repr=False)
    channel_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    depths: Mapping[str, int] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, output: str) -> Images:
        """One output alone."""
        return replace(self, maps={output: self.maps[output]})

    def factors(self, output: str) -> tuple[float, ...]:
        """Pixels of a map for each pixel of the image, along each space axis."""
        found = self.maps[output].shape[-len(self.space) :]
        there = self.frame.shape[-len(self.space) :]
        return tuple(map(scale_between, found, there))

    def frame_of(self, output: str) -> Frame:
        """Where a map lies: its own shape and pixel size, without channels.

        Pixels of another size do not lie centre on centre with the image's: see
        :meth:`first_pixel`.
        """
        space = len(self.space)
        planes = self.frame.shape[:-space]
        scaled = (
            size / factor
            for size, factor in zip(
                self.frame.pixel_size[-space:], self.factors(output), strict=True
            )
        )
        return replace(
            self.frame,
            shape=(*planes, *self.maps[output].shape[-space:]),
            pixel_size=(*self.frame.pixel_size[:-space], *scaled),
        )

    def first_pixel(self, output: str) -> tuple[float, ...]:
        """Centre of a map's first pixel along each space axis, in image pixels."""
        return tuple(0.5 / factor - 0.5 for factor in self.factors(output))
