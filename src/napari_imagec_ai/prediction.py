"""Runs a network over an image, once, and keeps what it said.

A :class:`Prediction` holds the raw output, stitched from tiles; no threshold has
touched it. Everything that a person tunes afterwards starts from it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.candidates import Layout
from napari_imagec_ai.dense import DenseRun
from napari_imagec_ai.detection import (
    OVERLAP,
    PERCENTILES,
    DetectRun,
    DetectSettings,
    WindowResult,
)
from napari_imagec_ai.engines import Engine, open_engine
from napari_imagec_ai.errors import ImageError, ModelError
from napari_imagec_ai.feed import Feed, Planes, plan_feed
from napari_imagec_ai.image import Frame, ImageInput
from napari_imagec_ai.limits import geometry
from napari_imagec_ai.model import Model
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.tiling import plan_tiles

DETECTORS = ("boxes", "boxes_masks")
"""Kinds whose output is read window by window."""


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
    image : ImageInput or None
        The pixels, for intensities; None after loading from a file.
    """

    model: Model
    frame: Frame
    space: str
    engine: str
    device: str
    network_seconds: float
    network_calls: int
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    channels: tuple[int, ...] = (0,)
    windows: tuple[WindowResult, ...] = ()
    layout: Layout | None = None
    image: ImageInput | None = None
    key: object = field(default_factory=object)

    @property
    def planes(self) -> tuple[int, ...]:
        """Sizes of the plane axes; empty for a single plane or volume."""
        return self.frame.shape[: len(self.frame.shape) - len(self.space)]

    def save(self, path: str | Path) -> None:
        """Write everything but the image's pixels into one file (a zip of arrays)."""
        from napari_imagec_ai.storage import write_prediction

        write_prediction(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Prediction:
        """Read a file that :meth:`save` wrote.

        Raises
        ------
        ImagecAIError
            If it is no such file, or one of a later version.
        """
        from napari_imagec_ai.storage import read_prediction

        return read_prediction(Path(path))


def predict(
    model: Model,
    image: ImageInput,
    *,
    engine: str | Engine = "auto",
    device: str = "auto",
    tile: int | Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    planes: Planes | None = None,
    scale: float | None = None,
    overlap: float = OVERLAP,
    percentiles: tuple[float, float] = PERCENTILES,
    progress: Callable[[Progress], None] | None = None,
) -> Prediction:
    """Run a network over an image.

    Parameters
    ----------
    model : Model
        From :func:`napari_imagec_ai.load_model`.
    image : ImageInput
        Any axes; axes that the network does not have are run plane by plane.
    engine : str or Engine
        ``auto``, ``onnx``, ``torchscript``, or an engine that is open already.
    device : str
        ``auto``, ``cpu``, ``cuda`` ...
    tile : int or sequence of int, optional
        Window size along each space axis of the network; chosen by default.
    channels : sequence of int, optional
        Channel of the image for each channel of the network.
    planes : mapping, optional
        Such as ``{"Z": 3}`` or ``{"T": (0, 10)}``; all planes by default.
    scale : float, optional
        For detectors: window pixels for each image pixel. By default an image not much
        larger than the network's window is fitted into one, a larger one is cut into
        windows at full resolution.
    overlap : float
        For detectors: part of a window that it shares with the next one.
    percentiles : tuple of float
        For detectors: grey values that become black and white, where the description
        does not say and the image has not 8 bits.
    progress : callable, optional
        Called with a :class:`Progress` after each call of the network.

    Raises
    ------
    ModelError, ImageError, EngineError
        If the model cannot run, the image does not fit, or the network fails.
    """
    steps = predict_iter(
        model,
        image,
        engine=engine,
        device=device,
        tile=tile,
        channels=channels,
        planes=planes,
        scale=scale,
        overlap=overlap,
        percentiles=percentiles,
    )
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            result: Prediction = stop.value
            return result
        if progress is not None:
            progress(step)


def predict_iter(
    model: Model,
    image: ImageInput,
    *,
    engine: str | Engine = "auto",
    device: str = "auto",
    tile: int | Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    planes: Planes | None = None,
    scale: float | None = None,
    overlap: float = OVERLAP,
    percentiles: tuple[float, float] = PERCENTILES,
) -> Generator[Progress, None, Prediction]:
    """Like :func:`predict`, tile by tile.

    Yields a :class:`Progress` before the first and after each call of the network, and
    returns the :class:`Prediction`. Closing the generator stops the run.
    """
    if len([spec for spec in model.inputs if not spec.optional]) != 1:
        raise ModelError(
            f"'{model.name}' takes {len(model.inputs)} inputs; running it on an image "
            "needs a model with one."
        )
    feed = plan_feed(model.inputs[0], image, channels, planes)
    if scale is None:
        scale = model.settings.get("scale")
    settings = DetectSettings(scale, overlap, percentiles)
    opened = open_engine(model, engine, device) if isinstance(engine, str) else engine
    try:
        if model.kind in DETECTORS:
            found = DetectRun(model, feed, opened, settings)
            yield from found.steps()
            return _of_windows(found)
        run = _plan_maps(model, feed, opened, tile)
        yield from run.steps()
        return _of_maps(run)
    finally:
        if isinstance(engine, str):
            opened.close()


def _plan_maps(
    model: Model, feed: Feed, engine: Engine, tile: int | Sequence[int] | None
) -> DenseRun:
    shape = geometry(model, feed.space)
    sizes = (tile,) * len(feed.space) if isinstance(tile, int) else tile
    if sizes is not None and len(sizes) != len(feed.space):
        raise ImageError(
            f"Expected a tile size for each of the axes '{feed.space}', found "
            f"{tuple(sizes)}; give one number, or {len(feed.space)}."
        )
    if sizes is not None and min(sizes) < 1:
        raise ImageError(f"Expected tile sizes above 0, found {tuple(sizes)}.")
    tiles = plan_tiles(feed.shape, shape.limits, shape.budget, sizes)
    return DenseRun(model, feed, shape, tiles, engine)


def _of_maps(run: DenseRun) -> Prediction:
    return _result(run, run.geometry.assumed, maps=run.maps)


def _of_windows(run: DetectRun) -> Prediction:
    assumed = run.layout.assumed if run.layout is not None else ()
    windows, layout = tuple(run.windows), run.layout
    return _result(run, assumed, windows=windows, layout=layout)


def _result(
    run: DenseRun | DetectRun, assumed: Sequence[str], **output: Any
) -> Prediction:
    feed = run.feed
    told = run.model.settings.get("assumed")
    told = [str(sentence) for sentence in told] if isinstance(told, list) else []
    return Prediction(
        model=run.model,
        frame=feed.frame,
        space=feed.space,
        engine=run.engine.name,
        device=run.engine.device,
        network_seconds=run.seconds,
        network_calls=run.calls,
        assumed=tuple(dict.fromkeys((*told, *feed.assumed, *assumed, *run.notices))),
        channels=feed.channels,
        image=feed.image,
        key=(run.model.path, feed.image.key, object()),
        **output,
    )
