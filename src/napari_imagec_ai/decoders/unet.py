"""U-Net and its family: maps of the foreground, with or without boundaries.

Pixels above the mask threshold are foreground. Touching objects are taken apart by the
boundaries that the network drew, and by their shape: see
:mod:`napari_imagec_ai.splitting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_imagec_ai import splitting
from napari_imagec_ai.decoders import Decoder, Settings, activation, as_described
from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.features import measure
from napari_imagec_ai.intensity import (
    measured_pixels,
    physical_area,
    plane_position,
)
from napari_imagec_ai.kinds import channel_roles, main_output
from napari_imagec_ai.model import Model
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.prediction import Prediction

Map = NDArray[np.float32]

_NECK_WITH_BOUNDARY = 0.5
"""Where the network draws boundaries, shape only takes apart what is nearly cut off."""

KINDS = ("foreground", "foreground_boundary", "three_class", "boundary")


class UNetSettings(Settings):
    """What a person may set for maps of foreground and boundary."""

    mask_threshold: float = Field(
        0.5,
        ge=0.01,
        le=0.99,
        description="Pixels are foreground where the network is at least this sure.",
        json_schema_extra={"step": 0.01},
    )
    split: bool = Field(True, description="Take touching objects apart.")
    neck: float = Field(
        0.96,
        ge=0.0,
        le=1.0,
        description="Parts are taken apart where the neck between them is narrower "
        "than this share of the smaller part; 0: never by shape, only at boundaries.",
        json_schema_extra={"step": 0.01},
    )
    fill_holes: bool = Field(True, description="Fill holes in objects.")
    min_size: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="Smaller specks (pixels) are no objects.",
    )
    activation: Activation = Field(
        "auto",
        description="Turns the output into probabilities; auto: by the description, "
        "else by the range of the values.",
    )
    foreground: int = Field(
        0, ge=-1, le=1023, description="Channel of the foreground; -1: none."
    )
    boundary: int = Field(
        -1, ge=-1, le=1023, description="Channel of the boundaries; -1: none."
    )
    background: int = Field(
        -1, ge=-1, le=1023, description="Channel of the background; -1: none."
    )


@dataclass(frozen=True, slots=True)
class _Maps:
    """Probabilities of one plane: of being in an object, and away from its rim."""

    whole: Map
    interior: Map
    rim: Map | None


def decode_maps(prediction: Prediction, settings: UNetSettings) -> Objects:
    """Decode foreground (and boundary) maps; see :class:`Decoder`."""
    spec = main_output(prediction.model)
    if spec.id not in prediction.maps:
        raise DecodeError(
            f"Output '{spec.id}' of '{prediction.model.name}' is no map of the image; "
            "choose another decoder."
        )
    values = prediction.maps[spec.id]
    chosen, sentence = activation.resolve(
        settings.activation, prediction.model, spec, values
    )
    probabilities = activation.apply(
        chosen, values, values.ndim - 1 - len(prediction.space)
    )
    # Channels of a softmax exclude each other: the rim is then no part of the inside.
    exclusive = chosen == "softmax" or prediction.model.kind == "three_class"
    label_image = np.zeros(prediction.frame.shape, np.int32)
    tables: list[dict[str, NDArray[Any]]] = []
    found = 0
    for index in np.ndindex(prediction.planes):
        maps = _roles(probabilities[index], settings, exclusive)
        labels, count = _segment(maps, settings, prediction)
        whole = maps.whole
        size = prediction.frame.shape[len(index) :]
        if labels.shape != size:
            labels, whole = _resized(labels, size), _resized(whole, size)
            labels, count = splitting.compact(labels, count)
        table = measure(
            labels, count, {**measured_pixels(prediction, index), "confidence": whole}
        )
        table["plane"] = np.tile(plane_position(prediction, index), (count, 1))
        label_image[index] = np.where(labels > 0, labels + found, 0)
        tables.append(table)
        found += count
    return _objects(prediction, label_image, tables, sentence)


def _roles(channels: Map, settings: UNetSettings, exclusive: bool) -> _Maps:
    def channel(number: int, word: str) -> Map | None:
        if number >= len(channels):
            raise DecodeError(
                f"The output has {len(channels)} channels, but channel {number} was "
                f"named as the {word}; choose one from 0 to {len(channels) - 1}, or -1."
            )
        return channels[number] if number >= 0 else None

    inside = channel(settings.foreground, "foreground")
    rim = channel(settings.boundary, "boundary")
    background = channel(settings.background, "background")
    between = background if background is not None else rim
    if inside is None and between is not None:
        # Membranes: objects are what lies between them.
        return _Maps(1 - between, 1 - between, None)
    if inside is None:
        raise DecodeError(
            "Neither a foreground nor a boundary channel is chosen; choose one."
        )
    if rim is None:
        return _Maps(inside, inside, None)
    if exclusive:  # the rim is a class of its own, and part of the object
        return _Maps(inside + rim, inside, rim)
    return _Maps(inside, inside * (1 - rim), rim)


def _segment(
    maps: _Maps, settings: UNetSettings, prediction: Prediction
) -> tuple[NDArray[np.int32], int]:
    mask = maps.whole >= settings.mask_threshold
    if settings.fill_holes:
        mask = splitting.fill_holes(mask)
    if not settings.split:
        labels, count = splitting.components(mask)
    else:
        relief = _relief(maps, mask, settings, prediction)
        labels, count = splitting.split_touching(
            mask, relief, settings.neck, settings.min_size
        )
    small = np.bincount(labels.reshape(-1), minlength=count + 1) < settings.min_size
    if small[1:].any():
        labels, count = splitting.compact(np.where(small[labels], 0, labels), count)
    return labels, count


def _relief(
    maps: _Maps, mask: splitting.Mask, settings: UNetSettings, prediction: Prediction
) -> Map:
    """Hills for objects: how deep a pixel lies inside, and how sure the network is."""
    interior = mask
    if maps.rim is not None:
        interior = mask & (maps.interior >= settings.mask_threshold)
        if settings.fill_holes:
            interior = splitting.fill_holes(interior)
    spacing = prediction.frame.pixel_size[-len(prediction.space) :]
    depth = splitting.distance(interior, spacing)
    inside = depth[interior]
    # A disc's mean depth is a third of its radius: smooth by a tenth of that radius,
    # enough for the ripples of a pixel outline and too little to close a neck.
    sigma = min(max(0.3 * float(inside.mean()), 0.6), 2.5) if inside.size else 1.0
    # Of a hole that was filled, the network is not sure, but we are.
    filled = mask & (maps.whole < settings.mask_threshold)
    sure = np.sqrt(np.where(filled, 1, np.clip(maps.whole, 0, 1)))
    hills = splitting.smooth(depth * sure, interior, sigma)
    if maps.rim is None:
        return hills
    # Between interiors the seam follows the strongest boundary, below all hills.
    return np.where(interior, hills, -np.clip(maps.rim, 1e-3, 1)).astype(np.float32)


def _resized(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Nearest neighbour, for maps of another resolution than the image."""
    for axis, size in enumerate(shape):
        at = np.floor((np.arange(size) + 0.5) * array.shape[axis] / size).astype(int)
        array = array.take(at, axis=axis)
    return array


def _objects(
    prediction: Prediction,
    label_image: NDArray[np.int32],
    tables: list[dict[str, NDArray[Any]]],
    sentence: str,
) -> Objects:
    columns = {
        name: np.concatenate([table[name] for table in tables]) for name in tables[0]
    }
    space = [axis.lower() for axis in prediction.space]
    boxes = np.stack(
        [columns.pop(f"box_{axis}{end}") for end in "01" for axis in space], axis=1
    )
    confidence = columns.pop("confidence")
    planes = columns.pop("plane")
    count = len(confidence)
    columns |= physical_area(prediction, columns["area"])
    return Objects(
        frame=prediction.frame,
        id=np.arange(1, count + 1, dtype=np.int32),
        class_id=np.zeros(count, np.int32),
        confidence=np.clip(confidence, 0, 1).astype(np.float32),
        boxes=boxes.astype(np.float32),
        classes=prediction.model.classes[:1] or ("object",),
        label_image=label_image,
        features=columns,
        planes=planes.reshape(count, len(prediction.planes)).astype(np.int32),
        assumed=(*prediction.assumed, *([sentence] if sentence else [])),
    )


def default_settings(model: Model) -> UNetSettings:
    """Settings to begin with: what the description says, else what is usual."""
    roles = channel_roles(model)
    chosen: dict[str, Any] = {
        name: -1 if role is None else role
        for name, role in (
            ("foreground", roles.foreground),
            ("boundary", roles.boundary),
            ("background", roles.background),
        )
    }
    if roles.foreground is None and roles.boundary is None:
        chosen["foreground"] = 0
    if roles.foreground is not None and roles.boundary is not None:
        chosen["neck"] = _NECK_WITH_BOUNDARY
    steps = model.outputs[0].steps
    thresholds = [s.kwargs.get("threshold") for s in steps if s.id == "binarize"]
    if thresholds and isinstance(thresholds[0], (int, float)):
        chosen["mask_threshold"] = min(max(float(thresholds[0]), 0.01), 0.99)
    return as_described(UNetSettings(**chosen), model)


UNET = Decoder(
    name="unet",
    title="Foreground and boundary maps (U-Net)",
    settings=UNetSettings,
    decode=decode_maps,
    defaults=default_settings,
    recognises=lambda model: model.kind in KINDS,
)
