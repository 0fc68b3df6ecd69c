"""Puts what a network gives for windows together: maps over the image, or numbers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.image.blocks import LARGE, grid
from napari_imagec_ai.image.output_scale import scaled_size
from napari_imagec_ai.model.description import Model, Step, TensorSpec
from napari_imagec_ai.model.kinds import channel_count, channel_roles, gives_numbers
from napari_imagec_ai.model.steps.steps import DECODING, make_transform, measures
from napari_imagec_ai.run.feed.feed import Feed, from_network
from napari_imagec_ai.run.maps.labels_across_tiles import Same, continued, united
from napari_imagec_ai.run.maps.resample import resample, resample_part
from napari_imagec_ai.run.tiles.tiling import Grid, Tile, place
from napari_imagec_ai.run.tiles.window_limits import Geometry
from napari_imagec_ai.system.scratch import Scratch, check_room, explain_scratch

Array = NDArray[Any]

_SHARE = 0.2
"""Part of the free memory that maps may take; larger ones go to the disk."""


_SLACK = 1e-2
"""How far rounding may carry an id from a whole number."""


class Blends(Protocol):
    """Mixes windows where they overlap; see :class:`Blend`."""

    def add(
        self,
        canvas: Any,
        result: Array,
        tile: Tile,
        grid: Grid,
        margin: Sequence[int],
        lead: tuple[int, ...],
    ) -> None:
        """Add what a window counts for."""


class Stitcher:
    """Canvases for all outputs of one run.

    Parameters
    ----------
    model : Model
        Which network.
    feed : Feed
        What is fed; results lie on its image.
    geometry : Geometry
        How results lie on windows.
    memory : float, optional
        Gigabytes that the run may take; by default what is free.
    blend : Blends, optional
        Mixes windows where they overlap; by default each pixel is from one.

    Attributes
    ----------
    maps : dict of str to array
        For each output that is a map, float32 with the axes planes, channel, space; a
        zarr array where it is too large for the memory.
    vectors : dict of str to array
        For each output without space axes, float32 with the axes planes, channel: the
        mean over the tiles.
    notices : list of str
        Sentences about what came out.
    place : object or None
        The folder on the disk that maps lie in; it goes when nothing refers to it.
    """

    def __init__(
        self,
        model: Model,
        feed: Feed,
        geometry: Geometry,
        memory: float | None = None,
        blend: Blends | None = None,
    ) -> None:
        self.model, self.feed, self.geometry = model, feed, geometry
        self._memory, self._blend = memory, blend
        self.maps: dict[str, Any] = {}
        self.vectors: dict[str, Array] = {}
        self.place: Scratch | None = None
        self.notices: list[str] = []
        self._scaled = feed.scaled_shape != feed.shape
        self._canvases: dict[str, Any] = {}
        self._behind: dict[str, Scratch] = {}
        self._highest: dict[str, int] = {}
        self._same: dict[str, Same] = {}
        self._planes = tuple(len(span) for span in feed.ranges)

    def take(
        self, index: tuple[int, ...], tile: Tile, results: Sequence[Array]
    ) -> None:
        """Take what the network gave for one window.

        Raises
        ------
        EngineError
            If it is not what the description says.
        """
        outputs = self.model.outputs
        if len(results) < len(outputs):
            raise EngineError(
                f"The network gave {len(results)} outputs, but the description has "
                f"{len(outputs)}; the description and the weights disagree."
            )
        with explain_scratch(self._folder):
            for spec, grid, array in zip(
                outputs, self.geometry.grids, results, strict=False
            ):
                if grid is not None:
                    self._take_map(index, tile, spec, grid, array)
                elif not spec.space:
                    self._take_vector(index, tile, spec, array)

    def leave_empty(self, index: tuple[int, ...], tiles: Sequence[Tile]) -> None:
        """Give the cores of tiles that failed values that are no object anywhere."""
        for spec, lies in zip(self.model.outputs, self.geometry.grids, strict=True):
            if not tiles or lies is None or spec.id not in self.maps:
                continue
            canvas, lead = self._canvas(index, spec.id, 0, lies)
            plane = canvas[lead] if lead else canvas
            values = no_object(self.model, plane)
            for tile in tiles:
                shape = (len(values), *lies.size(tile.shape))
                filled = np.broadcast_to(
                    values.reshape(-1, *(1,) * (len(shape) - 1)), shape
                )
                place(canvas, filled, tile, lies, self.geometry.margin, lead)

    @property
    def _folder(self) -> Path:
        return Path(tempfile.gettempdir()) if self.place is None else self.place.path

    def finish_plane(
        self, index: tuple[int, ...], inputs: Mapping[str, Array] | None
    ) -> None:
        """Do what needs a whole map; ``inputs`` are the planes that were fed."""
        with explain_scratch(self._folder):
            for spec in self.model.outputs:
                if spec.id in self.maps:
                    self._finish_map(index, spec, inputs)
                    self._behind.pop(spec.id, None)

    def _finish_map(
        self,
        index: tuple[int, ...],
        spec: TensorSpec,
        inputs: Mapping[str, Array] | None,
    ) -> None:
        _, whole = _split_steps(spec)
        canvas = self._canvases.pop(spec.id, None)
        if canvas is None:
            self._unite(self.maps[spec.id], index, spec.id)
        else:
            self._unite(canvas, (), spec.id)
        if canvas is None and not whole:
            return
        if canvas is None:
            canvas = self.maps[spec.id][index]
        target = self.maps[spec.id].shape[len(index) + 1 :]
        ids = self.model.kind == "labels" or gives_numbers(self.model)
        if not whole and not isinstance(canvas, np.ndarray):
            self._brought_back(canvas, self.maps[spec.id], index, ids)
            return
        canvas = np.asarray(canvas[...])
        if whole:
            letters = self.feed.letters
            canvas = make_transform(whole, canvas, letters, inputs)(canvas)
        self.maps[spec.id][index] = resample(canvas, target, labels=ids)

    @staticmethod
    def _brought_back(
        canvas: Any, target: Any, index: tuple[int, ...], ids: bool
    ) -> None:
        """Bring a canvas on the disk to the image's pixels, block by block."""
        there, shape = canvas.shape[1:], target.shape[len(index) + 1 :]
        for where in grid(shape):
            target[(*index, slice(None), *where)] = resample_part(
                lambda part: canvas[(slice(None), *part)],
                there,
                shape,
                where,
                labels=ids,
            )

    # -- maps --------------------------------------------------------------------------

    def _take_map(
        self,
        index: tuple[int, ...],
        tile: Tile,
        spec: TensorSpec,
        grid: Grid,
        array: Array,
    ) -> None:
        array = from_network(array, spec, self.feed.space)
        expected = grid.size(tile.shape)
        if array.shape[1:] != expected:
            raise EngineError(
                f"Output '{spec.id}' has {array.shape[1:]} pixels for a window of "
                f"{tile.shape}, but the description says {expected}; correct the "
                "output's size in the description."
            )
        count = channel_count(self.model, spec)
        if count is not None:
            count *= spec.own_depth(self.feed.space)
        decoded = any(step.id in DECODING for step in spec.steps)
        # With such a step the description is about what the decoder gives.
        if count is not None and len(array) != count and not decoded:
            raise EngineError(
                f"Output '{spec.id}' has {len(array)} channels, but the description "
                f"says {count}; correct the output's axes in the description."
            )
        array = self._numbers(spec, array)
        local, _ = _split_steps(spec)
        array = make_transform(local, array, self.feed.letters)(array)
        canvas, lead = self._canvas(index, spec.id, len(array), grid)
        if self.model.kind == "labels" and _are_ids(array, tile):
            array = self._continued(canvas, lead, tile, spec, array)
        elif self._blend is not None:
            self._blend.add(canvas, array, tile, grid, self.geometry.margin, lead)
            return
        place(canvas, array, tile, grid, self.geometry.margin, lead)

    def _numbers(self, spec: TensorSpec, array: Array) -> Array:
        """The values, with 0 in the place of those that are no numbers."""
        if np.isfinite(array.sum(dtype=np.float64)) or np.isfinite(array).all():
            return array
        sentence = (
            f"The network gave values that are no numbers in output '{spec.id}'; they "
            "were taken as 0. The grey values may not be what it was made for."
        )
        if sentence not in self.notices:
            self.notices.append(sentence)
        return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)

    def _continued(
        self,
        canvas: Any,
        lead: tuple[int, ...],
        tile: Tile,
        spec: TensorSpec,
        array: Array,
    ) -> Array:
        """Objects go on under the ids that earlier tiles gave them."""
        before = np.zeros_like(array)
        there = canvas[(*lead, slice(None), *tile.window)]
        before[tuple(slice(0, size) for size in there.shape)] = there
        core = tuple(
            slice(core.start - window.start, core.stop - window.start)
            for core, window in zip(tile.core, tile.window, strict=True)
        )
        highest, found = self._highest.get(spec.id, 0), []
        for own, written in zip(np.rint(array), before, strict=True):
            ids, highest, same = continued(written, own, highest, core)
            self._same.setdefault(spec.id, []).extend(same)
            found.append(ids)
        self._highest[spec.id] = highest
        return np.stack(found)

    def _unite(self, canvas: Any, lead: tuple[int, ...], name: str) -> None:
        """Give the parts of an object one id, where a later tile showed them as one."""
        parts = united(self._same.pop(name, []))
        if not parts:
            return
        table = np.arange(self._highest[name] + 1, dtype=np.float32)
        table[list(parts)] = list(parts.values())
        for where in grid(canvas.shape[len(lead) + 1 :]):
            at = (*lead, slice(None), *where)
            canvas[at] = table.take(np.asarray(canvas[at], np.int64), mode="clip")

    def _canvas(
        self, index: tuple[int, ...], name: str, channels: int, grid: Grid
    ) -> tuple[Any, tuple[int, ...]]:
        """Where this plane's map is stitched, and the index of the plane in it."""
        if name not in self.maps:
            size = _times(self.feed.shape, grid.factors)
            self.maps[name] = self._made(name, (*self._planes, channels, *size))
        if not self._scaled:
            return self.maps[name], index
        if name not in self._canvases:
            size = _times(self.feed.scaled_shape, grid.factors)
            self._canvases[name] = self._canvas_of(name, (channels, *size))
        return self._canvases[name], ()

    def _canvas_of(self, name: str, shape: tuple[int, ...]) -> Any:
        """Where a plane is stitched at the network's scale, till it is brought back."""
        if not self._too_much(math.prod(shape)):
            return np.zeros(shape, np.float32)
        behind = self._behind[name] = Scratch(4 * math.prod(shape))
        return behind.array("canvas.zarr", shape, "float32", len(self.feed.space))

    def _made(self, name: str, shape: tuple[int, ...]) -> Any:
        if not self.is_large(shape):
            return np.zeros(shape, np.float32)
        self.place = self.place or Scratch(4 * math.prod(shape))
        number = [spec.id for spec in self.model.outputs].index(name)
        return self.place.array(
            f"map{number}.zarr", shape, "float32", len(self.feed.space)
        )

    def check_room(self, place: Path | None = None) -> None:
        """Find out before the run whether the disk has room for maps that go there.

        Parameters
        ----------
        place : Path, optional
            A folder that all maps go to; by default the large ones go to scratch.

        Raises
        ------
        ImageError
            If it has less.
        """
        needed = 0
        for spec, lies in zip(self.model.outputs, self.geometry.grids, strict=True):
            if lies is not None:
                channels = channel_count(self.model, spec) or 1
                size = _times(self.feed.shape, lies.factors)
                shape = (*self._planes, channels, *size)
                if place is not None or self.is_large(shape):
                    needed += 4 * math.prod(shape)
                seen = channels * math.prod(
                    _times(self.feed.scaled_shape, lies.factors)
                )
                if self._scaled and self._too_much(seen):
                    needed += 4 * seen
        check_room(needed, place)

    def is_large(self, shape: tuple[int, ...]) -> bool:
        """Whether a map of this shape goes to the disk."""
        return self._too_much(math.prod(shape), math.prod(self._planes))

    def _too_much(self, pixels: int, planes: int = 1) -> bool:
        free = psutil.virtual_memory().available
        room = _SHARE * (free if self._memory is None else 1e9 * self._memory)
        # Stacks of many small planes may fill the memory, one large plane may not.
        return pixels // planes > LARGE or 4 * pixels > room

    # -- numbers -----------------------------------------------------------------------

    def _take_vector(
        self, index: tuple[int, ...], tile: Tile, spec: TensorSpec, array: Array
    ) -> None:
        count = spec.channels if spec.axis("c") is not None else None
        if count is not None and array.size != count:
            raise EngineError(
                f"Output '{spec.id}' has {array.size} numbers, but the description "
                f"says {count}; correct the output's size in the description."
            )
        if array.ndim == len(spec.axes):
            array = make_transform(spec.steps, array, spec.letters)(array)
        if spec.id not in self.vectors:
            self.vectors[spec.id] = np.zeros((*self._planes, array.size), np.float32)
        share = math.prod(part.stop - part.start for part in tile.core)
        margins = zip(self.feed.scaled_shape, self.geometry.margin, strict=True)
        weight = share / math.prod(size + 2 * margin for size, margin in margins)
        self.vectors[spec.id][index] += np.asarray(array, np.float32).ravel() * weight


def no_object(model: Model, plane: Any) -> Array:
    """A value for each channel where nothing is: its lowest, of the background's none.

    Parameters
    ----------
    model : Model
        For the meaning of the channels.
    plane : (C, ...) array
        What the network gave for the rest of the plane.
    """
    roles = channel_roles(model)
    told = model.settings.get("background")
    high = {told if isinstance(told, int) else roles.background}
    high |= {roles.boundary} if model.kind == "boundary" else set()
    found = []
    for number in range(plane.shape[0]):
        values = [
            np.asarray(plane[(number, *where)]) for where in grid(plane.shape[1:])
        ]
        ends = [(float(v.min()), float(v.max())) for v in values]
        low, most = min(e[0] for e in ends), max(e[1] for e in ends)
        found.append(most if number in high and plane.shape[0] > 1 else low)
    return np.asarray(found, np.float32)


def _are_ids(array: Array, tile: Tile) -> bool:
    """Whether these are ids of the window's own pixels, and not some other numbers."""
    whole = np.rint(array)
    return array.shape[1:] == tile.shape and np.allclose(array, whole, atol=_SLACK)


def _times(shape: Sequence[int], factors: Sequence[float]) -> tuple[int, ...]:
    sizes = zip(shape, factors, strict=True)
    return tuple(scaled_size(size, factor) for size, factor in sizes)


def local_steps(spec: TensorSpec) -> list[Step]:
    """Postprocessing of an output that can be done to a part of a map."""
    return _split_steps(spec)[0]


def needs_whole(spec: TensorSpec) -> bool:
    """Whether some postprocessing of an output can only be done to a whole map."""
    return bool(_split_steps(spec)[1])


def _split_steps(spec: TensorSpec) -> tuple[list[Step], list[Step]]:
    """Postprocessing that a tile can do, and what needs the whole map.

    Binarisation is left out: it is a threshold, and that is the person's to move.
    """
    steps = [step for step in spec.steps if step.id != "binarize"]
    first = next((i for i, step in enumerate(steps) if measures(step)), len(steps))
    return steps[:first], steps[first:]
