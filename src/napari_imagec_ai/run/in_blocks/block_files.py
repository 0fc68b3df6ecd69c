"""Shares of a run on the disk: written apart, each whole or not at all, read as one."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.scales import scaled_size
from napari_imagec_ai.run.in_blocks.mosaic import Mosaic, Piece
from napari_imagec_ai.run.in_blocks.plan import Plan, Share, note_of
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.maps.stitch import Stitcher
from napari_imagec_ai.system import scratch
from napari_imagec_ai.system import whole_files as files
from napari_imagec_ai.system.contents import sha256_of_all

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


class ShareStitcher(Stitcher):
    """Canvases of one share."""

    def __init__(self, *given: Any) -> None:
        *usual, self._tiles = given
        super().__init__(*usual)

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
        parts = []
        for number, (name, canvas) in enumerate(run.stitcher.maps.items()):
            begin = [part.start for part in canvas.box]
            for index, values in canvas.planes.items():
                path = f"map{number}-{'-'.join(map(str, index))}.zarr"
                space = len(begin)
                stored = scratch.make_array(
                    place / path, values.shape, "float32", space
                )
                stored[...] = values
                parts.append(
                    {
                        "map": name,
                        "path": f"{place.name}/{path}",
                        "begin": [*index, 0, *begin],
                        "shape": list(canvas.shape),
                    }
                )
        files.sync_all(place)
    told = {
        "place": place.name,
        "content": sha256_of_all(place),
        "parts": parts,
        "seconds": run.seconds,
        "calls": run.calls,
        "notices": [*run.notices, *run.stitcher.notices],
    }
    files.replace_text(note_of(folder, share), json.dumps(told))


def gather(run: DenseRun, plan: Plan) -> None:
    """Give a run what the shares computed."""
    import zarr

    pieces: dict[str, list[Piece]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    said = list(plan.notices)
    stitcher = Stitcher(run.model, run.feed, plan.geometry)
    if plan.to_do():
        raise ImageError(
            f"Parts of the run in '{plan.folder}' were changed or removed meanwhile; "
            "run it again."
        )
    for share in plan.shares:
        told = json.loads(note_of(plan.folder, share).read_text(encoding="utf-8"))
        run.seconds += told["seconds"]
        run.calls += told["calls"]
        said += told["notices"]
        for part in told["parts"]:
            stored: Any = zarr.open_array(str(plan.folder / part["path"]), mode="r")
            begin = tuple(part["begin"])
            planes = len(begin) - stored.ndim
            values = _Flat(stored, planes)
            pieces.setdefault(part["map"], []).append(Piece(begin, values))
            shapes[part["map"]] = tuple(part["shape"])
    run.measured = plan.measured
    run.notices = list(dict.fromkeys(said))
    for name, shape in shapes.items():
        mosaic: Any = Mosaic(shape, pieces[name])
        stitcher.maps[name] = mosaic if stitcher.is_large(shape) else mosaic[...]
    run.stitcher = stitcher


class _Flat:
    """A part with axes of length 1 before its own, for the planes."""

    def __init__(self, values: Any, planes: int) -> None:
        self._values, self._planes = values, planes
        self.shape = (1,) * planes + tuple(values.shape)

    def __getitem__(self, where: tuple[slice, ...]) -> Array:
        part = np.asarray(self._values[where[self._planes :]])
        return part.reshape((1,) * self._planes + part.shape)
