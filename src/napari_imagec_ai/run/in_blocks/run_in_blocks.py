"""A large run in shares: blocks of windows that can be computed apart, on any machine.

The windows are those of a run in one piece, and statistics are taken once, so that the
result is the same to the last bit. What a share computed lies in a folder that all see,
with a note once it is complete: a run that was stopped goes on with the next share.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.image.blocks import Blocks, Where
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.in_blocks.block_files import (
    ShareStitcher,
    gather,
    write_share,
)
from napari_imagec_ai.run.in_blocks.plan import Known, Plan, Share, is_complete
from napari_imagec_ai.run.maps import stitch
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.maps.larger_windows import free_step
from napari_imagec_ai.run.maps.sources import WindowSource, varies_by_place
from napari_imagec_ai.run.maps.stitch import Stitcher
from napari_imagec_ai.run.tiles.tiling import Tile
from napari_imagec_ai.system.progress import Progress
from napari_imagec_ai.system.scratch import explain_scratch

Array = NDArray[Any]

ABOVE = 1 << 25
"""Pixels above which a run is worth to be shared out."""

_PIXELS = 1 << 22
"""About so many pixels make a share."""


@dataclass(frozen=True, slots=True)
class Terms:
    """When and where a run is shared out.

    Attributes
    ----------
    folder : Path
        For what shares compute; all machines see it under this name.
    mark : str
        What must be the same for an earlier share to count: model, image, settings.
    above : int
        Runs of more pixels are shared out.
    apart : bool
        Whether others compute the shares: the run then ends in :class:`SharedOut`.
    """

    folder: Path
    mark: str = ""
    above: int = ABOVE
    apart: bool = False


class SharedOut(Exception):
    """No error: the run is to be computed in shares, and here is the plan."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.plan = plan


class InShares(DenseRun):
    """A run that is shared out if it is large enough, and can be.

    Parameters
    ----------
    *given
        As for :class:`DenseRun`.
    terms : Terms
        When, and where.
    """

    def __init__(self, *given: Any, terms: Terms) -> None:
        super().__init__(*given)
        self._terms = terms

    def steps(self) -> Generator[Progress, None, None]:
        """Run; goes on where an earlier run with these terms was stopped."""
        yield from self._choose_tiles()
        if not self._divisible():
            yield from super().steps()
            return
        plan = self._shared_out()
        if self._terms.apart:
            raise SharedOut(plan)
        total = sum(len(one.tiles) * len(one.planes) for one in plan.shares)
        left = plan.to_do()
        done = total - sum(len(one.tiles) * len(one.planes) for one in left)
        yield Progress(done, total, f"{self.engine.name} on {self.engine.device}")
        for share in left:
            given = (self.model, self.inputs, self.engine, self.settings)
            run = OneShare(*given, plan=plan.only(share))
            for step in run.steps():
                if step.done:
                    yield Progress(done + step.done, total, step.message)
            done += len(share.tiles) * len(share.planes)
        gather(self, plan)

    def _choose_tiles(self) -> Generator[Progress, None, None]:
        if not self.tiling.tiles:
            yield from super()._choose_tiles()

    @property
    def _blends(self) -> bool:
        return self.settings.seams == "blend" and len(self.tiling.tiles) > 1

    def _divisible(self) -> bool:
        planes = math.prod(len(span) for span in self.feed.ranges)
        if planes * math.prod(self.feed.shape) <= self._terms.above:
            return False
        # Some things only the whole map can tell.
        if self.model.kind == "labels" or self.feed.scaled_shape != self.feed.shape:
            return False
        if any(grid is None for grid in self.tiling.geometry.grids):
            return False
        if any(stitch.needs_whole(spec) for spec in self.model.outputs):
            return False
        feeds = (part for part in self.inputs.parts if isinstance(part, Feed))
        return not any(varies_by_place(feed, self.settings.normalize) for feed in feeds)

    def _shared_out(self) -> Plan:
        told = [self._terms.mark, repr(self.tiling.geometry), repr(self.tiling.tiles)]
        told += [self.settings.seams] if self._blends else []
        name = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
        folder = self._terms.folder / name
        with explain_scratch(folder.parent.parent):
            folder.mkdir(parents=True, exist_ok=True)
        Stitcher(self.model, self.feed, self.tiling.geometry).check_room(folder)
        split = (
            len(self.tiling.tiles) > 1
            and math.prod(self.tiling.padded_shape) > 2 * _PIXELS
        )
        known: dict[tuple[int, ...], tuple[Known | None, ...]] = {}
        if split:
            for index, positions in self.feed.planes():
                sources, _ = self._sources(positions)
                known[index] = tuple(map(_known, sources))
        shares = tuple(_split(self) if split else _grouped(self))
        return Plan(
            folder,
            self.tiling.geometry,
            self.tiling.free,
            shares,
            known,
            self.tiling.measured,
            tuple(self.notices),
            self._blends,
            self._terms.mark,
        )


class OneShare(DenseRun):
    """A run of one share; what comes out goes into its folder.

    Parameters
    ----------
    *given
        As for :class:`DenseRun`.
    plan : Plan
        With this share only.
    """

    def __init__(self, *given: Any, plan: Plan) -> None:
        super().__init__(*given)
        self._planned = plan
        (self._share,) = plan.shares

    def steps(self) -> Generator[Progress, None, None]:
        """Run, unless it was done before."""
        self.stitcher = self._canvases()
        if is_complete(self._planned.folder, self._share):
            return
        yield from super().steps()
        write_share(self._planned.folder, self._share, self)
        self.stitcher = self._canvases()

    def _choose_tiles(self) -> Generator[Progress, None, None]:
        yield from ()
        plan = self._planned
        self.tiling.geometry = plan.geometry
        self.tiling.tiles = list(self._share.tiles)
        if plan.free and free_step(self.model, self.engine, self.feed.space) == 0:
            raise EngineError(
                f"The windows of this run are larger than '{self.model.name}' takes on "
                "this machine; run it with --fixed-tiles, or with the same runtime "
                "everywhere."
            )

    def _planes(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        yield from self._share.planes

    def _canvases(self) -> Stitcher:
        tiles = self._share.tiles
        plan = self._planned
        return ShareStitcher(
            self.model, self.feed, plan.geometry, tiles, apart=plan.blended
        )

    def _sources(
        self, positions: Sequence[int]
    ) -> tuple[list[WindowSource | Array], dict[str, Array]]:
        index = next(i for i, at in self._share.planes if at == tuple(positions))
        if index not in self._planned.known:
            return super()._sources(positions)
        sources: list[WindowSource | Array] = []
        found = self._planned.known[index]
        for part, known in zip(self.inputs.parts, found, strict=True):
            if isinstance(part, Feed) and known is not None:
                there = self.inputs.beside(part, positions)
                sources.append(_source(part, there, known, self.tiling.geometry.margin))
            elif not isinstance(part, Feed):
                sources.append(part.to_network())
        return sources, {}


class Gathered(DenseRun):
    """What all shares of a plan gave, as one run.

    Parameters
    ----------
    *given
        As for :class:`DenseRun`.
    plan : Plan
        Whose shares are all complete.
    """

    def __init__(self, *given: Any, plan: Plan) -> None:
        super().__init__(*given)
        self._planned = plan

    def steps(self) -> Generator[Progress, None, None]:
        """Nothing is computed."""
        yield from ()
        gather(self, self._planned)


# -- dividing --------------------------------------------------------------------------


def _split(run: InShares) -> Iterator[Share]:
    """Rectangles of tiles, plane by plane."""
    tiles = run.tiling.tiles
    dimensions = len(tiles[0].core)
    side = _PIXELS ** (1 / dimensions)
    groups = []
    for axis in range(dimensions):
        cores = sorted({(t.core[axis].start, t.core[axis].stop) for t in tiles})
        group_of, begin, number = {}, cores[0][0], 0
        for start, stop in cores:
            if start > begin and stop - begin > 1.25 * side:
                begin, number = start, number + 1
            group_of[start] = number
        groups.append(group_of)
    found: dict[tuple[int, ...], list[Tile]] = {}
    for tile in tiles:
        there = tuple(
            group[part.start] for group, part in zip(groups, tile.core, strict=True)
        )
        found.setdefault(there, []).append(tile)
    number = 0
    for plane in run.feed.planes():
        for mine in found.values():
            yield Share(number, (plane,), tuple(mine))
            number += 1


def _grouped(run: InShares) -> Iterator[Share]:
    """Several small planes each."""
    tiles = tuple(run.tiling.tiles)
    count = max(1, _PIXELS // math.prod(run.feed.shape))
    planes = list(run.feed.planes())
    for number, first in enumerate(range(0, len(planes), count)):
        yield Share(number, tuple(planes[first : first + count]), tiles)


def _known(source: WindowSource | Array) -> Known | None:
    if not isinstance(source, WindowSource):
        return None
    fill = None
    if np.dtype(source.feed.image.data.dtype).kind == "f":
        plane = source.plane
        blocks = plane if isinstance(plane, Blocks) else (plane,)
        fill = min(float(block.min()) for block in blocks)
    return Known(cloudpickle.dumps(source.prepare), fill)


def _source(
    feed: Feed, positions: Sequence[int], known: Known, margin: tuple[int, ...]
) -> WindowSource:
    """One input's plane, read where it is needed and prepared as was found out."""

    def read(where: Where) -> Array:
        part = feed.read(positions, where)
        if known.fill is None:
            return part
        return np.where(np.isfinite(part), part, np.float32(known.fill))

    plane = Blocks((feed.count, *feed.shape), read)
    return WindowSource(feed, plane, cloudpickle.loads(known.prepare), margin)
