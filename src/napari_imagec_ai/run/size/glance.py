"""Looks at one place of an image at several scales, with one call of the network each.

The grey values are prepared as in the run, by the statistics of the plane, of which for
this purpose some thousand pixels are enough.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.model.object_size import KnownSizes
from napari_imagec_ai.model.steps.steps import make_transform
from napari_imagec_ai.results.letterbox import FILL, fit
from napari_imagec_ai.run.boxes import yolo_rows
from napari_imagec_ai.run.feed.feed import clean, from_network
from napari_imagec_ai.run.feed.inputs import Inputs
from napari_imagec_ai.run.feed.normalize import normalizing
from napari_imagec_ai.run.maps.stitch import local_steps
from napari_imagec_ai.run.settings import Normalize
from napari_imagec_ai.run.size.ladder import Rung, climb
from napari_imagec_ai.run.size.rough_objects import (
    EMPTY,
    READABLE,
    Rough,
    read_boxes,
    read_maps,
)
from napari_imagec_ai.run.tiles.window_limits import geometry

Array = NDArray[Any]

MOST_SIDE = 512
"""Pixels along a side of the largest window."""

_LEAST_SIDE = 176
_SHARE = 0.07
"""Part of a run's pixels that all windows together may have."""

_LOOKS = 6

_LEAST_IMAGE = 40
"""Pixels of the network along an image's side: with less there is nothing to see."""

_OVERVIEW = 4096
"""Along a side of a larger plane, only its middle is looked at."""

_STATISTICS = 512


def can_glance(model: Model, inputs: Inputs) -> bool:
    """Whether objects of this network can be read at a glance."""
    return (
        inputs.main.space == "YX"
        and len(inputs.parts) == 1
        and (model.kind in READABLE or model.kind in DETECTORS)
    )


class Glance:
    """One place of an image, looked at through a network.

    Parameters
    ----------
    model, inputs, engine
        What is run, on what, by what.
    normalize : Normalize
        What to do with grey values first.
    """

    def __init__(
        self, model: Model, inputs: Inputs, engine: Engine, normalize: Normalize
    ) -> None:
        self.model, self.feed, self.engine = model, inputs.main, engine
        self._normalize: Normalize = normalize
        spans = self.feed.ranges
        self._first = tuple(span[len(span) // 2] for span in spans)
        self._geometry = geometry(model, "YX", (0, 0))
        self._open(self._first)
        self._middle = self._busiest()

    def _open(self, positions: tuple[int, ...]) -> None:
        """Read a plane, or the middle of a large one."""
        where = []
        for size in self.feed.shape:
            start = max(0, (size - _OVERVIEW) // 2)
            where.append(slice(start, min(size, start + _OVERVIEW)))
        plane, _ = clean(self.feed.read(positions, where), self.feed.image.name, True)
        self._plane = plane
        step = max(1, min(plane.shape[1:]) // _STATISTICS)
        sample = plane[:, ::step, ::step]
        if self.model.kind in DETECTORS:
            self._prepare = self._for_detector(sample)
        else:
            dtype = self.feed.image.data.dtype
            spec = self.feed.spec
            steps = (*normalizing(self._normalize, spec, dtype), *spec.steps)
            letters = self.feed.letters
            self._prepare = make_transform(steps, sample, letters, {spec.id: sample})

    def _for_detector(self, sample: Array) -> Any:
        steps = self.model.inputs[0].steps
        if any(step.id != "ensure_dtype" for step in steps):
            return make_transform(steps, sample, self.feed.letters)
        if np.dtype(self.feed.image.data.dtype) == np.uint8:
            return lambda x: x / np.float32(255)
        low, high = np.percentile(sample, (0.0, 99.8))
        gain = 1 / max(float(high - low), 1e-6)
        return lambda x: np.clip((x - low) * gain, 0, 1).astype(np.float32)

    # -- where ---------------------------------------------------------------------

    @property
    def _side(self) -> int:
        """Of a window, in pixels of the network."""
        pixels = math.prod(self.feed.shape)
        return int(np.clip((_SHARE * pixels / _LOOKS) ** 0.5, _LEAST_SIDE, MOST_SIDE))

    def _busiest(self) -> tuple[float, float]:
        """Middle of the window that most grey values stand out in."""
        _, height, width = self._plane.shape
        step = max(1, max(height, width) // 256)
        grey = self._plane.mean(axis=0)
        small = cv2.resize(
            grey, (max(1, width // step), max(1, height // step)), None, 0, 0,
            cv2.INTER_AREA,
        )  # fmt: skip
        low, high = np.percentile(small, (1, 99))
        # A speck that shines does not count for more than many objects.
        shown = np.clip((small - low) / max(float(high - low), 1e-6), 0, 1)
        apart = np.abs(shown - np.median(shown)).astype(np.float32)
        side = max(1, min(*small.shape, self._side // step))
        sums = cv2.boxFilter(apart, -1, (side, side), borderType=cv2.BORDER_REFLECT)
        rim = side // 2
        inner = sums[rim : max(rim + 1, sums.shape[0] - rim)]
        inner = inner[:, rim : max(rim + 1, sums.shape[1] - rim)]
        y, x = np.unravel_index(int(inner.argmax()), inner.shape)
        return (float(y) + rim + 0.5) * step, (float(x) + rim + 0.5) * step

    # -- what ----------------------------------------------------------------------

    def look(self, scale: float) -> Rough | None:
        """Objects at a scale; None where the image is too small for it."""
        if min(self._plane.shape[1:]) * scale < _LEAST_IMAGE:
            return None
        sides = tuple(
            axis.min if axis.step == 0 else axis.fit(self._side)
            for axis in self._geometry.limits
        )
        where, inner = [], []
        for size, side, middle in zip(
            self._plane.shape[1:], sides, self._middle, strict=True
        ):
            length = min(size, max(1, round(side / scale)))
            start = int(np.clip(middle - length / 2, 0, size - length))
            where.append(slice(start, start + length))
            inner.append(min(side, max(1, round(length * scale))))
        piece = self._plane[(slice(None), *where)]
        if self.model.kind in DETECTORS:
            return self._boxes(piece, scale)
        window = _resized(self._prepare(piece), (inner[0], inner[1]))
        pads = [(0, side - own) for side, own in zip(sides, inner, strict=True)]
        window = np.pad(window, ((0, 0), *pads), mode="symmetric")
        outputs = self.engine.run([self.feed.to_network(window)])
        maps = {}
        for spec, grid, array in zip(
            self.model.outputs, self._geometry.grids, outputs, strict=False
        ):
            if grid is None:
                continue
            made = from_network(array, spec, self.feed.space)
            made = make_transform(local_steps(spec), made, self.feed.letters)(made)
            cut = [
                max(1, round(n * f)) for n, f in zip(inner, grid.factors, strict=True)
            ]
            maps[spec.id] = np.nan_to_num(made[:, : cut[0], : cut[1]])
        factors = [grid.factors[0] for grid in self._geometry.grids if grid is not None]
        return read_maps(self.model, maps, factors[0]) if maps else EMPTY

    def _boxes(self, piece: Array, scale: float) -> Rough:
        height, width = (axis.fit(self._side) for axis in self._geometry.limits)
        shape = piece.shape[1:]
        box = fit((0, 0), (shape[0], shape[1]), (height, width))
        window = box.apply(self._prepare(piece), FILL)
        outputs = self.engine.run([self.feed.to_network(window)])
        layout = yolo_rows.find_layout(self.model, outputs, self.engine.metadata)
        found = yolo_rows.read(layout, outputs, box.window)
        rough = read_boxes(
            found.boxes, found.confidence, found.class_id, (height, width)
        )
        # The window is filled: a piece smaller than it was enlarged.
        gain = scale / box.gain[0]
        return Rough(rough.diameter * gain, rough.confidence, rough.stable, rough.whole)

    def other_planes(self, known: KnownSizes | None) -> list[Rung]:
        """What the first and the last plane of a stack tell by themselves."""
        spans = self.feed.ranges
        ends = [tuple(span[end] for span in spans) for end in (0, -1)]
        rungs = []
        for positions in dict.fromkeys(ends):
            if positions == self._first:
                continue
            self._open(positions)
            self._middle = self._busiest()
            best = climb(self.look, known)
            if best is not None:
                rungs.append(best)
        return rungs


def _resized(array: Array, shape: tuple[int, int]) -> Array:
    if array.shape[1:] == shape:
        return np.asarray(array, np.float32)
    shrinks = shape[0] < array.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    size = (shape[1], shape[0])
    planes = [
        cv2.resize(np.ascontiguousarray(p, np.float32), size, interpolation=how)
        for p in array
    ]
    return np.stack(planes)
