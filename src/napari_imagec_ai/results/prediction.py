"""What a network said about an image: slow to make, held, saved and loaded.

No threshold has touched it. Everything that a person tunes afterwards starts from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.image.region import Cut
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.prediction_file import read_prediction, write_prediction
from napari_imagec_ai.results.window_results import Layout, WindowResult
from napari_imagec_ai.system import own_files

EMPTY = -1
"""In the place of a channel: the network gets zeros there."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What the network said about an image.

    Attributes
    ----------
    model : Model
        Which network.
    frame : Frame
        Where it lies.
    space : str
        Space axes of one map, such as ``YX``; the frame's other axes are planes.
    maps : mapping of str to array
        For each output of the network, float32 with the axes planes, channel, space.
        After the description's postprocessing, except binarisation.
    vectors : mapping of str to array
        For each output without space axes, float32 with the axes planes, channel.
    engine, device : str
        What ran.
    network_seconds : float
        Time inside the network.
    network_calls : int
        How often it was called.
    assumed : tuple of str
        Sentences: whatever was not in the description and had to be assumed.
    windows : tuple of WindowResult
        Of a detector: candidates above a low floor, instead of maps.
    layout : Layout or None
        How a detector's tensors are laid out.
    halo : tuple of int or None
        Overlap of the windows, where it was measured; None where it was told, or where
        there was one window.
    scale : tuple of float
        Pixels of the network for each pixel of the image; empty: 1.
    object_size : float or None
        Diameter of the objects in pixels of the image that the scale was chosen by;
        None: it was not.
    doubts : tuple of str
        Those of the sentences that say why the image may not suit the network.
    image : ImageInput or None
        The pixels that were run, for intensities; None after loading from a file.
    cut : Cut or None
        Where all this lies in the image, if a region of it was run.
    place : object
        Keeps the folder alive that large maps lie in, as zarr arrays.
    """

    model: Model
    frame: Frame
    space: str
    engine: str
    device: str
    network_seconds: float
    network_calls: int
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    channels: tuple[int, ...] = (0,)
    windows: tuple[WindowResult, ...] = ()
    layout: Layout | None = None
    halo: tuple[int, ...] | None = None
    scale: tuple[float, ...] = ()
    object_size: float | None = None
    doubts: tuple[str, ...] = ()
    image: ImageInput | None = None
    cut: Cut | None = None
    place: object = field(default=None, repr=False)
    key: object = field(default_factory=object)

    @property
    def planes(self) -> tuple[int, ...]:
        """Sizes of the plane axes; empty for a single plane or volume."""
        return self.frame.shape[: len(self.frame.shape) - len(self.space)]

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write everything but the image's pixels into one file (a zip of arrays).

        Parameters
        ----------
        path : path
            The file, usually ``NAME.prediction.npz``.
        overwrite : bool
            Replace also a file that this software did not write.
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        with own_files.permitted(overwrite):
            write_prediction(values, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Prediction:
        """Read a file that :meth:`save` wrote.

        Raises
        ------
        ImagecAIError
            If it is no such file, or one of a later version.
        """
        return cls(**read_prediction(Path(path)))
