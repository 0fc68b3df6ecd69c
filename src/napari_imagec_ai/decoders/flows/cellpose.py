"""Cellpose: flows to the centre of each object, and how sure each pixel lies in one.

Pixels of the foreground follow the flows to where they meet, which makes them objects;
of these, those go whose flows are not what their shape asks for. In a stack whose flows
lie in the planes, every plane is decoded by itself.

Source: C. Stringer et al., "Cellpose: a generalist algorithm for cellular
segmentation", 2021.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import special

from napari_imagec_ai.decoders import activation
from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.decoders.cache import Kept
from napari_imagec_ai.decoders.channel_roles import main_map
from napari_imagec_ai.decoders.decoder import (
    OF_MODEL,
    Decoder,
    Settings,
    as_described,
    channel_number,
)
from napari_imagec_ai.decoders.flows.follow_flows import flow_errors, follow, gather
from napari_imagec_ai.decoders.output_grid import Map, grid_of
from napari_imagec_ai.decoders.splitting.split_touching import (
    Labels,
    compact,
    fill_between,
    without_small,
)
from napari_imagec_ai.decoders.tabulate import Regions, tabulate
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.blocks import grid
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import main_output
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction

Direction = Literal["auto", "inward", "outward"]

STEP = "cellpose_flow_dynamics"
"""What a description calls the decoding, if it has it among the processing steps."""

_LENGTH = 5
"""Networks are trained to give flows this long where pixels should move by one."""


class CellposeSettings(Settings):
    """What a person may set for flows."""

    mask_threshold: float = Field(
        0.5,
        ge=0.01,
        le=0.99,
        description="Pixels are foreground where the network is surer than this. 0.5 "
        "is a 'cellprob threshold' of 0: p stands for log(p / (1 - p)).",
    )
    flow_threshold: float = Field(
        0.4,
        ge=0.0,
        le=10.0,
        description="Objects go whose flows are farther than this from what their "
        "shape asks for; 0: none go. Not used in volumes.",
    )
    min_size: int = Field(
        15,
        ge=0,
        le=1_000_000,
        description="Smaller specks (pixels) are no objects.",
    )
    fill_holes: bool = Field(True, description="Fill holes in objects.")
    steps: int = Field(
        200,
        ge=1,
        le=10_000,
        description="How far pixels follow the flows, in pixels: farther than the "
        "largest object reaches from its centre.",
    )
    max_share: float = Field(
        0.4,
        ge=0.01,
        le=1.0,
        description="Objects that cover more than this part of the image are left out.",
    )
    flow_z: int = channel_number(
        -1, "Channel of the flow along z; -1: none, flows lie in the planes."
    )
    flow_y: int = channel_number(0, "Channel of the flow along y.", least=0)
    flow_x: int = channel_number(1, "Channel of the flow along x.", least=0)
    cellprob: int = channel_number(
        2, "Channel that tells how sure a pixel lies in an object.", least=0
    )
    direction: Direction = Field(
        "auto",
        description="Whether flows lead to the centres of objects or away from them; "
        "auto: as it is seen.",
        json_schema_extra={OF_MODEL: True},
    )
    activation: Activation = Field(
        "auto",
        description="Turns the last of these into probabilities; auto: a sigmoid, "
        "unless all values are from 0 to 1.",
    )


def decode_flows(prediction: Prediction, settings: CellposeSettings) -> Objects:
    """Decode flows; see :class:`Decoder`."""
    model = prediction.model
    _, values = main_map(prediction)
    channels = _channels(prediction, values, settings)
    settled, sentences = _settled(prediction, settings)
    chosen = settled.activation
    length = -_LENGTH if settled.direction == "outward" else _LENGTH
    smallest = grid_of(prediction, values).scaled(settings.min_size)

    def find(index: tuple[int, ...]) -> Regions:
        raw = np.asarray(values[(*index, settings.cellprob)])
        sure = activation.apply(chosen, raw[None], 0)[0]
        followed = _KEPT.get(
            [values],
            (index, channels, *(getattr(settled, name) for name in _FOLLOWED)),
            lambda: _follow(sure, flow(index), settings),
        )
        return _find(sure, lambda: flow(index), followed, settings, smallest)

    def flow(index: tuple[int, ...]) -> Map:
        found = np.stack([np.asarray(values[(*index, n)]) for n in channels])
        found /= np.float32(length)
        return found

    return tabulate(prediction, find, model.classes[:1] or ("object",), *sentences)


def _channels(
    prediction: Prediction, values: Map, settings: CellposeSettings
) -> tuple[int, ...]:
    """Channels of the flows along each axis."""
    space = prediction.space
    each = {"Z": settings.flow_z, "Y": settings.flow_y, "X": settings.flow_x}
    channels = tuple(each[axis] for axis in space)
    count = values.shape[len(prediction.planes)]
    if not all(0 <= n < count for n in (*channels, settings.cellprob)):
        raise DecodeError(
            f"Expected flows along '{space}' in the channels {channels} and the cell "
            f"probability in channel {settings.cellprob}, found an output of shape "
            f"{tuple(values.shape)}, which has {count} channels; choose others, or "
            "another decoder."
        )
    return channels


def _activation(
    prediction: Prediction, settings: CellposeSettings
) -> tuple[Activation, str]:
    spec, values = main_map(prediction)
    places = itertools.product(
        np.ndindex(prediction.planes), grid(values.shape[-len(prediction.space) :])
    )
    each = (values[(*index, settings.cellprob, *where)] for index, where in places)
    chosen, sentence = activation.resolve(
        settings.activation,
        prediction.model,
        spec,
        (np.nan_to_num(part, nan=0, posinf=0, neginf=0) for part in each),
        exclusive=False,
    )
    # That it is a logit is the family's custom, and no guess.
    return chosen, "" if chosen == "sigmoid" else sentence


def settle(
    prediction: Prediction, settings: CellposeSettings
) -> tuple[CellposeSettings, str]:
    """Choose what the whole of the output tells; see :class:`Decoder`."""
    settled, sentences = _settled(prediction, settings)
    return settled, " ".join(filter(None, sentences))


def _settled(
    prediction: Prediction, settings: CellposeSettings
) -> tuple[CellposeSettings, tuple[str, str]]:
    """Choose activation and direction, and say what was not as usual."""
    _, values = main_map(prediction)
    channels = _channels(prediction, values, settings)
    chosen, sentence = _activation(prediction, settings)
    direction, warning = settings.direction, ""
    if direction == "auto":
        source = _SOURCES.get(
            [values],
            (channels, settings.cellprob, chosen),
            lambda: _source(prediction, values, channels, settings.cellprob, chosen),
        )
        direction = "outward" if source > _SURE else "inward"
        if direction == "outward":
            warning = (
                "Flows were taken to lead away from the centres of objects, as they "
                "do here; usual are flows to the centres."
            )
    changes = {"activation": chosen, "direction": direction}
    return settings.model_copy(update=changes), (sentence, warning)


def _source(
    prediction: Prediction,
    values: Map,
    channels: tuple[int, ...],
    cellprob: int,
    chosen: Activation,
) -> float:
    """How much flows lead apart in objects: below 0 where they lead together.

    The mean divergence, for flows of length 1; 0 where it may be chance.
    """
    total, length, squares = 0.0, 0.0, 0.0
    for index in np.ndindex(prediction.planes):
        for where in grid(values.shape[-len(channels) :]):
            raw = np.asarray(values[(*index, cellprob, *where)])
            inside = activation.apply(chosen, raw[None], 0)[0] > 0.5
            if min(inside.shape) < 2:
                continue
            for axis, channel in enumerate(channels):
                flow = np.nan_to_num(np.asarray(values[(*index, channel, *where)]))
                ahead = np.diff(flow.astype(np.float64), axis=axis)
                both = inside.take(range(1, inside.shape[axis]), axis)
                both &= inside.take(range(inside.shape[axis] - 1), axis)
                total += float(ahead[both].sum())
                squares += float((ahead[both] ** 2).sum())
                length += float(np.abs(flow[inside], dtype=np.float64).sum())
    # Of noise, the sum is hardly more than the root of its squares.
    return total / length if abs(total) > _NOISE * math.sqrt(squares) else 0.0


@dataclass(slots=True, eq=False)
class _Followed:
    """Objects as the flows make them, before any was left out.

    Attributes
    ----------
    labels : int32
        Ids 1 to ``count``.
    errors : (count,) float64, or None
        Of their flows, where somebody asked.
    """

    labels: Labels
    count: int
    errors: NDArray[np.float64] | None = None


_FOLLOWED = (
    "mask_threshold", "steps", "max_share", "cellprob", "direction", "activation"
)  # fmt: skip
"""Settings that objects depend on before any is left out."""

_SURE = 2e-3
"""Flows that lead apart by less than this are noise, or objects are very large."""

_NOISE = 5
"""So many standard deviations are no chance."""

_SOURCES: Kept[float] = Kept(lambda _: 8)

_KEPT: Kept[_Followed] = Kept(lambda found: found.labels.nbytes)


def _follow(sure: Map, flow: Map, settings: CellposeSettings) -> _Followed:
    """The objects of one plane or volume, all of them."""
    known = sure > settings.mask_threshold
    start = np.stack(np.nonzero(known))
    end = follow(
        np.nan_to_num(np.where(known, flow, 0)),
        start.astype(np.float32),
        settings.steps,
    )
    return _Followed(*gather(start, end, sure.shape, settings.max_share))


def _find(
    sure: Map,
    flow: Callable[[], Map],
    followed: _Followed,
    settings: CellposeSettings,
    smallest: int,
) -> Regions:
    """The objects of one plane or volume that are left."""
    known = sure > settings.mask_threshold
    labels, count = followed.labels, followed.count
    if sure.ndim == 2 and settings.flow_threshold and count:
        if followed.errors is None:
            followed.errors = flow_errors(labels, count, flow())
        good = np.concatenate([[False], followed.errors <= settings.flow_threshold])
        labels, count = compact(np.where(good[labels], labels, 0), count)
    labels, count = without_small(labels, count, smallest)
    if settings.fill_holes:
        labels = fill_between(labels, count)
    return Regions(labels, count, sure, known, smallest=settings.min_size)


def default_settings(model: Model) -> CellposeSettings:
    """Settings to begin with: what the description says, else what is usual."""
    chosen: dict[str, Any] = {}
    if len(main_output(model).space) == 3:
        chosen |= {"flow_z": 0, "flow_y": 1, "flow_x": 2, "cellprob": 3}
    for output in model.outputs:
        for step in output.steps:
            if step.id == STEP:
                chosen |= _published(step.kwargs)
    return as_described(CellposeSettings(**chosen), model)


def _published(kwargs: Any) -> dict[str, float]:
    """The arguments of the step by the names of the settings."""
    found: dict[str, float] = {}
    numbers = {
        name: float(value)
        for name, value in kwargs.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }
    if "cellprob_threshold" in numbers:
        probability = float(special.expit(numbers["cellprob_threshold"]))
        found["mask_threshold"] = min(max(probability, 0.01), 0.99)
    if "flow_threshold" in numbers:
        found["flow_threshold"] = min(max(numbers["flow_threshold"], 0.0), 10.0)
    if "min_size" in numbers:
        found["min_size"] = min(max(round(numbers["min_size"]), 0), 1_000_000)
    return found


CELLPOSE = Decoder(
    name="cellpose",
    title="Flows to the centre of each object (Cellpose)",
    settings=CellposeSettings,
    decode=decode_flows,
    defaults=default_settings,
    recognises=lambda model: model.kind == "cellpose",
    settle=settle,
)
