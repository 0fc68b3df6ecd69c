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
from typing import Any

import numpy as np
from pydantic import Field
from scipy import special

from napari_imagec_ai import splitting
from napari_imagec_ai.blocks import grid
from napari_imagec_ai.decoders import (
    OF_MODEL,
    Decoder,
    Settings,
    activation,
    as_described,
)
from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.decoders.flows import flow_errors, follow, gather
from napari_imagec_ai.decoders.regions import grid_of
from napari_imagec_ai.decoders.roles import Map, main_map
from napari_imagec_ai.decoders.tables import Regions, tabulate
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.kinds import main_output
from napari_imagec_ai.model import Model
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.prediction import Prediction

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
        json_schema_extra={"step": 0.01},
    )
    flow_threshold: float = Field(
        0.4,
        ge=0.0,
        le=10.0,
        description="Objects go whose flows are farther than this from what their "
        "shape asks for; 0: none go. Not used in volumes.",
        json_schema_extra={"step": 0.05},
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
        json_schema_extra={"step": 0.01},
    )
    flow_z: int = Field(
        -1,
        ge=-1,
        le=1023,
        description="Channel of the flow along z; -1: none, flows lie in the planes.",
        json_schema_extra={OF_MODEL: True},
    )
    flow_y: int = Field(
        0,
        ge=0,
        le=1023,
        description="Channel of the flow along y.",
        json_schema_extra={OF_MODEL: True},
    )
    flow_x: int = Field(
        1,
        ge=0,
        le=1023,
        description="Channel of the flow along x.",
        json_schema_extra={OF_MODEL: True},
    )
    cellprob: int = Field(
        2,
        ge=0,
        le=1023,
        description="Channel that tells how sure a pixel lies in an object.",
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
    chosen, sentence = _activation(prediction, settings)
    smallest = grid_of(prediction, values).scaled(settings.min_size)

    def find(index: tuple[int, ...]) -> Regions:
        raw = np.asarray(values[(*index, settings.cellprob)])
        sure = activation.apply(chosen, raw[None], 0)[0]
        flow = np.stack([np.asarray(values[(*index, n)]) for n in channels])
        flow /= np.float32(_LENGTH)
        return _find(sure, flow, settings, smallest)

    return tabulate(prediction, find, model.classes[:1] or ("object",), sentence)


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
    """Choose the activation by the whole of the output; see :class:`Decoder`."""
    _, values = main_map(prediction)
    _channels(prediction, values, settings)
    chosen, sentence = _activation(prediction, settings)
    return settings.model_copy(update={"activation": chosen}), sentence


def _find(sure: Map, flow: Map, settings: CellposeSettings, smallest: int) -> Regions:
    """The objects of one plane or volume."""
    known = sure > settings.mask_threshold
    start = np.stack(np.nonzero(known))
    end = follow(
        np.nan_to_num(np.where(known, flow, 0)),
        start.astype(np.float32),
        settings.steps,
    )
    labels, count = gather(start, end, sure.shape, settings.max_share)
    if sure.ndim == 2 and settings.flow_threshold and count:
        errors = flow_errors(labels, count, flow)
        good = np.concatenate([[False], errors <= settings.flow_threshold])
        labels, count = splitting.compact(np.where(good[labels], labels, 0), count)
    labels, count = splitting.without_small(labels, count, smallest)
    if settings.fill_holes:
        labels = splitting.fill_between(labels, count)
    return Regions(labels, count, sure, known)


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
