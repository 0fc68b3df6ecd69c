"""Runs a detector over an image: windows of its own size, candidates kept, not maps.

A small image is fitted into one window; a large one is cut into overlapping windows at
full resolution. Each window answers for its core, and cores partition the image.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.faults import is_memory
from napari_imagec_ai.engines.timed_calls import Calls
from napari_imagec_ai.errors import EngineError, ImageError, OutOfMemory
from napari_imagec_ai.model.description import FixedSize, Model, SteppedSize
from napari_imagec_ai.results.letterbox import Letterbox, fit
from napari_imagec_ai.results.window_results import Layout, WindowResult, nothing
from napari_imagec_ai.run.boxes import rcnn_tables, yolo_rows
from napari_imagec_ai.run.boxes.detect_feed import DetectFeed
from napari_imagec_ai.run.failures import Failures
from napari_imagec_ai.run.feed.feed import clean
from napari_imagec_ai.run.feed.inputs import Inputs
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.run.tiles.tiling import other_than_asked
from napari_imagec_ai.system.progress import Progress

FITS_ONCE = 2.0
"""Images up to this many times the window are fitted into one."""


_MANY = 64
"""Windows above which prototypes are kept in half precision."""

USUAL = 640
"""Window of a network that takes any size, the one that YOLO is trained at."""


class DetectRun:
    """One run in progress; see :func:`napari_imagec_ai.predict_iter`."""

    def __init__(
        self, model: Model, inputs: Inputs, engine: Engine, settings: RunSettings
    ) -> None:
        feed = inputs.main
        if len(feed.space) != 2:
            raise ImageError("Detectors of boxes take 2D images; choose another model.")
        self.model, self.feed, self.engine = model, feed, engine
        self.settings = settings
        # Detectors have one scale for both axes.
        self._scale = cast("float | None", settings.scale)
        self.layout: Layout | None = None
        self._certain = False
        self.windows: list[WindowResult] = []
        self.seconds, self.calls = 0.0, 0
        self.notices: list[str] = []
        self._feeding = DetectFeed(
            model, inputs, engine, settings.percentiles, self.notices.append
        )
        shape = (feed.shape[0], feed.shape[1])
        self.places = plan_windows(
            shape, network_window(model, shape), self._scale, settings.overlap
        )
        # A slide has thousands of windows: half precision is enough to draw a mask.
        self._precision = np.float16 if len(self.places) > _MANY else np.float32
        self._failures = Failures()
        self._say_sizes()

    def _say_sizes(self) -> None:
        box, _ = self.places[0]
        asked = self.settings.tile_along(self.feed.space)
        if said := other_than_asked(asked, box.window, self.feed.shape[:2]):
            self.notices.append(said)
        if len(self.places) == 1 and box.inner != box.piece:
            height, width = box.window
            self.notices.append(
                f"The image was fitted into one window of {width} x {height} pixels "
                f"(scaled by {box.gain[0]:.2f})."
            )

    def steps(self) -> Generator[Progress, None, None]:
        """Run; yields before the first and after each call of the network."""
        total = len(self.places) * math.prod(len(span) for span in self.feed.ranges)
        yield Progress(0, total, f"{self.engine.name} on {self.engine.device}")
        many = self._feeding.batch
        with Calls(self.engine) as calls:
            for index, positions in self.feed.planes():
                plane, notice = clean(
                    self.feed.read(positions), self.feed.image.name, self.feed.many
                )
                if notice:
                    self.notices.append(notice)
                prepare = self._feeding.preparation(plane)
                for first in range(0, len(self.places), many):
                    group = self.places[first : first + many]
                    windows = [prepare(plane, box) for box, _ in group]
                    running = calls.start(self._run, windows)
                    try:
                        results = yield from calls.wait(
                            running, Progress(len(self.windows), total, "windows")
                        )
                    except EngineError as error:
                        self._failures.add(error, [box for box, _ in group])
                        results = [None] * len(group)
                    for (box, core), outputs in zip(group, results, strict=True):
                        self._take(index, box, core, outputs)
                    yield Progress(len(self.windows), total, "windows")
        self.notices += self._failures.sentences()
        self._finish_layout()

    def _run(self, windows: list[NDArray[Any]]) -> list[list[NDArray[Any]] | None]:
        """What the network gives for each of some windows, in one call."""
        started = time.perf_counter()
        try:
            outputs = self.engine.run(self._feeding.tensors(windows))
        except (EngineError, MemoryError) as error:
            if isinstance(error, MemoryError) or is_memory(str(error)):
                sizes = " x ".join(map(str, windows[0].shape[1:]))
                raise OutOfMemory(
                    f"The network ran out of memory on a window of {sizes} pixels, the "
                    "size that it takes; close other programs, or try another engine "
                    f"or device. {error}"
                ) from error
            raise
        self.seconds += time.perf_counter() - started
        self.calls += 1
        self._failures.succeeded = True
        return [*self._feeding.taken_apart(outputs, len(windows))]

    def _take(
        self,
        index: tuple[int, ...],
        box: Letterbox,
        core: tuple[slice, slice],
        outputs: list[NDArray[Any]] | None,
    ) -> None:
        if outputs is None:  # the network failed there
            self.windows.append(WindowResult(index, box, core, nothing(), None))
            return
        layout = self.layout
        if layout is None or not self._certain:
            # Empty tables tell little: until something was found, each is looked at.
            self.layout = layout = self._find_layout(outputs, box.window)
        reader = rcnn_tables if layout.name == "separate" else yolo_rows
        frame = self._feeding.frame(box.window)
        found = reader.read(layout, outputs, frame)
        if frame != box.window:
            found = found.scaled(box.window[0] / frame[0], box.window[1] / frame[1])
        self._certain = self._certain or len(found) > 0
        prototypes = None
        if layout.prototypes is not None and len(found):
            prototypes = outputs[layout.prototypes][0].astype(self._precision)
        self.windows.append(WindowResult(index, box, core, found, prototypes))

    def _find_layout(
        self, outputs: list[NDArray[Any]], window: tuple[int, int]
    ) -> Layout:
        """The layout of a network's outputs."""
        layout = rcnn_tables.find_layout(self.model, outputs, window)
        if layout is None:
            layout = yolo_rows.find_layout(
                self.model, outputs, self.engine.metadata, window
            )
        return layout

    def _finish_layout(self) -> None:
        """Tell from all windows what one alone does not tell: classes."""
        if self.layout is None:
            return
        found = [window.found for window in self.windows]
        if self.layout.name != "separate":
            self.layout = yolo_rows.finish_layout(self.layout, found)
            return
        self.layout, found = rcnn_tables.finish_layout(self.layout, found, self.model)
        self.windows = [
            replace(window, found=each)
            for window, each in zip(self.windows, found, strict=True)
        ]
        if not self._feeding.is_described and self._feeding.takes_fractions:
            self.notices.append(
                "The description has no preprocessing: the network was given values "
                "from 0 to 1, as torchvision's take them. Where it finds little, it "
                "may take 0 to 255, as detectron2's do; the range of the input's data "
                "in the description says so."
            )


def network_window(model: Model, shape: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the window of a detector.

    One that takes any size gets what an image of this shape needs, up to the usual.
    """
    spec = model.inputs[0]
    scale = min(1.0, USUAL / max(shape)) if max(shape) <= FITS_ONCE * USUAL else 1.0
    sizes = []
    for name, length in zip("yx", shape, strict=True):
        axis = spec.axis(name)
        size = axis.size if axis is not None else None
        if isinstance(size, FixedSize):
            sizes.append(size.size)
            continue
        step = size.step if isinstance(size, SteppedSize) else 32
        least = size.min if isinstance(size, SteppedSize) else 32
        wanted = min(USUAL, math.ceil(length * scale))
        sizes.append(max(least, least + math.ceil((wanted - least) / step) * step))
    return (sizes[0], sizes[1])


def plan_windows(
    shape: tuple[int, int], window: tuple[int, int], scale: float | None, overlap: float
) -> list[tuple[Letterbox, tuple[slice, slice]]]:
    """Windows over an image, and the core that each of them answers for.

    Parameters
    ----------
    shape : tuple of int
        Of the image (Y, X).
    window : tuple of int
        Of the network (Y, X).
    scale : float or None
        Window pixels for each image pixel; None: one window where the image is not much
        larger than it, else 1.
    overlap : float
        Part of a window that it shares with the next one.
    """
    if scale is None:
        once = all(
            size <= FITS_ONCE * side for size, side in zip(shape, window, strict=True)
        )
        if once:
            whole = (slice(0, shape[0]), slice(0, shape[1]))
            return [(fit((0, 0), shape, window), whole)]
        scale = 1.0
    pieces = [
        min(size, max(1, round(side / scale)))
        for size, side in zip(shape, window, strict=True)
    ]
    spans = [
        _spans(size, piece, overlap) for size, piece in zip(shape, pieces, strict=True)
    ]
    return [
        (
            fit((y, x), (pieces[0], pieces[1]), window),
            (core_y, core_x),
        )
        for y, core_y in spans[0]
        for x, core_x in spans[1]
    ]


def _spans(size: int, piece: int, overlap: float) -> list[tuple[int, slice]]:
    """Start and core of each window along one axis; cores meet amid the overlaps."""
    if piece >= size:
        return [(0, slice(0, size))]
    stride = max(1, piece - math.ceil(piece * overlap))
    count = 1 + math.ceil((size - piece) / stride)
    starts = [round((size - piece) * i / (count - 1)) for i in range(count)]
    cuts: Sequence[int] = [
        0,
        *((a + piece + b) // 2 for a, b in itertools.pairwise(starts)),
        size,
    ]
    return [(start, slice(cuts[i], cuts[i + 1])) for i, start in enumerate(starts)]
