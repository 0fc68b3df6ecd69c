"""Shares of a run on the disk: written apart, each whole or not at all, read as one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.output_scale import scaled_size
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.in_blocks.mosaic import Mosaic, Piece
from napari_imagec_ai.run.in_blocks.plan import Plan, Share, note_of
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.maps.stitch import Stitcher
from napari_imagec_ai.run.tiles.blending import Blend
from napari_imagec_ai.run.tiles.tiling import Grid, Tile
from napari_imagec_ai.run.tiles.window_limits import Geometry
from napari_imagec_ai.system import scratch
from napari_imagec_ai.system.contents import sha256_of_all
from napari_imagec_ai.system.whole_files import replace_text, sync_all

Array = NDArray[Any]


class _Canvas:
    """Takes what is put into a map, as far as a share has part in it.

    Parameters
    ----------
    shape : tuple of int
        Of the whole map: planes, channels, space.
    box : tuple of slice
        Along the space axes.
    """

    def __init__(self, shape: tuple[int, ...], box: tuple[slice, ...]) -> None:
        self.shape, self.box = shape, box
        self.planes: dict[tuple[int, ...], Array] = {}
        self.windows: list[tuple[tuple[int, ...], Tile, Array]] = []

    def __setitem__(self, where: tuple[Any, ...], values: Array) -> None:
        space = len(self.box)
        index = where[: -space - 1]
        if index not in self.planes:
            sizes = [part.stop - part.start for part in self.box]
            channels = self.shape[-space - 1]
            self.planes[index] = np.zeros((channels, *sizes), np.float32)
        there = tuple(
            slice(one.start - part.start, one.stop - part.start)
            for one, part in zip(where[-space:], self.box, strict=True)
        )
        self.planes[index][(slice(None), *there)] = values


class _Apart:
    """Keeps what each window gave, to be blended once all shares are there."""

    def add(
        self,
        canvas: _Canvas,
        result: Array,
        tile: Tile,
        grid: Grid,
        margin: Sequence[int],
        lead: tuple[int, ...],
    ) -> None:
        """Take the place of :meth:`napari_imagec_ai.run.tiles.blending.Blend.add`."""
        canvas.windows.append((lead, tile, np.asarray(result, np.float32)))


class ShareStitcher(Stitcher):
    """Canvases of one share.

    Parameters
    ----------
    model, feed, geometry
        As for :class:`Stitcher`.
    tiles : sequence of Tile
        Windows of the share.
    apart : bool
        Whether what they gave is kept window by window.
    """

    def __init__(
        self,
        model: Model,
        feed: Feed,
        geometry: Geometry,
        tiles: Sequence[Tile],
        *,
        apart: bool,
    ) -> None:
        self._tiles = tiles
        super().__init__(model, feed, geometry, blend=_Apart() if apart else None)

    def _made(self, name: str, shape: tuple[int, ...]) -> Any:
        number = [spec.id for spec in self.model.outputs].index(name)
        grid = self.geometry.grids[number]
        assert grid is not None  # such runs are not shared out
        box = []
        for axis, factor in enumerate(grid.factors):
            size = shape[axis - len(grid.factors)]
            margin = self.geometry.margin[axis]
            first = min(tile.core[axis].start for tile in self._tiles) - margin
            last = max(tile.core[axis].stop for tile in self._tiles) - margin
            start = min(max(round(first * factor), 0), size)
            stop = min(scaled_size(max(last, 0), factor), size)
            box.append(slice(start, max(stop, start)))
        return _Canvas(shape, tuple(box))


def write_share(folder: Path, share: Share, run: DenseRun) -> None:
    """Write what a share computed, then the note that it is complete."""
    with scratch.explain_scratch(folder):
        place = Path(tempfile.mkdtemp(prefix=f"share-{share.number:05}-", dir=folder))
        parts: list[dict[str, Any]] = []
        for number, (name, canvas) in enumerate(run.stitcher.maps.items()):
            for begin, values, place_of in _pieces(canvas):
                path = f"map{number}-{len(parts):05}.zarr"
                space = len(canvas.box)
                stored = scratch.make_array(
                    place / path, values.shape, "float32", space
                )
                stored[...] = values
                parts.append(
                    {
                        "map": name,
                        "path": f"{place.name}/{path}",
                        "begin": begin,
                        "window": place_of,
                        "shape": list(canvas.shape),
                    }
                )
        sync_all(place)
    told = {
        "place": place.name,
        "content": sha256_of_all(place),
        "parts": parts,
        "seconds": run.seconds,
        "calls": run.calls,
        "notices": [*run.notices, *run.stitcher.notices],
    }
    replace_text(note_of(folder, share), json.dumps(told), private=True)


def _pieces(canvas: _Canvas) -> Iterator[tuple[list[int], Array, list[int] | None]]:
    """What lies on a canvas: where it begins, its values, and of which window."""
    begin = [part.start for part in canvas.box]
    for index, values in canvas.planes.items():
        yield [*index, 0, *begin], values, None
    for index, tile, values in canvas.windows:
        yield [*index, 0, *begin], values, _corner(tile)


def _corner(tile: Tile) -> list[int]:
    """Where a core begins tells one window of a plane from the others."""
    return [part.start for part in tile.core]


class _Gathered(Stitcher):
    """Maps of what the shares of a plan computed."""

    def lay(self, plan: Plan, parts: Sequence[dict[str, Any]]) -> None:
        """Shares lie side by side; they are read where they are needed."""
        pieces: dict[str, list[Piece]] = {}
        for part in parts:
            begin, stored = tuple(part["begin"]), _stored(plan, part)
            values = _Flat(stored, len(begin) - stored.ndim)
            pieces.setdefault(part["map"], []).append(Piece(begin, values))
        for name, shape in {
            part["map"]: tuple(part["shape"]) for part in parts
        }.items():
            mosaic: Any = Mosaic(shape, pieces[name])
            self.maps[name] = mosaic if self.is_large(shape) else mosaic[...]

    def blend(self, plan: Plan, parts: Sequence[dict[str, Any]]) -> None:
        """Windows are mixed in the order of a run in one piece, which rounds so."""
        tiles = {
            tuple(_corner(tile)): tile for share in plan.shares for tile in share.tiles
        }
        blend, names = Blend(list(tiles.values())), [s.id for s in self.model.outputs]
        planes = len(self.feed.ranges)

        def turn(part: dict[str, Any]) -> Any:
            return part["begin"][:planes], part["window"]

        for part in sorted(parts, key=turn):
            name, lead = part["map"], tuple(part["begin"][:planes])
            if name not in self.maps:
                self.maps[name] = self._made(name, tuple(part["shape"]))
            grid = plan.geometry.grids[names.index(name)]
            assert grid is not None  # such runs are not shared out
            tile = tiles[tuple(part["window"])]
            values = np.asarray(_stored(plan, part)[...])
            margin = self.geometry.margin
            blend.add(self.maps[name], values, tile, grid, margin, lead)


def _stored(plan: Plan, part: dict[str, Any]) -> Any:
    import zarr

    return zarr.open_array(str(plan.folder / part["path"]), mode="r")


def gather(run: DenseRun, plan: Plan) -> None:
    """Give a run what the shares computed."""
    said = list(plan.notices)
    if plan.to_do():
        raise ImageError(
            f"Parts of the run in '{plan.folder}' were changed or removed meanwhile; "
            "run it again."
        )
    parts: list[dict[str, Any]] = []
    for share in plan.shares:
        told = json.loads(note_of(plan.folder, share).read_text(encoding="utf-8"))
        run.seconds += told["seconds"]
        run.calls += told["calls"]
        said += told["notices"]
        parts += told["parts"]
    run.tiling.measured = plan.measured
    run.notices = list(dict.fromkeys(said))
    stitcher = _Gathered(run.model, run.feed, plan.geometry, run.settings.memory)
    if plan.blended:
        with scratch.explain_scratch(plan.folder):
            stitcher.blend(plan, parts)
    else:
        stitcher.lay(plan, parts)
    run.stitcher = stitcher


class _Flat:
    """A part with axes of length 1 before its own, for the planes."""

    def __init__(self, values: Any, planes: int) -> None:
        self._values, self._planes = values, planes
        self.shape = (1,) * planes + tuple(values.shape)

    def __getitem__(self, where: tuple[slice, ...]) -> Array:
        part = np.asarray(self._values[where[self._planes :]])
        return part.reshape((1,) * self._planes + part.shape)
