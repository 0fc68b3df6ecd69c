"""Runs a network that gives maps: tiles in, stitched maps out.

While the network computes one window, the next one is read and prepared and the last
one is put into its place.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from napari_imagec_ai import reach
from napari_imagec_ai.blocks import Blocks
from napari_imagec_ai.engines import Engine
from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.feed import Feed
from napari_imagec_ai.freedom import free_step
from napari_imagec_ai.greyscale import Normalize
from napari_imagec_ai.inputs import Inputs
from napari_imagec_ai.limits import Geometry, declared_halo, geometry
from napari_imagec_ai.model import Model
from napari_imagec_ai.processing import Sample
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.sources import Source, load, make_source
from napari_imagec_ai.stitch import Stitcher
from napari_imagec_ai.tiling import Tile, plan_tiles

Array = NDArray[Any]

_MEMORY = re.compile(r"out of memory|bad alloc|alloc\w* .*memory|memory alloc", re.I)
"""How runtimes say that memory was not enough."""

_NUMBER = re.compile(r"-?\d[\d.e+-]*")

_ENOUGH = 1024
"""Pixels along an axis to measure a network's reach on."""


class DenseRun:
    """One run in progress.

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
    larger_tiles : bool
        Whether to try windows larger than a size that the description fixes.

    Attributes
    ----------
    stitcher : Stitcher
        What came out so far; set when the run begins.
    seconds, calls : float, int
        Time inside the network, and how often it was called.
    measured : tuple of int or None
        The overlap of windows, where it was measured.
    notices : list of str
        Sentences about the image and the tiles.
    """

    stitcher: Stitcher

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        engine: Engine,
        tile: Sequence[int] | None = None,
        halo: Sequence[int] | None = None,
        normalize: Normalize = "as described",
        larger_tiles: bool = True,
    ) -> None:
        self.model, self.inputs, self.engine = model, inputs, engine
        self.feed = inputs.main
        self.seconds, self.calls = 0.0, 0
        self.notices: list[str] = []
        self.measured: tuple[int, ...] | None = None
        self._said: set[str] = set()
        self._wanted, self._halo, self._normalize = tile, halo, normalize
        self._larger, self._free = larger_tiles, 0
        self._geometry: Geometry
        self._tiles: list[Tile] = []

    def steps(self) -> Generator[Progress, None, None]:
        """Run; yields before the first and after each call of the network."""
        yield from self._plan()
        self.stitcher = Stitcher(self.model, self.feed, self._geometry)
        planes = math.prod(len(span) for span in self.feed.ranges)
        total = len(self._tiles) * planes
        yield Progress(0, total, f"{self.engine.name} on {self.engine.device}")
        done = 0
        # One thread for the network: it is busy while this one reads and stitches.
        with ThreadPoolExecutor(1, "imagec-ai network") as network:
            for index, positions in self.feed.planes():
                sources, given = self._sources(positions)
                windows = self._windows(sources)
                running = network.submit(self._run, next(windows))
                for number, tile in enumerate(self._tiles, start=1):
                    following = next(windows, None)
                    results = running.result()
                    if following is not None:
                        running = network.submit(self._run, following)
                    self.stitcher.take(index, tile, results)
                    if number == len(self._tiles):
                        self.stitcher.finish_plane(index, given)
                    done += 1
                    yield Progress(done, total, "tiles")

    def _run(self, windows: Sequence[Array]) -> list[Array]:
        started = time.perf_counter()
        try:
            results = self.engine.run(windows)
        except (EngineError, MemoryError) as error:
            raise self._explained(error, windows[0].shape) from error
        self.seconds += time.perf_counter() - started
        self.calls += 1
        return results

    def _explained(
        self, error: EngineError | MemoryError, shape: tuple[int, ...]
    ) -> EngineError:
        """What a person can do about a network that ran out of memory."""
        text = str(error)
        if isinstance(error, EngineError) and not _MEMORY.search(text):
            return error
        sizes = self._tiles[0].shape
        smaller = ",".join(str(max(16, size // 2)) for size in sizes)
        return EngineError(
            f"The network ran out of memory on a window of {sizes} pixels (inputs "
            f"{shape}); try smaller tiles, such as --tile {smaller}. {text}"
        )

    # -- planning ----------------------------------------------------------------------

    def _plan(self) -> Generator[Progress, None, None]:
        """Choose windows; measures the overlap that they need if nothing says it."""
        space, none = self.feed.space, (0,) * len(self.feed.space)
        halo = (
            self._halo if self._halo is not None else declared_halo(self.model, space)
        )
        self._arrange(halo or none)
        seen = any(grid is not None for grid in self._geometry.grids)
        if not seen and all(output.space for output in self.model.outputs):
            output = self.model.outputs[0]
            raise ModelError(
                f"Output '{output.id}' has the axes '{output.letters}', where a map "
                f"along '{space}' was expected; such networks cannot be run yet."
            )
        if self._larger and self._wanted is None and seen and len(self._tiles) > 1:
            yield Progress(0, 1, "trying larger tiles")
            self._free = free_step(self.model, self.engine, space)
            self._arrange(halo or none)
        if halo is not None or len(self._tiles) == 1 or not seen:
            return
        overlap = reach.known_overlap(self.model, space, self.engine)
        if overlap is None:
            yield Progress(0, 1, "measuring how far the network looks")
            sources, _ = self._sources([span.start for span in self.feed.ranges])
            middle = tuple(map(_middle, self._padded_shape))
            window = Tile(middle, middle, pad=none)
            sample = [_window(source, window) for source in sources]
            overlap = reach.measure_overlap(self.model, space, self.engine, sample)
        self.notices.append(overlap.sentence)
        self.measured = overlap.halo
        if self._wanted is not None:  # small, perhaps, for what the network sees
            room = (max(1, size // 4) for size in self._wanted)
            self.measured = tuple(map(min, overlap.halo, room))
        self._arrange(self.measured)

    def _arrange(self, halo: Sequence[int]) -> None:
        self._geometry = geometry(self.model, self.feed.space, halo, self._free)
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
    ) -> tuple[list[Source | Array], dict[str, Array]]:
        """What to cut windows from, for each input; and the planes, if they fit."""
        planes: dict[str, Sample] = {}
        for part in self.inputs.parts:
            if isinstance(part, Feed):
                there = self.inputs.beside(part, positions)
                planes[part.spec.id], notice = load(part, there, self.feed.many)
                self._say(notice)
        sources: list[Source | Array] = []
        for part in self.inputs.parts:
            if isinstance(part, Feed):
                margin = self._geometry.margin
                source, notice = make_source(part, planes, margin, self._normalize)
                self._say(notice)
                sources.append(source)
            else:
                sources.append(part.to_network())
        whole = {n: p for n, p in planes.items() if not isinstance(p, Blocks)}
        return sources, whole

    def _say(self, sentence: str) -> None:
        """Note a sentence, but not a hundred times with other numbers."""
        words = _NUMBER.sub("", sentence)
        if words and words not in self._said:
            self._said.add(words)
            self.notices.append(sentence)

    def _windows(self, sources: Sequence[Source | Array]) -> Iterator[list[Array]]:
        for tile in self._tiles:
            yield [_window(source, tile) for source in sources]


def _window(source: Source | Array, tile: Tile) -> Array:
    return source.window(tile) if isinstance(source, Source) else source


def _middle(length: int) -> slice:
    """Enough of an axis to measure on."""
    start = max(0, (length - _ENOUGH) // 2)
    return slice(start, min(start + _ENOUGH, length))
