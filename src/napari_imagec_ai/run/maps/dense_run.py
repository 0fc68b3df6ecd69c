"""Runs a network that gives maps: tiles in, stitched maps out.

While the network computes one window, the next one is read and prepared and the last
one is put into its place.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.faults import is_memory
from napari_imagec_ai.engines.timed_calls import Calls, called
from napari_imagec_ai.errors import EngineDied, EngineError, ModelError, OutOfMemory
from napari_imagec_ai.image.blocks import Blocks
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.steps.fit import Sample
from napari_imagec_ai.run.failures import Failures
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.feed.inputs import Inputs
from napari_imagec_ai.run.maps import batches
from napari_imagec_ai.run.maps.find_halo import known_halo, measure_halo
from napari_imagec_ai.run.maps.larger_windows import free_step
from napari_imagec_ai.run.maps.smaller_windows import Job, covered, halved
from napari_imagec_ai.run.maps.sources import Source, load, make_source, varies_by_place
from napari_imagec_ai.run.maps.stitch import Stitcher
from napari_imagec_ai.run.settings import Normalize, RunSettings
from napari_imagec_ai.run.tiles.blending import LEAST, Blend
from napari_imagec_ai.run.tiles.tiling import Tile, other_than_asked, plan_tiles
from napari_imagec_ai.run.tiles.window_limits import (
    Geometry,
    check_window,
    declared_halo,
    geometry,
)
from napari_imagec_ai.system.progress import Progress

Array = NDArray[Any]

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
    settings : RunSettings
        How it is run.
    batch : int, optional
        Windows in one call; by default several on a GPU, where the network takes them.

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
        settings: RunSettings,
        batch: int | None = None,
    ) -> None:
        self.model, self.inputs, self.engine = model, inputs, engine
        self.feed = inputs.main
        self.seconds, self.calls = 0.0, 0
        self.notices: list[str] = []
        self.measured: tuple[int, ...] | None = None
        self._said: set[str] = set()
        self.settings = settings
        self._wanted = settings.windows(self.feed.space)
        self._halo = settings.halo_along(self.feed.space)
        self._free = 0
        self._geometry: Geometry
        self._tiles: list[Tile] = []
        self._shrunk: tuple[int, ...] | None = None
        self._batch = batch or batches.usual(model, engine)
        self._done, self._left = 0, 0
        self._failures = Failures()
        self._refused: EngineError | None = None

    def steps(self) -> Generator[Progress, None, None]:
        """Run; yields before the first and after each call of the network."""
        yield from self._plan()
        used = self._tiles[0].shape
        self._say(other_than_asked(self._wanted, used, self._padded_shape))
        self.stitcher = self._canvases()
        planes = math.prod(len(span) for span in self.feed.ranges)
        self._left = len(self._tiles) * planes
        yield self._progress(f"{self.engine.name} on {self.engine.device}")
        # One thread for the network: it is busy while this one reads and stitches.
        with Calls(self.engine) as calls:
            for index, positions in self._planes():
                sources, given = self._sources(positions)
                jobs = self._jobs(self._tiles)
                self._left += len(jobs) - len(self._tiles)
                empty: list[Tile] = []
                while jobs:
                    try:
                        yield from self._through(calls, index, sources, jobs)
                    except OutOfMemory as error:
                        jobs = self._retreat(jobs, error)
                    except EngineDied:
                        raise
                    except EngineError as error:
                        if self._batch > 1:
                            self._batch = 1  # many networks are made for one window
                        elif error is not self._refused:
                            raise
                        else:
                            empty += self._left_out(jobs.pop(0), error)
                self.stitcher.leave_empty(index, empty)
                self.stitcher.finish_plane(index, given)
                yield self._progress("tiles")
        self.notices += self._failures.sentences()

    def _left_out(self, job: Job, error: EngineError) -> Job:
        """Tiles of a window that the network failed on, which is noted."""
        spans, margin = job[0].window, self._geometry.margin
        first = tuple(s.start - m for s, m in zip(spans, margin, strict=True))
        size = tuple(part.stop - part.start for part in spans)
        self._failures.add(error, [(first, size)])
        self._left -= 1
        return job

    def _through(
        self,
        calls: Calls,
        index: tuple[int, ...],
        sources: Sequence[Source | Array],
        jobs: list[Job],
    ) -> Generator[Progress, None, None]:
        """Run windows of a plane; those that are done leave the list."""
        many = self._batch
        running = calls.start(self._run, self._windows(sources, jobs[:many]))
        while jobs:
            group, following = jobs[:many], jobs[many : 2 * many]
            ready = self._windows(sources, following) if following else []
            results = yield from calls.wait(running, self._progress("tiles"))
            if following:
                running = calls.start(self._run, ready)
            for job, result in zip(group, results, strict=True):
                for tile in job:
                    self.stitcher.take(index, tile, result)
            del jobs[:many]
            self._done += len(group)
            self._left -= len(group)
            if jobs:  # else the plane is to be finished first
                yield self._progress("tiles")

    def _progress(self, message: str) -> Progress:
        return Progress(self._done, self._done + self._left, message)

    def _planes(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Each plane to run: its index in the result, its position in the image."""
        yield from self.feed.planes()

    def _canvases(self) -> Stitcher:
        """What takes the results."""
        blend = None
        if self.settings.seams == "blend" and len(self._tiles) > 1:
            blend = Blend(self._tiles)
        stitcher = Stitcher(
            self.model, self.feed, self._geometry, self.settings.memory, blend
        )
        stitcher.check_room()
        check_window(self.model, self._sizes, self.settings.memory)
        return stitcher

    def _run(self, windows: Sequence[list[Array]]) -> list[list[Array]]:
        """What the network gives for some windows, in one call."""
        started = time.perf_counter()
        try:
            results = self.engine.run(batches.joined(self.model, windows))
        except EngineDied as error:
            said = f"{error} Windows have {_by(self._sizes)} pixels."
            raise EngineDied(said) from error
        except (EngineError, MemoryError) as error:
            if isinstance(error, MemoryError) or is_memory(str(error)):
                raise OutOfMemory(str(error)) from error
            self._refused = error
            raise
        self.seconds += time.perf_counter() - started
        self.calls += 1
        self._failures.succeeded = True
        return batches.taken_apart(self.model, results, len(windows))

    # -- memory ------------------------------------------------------------------------

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Of the windows, as they are now."""
        return self._shrunk or self._tiles[0].shape

    def _jobs(self, tiles: Sequence[Tile]) -> list[Job]:
        """The calls of the network for some tiles."""
        if self._shrunk is None:
            return [(tile,) for tile in tiles]
        found = covered(tiles, self._padded_shape, self._geometry, self._shrunk)
        return found or []

    def _retreat(self, jobs: Sequence[Job], error: OutOfMemory) -> list[Job]:
        """Less at once for the windows that are left, where the network allows it.

        Raises
        ------
        EngineError
            If it does not.
        """
        if self._batch > 1:
            self._batch = max(1, self._batch // 2)
            return list(jobs)
        sizes = self._sizes
        smaller = halved(sizes, self._geometry.limits)
        left = [tile for job in jobs for tile in job]
        if smaller is None or self.settings.seams == "blend":
            raise self._no_way_out(smaller or sizes, error) from error
        made = covered(left, self._padded_shape, self._geometry, smaller)
        if made is None:
            raise self._no_way_out(sizes, error) from error
        self._shrunk = smaller
        self._left += len(made) - len(jobs)
        self._say(
            f"The memory was not enough for windows of {_by(sizes)} pixels; from there "
            f"on they had {_by(smaller)}."
        )
        return made

    def _no_way_out(self, sizes: Sequence[int], error: OutOfMemory) -> EngineError:
        """What a person can do about a network that ran out of memory."""
        # Windows that the run began with and that are the smallest are no advice.
        other = self._shrunk is not None or tuple(sizes) != tuple(self._sizes)
        tile = f"--tile {','.join(map(str, sizes))}, or " if other else ""
        return EngineError(
            f"The network ran out of memory on windows of {_by(self._sizes)} pixels, "
            "and none that are smaller could be taken instead; close other programs, "
            f"and try {tile}another engine or device. "
            f"{error}"
        )

    # -- planning ----------------------------------------------------------------------

    def _plan(self) -> Generator[Progress, None, None]:
        """Choose windows and their halo: as told, as described, or as measured."""
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
        if (
            self.settings.larger_tiles
            and self._wanted is None
            and seen
            and len(self._tiles) > 1
        ):
            self._free = yield from called(
                self.engine,
                Progress(0, 1, "trying larger tiles"),
                free_step,
                *(self.model, self.engine, space),
            )
            self._arrange(halo or none)
        if halo is not None or len(self._tiles) == 1 or not seen:
            return
        found = known_halo(self.model, space, self.engine)
        if found is None:
            sources, _ = self._sources([span.start for span in self.feed.ranges])
            middle = tuple(map(_middle, self._padded_shape))
            window = Tile(middle, middle, pad=none)
            sample = [_window(source, window) for source in sources]
            found = yield from called(
                self.engine,
                Progress(0, 1, "measuring how far the network looks"),
                measure_halo,
                *(self.model, space, self.engine, sample),
            )
        self.notices.append(found.sentence)
        self.measured = found.sizes
        if self._wanted is not None:  # small, perhaps, for what the network sees
            room = (max(1, size // 4) for size in self._wanted)
            self.measured = tuple(map(min, found.sizes, room))
        self._arrange(self.measured)

    def _arrange(self, halo: Sequence[int]) -> None:
        space = self.feed.space
        if self.settings.seams == "blend":
            least, room = LEAST.get(len(space), 8), self._wanted or halo
            halo = [
                max(rim, min(least, size // 4 if self._wanted else least))
                for rim, size in zip(halo, room, strict=True)
            ]
        self._geometry = geometry(
            self.model, space, halo, self._free, self.settings.memory
        )
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
        steps = (step for spec in self.model.outputs for step in spec.steps)
        refers = any("reference_tensor" in step.kwargs for step in steps)
        for part in self.inputs.parts:
            if isinstance(part, Feed):
                there = self.inputs.beside(part, positions)
                piece = refers or varies_by_place(part, self._normalize)
                planes[part.spec.id], notice = load(part, there, self.feed.many, piece)
                self._say(notice)
        sources: list[Source | Array] = []
        for part in self.inputs.parts:
            if isinstance(part, Feed):
                margin = self._geometry.margin
                source, notice = make_source(
                    part, planes, margin, self._normalize, self._asked(part)
                )
                self._say(notice)
                sources.append(source)
            else:
                sources.append(part.to_network())
        whole = {n: p for n, p in planes.items() if not isinstance(p, Blocks)}
        return sources, whole

    @property
    def _normalize(self) -> Normalize:
        """What to do with grey values first: as asked for, else as the model says."""
        asked = self.settings.normalize
        own = asked == "as described" and self.model.settings.get("normalize")
        return "type" if own == "type" else asked

    def _asked(self, part: Feed) -> str:
        """Type of numbers that an input takes, where the weights tell it."""
        dtypes = self.engine.dtypes
        at = [spec.id for spec in self.model.inputs].index(part.spec.id)
        return dtypes[at] if at < len(dtypes) else "float32"

    def _say(self, sentence: str) -> None:
        """Note a sentence, but not a hundred times with other numbers."""
        words = _NUMBER.sub("", sentence)
        if words and words not in self._said:
            self._said.add(words)
            self.notices.append(sentence)

    def _windows(
        self, sources: Sequence[Source | Array], jobs: Sequence[Job]
    ) -> list[list[Array]]:
        """For each call that is to be one of a batch, each input."""
        return [[_window(source, job[0]) for source in sources] for job in jobs]


def _window(source: Source | Array, tile: Tile) -> Array:
    return source.window(tile) if isinstance(source, Source) else source


def _middle(length: int) -> slice:
    """Enough of an axis to measure on."""
    start = max(0, (length - _ENOUGH) // 2)
    return slice(start, min(start + _ENOUGH, length))


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
