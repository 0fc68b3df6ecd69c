"""Runs a network that gives maps: tiles in, stitched maps out."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai import processing, reach
from napari_imagec_ai.engines import Engine
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.feed import Feed, clean, from_network
from napari_imagec_ai.greyscale import Normalize, doubt, normalizing
from napari_imagec_ai.inputs import Inputs
from napari_imagec_ai.limits import Geometry, declared_halo, geometry
from napari_imagec_ai.model import Model, Step, TensorSpec
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.resample import resample
from napari_imagec_ai.seams import continued
from napari_imagec_ai.tiling import Grid, Tile, pad_window, place, plan_tiles

Array = NDArray[Any]

_ENOUGH = 1024
"""Pixels along an axis to measure a network's reach on."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One input's plane, and what makes a window of it ready for the network."""

    feed: Feed
    plane: Array
    prepare: processing.Transform

    def window(self, tile: Tile) -> Array:
        part = self.plane[(slice(None), *tile.window)]
        part = pad_window(part, range(1, part.ndim), tile.pad)
        return self.feed.to_network(self.prepare(part))


class DenseRun:
    """One run in progress: its canvases and clocks.

    Parameters
    ----------
    model : Model
        Which network.
    inputs : Inputs
        What to feed.
    engine : Engine
        The opened network.
    tile : sequence of int, optional
        Window size along each space axis; chosen by default.
    halo : sequence of int, optional
        Overlap at each side of a window, instead of the description's.
    normalize : Normalize
        What to do with grey values first.

    Attributes
    ----------
    maps : dict of str to array
        For each output that is a map, float32 with the axes planes, channel, space.
    vectors : dict of str to array
        For each output without space axes, float32 with the axes planes, channel: the
        mean over the tiles.
    seconds, calls : float, int
        Time inside the network, and how often it was called.
    notices : list of str
        Sentences about the image and the tiles.
    """

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        engine: Engine,
        tile: Sequence[int] | None = None,
        halo: Sequence[int] | None = None,
        normalize: Normalize = "as described",
    ) -> None:
        self.model, self.inputs, self.engine = model, inputs, engine
        self.feed = inputs.main
        self.maps: dict[str, Array] = {}
        self.vectors: dict[str, Array] = {}
        self.seconds, self.calls = 0.0, 0
        self.notices: list[str] = []
        self._wanted, self._halo, self._normalize = tile, halo, normalize
        self._canvases: dict[str, Array] = {}
        self._highest: dict[str, int] = {}
        self._geometry: Geometry
        self._tiles: list[Tile] = []

    def steps(self) -> Generator[Progress, None, None]:
        """Run; yields before the first and after each call of the network."""
        yield from self._plan()
        planes = math.prod(len(span) for span in self.feed.ranges)
        total = len(self._tiles) * planes
        yield Progress(0, total, f"{self.engine.name} on {self.engine.device}")
        for index, positions in self.feed.planes():
            sources, given = self._sources(positions)
            for tile in self._tiles:
                self._run(index, tile, self._windows(sources, tile))
                yield Progress(self.calls, total, "tiles")
            self._finish_plane(index, given)

    # -- planning ----------------------------------------------------------------------

    def _plan(self) -> Generator[Progress, None, None]:
        """Choose windows; measures the overlap that they need if nothing says it."""
        space, none = self.feed.space, (0,) * len(self.feed.space)
        halo = (
            self._halo if self._halo is not None else declared_halo(self.model, space)
        )
        self._arrange(halo or none)
        seen = any(grid is not None for grid in self._geometry.grids)
        if halo is not None or len(self._tiles) == 1 or not seen:
            return
        overlap = reach.known_overlap(self.model, space, self.engine)
        if overlap is None:
            yield Progress(0, 1, "measuring how far the network looks")
            sources, _ = self._sources([span.start for span in self.feed.ranges])
            middle = tuple(map(_middle, self._padded_shape))
            sample = self._windows(sources, Tile(middle, middle, pad=none))
            overlap = reach.measure_overlap(self.model, space, self.engine, sample)
        self.notices.append(overlap.sentence)
        self._arrange(overlap.halo)

    def _arrange(self, halo: Sequence[int]) -> None:
        self._geometry = geometry(self.model, self.feed.space, halo)
        shape = self._geometry
        self._tiles = plan_tiles(
            self._padded_shape, shape.limits, shape.budget, self._wanted
        )

    @property
    def _padded_shape(self) -> tuple[int, ...]:
        sizes = zip(self.feed.scaled_shape, self._geometry.margin, strict=True)
        return tuple(size + 2 * margin for size, margin in sizes)

    # -- inputs ------------------------------------------------------------------------

    def _sources(
        self, positions: Sequence[int]
    ) -> tuple[list[_Source | Array], dict[str, Array]]:
        """What to cut windows from, for each input; and the planes as they were."""
        planes = {}
        for part in self.inputs.parts:
            if isinstance(part, Feed):
                planes[part.spec.id] = self._read(part, positions)
        sources: list[_Source | Array] = []
        for part in self.inputs.parts:
            if isinstance(part, Feed):
                sources.append(self._source(part, planes))
            else:
                sources.append(part.to_network())
        return sources, planes

    def _read(self, feed: Feed, positions: Sequence[int]) -> Array:
        plane = feed.read(self.inputs.beside(feed, positions))
        plane, notice = clean(plane, feed.image.name, self.feed.many)
        if notice:
            self.notices.append(notice)
        return resample(plane, feed.scaled_shape)

    def _source(self, feed: Feed, planes: Mapping[str, Array]) -> _Source:
        plane = planes[feed.spec.id]
        dtype = feed.image.data.dtype
        steps = (*normalizing(self._normalize, feed.spec, dtype), *feed.spec.steps)
        if self._normalize == "as described":
            self.notices.append(doubt(feed.spec, plane))
        prepare = processing.prepare(steps, plane, feed.letters, planes)
        if any(processing.varies(step, feed.letters) for step in steps):
            plane, prepare = prepare(plane), processing.prepare((), plane, "")
        margin = self._geometry.margin
        if any(margin):
            widths = [(0, 0), *((pixels, pixels) for pixels in margin)]
            plane = np.pad(plane, widths, mode="symmetric")
        return _Source(feed, plane, prepare)

    def _windows(self, sources: Sequence[_Source | Array], tile: Tile) -> list[Array]:
        return [
            source.window(tile) if isinstance(source, _Source) else source
            for source in sources
        ]

    # -- outputs -----------------------------------------------------------------------

    def _run(self, index: tuple[int, ...], tile: Tile, windows: list[Array]) -> None:
        started = time.perf_counter()
        results = self.engine.run(windows)
        self.seconds += time.perf_counter() - started
        self.calls += 1
        outputs = self.model.outputs
        if len(results) < len(outputs):
            raise EngineError(
                f"The network gave {len(results)} outputs, but the description has "
                f"{len(outputs)}; the description and the weights disagree."
            )
        for spec, grid, array in zip(
            outputs, self._geometry.grids, results, strict=False
        ):
            if grid is not None:
                self._take_map(index, tile, spec, grid, array)
            elif not spec.space:
                self._take_vector(index, tile, spec, array)

    def _take_map(
        self,
        index: tuple[int, ...],
        tile: Tile,
        spec: TensorSpec,
        grid: Grid,
        array: Array,
    ) -> None:
        array = from_network(array, spec, self.feed.space)
        shape = tuple(
            part.stop - part.start + pad
            for part, pad in zip(tile.window, tile.pad, strict=True)
        )
        expected = grid.size(shape)
        if array.shape[1:] != expected:
            raise EngineError(
                f"Output '{spec.id}' has {array.shape[1:]} pixels for a window of "
                f"{shape}, but the description says {expected}; correct the output's "
                "size in the description."
            )
        local, _ = _split_steps(spec)
        array = processing.prepare(local, array, self.feed.letters)(array)
        canvas = self._canvas(index, spec.id, len(array), grid)
        axes = range(1, array.ndim)
        if self.model.kind == "labels" and array.shape[1:] == shape:
            before = np.zeros_like(array)
            there = canvas[(slice(None), *tile.window)]
            before[tuple(slice(0, size) for size in there.shape)] = there
            highest = self._highest.get(spec.id, 0)
            array, self._highest[spec.id] = continued(before, array, highest)
        place(canvas, array, tile, axes, grid, self._geometry.margin)

    def _canvas(
        self, index: tuple[int, ...], name: str, channels: int, grid: Grid
    ) -> Array:
        """Where this plane's map is stitched, at the network's resolution."""
        if name not in self.maps:
            planes = tuple(len(span) for span in self.feed.ranges)
            size = _times(self.feed.shape, grid.factors)
            self.maps[name] = np.zeros((*planes, channels, *size), np.float32)
        if self.feed.scaled_shape == self.feed.shape:
            canvas: Array = self.maps[name][index]
            return canvas
        if name not in self._canvases:
            size = _times(self.feed.scaled_shape, grid.factors)
            self._canvases[name] = np.zeros((channels, *size), np.float32)
        return self._canvases[name]

    def _take_vector(
        self, index: tuple[int, ...], tile: Tile, spec: TensorSpec, array: Array
    ) -> None:
        count = spec.channels
        if count is not None and array.size != count:
            raise EngineError(
                f"Output '{spec.id}' has {array.size} numbers, but the description "
                f"says {count}; correct the output's size in the description."
            )
        if array.ndim == len(spec.axes):
            array = processing.prepare(spec.steps, array, spec.letters)(array)
        if spec.id not in self.vectors:
            planes = tuple(len(span) for span in self.feed.ranges)
            self.vectors[spec.id] = np.zeros((*planes, array.size), np.float32)
        share = math.prod(part.stop - part.start for part in tile.core)
        weight = share / math.prod(self._padded_shape)
        self.vectors[spec.id][index] += np.asarray(array, np.float32).ravel() * weight

    def _finish_plane(
        self, index: tuple[int, ...], inputs: Mapping[str, Array]
    ) -> None:
        letters = self.feed.letters
        for spec in self.model.outputs:
            if spec.id not in self.maps:
                continue
            canvas = self._canvases.pop(spec.id, self.maps[spec.id][index])
            _, whole = _split_steps(spec)
            if whole:
                canvas[...] = processing.prepare(whole, canvas, letters, inputs)(canvas)
            target = self.maps[spec.id][index]
            if canvas.shape != target.shape:
                ids = self.model.kind == "labels"
                target[...] = resample(canvas, target.shape[1:], labels=ids)


def _middle(length: int) -> slice:
    """Enough of an axis to measure on."""
    start = max(0, (length - _ENOUGH) // 2)
    return slice(start, min(start + _ENOUGH, length))


def _times(shape: Sequence[int], factors: Sequence[float]) -> tuple[int, ...]:
    sizes = zip(shape, factors, strict=True)
    return tuple(max(1, round(size * factor)) for size, factor in sizes)


def _split_steps(spec: TensorSpec) -> tuple[list[Step], list[Step]]:
    """Postprocessing that a tile can do, and what needs the whole map.

    Binarisation is left out: it is a threshold, and that is the person's to move.
    """
    steps = [step for step in spec.steps if step.id != "binarize"]
    first = next(
        (i for i, step in enumerate(steps) if processing.measures(step)), len(steps)
    )
    return steps[:first], steps[first:]
