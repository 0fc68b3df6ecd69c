"""Runs a network over an image, once, and keeps what it said.

A :class:`Prediction` holds the raw output, stitched from tiles; no threshold has
touched it. Everything that a person tunes afterwards starts from it.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai import files, processing
from napari_imagec_ai.engines import Engine, open_engine
from napari_imagec_ai.errors import EngineError, ImageError, ModelError
from napari_imagec_ai.feed import Feed, Planes, clean, from_network, plan_feed
from napari_imagec_ai.image import Frame, ImageInput
from napari_imagec_ai.limits import Geometry, geometry
from napari_imagec_ai.model import Model, Step, TensorSpec
from napari_imagec_ai.rdf import parse_rdf
from napari_imagec_ai.tiling import Tile, pad_window, place, plan_tiles

Array = NDArray[Any]

_FORMAT = 1
"""Version of the saved file's layout."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: network calls done and to do, and a word on what it does."""

    done: int
    total: int
    message: str


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
    image : ImageInput or None
        The pixels, for intensities; None after loading from a file.
    """

    model: Model
    frame: Frame
    space: str
    maps: Mapping[str, NDArray[np.float32]]
    engine: str
    device: str
    network_seconds: float
    network_calls: int
    assumed: tuple[str, ...] = ()
    channels: tuple[int, ...] = (0,)
    image: ImageInput | None = None
    key: object = field(default_factory=object)

    @property
    def planes(self) -> tuple[int, ...]:
        """Sizes of the plane axes; empty for a single plane or volume."""
        return self.frame.shape[: len(self.frame.shape) - len(self.space)]

    def save(self, path: str | Path) -> None:
        """Write everything but the image's pixels into one file (a zip of arrays)."""
        meta = {
            "format": _FORMAT,
            "rdf": self.model.path.name,
            "folder": self.model.folder.name,
            "frame": asdict(self.frame),
            "space": self.space,
            "outputs": list(self.maps),
            "engine": self.engine,
            "device": self.device,
            "network_seconds": self.network_seconds,
            "network_calls": self.network_calls,
            "assumed": list(self.assumed),
            "channels": list(self.channels),
        }

        def write(temporary: Path) -> None:
            arrays = {f"map{i}": m for i, m in enumerate(self.maps.values())}
            rdf = np.frombuffer(self.model.source, np.uint8)
            text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
            with temporary.open("wb") as stream:
                np.savez(stream, allow_pickle=False, meta=text, rdf=rdf, **arrays)

        files.replace_whole(Path(path), write)

    @classmethod
    def load(cls, path: str | Path) -> Prediction:
        """Read a file that :meth:`save` wrote.

        Raises
        ------
        ImagecAIError
            If it is no such file, or one of a later version.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as stored:
                meta = json.loads(stored["meta"].tobytes())
                rdf = stored["rdf"].tobytes()
                maps = {
                    name: stored[f"map{i}"] for i, name in enumerate(meta["outputs"])
                }
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,  # an array alone
            EOFError,
            zipfile.BadZipFile,
        ) as error:
            raise ImageError(
                f"'{path}' is not a saved prediction ({error}); give a file that "
                "'imagec-ai predict --save-prediction' wrote."
            ) from error
        if meta["format"] > _FORMAT:
            raise ImageError(
                f"'{path.name}' was written by a later version (layout "
                f"{meta['format']}, known is {_FORMAT}); update napari-imagec-ai."
            )
        frame = meta["frame"]
        for name in ("shape", "pixel_size", "origin"):
            frame[name] = tuple(frame[name])
        return cls(
            model=parse_rdf(rdf, path.parent / meta["folder"] / meta["rdf"]),
            frame=Frame(**frame),
            space=meta["space"],
            maps=maps,
            engine=meta["engine"],
            device=meta["device"],
            network_seconds=meta["network_seconds"],
            network_calls=meta["network_calls"],
            assumed=tuple(meta["assumed"]),
            channels=tuple(meta["channels"]),
        )


def predict(
    model: Model,
    image: ImageInput,
    *,
    engine: str | Engine = "auto",
    device: str = "auto",
    tile: int | Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    planes: Planes | None = None,
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
    shape = geometry(model, feed.space)
    sizes = (tile,) * len(feed.space) if isinstance(tile, int) else tile
    if sizes is not None and len(sizes) != len(feed.space):
        raise ImageError(
            f"Expected a tile size for each of the axes '{feed.space}', found "
            f"{tuple(sizes)}; give one number, or {len(feed.space)}."
        )
    tiles = plan_tiles(feed.shape, shape.limits, shape.budget, sizes)
    opened = open_engine(model, engine, device) if isinstance(engine, str) else engine
    try:
        run = _Run(model, feed, shape, tiles, opened)
        yield from run.steps()
    finally:
        if isinstance(engine, str):
            opened.close()
    return run.result()


class _Run:
    """One run in progress: its canvases and clocks."""

    def __init__(
        self,
        model: Model,
        feed: Feed,
        shape: Geometry,
        tiles: Sequence[Tile],
        engine: Engine,
    ) -> None:
        self.model, self.feed, self.geometry = model, feed, shape
        self.tiles, self.engine = tiles, engine
        self.maps: dict[str, Array] = {}
        self.seconds, self.calls = 0.0, 0
        self.notices: list[str] = []

    def steps(self) -> Generator[Progress, None, None]:
        spans = self.feed.ranges
        total = len(self.tiles) * int(np.prod([len(span) for span in spans]))
        yield Progress(0, total, f"{self.engine.name} on {self.engine.device}")
        for index, positions in self.feed.planes():
            plane, notice = clean(self.feed.read(positions), self.feed.image.name)
            if notice:
                self.notices.append(notice)
            spec = self.model.inputs[0]
            prepare = processing.prepare(spec.steps, plane, self.feed.letters)
            source = plane
            if any(processing.varies(step, self.feed.letters) for step in spec.steps):
                source, prepare = prepare(plane), processing.prepare((), plane, "")
            for tile in self.tiles:
                self._tile(index, tile, prepare(self._window(source, tile)))
                yield Progress(self.calls, total, "tiles")
            self._finish_plane(index, {spec.id: plane})

    def _window(self, plane: Array, tile: Tile) -> Array:
        window = plane[(slice(None), *tile.window)]
        return pad_window(window, range(1, plane.ndim), tile.pad)

    def _tile(self, index: tuple[int, ...], tile: Tile, window: Array) -> None:
        started = time.perf_counter()
        results = self.engine.run([self.feed.to_network(window)])
        self.seconds += time.perf_counter() - started
        self.calls += 1
        if len(results) < len(self.model.outputs):
            raise EngineError(
                f"The network gave {len(results)} outputs, but the description has "
                f"{len(self.model.outputs)}; the description and the weights disagree."
            )
        axes = range(1, window.ndim)
        for spec, factors in zip(
            self.model.outputs, self.geometry.factors, strict=True
        ):
            if factors is None:
                continue
            array = from_network(
                results[self.model.outputs.index(spec)], spec, self.feed.space
            )
            array = self._checked(array, spec, window.shape[1:], factors)
            local, _ = _split_steps(spec)
            array = processing.prepare(local, array, self.feed.letters)(array)
            canvas = self._canvas(spec.id, array, factors)
            place(canvas[index], array, tile, axes, factors)

    def _checked(
        self, array: Array, spec: TensorSpec, window: Sequence[int], factors: Any
    ) -> Array:
        expected = tuple(
            round(size * factor) for size, factor in zip(window, factors, strict=True)
        )
        if array.shape[1:] != expected:
            raise EngineError(
                f"Output '{spec.id}' has {array.shape[1:]} pixels for a window of "
                f"{tuple(window)}, but the description says {expected}; correct the "
                "output's size in the description."
            )
        return array

    def _canvas(self, name: str, array: Array, factors: Any) -> Array:
        if name not in self.maps:
            planes = tuple(len(span) for span in self.feed.ranges)
            size = tuple(
                round(length * factor)
                for length, factor in zip(self.feed.shape, factors, strict=True)
            )
            self.maps[name] = np.zeros((*planes, array.shape[0], *size), np.float32)
        return self.maps[name]

    def _finish_plane(
        self, index: tuple[int, ...], inputs: Mapping[str, Array]
    ) -> None:
        for spec in self.model.outputs:
            _, whole = _split_steps(spec)
            if whole and spec.id in self.maps:
                plane = self.maps[spec.id][index]
                letters = self.feed.letters
                plane[...] = processing.prepare(whole, plane, letters, inputs)(plane)

    def result(self) -> Prediction:
        image = self.feed.image
        assumed = (
            *self.feed.assumed,
            *self.geometry.assumed,
            *dict.fromkeys(self.notices),
        )
        return Prediction(
            model=self.model,
            frame=self.feed.frame,
            space=self.feed.space,
            maps=self.maps,
            engine=self.engine.name,
            device=self.engine.device,
            network_seconds=self.seconds,
            network_calls=self.calls,
            assumed=assumed,
            channels=self.feed.channels,
            image=image,
            key=(self.model.path, image.key, self.feed.channels, self.feed.ranges),
        )


def _split_steps(
    spec: TensorSpec,
) -> tuple[list[Step], list[Step]]:
    """Postprocessing that a tile can do, and what needs the whole map.

    Binarisation is left out: it is a threshold, and that is the person's to move.
    """
    steps = [step for step in spec.steps if step.id != "binarize"]
    first = next(
        (i for i, step in enumerate(steps) if processing.measures(step)), len(steps)
    )
    return steps[:first], steps[first:]
