"""Runs a network that gives maps: tiles in, stitched maps out."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai import processing
from napari_imagec_ai.engines import Engine
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.feed import Feed, clean, from_network
from napari_imagec_ai.limits import Geometry
from napari_imagec_ai.model import Model, Step, TensorSpec
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.tiling import Tile, pad_window, place

Array = NDArray[Any]


class DenseRun:
    """One run in progress: its canvases and clocks.

    Attributes
    ----------
    maps : dict of str to array
        For each output that is a map, float32 with the axes planes, channel, space.
    seconds, calls : float, int
        Time inside the network, and how often it was called.
    notices : list of str
        Sentences about the image.
    """

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
        """Run; yields before the first and after each call of the network."""
        spans = self.feed.ranges
        total = len(self.tiles) * int(np.prod([len(span) for span in spans]))
        yield Progress(0, total, f"{self.engine.name} on {self.engine.device}")
        for index, positions in self.feed.planes():
            plane, notice = clean(
                self.feed.read(positions), self.feed.image.name, self.feed.many
            )
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
