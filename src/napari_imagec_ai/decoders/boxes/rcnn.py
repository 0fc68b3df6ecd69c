"""Mask R-CNN and its family: boxes, and a small mask for each.

The network suppressed doubles itself, so only those that two windows saw are left to
remove.
"""

from __future__ import annotations

from pydantic import Field

from napari_imagec_ai.decoders.boxes.detections import (
    BoxSettings,
    decode_boxes,
    layout_of,
)
from napari_imagec_ai.decoders.boxes.paste_masks import paste_masks
from napari_imagec_ai.decoders.decoder import Decoder, as_described
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.model.table_outputs import gives_tables
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction


class RcnnSettings(BoxSettings):
    """What a person may set for detectors of the Mask R-CNN family."""

    iou_threshold: float = Field(
        0.45,
        ge=0.0,
        le=1.0,
        description="In images of several windows: of two boxes of a class that "
        "overlap more, the surer one stays.",
    )
    class_agnostic: bool = Field(
        False,
        description="In images of several windows: boxes of different classes remove "
        "each other, too.",
    )


def decode(prediction: Prediction, settings: RcnnSettings) -> Objects:
    """Decode a detector's objects; see :class:`Decoder`."""
    layout = layout_of(prediction, "rcnn")
    if layout.name != "separate":
        raise DecodeError(
            f"'{prediction.model.name}' gave one table of boxes, where the decoder "
            "'rcnn' expects boxes, classes and scores in tensors of their own; choose "
            "the decoder 'yolo'."
        )
    return decode_boxes(prediction, layout, settings, paste_masks)


def default_settings(model: Model) -> RcnnSettings:
    """Settings to begin with: what the description says, else what is usual."""
    return as_described(RcnnSettings(), model)


def recognises(model: Model) -> bool:
    """Whether a model gives boxes, classes and scores in tensors of their own."""
    return model.kind in DETECTORS and gives_tables(model)


RCNN = Decoder(
    name="rcnn",
    title="Boxes and masks (Mask R-CNN)",
    settings=RcnnSettings,
    decode=decode,
    defaults=default_settings,
    recognises=recognises,
)
