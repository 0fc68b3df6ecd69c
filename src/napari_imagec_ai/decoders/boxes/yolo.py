"""YOLO and its family: boxes, and masks from prototypes.

A box's mask is the sum of the prototypes with the box's coefficients, in the box.
"""

from __future__ import annotations

from typing import Any

from napari_imagec_ai.decoders.boxes.detections import (
    BoxSettings,
    decode_boxes,
    layout_of,
)
from napari_imagec_ai.decoders.boxes.prototype_masks import draw_masks
from napari_imagec_ai.decoders.decoder import Decoder, as_described
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.model.table_outputs import gives_tables
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction


class YoloSettings(BoxSettings):
    """What a person may set for detectors of the YOLO family."""


def decode(prediction: Prediction, settings: YoloSettings) -> Objects:
    """Decode a detector's candidates; see :class:`Decoder`."""
    layout = layout_of(prediction, "yolo")
    if layout.name == "separate":
        raise DecodeError(
            f"'{prediction.model.name}' gave boxes, classes and scores in tensors of "
            "their own, where the decoder 'yolo' expects one table; choose the decoder "
            "'rcnn'."
        )
    return decode_boxes(prediction, layout, settings, draw_masks)


def recognises(model: Model) -> bool:
    """Whether a model gives boxes, all in one table."""
    return model.kind in DETECTORS and not gives_tables(model)


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
    decode=decode,
    defaults=default_settings,
    recognises=recognises,
)
