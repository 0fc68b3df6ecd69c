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
from napari_imagec_ai.engines.timed_calls import Calls
from napari_imagec_ai.errors import EngineDied, EngineError, OutOfMemory
from napari_imagec_ai.image.blocks import Blocks
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.steps.fit import Sample
from napari_imagec_ai.run.failures import Failures
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.feed.inputs import Inputs
from napari_imagec_ai.run.maps import batches
from napari_imagec_ai.run.maps.choose_tiles import Tiling
from napari_imagec_ai.run.maps.smaller_windows import Job, covered, halved
from napari_imagec_ai.run.maps.sources import (
    WindowSource,
    load,
    make_source,
    varies_by_place,
    window_of,
)
from napari_imagec_ai.run.maps.stitch import Stitcher
from napari_imagec_ai.run.settings import Normalize, RunSettings
from napari_imagec_ai.run.tiles.blending import Blend
from napari_imagec_ai.run.tiles.tiling import Tile
from napari_imagec_ai.run.tiles.window_limits import check_window
from napari_imagec_ai.system.progress import Progress

Array = NDArray[Any]

_NUMBER = re.compile(r"-?\d[\d.e+-]*")


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
        Windows in one call; by default several small ones on a GPU, where the network
        takes them.

    Attributes
    ----------
    stitcher : Stitcher
        What came out so far; set when the run begins.
    seconds, calls : float, int
        Time inside the network, and how often it was called.
    tiling : Tiling
        What tiles of a plane go through the network; chosen when the run begins.
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
        self._said: set[str] = set()
        self.settings = settings
        self.tiling = Tiling(model, self.feed, engine, settings)
        self._shrunk: tuple[int, ...] | None = None
        self._asked_batch, self._batch = batch, 1
        self._done, self._left = 0, 0
        self._failures = Failures()
        self._refused: EngineError | None = None

    def steps(self) -> Generator[Progress, None, None]:
        """Run; yields before the first and after each call of the network."""
        yield from self._choose_tiles()
        self._say(self.tiling.other_than_asked)
        pixels = math.prod(self._sizes)
        usual = batches.usual(self.model, self.engine, pixels)
        self._batch = self._asked_batch or usual
        self.stitcher = self._canvases()
        planes = math.prod(len(span) for span in self.feed.ranges)
        self._left = len(self.tiling.tiles) * planes
        yield self._progress(f"{self.engine.name} on {self.engine.device}")
        # One thread for the network: it is busy while this one reads and stitches.
        with Calls(self.engine) as calls:
            for index, positions in self._planes():
                sources, given = self._sources(positions)
                jobs = self._jobs(self.tiling.tiles)
                self._left += len(jobs) - len(self.tiling.tiles)
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

    def _choose_tiles(self) -> Generator[Progress, None, None]:
        said = yield from self.tiling.choose(lambda at: self._sources(at)[0])
        self.notices += said

    def _left_out(self, job: Job, error: EngineError) -> Job:
        """Tiles of a window that the network failed on, which is noted."""
        spans, margin = job[0].window, self.tiling.geometry.margin
        first = tuple(s.start - m for s, m in zip(spans, margin, strict=True))
        size = tuple(part.stop - part.start for part in spans)
        self._failures.add(error, [(first, size)])
        self._left -= 1
        return job

    def _through(
        self,
        calls: Calls,
        index: tuple[int, ...],
        sources: Sequence[WindowSource | Array],
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
        if self.settings.seams == "blend" and len(self.tiling.tiles) > 1:
            blend = Blend(self.tiling.tiles)
        stitcher = Stitcher(
            self.model, self.feed, self.tiling.geometry, self.settings.memory, blend
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
        return self._shrunk or self.tiling.tiles[0].shape

    def _jobs(self, tiles: Sequence[Tile]) -> list[Job]:
        """The calls of the network for some tiles."""
        if self._shrunk is None:
            return [(tile,) for tile in tiles]
        found = covered(
            tiles, self.tiling.padded_shape, self.tiling.geometry, self._shrunk
        )
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
        smaller = halved(sizes, self.tiling.geometry.limits)
        left = [tile for job in jobs for tile in job]
        if smaller is None or self.settings.seams == "blend":
            raise self._no_way_out(smaller or sizes, error) from error
        made = covered(left, self.tiling.padded_shape, self.tiling.geometry, smaller)
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

    # -- inputs ------------------------------------------------------------------------

    def _sources(
        self, positions: Sequence[int]
    ) -> tuple[list[WindowSource | Array], dict[str, Array]]:
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
        sources: list[WindowSource | Array] = []
        for part in self.inputs.parts:
            if isinstance(part, Feed):
                margin = self.tiling.geometry.margin
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
        self, sources: Sequence[WindowSource | Array], jobs: Sequence[Job]
    ) -> list[list[Array]]:
        """For each call that is to be one of a batch, each input."""
        return [[window_of(source, job[0]) for source in sources] for job in jobs]


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
