"""What decoders of boxes share: from the candidates of windows to objects.

Boxes that the network did not suppress itself are suppressed by sureness
(:func:`napari_imagec_ai.results.boxes.nms`). Of windows that overlap, each answers for
the boxes whose centre lies in its core. A box that an inner border cut gives way to the
whole one next door; parts of objects that are larger than the overlap are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_imagec_ai.decoders.boxes.join_windows import (
    PlaneBoxes,
    concatenated,
    join_windows,
)
from napari_imagec_ai.decoders.decoder import Settings
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results import rotated
from napari_imagec_ai.results.boxes import area, nms
from napari_imagec_ai.results.intensities import measured_pixels, physical_area
from napari_imagec_ai.results.masks import Masks
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.rotated import Corners
from napari_imagec_ai.results.window_results import Candidates, Layout, WindowResult

Features = dict[str, NDArray[Any]]

DrawMasks = Callable[[Sequence[WindowResult], PlaneBoxes, float], Masks]
"""Draws the mask of each box at the image's resolution, by the mask threshold."""


class BoxSettings(Settings):
    """What a person may set for every detector."""

    mask_threshold: float = Field(
        0.5,
        ge=0.01,
        le=0.99,
        description="Pixels of a box are the object's where the network is this sure.",
    )
    iou_threshold: float = Field(
        0.45,
        ge=0.0,
        le=1.0,
        description="Of two boxes of a class that overlap more, the surer one stays.",
    )
    ios_threshold: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="In images of several windows: of two boxes of a class that share "
        "more than this part of the smaller one, the surer one stays.",
    )
    class_agnostic: bool = Field(
        False, description="Boxes of different classes remove each other, too."
    )
    fill_boxes: bool = Field(
        False, description="Boxes without masks become filled boxes in Labels."
    )


def layout_of(prediction: Prediction, decoder: str) -> Layout:
    """How a detector's tensors are laid out.

    Raises
    ------
    DecodeError
        If the prediction has maps.
    """
    if prediction.layout is None:
        raise DecodeError(
            f"'{prediction.model.name}' gave maps and no boxes, which the decoder "
            f"'{decoder}' needs; choose another decoder."
        )
    return prediction.layout


def decode_boxes(
    prediction: Prediction, layout: Layout, settings: BoxSettings, draw: DrawMasks
) -> Objects:
    """Objects of a detector's candidates.

    Parameters
    ----------
    prediction : Prediction
        Of a detector.
    layout : Layout
        Of its tensors.
    settings : BoxSettings
        Thresholds.
    draw : callable
        Draws masks, where the layout has them.
    """
    found: list[PlaneBoxes] = []
    planes: list[tuple[int, ...]] = []
    masks: list[Masks | None] = []
    corners: list[Corners | None] = []
    more: list[Features] = []
    for index in np.ndindex(prediction.planes):
        windows = [w for w in prediction.windows if w.plane == index]
        kept = _suppressed(windows, settings, layout.final)
        mask = None
        ends = _ends(windows, kept) if layout.angles else None
        if layout.has_masks:
            mask = draw(windows, kept, settings.mask_threshold)
            # An object without a pixel is none.
            rows = np.flatnonzero([pixels.any() for pixels in mask.pixels])
            kept, mask = kept[rows], mask[rows]
        elif settings.fill_boxes:
            mask = _filled(kept.boxes) if ends is None else _drawn(ends)
        found.append(kept)
        corners.append(ends)
        more.append(_more(windows, kept, layout, ends))
        planes.append(index)
        masks.append(mask)
    objects = _objects(prediction, layout, found, planes, masks)
    columns = {name: np.concatenate([m[name] for m in more]) for name in more[0]}
    columns |= physical_area(prediction, columns["area"]) if "area" in columns else {}
    there = [ends for ends in corners if ends is not None]
    return replace(
        objects,
        features={**objects.features, **columns},
        corners=np.concatenate(there) if there else None,
    )


# -- boxes -----------------------------------------------------------------------------


def _suppressed(
    windows: Sequence[WindowResult], settings: BoxSettings, final: bool
) -> PlaneBoxes:
    """Boxes of one plane, after suppression within and across windows."""
    each = []
    for number, window in enumerate(windows):
        candidates = window.found
        rows = np.arange(len(candidates), dtype=np.int64)
        ends = None
        if candidates.rotated is not None:
            ends = rotated.corners(candidates.rotated)
        if not final:
            rows = _kept(candidates, settings, ends)
        each.append(
            PlaneBoxes(
                window.box.boxes_to_image(candidates.boxes[rows]),
                candidates.confidence[rows],
                candidates.class_id[rows],
                tuple(((number, int(row)),) for row in rows),
            )
        )
    if len(each) == 1:
        return each[0]
    joined = join_windows(windows, each)
    turned = any(window.found.rotated is not None for window in windows)
    ends = _ends(windows, joined) if turned else None
    return joined[_kept(joined, settings, ends, settings.ios_threshold)]


def _kept(
    found: Candidates | PlaneBoxes,
    settings: BoxSettings,
    ends: Corners | None,
    ios_threshold: float = 1.0,
) -> NDArray[np.int64]:
    """Rows that suppression leaves, by the corners of boxes where they are rotated."""
    options = (
        found.confidence,
        found.class_id,
        settings.iou_threshold,
        settings.class_agnostic,
        ios_threshold,
    )
    if ends is not None:
        return rotated.nms(ends, *options)
    return nms(found.boxes, *options)


# -- rotated boxes and key points ------------------------------------------------------


def _ends(windows: Sequence[WindowResult], found: PlaneBoxes) -> Corners:
    """Corners of rotated boxes in the image: of joined ones, those of the surest."""
    ends = np.zeros((len(found.boxes), 4, 2), np.float32)
    for i, (number, row) in enumerate(_sources(windows, found)):
        window = windows[number]
        turned = window.found.rotated
        if turned is not None:
            there = rotated.corners(turned[[row]])
            ends[i] = window.box.places_to_image(there)[0]
    return ends


def _sources(
    windows: Sequence[WindowResult], found: PlaneBoxes
) -> Iterator[tuple[int, int]]:
    """The window and the row that each box came from; the surest of several."""
    for sources in found.sources:
        yield max(sources, key=lambda s: float(windows[s[0]].found.confidence[s[1]]))


def _drawn(ends: Corners) -> Masks:
    pairs = [rotated.drawn(box) for box in ends]
    origins = np.array([low for _, low in pairs], np.int32).reshape(-1, 2)
    return Masks(origins, tuple(pixels for pixels, _ in pairs))


def _more(
    windows: Sequence[WindowResult],
    found: PlaneBoxes,
    layout: Layout,
    ends: Corners | None,
) -> Features:
    """Columns of what boxes have beside their edges: angle and sides, key points."""
    columns: Features = {}
    if ends is not None:
        sides = rotated.sides(ends)
        columns["angle"] = rotated.degrees(ends)
        columns["length"], columns["width"] = sides.max(axis=1), sides.min(axis=1)
        columns["area"] = sides.prod(axis=1)
    count = layout.points[0]
    if not count:
        return columns
    points = np.zeros((len(found.boxes), count, 3))
    for i, (number, row) in enumerate(_sources(windows, found)):
        window = windows[number]
        if window.found.points is not None:
            points[i] = window.found.points[row]
            places = np.asarray(points[i, :, :2], np.float32)
            # Centres of pixels lie at integers, edges of boxes half a pixel before.
            points[i, :, :2] = window.box.places_to_image(places) - 0.5
    for n in range(count):
        name = layout.point_names[n] if layout.point_names else str(n + 1)
        columns[f"point_{name}_y"] = points[:, n, 0]
        columns[f"point_{name}_x"] = points[:, n, 1]
        columns[f"point_{name}_confidence"] = points[:, n, 2]
    return columns


def _filled(boxes: NDArray[np.float32]) -> Masks:
    low = np.ceil(boxes[:, :2]).astype(np.int32)
    high = np.maximum(np.ceil(boxes[:, 2:]).astype(np.int32), low)
    return Masks(low, tuple(np.ones(tuple(size), bool) for size in high - low))


# -- objects ---------------------------------------------------------------------------


def _objects(
    prediction: Prediction,
    layout: Layout,
    found: Sequence[PlaneBoxes],
    planes: Sequence[tuple[int, ...]],
    masks: Sequence[Masks | None],
) -> Objects:
    everything = concatenated(found)
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
        classes=layout.names,
        masks=together,
        features=features,
        planes=np.concatenate(position).reshape(count, len(prediction.planes)),
        assumed=prediction.assumed,
    )


def _measured(
    prediction: Prediction,
    found: PlaneBoxes,
    masks: Masks | None,
    index: tuple[int, ...],
) -> dict[str, NDArray[Any]]:
    """Features of one plane's objects; boxes alone have an area and an edge."""
    shape = prediction.frame.shape[len(index) :]
    size = (shape[0], shape[1])
    if masks is None:
        touching = (found.boxes[:, :2] <= 0).any(axis=1)
        touching |= (found.boxes[:, 2:] >= size).any(axis=1)
        alone: dict[str, NDArray[Any]] = {
            "area": np.asarray(area(found.boxes), np.float64),
            "touches_edge": np.asarray(touching, np.float64),
        }
        return alone
    columns = masks.measure(size, measured_pixels(prediction, index))
    return {n: c for n, c in columns.items() if not n.startswith("box_")}
