"""YOLO and its family: boxes, and masks from prototypes.

Boxes are suppressed by sureness (:func:`napari_imagec_ai.boxes.nms`); a box's mask is
the sum of the prototypes with the box's coefficients, in the box. Of windows that
overlap, each answers for the boxes whose centre lies in its core. A box that an inner
border cut gives way to the whole one next door; parts of objects that are larger than
the overlap are joined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_imagec_ai import boxes as box_math
from napari_imagec_ai.decoders import Decoder, Settings, as_described
from napari_imagec_ai.detection import WindowResult
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.intensity import measured_pixels, physical_area
from napari_imagec_ai.masks import Masks
from napari_imagec_ai.model import Model
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.prediction import DETECTORS, Prediction

_CUT = 2.0
"""A box this near (pixels of the window) to an inner border was cut by it."""

_COVERED = 0.7
"""A cut box gives way to a whole one that covers this much of it."""

_JOINED = 0.5
"""Cut boxes are one object where their parts in the shared strip overlap this much."""


class YoloSettings(Settings):
    """What a person may set for detectors."""

    mask_threshold: float = Field(
        0.5,
        ge=0.01,
        le=0.99,
        description="Pixels of a box are the object's where the network is this sure.",
        json_schema_extra={"step": 0.01},
    )
    iou_threshold: float = Field(
        0.45,
        ge=0.0,
        le=1.0,
        description="Of two boxes of a class that overlap more, the surer one stays.",
        json_schema_extra={"step": 0.01},
    )
    ios_threshold: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="In images of several windows: of two boxes of a class that share "
        "more than this part of the smaller one, the surer one stays.",
        json_schema_extra={"step": 0.01},
    )
    class_agnostic: bool = Field(
        False, description="Boxes of different classes remove each other, too."
    )
    fill_boxes: bool = Field(
        False, description="Boxes without masks become filled boxes in Labels."
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Boxes of one plane, in pixels of the image.

    ``sources`` has, for each box, the window and the row there that it came from; a box
    that was joined has several.
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    sources: tuple[tuple[tuple[int, int], ...], ...]

    def __getitem__(self, rows: NDArray[np.int64]) -> _Found:
        return _Found(
            self.boxes[rows],
            self.confidence[rows],
            self.class_id[rows],
            tuple(self.sources[i] for i in rows),
        )


def decode_boxes(prediction: Prediction, settings: YoloSettings) -> Objects:
    """Decode a detector's candidates; see :class:`Decoder`."""
    layout = prediction.layout
    if layout is None:
        raise DecodeError(
            f"'{prediction.model.name}' gave maps and no boxes, which the decoder "
            "'yolo' needs; choose another decoder."
        )
    found: list[_Found] = []
    planes: list[tuple[int, ...]] = []
    masks: list[Masks | None] = []
    for index in np.ndindex(prediction.planes):
        windows = [w for w in prediction.windows if w.plane == index]
        kept = _suppressed(windows, settings, layout.name == "end_to_end")
        mask = (
            _masks(windows, kept, settings) if layout.prototypes is not None else None
        )
        if mask is not None:  # an object without a pixel is none
            rows = np.flatnonzero([pixels.any() for pixels in mask.pixels])
            kept, mask = kept[rows], mask[rows]
        elif settings.fill_boxes:
            mask = _filled(kept.boxes)
        found.append(kept)
        planes.append(index)
        masks.append(mask)
    return _objects(prediction, found, planes, masks)


# -- boxes -----------------------------------------------------------------------------


def _suppressed(
    windows: Sequence[WindowResult], settings: YoloSettings, final: bool
) -> _Found:
    """Boxes of one plane, after suppression within and across windows."""
    each = []
    for number, window in enumerate(windows):
        candidates = window.found
        rows = np.arange(len(candidates), dtype=np.int64)
        if not final:
            rows = box_math.nms(
                candidates.boxes,
                candidates.confidence,
                candidates.class_id,
                settings.iou_threshold,
                settings.class_agnostic,
            )
        each.append(
            _Found(
                window.box.boxes_to_image(candidates.boxes[rows]),
                candidates.confidence[rows],
                candidates.class_id[rows],
                tuple(((number, int(row)),) for row in rows),
            )
        )
    if len(each) == 1:
        return each[0]
    joined = _joined(windows, each)
    rows = box_math.nms(
        joined.boxes,
        joined.confidence,
        joined.class_id,
        settings.iou_threshold,
        settings.class_agnostic,
        settings.ios_threshold,
    )
    return joined[rows]


def _joined(windows: Sequence[WindowResult], each: Sequence[_Found]) -> _Found:
    """Boxes that windows answer for, those cut by inner borders put together."""
    kept = []
    for window, found in zip(windows, each, strict=True):
        middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        inside = np.ones(len(found.boxes), bool)
        for axis, part in enumerate(window.core):
            inside &= (middle[:, axis] >= part.start) & (middle[:, axis] < part.stop)
        # A part of a large object counts whatever its centre: its other parts decide.
        large = _is_cut(window, windows, found.boxes) & _is_large(window, found.boxes)
        kept.append(found[np.flatnonzero(inside | large)])
    everything = _concatenated(kept)
    owner = np.repeat(np.arange(len(kept)), [len(f.boxes) for f in kept])
    cut = np.zeros(len(owner), bool)
    for number, window in enumerate(windows):
        mine = owner == number
        cut[mine] = _is_cut(window, windows, everything.boxes[mine])
    group = _groups(windows, everything, owner, cut)
    alone = np.bincount(group, minlength=len(group))[group] == 1
    rows = np.flatnonzero(~_covered(everything, owner, cut & alone, ~cut))
    return _merged(everything[rows], group[rows])


def _covered(
    found: _Found,
    owner: NDArray[np.int64],
    parts: NDArray[np.bool_],
    wholes: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which parts lie in a whole box of their class that another window saw."""
    covered = np.zeros(len(parts), bool)
    whole = np.flatnonzero(wholes)
    for i in np.flatnonzero(parts):
        others = whole[(owner[whole] != owner[i])]
        others = others[found.class_id[others] == found.class_id[i]]
        shared = box_math.intersection(found.boxes[[i]], found.boxes[others])[0]
        size = float(box_math.area(found.boxes[[i]])[0])
        # A much less sure box must not take a surer one away.
        sure = found.confidence[others] >= found.confidence[i] / 2
        covered[i] = bool(np.any((shared > _COVERED * size) & sure))
    return covered


def _is_cut(
    window: WindowResult, windows: Sequence[WindowResult], boxes: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether each box was cut by a border of its window that is inside the image."""
    cut = np.zeros(len(boxes), bool)
    for axis in range(2):
        start = window.box.origin[axis]
        stop = start + window.box.piece[axis]
        near = _CUT / window.box.gain[axis]
        if start > min(w.box.origin[axis] for w in windows):
            cut |= boxes[:, axis] <= start + near
        if stop < max(w.box.origin[axis] + w.box.piece[axis] for w in windows):
            cut |= boxes[:, 2 + axis] >= stop - near
    return cut


def _is_large(window: WindowResult, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each box reaches from a border of its window into the core."""
    reaches = np.ones(len(boxes), bool)
    for axis, part in enumerate(window.core):
        reaches &= boxes[:, axis] < part.stop
        reaches &= boxes[:, 2 + axis] > part.start
    return reaches


def _groups(
    windows: Sequence[WindowResult],
    found: _Found,
    owner: NDArray[np.int64],
    cut: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Group of each box: parts of one object share theirs."""
    group = np.arange(len(found.boxes), dtype=np.int64)
    rows = np.flatnonzero(cut)
    for position, i in enumerate(rows):
        others = rows[position + 1 :]
        others = others[
            (owner[others] != owner[i]) & (found.class_id[others] == found.class_id[i])
        ]
        for j in others:
            apart = group[i] != group[j]
            if apart and _one_object(windows, found, owner, int(i), int(j)):
                group[group == group[j]] = group[i]
    return group


def _one_object(
    windows: Sequence[WindowResult],
    found: _Found,
    owner: NDArray[np.int64],
    i: int,
    j: int,
) -> bool:
    """Whether two cut boxes agree in the strip that both windows see."""
    first, second = windows[owner[i]].box, windows[owner[j]].box
    strip = np.array(
        [
            *(max(a, b) for a, b in zip(first.origin, second.origin, strict=True)),
            *(
                min(a + p, b + q)
                for a, p, b, q in zip(
                    first.origin, first.piece, second.origin, second.piece, strict=True
                )
            ),
        ],
        np.float32,
    )
    parts = found.boxes[[i, j]]
    parts = np.concatenate(
        [np.maximum(parts[:, :2], strip[:2]), np.minimum(parts[:, 2:], strip[2:])],
        axis=1,
    )
    if not np.all(parts[:, 2:] > parts[:, :2]):
        return False
    return bool(box_math.iou(parts[:1], parts[1:])[0, 0] > _JOINED)


def _merged(found: _Found, group: NDArray[np.int64]) -> _Found:
    """Union of the boxes of each group, as sure as the surest of them."""
    names, first, size = np.unique(group, return_index=True, return_counts=True)
    result = found[first]
    for i in np.flatnonzero(size > 1):
        rows = np.flatnonzero(group == names[i])
        result.boxes[i, :2] = found.boxes[rows, :2].min(axis=0)
        result.boxes[i, 2:] = found.boxes[rows, 2:].max(axis=0)
        result.confidence[i] = found.confidence[rows].max()
        sources = tuple(s for row in rows for s in found.sources[row])
        result = _Found(
            result.boxes,
            result.confidence,
            result.class_id,
            (*result.sources[:i], sources, *result.sources[i + 1 :]),
        )
    return result


def _concatenated(found: Sequence[_Found]) -> _Found:
    return _Found(
        np.concatenate([f.boxes for f in found]),
        np.concatenate([f.confidence for f in found]),
        np.concatenate([f.class_id for f in found]),
        tuple(source for f in found for source in f.sources),
    )


# -- masks -----------------------------------------------------------------------------


def _masks(
    windows: Sequence[WindowResult], found: _Found, settings: YoloSettings
) -> Masks:
    """Mask of each box at the image's resolution, only inside the box."""
    cut = math.log(settings.mask_threshold / (1 - settings.mask_threshold))
    origins = np.zeros((len(found.boxes), 2), np.int32)
    pixels = []
    for i, (box, sources) in enumerate(zip(found.boxes, found.sources, strict=True)):
        # Pixels whose number lies in [start, stop), as boxes are read.
        low = np.ceil(box[:2]).astype(int)
        high = np.maximum(np.ceil(box[2:]).astype(int), low)
        mask = np.zeros(tuple(high - low), bool)
        for number, row in sources:
            logits = _logits(windows[number], row, low, high)
            if logits is not None:
                part, there = logits
                mask[there] |= part > cut
        origins[i] = low
        pixels.append(mask)
    return Masks(origins, tuple(pixels))


def _logits(
    window: WindowResult, row: int, low: NDArray[Any], high: NDArray[Any]
) -> tuple[NDArray[np.float32], tuple[slice, slice]] | None:
    """Mask logits of one candidate at image pixels, and where they lie in the mask.

    The prototypes' sum is interpolated between their pixels' centres, as resizing does,
    at the centres of the image's pixels that the window shows.
    """
    if window.prototypes is None:
        return None
    where, taps, near = [], [], []
    for axis in range(2):
        start = window.box.origin[axis]
        first = max(int(low[axis]), start)
        last = min(int(high[axis]), start + window.box.piece[axis])
        if last <= first:
            return None
        count = window.prototypes.shape[1 + axis]
        ratio = count / window.box.window[axis]
        centre = np.arange(first, last) + 0.5 - start
        inside = centre * window.box.gain[axis] + window.box.margin[axis]
        at = np.clip(inside * ratio - 0.5, 0, count - 1)
        before = np.minimum(at.astype(int), max(count - 2, 0))
        taps.append((before - before[0], (at - before).astype(np.float32)))
        near.append(slice(int(before[0]), min(int(before[-1]) + 2, count)))
        where.append(slice(first - int(low[axis]), last - int(low[axis])))
    coefficients = window.found.coefficients[row]
    small = np.asarray(window.prototypes[:, near[0], near[1]], np.float32)
    sums = (coefficients @ small.reshape(len(small), -1)).reshape(small.shape[1:])
    return _interpolated(sums, taps), (where[0], where[1])


def _interpolated(
    values: NDArray[np.float32],
    taps: Sequence[tuple[NDArray[Any], NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Linear interpolation along both axes: values before and after, and the share."""
    (y, share_y), (x, share_x) = taps
    after_y = np.minimum(y + 1, values.shape[0] - 1)
    after_x = np.minimum(x + 1, values.shape[1] - 1)
    rows = values[y] + (values[after_y] - values[y]) * share_y[:, None]
    return np.asarray(rows[:, x] + (rows[:, after_x] - rows[:, x]) * share_x)


def _filled(boxes: NDArray[np.float32]) -> Masks:
    low = np.ceil(boxes[:, :2]).astype(np.int32)
    high = np.maximum(np.ceil(boxes[:, 2:]).astype(np.int32), low)
    return Masks(low, tuple(np.ones(tuple(size), bool) for size in high - low))


# -- objects ---------------------------------------------------------------------------


def _objects(
    prediction: Prediction,
    found: Sequence[_Found],
    planes: Sequence[tuple[int, ...]],
    masks: Sequence[Masks | None],
) -> Objects:
    layout = prediction.layout
    everything = _concatenated(found)
    origin = prediction.frame.origin[: len(prediction.planes)]
    position = [
        np.tile(np.add(index, origin).astype(np.int32), (len(f.boxes), 1))
        for f, index in zip(found, planes, strict=True)
    ]
    columns = [
        _measured(prediction, f, m, index)
        for f, m, index in zip(found, masks, planes, strict=True)
    ]
    features = {
        name: np.concatenate([column[name] for column in columns])
        for name in columns[0]
    }
    features |= physical_area(prediction, features["area"])
    kept = [mask for mask in masks if mask is not None]
    together = None
    if kept:
        together = Masks(
            np.concatenate([mask.origins for mask in kept]),
            tuple(pixels for mask in kept for pixels in mask.pixels),
        )
    count = len(everything.boxes)
    return Objects(
        frame=prediction.frame,
        id=np.arange(1, count + 1, dtype=np.int32),
        class_id=everything.class_id,
        confidence=np.clip(everything.confidence, 0, 1),
        boxes=everything.boxes,
        classes=layout.names if layout is not None else (),
        masks=together,
        features=features,
        planes=np.concatenate(position).reshape(count, len(prediction.planes)),
        assumed=prediction.assumed,
    )


def _measured(
    prediction: Prediction, found: _Found, masks: Masks | None, index: tuple[int, ...]
) -> dict[str, NDArray[Any]]:
    """Features of one plane's objects; boxes alone have an area and an edge."""
    shape = prediction.frame.shape[len(index) :]
    size = (shape[0], shape[1])
    if masks is None:
        touching = (found.boxes[:, :2] <= 0).any(axis=1)
        touching |= (found.boxes[:, 2:] >= size).any(axis=1)
        alone: dict[str, NDArray[Any]] = {
            "area": np.asarray(box_math.area(found.boxes), np.float64),
            "touches_edge": np.asarray(touching, np.float64),
        }
        return alone
    columns = masks.measure(size, measured_pixels(prediction, index))
    return {n: c for n, c in columns.items() if not n.startswith("box_")}


def default_settings(model: Model) -> YoloSettings:
    """Settings to begin with: what the description says, else what is usual."""
    hints = model.hints.get("yolo")
    chosen: dict[str, Any] = {}
    if isinstance(hints, dict) and isinstance(hints.get("iou"), (int, float)):
        chosen["iou_threshold"] = min(max(float(hints["iou"]), 0.0), 1.0)
    return as_described(YoloSettings(**chosen), model)


YOLO = Decoder(
    name="yolo",
    title="Boxes and masks (YOLO)",
    settings=YoloSettings,
    decode=decode_boxes,
    defaults=default_settings,
    recognises=lambda model: model.kind in DETECTORS,
)
