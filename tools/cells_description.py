"""The words and the rdf.yaml of the cell detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from cells_network import PROTOTYPES, STEP, STRIDE
from synthetic_cells import CLASSES

SIDE = 320  # fixed size of the exported network
STRIDES = (STRIDE,)
README = """# Cell detector

Finds round cells (class `round`: nuclei, cocci, yeast and the like) and rods (class
`rod`: bacteria and other bent capsules) in 2D images, each with box, class and mask.
It has the output layout of YOLOv5-seg, but neither its code nor its weights: network
and training were written anew from the published layout.

- Input `images`: [1, 3, {side}, {side}] float32, red, green, blue from 0 to 1. Grey
  images go in as three equal channels. 8 bit divided by 255; anything else scaled by
  percentiles 0 and 99.8 of the whole image and clipped. Cut larger images into
  overlapping tiles of {side} x {side} rather than shrinking them, since sizes matter.
- `output0`: [1, {rows}, {channels}], one row for each point of a grid of stride 4: cx,
  cy, w, h in input pixels, objectness, round, rod (these three between 0 and 1) and
  {prototypes} mask coefficients.
- `output1`: [1, {prototypes}, {quarter}, {quarter}], mask prototypes. A mask is
  sigmoid(coefficients x prototypes) inside the box; enlarge before the threshold.
- Round cells from about 14 to 48 pixels across, rods 5 to 12 pixels wide and 20 to 60
  long. Bright on dark only.
- {parameters:,} parameters.

## Training

Only synthetic images with known outlines: both kinds of cells, sparse to crowded,
touching their like and the other kind, differing in brightness and focus, in uneven
light and haze, with optical blur, photon and camera noise, in 8 and 16 bit, 30 % of
them pseudo-coloured. {scenes} scenes, {steps} batches of 8 crops of 224 x 224 pixels;
losses: focal cross entropy of the objectness against the IoU, complete IoU of boxes,
cross entropy of classes and, inside the boxes, of masks. AdamW, averaged weights, fixed
seed. No image of anybody's experiment went into it.

Make it again, in the root of the source tree:

    python tools/train_demo_models.py cells-yolov5seg

## Validation

{number} synthetic scenes of 512 x 512 pixels that training did not see, of all styles,
each given to the network as a whole. A cell counts as found if its class is right and
its mask overlaps with IoU over 0.5. Boxes are thinned out within each class at IoU
{iou}. Confidence (objectness x class) over {threshold}, the best on these scenes:

{table}

At confidence 0.25, F1 is {usual:.3f} for both classes together. The figures compare
versions of this model and do not predict the quality on real images. Most round cells
that are missed are cut off by the edge of the image; the masks of rods side by side are
ragged at times.

Licence: BSD-3-Clause.
"""

_TAGS = (
    "yolov5",
    "yolov5-seg",
    "instance-segmentation",
    "object-detection",
    "fluorescence-light-microscopy",
    "cells",
    "bacteria",
    "2d",
)
_CITE = (
    {
        "text": "Redmon, Divvala, Girshick, Farhadi: You Only Look Once: Unified, "
        "Real-Time Object Detection. CVPR 2016.",
        "doi": "10.1109/CVPR.2016.91",
    },
    {
        "text": "Bolya, Zhou, Xiao, Lee: YOLACT: Real-time Instance Segmentation. "
        "ICCV 2019.",
        "doi": "10.1109/ICCV.2019.00925",
    },
)

File = Callable[[str], dict[str, Any]]
"""Name in the model folder to ``source`` and ``sha256``."""


def description(file: File, opset: int, threshold: float) -> dict[str, Any]:
    """Return the content of rdf.yaml."""
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Cell detector",
        "description": "Round cells and rods in 2D with boxes, classes and masks, in "
        "the output layout of YOLOv5-seg.",
        "version": "1.0",
        "authors": [{"name": "napari-imagec-ai developers"}],
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "covers": ["cover.png"],
        "tags": list(_TAGS),
        "cite": [dict(each) for each in _CITE],
        "inputs": [_input(file)],
        "outputs": [_rows(file), _prototypes(file)],
        "weights": {
            "onnx": {
                **file("weights.onnx"),
                "opset_version": opset,
                "parent": "torchscript",
            },
            "torchscript": {
                **file("weights.pt"),
                "pytorch_version": torch.__version__.split("+")[0],
            },
        },
        "config": {
            "napari_imagec_ai": {
                "decoder": "yolo",
                "classes": list(CLASSES),
                "class_threshold": threshold,
                # Sizes matter to this network: it sees pixels as they are.
                "scale": 1.0,
            },
            "yolo": {"stride": STEP, "letterbox_value": 114},
        },
    }


def _space(size: int) -> list[dict[str, Any]]:
    return [{"type": "space", "id": axis, "size": size} for axis in "yx"]


def _input(file: File) -> dict[str, Any]:
    return {
        "id": "images",
        "description": "Cells, bright on dark; colours or three times the same grey",
        "axes": [
            {"type": "batch", "size": 1},
            {"type": "channel", "channel_names": ["red", "green", "blue"]},
            *_space(SIDE),
        ],
        "data": {"type": "float32", "range": [0.0, 1.0]},
        "test_tensor": file("test_input.npy"),
    }


def _rows(file: File) -> dict[str, Any]:
    names = ["cx", "cy", "w", "h", "objectness", *CLASSES]
    names += [f"mask{i}" for i in range(PROTOTYPES)]
    return {
        "id": "output0",
        "description": "Candidates: box in input pixels, objectness and classes from 0 "
        "to 1, mask coefficients",
        "axes": [
            {"type": "batch", "size": 1},
            {"type": "index", "id": "candidate", "size": (SIDE // STRIDE) ** 2},
            {"type": "channel", "channel_names": names},
        ],
        "data": {"type": "float32"},
        "test_tensor": file("test_output0.npy"),
    }


def _prototypes(file: File) -> dict[str, Any]:
    names = [f"proto{i}" for i in range(PROTOTYPES)]
    return {
        "id": "output1",
        "description": "Mask prototypes; their sums weighted by the coefficients are "
        "logits",
        "axes": [
            {"type": "batch", "size": 1},
            {"type": "channel", "channel_names": names},
            *_space(SIDE // STRIDE),
        ],
        "data": {"type": "float32"},
        "test_tensor": file("test_output1.npy"),
    }
