"""Write the trained blood detector as a BioImage.IO model folder."""

from __future__ import annotations

import io
import json
import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from blood_images import CLASSES
from blood_network import STEP, STRIDE, BloodDetector
from nuclei_package import PlainDumper, check_description, file_entry
from numpy.typing import NDArray
from synthetic_blood import make_smear

logger = logging.getLogger(__name__)

SIDE = 320
SIZES = (32, 56, 100)  # least, best and most, in pixels of the network
TOLERANCE = 1e-3
_OPSET = 17
_NAMES = dict(enumerate(CLASSES))
_COLOURS = ((200, 30, 40), (30, 70, 200), (20, 140, 60))
_README = """# Blood cell detector

Finds red cells (`RBC`), white cells (`WBC`) and platelets (`Platelets`) in photographs
of stained blood smears, each with a box. It has the output layout of YOLOv5, but
neither its code nor its weights: network and training were written anew from the
published layout.

- Input `images`: [1, 3, {side}, {side}] float32, red, green, blue from 0 to 1 (8 bit
  divided by 255). A photograph of 640 x 480 pixels is fitted into it as a whole; red
  cells are then about 52 pixels wide, and known from {least} to {most}.
- `output0`: [1, {rows}, 8], one row for each square of a grid of stride {stride}: cx,
  cy, w, h in input pixels, objectness, RBC, WBC, Platelets (from 0 to 1).
- {parameters:,} parameters.

## Training

From scratch on {images} photographs (640 x 480, 2,805 boxes) of the BCCD Dataset
(https://github.com/Shenggan/BCCD_Dataset, MIT licence), scaled, mirrored, put together
four to a picture, and varied in colour, light, sharpness and noise. {steps} batches of
8 pictures; losses: focal cross entropy of the objectness against the IoU, complete IoU
of boxes, cross entropy of classes. AdamW, averaged weights, fixed seed.

Make it again, in the root of the source tree, with the photographs in a folder:

    python tools/train_demo_models.py blood-yolov5 --blood FOLDER

## How good it is

{table}

Measured with `python -m benchmarks.accuracy` on the {validation} photographs of the
validation part of the same dataset (mAP by COCO's rules), which training did not see.
The true boxes of the dataset leave out cells here and there, mostly at the edges, which
count as errors. Other stains, other magnifications and other cameras were not tried.
Not for diagnosis.

Licence: BSD-3-Clause. The photographs behind it are under the MIT licence.
"""


def predict_with(model: BloodDetector, image: NDArray[np.float32]) -> NDArray[Any]:
    """Rows (N, 8) of an image (3, Y, X) from 0 to 1."""
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(image)[None])[0].numpy())


def write_model(
    model: BloodDetector,
    folder: Path,
    seed: int,
    about: dict[str, Any],
    settings: dict[str, Any] | None = None,
) -> None:
    """Write weights, test tensors, cover, README and description, and check them.

    Parameters
    ----------
    model
        Trained network as `blood_training.train` returns it.
    folder
        Model folder, made if it is not there.
    seed
        Of the drawn smears for test tensors and cover.
    about
        What the README tells: ``images``, ``steps``, ``validation`` and the ``table``.
    settings
        More of ``config.napari_imagec_ai``, such as the calibrated confidence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_torchscript(model, folder / "weights.pt")
    _write_onnx(model, folder / "weights.onnx")
    image = _fitted(make_smear(np.random.default_rng((seed, 1)), (480, 640)))[None]
    np.save(folder / "test_input.npy", image)
    with torch.no_grad():
        rows = model(torch.from_numpy(image)).numpy()
    np.save(folder / "test_output.npy", np.ascontiguousarray(rows))
    _write_cover(model, folder / "cover.png", seed)
    readme = _README.format(
        side=SIDE,
        rows=(SIDE // STRIDE) ** 2,
        stride=STRIDE,
        least=SIZES[0],
        most=SIZES[2],
        parameters=sum(p.numel() for p in model.parameters()),
        **about,
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    text = yaml.dump(
        _description(folder, settings or {}), Dumper=PlainDumper, sort_keys=False
    )
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    _check_engines(folder)
    check_description(folder / "rdf.yaml")


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Letterboxed as the description's readers do it: (3, SIDE, SIDE) from 0 to 1."""
    height, width = image.shape[:2]
    gain = SIDE / max(height, width)
    inner = (round(width * gain), round(height * gain))
    out = np.full((SIDE, SIDE, 3), 114, np.uint8)
    top, left = (SIDE - inner[1]) // 2, (SIDE - inner[0]) // 2
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    out[top : top + inner[1], left : left + inner[0]] = small
    return np.ascontiguousarray(out.transpose(2, 0, 1), np.float32) / 255


def _write_torchscript(model: BloodDetector, path: Path) -> None:
    example = torch.zeros(1, 3, SIDE, SIDE)
    config = {"shape": list(example.shape), "stride": STEP, "names": _NAMES}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.freeze(torch.jit.trace(model, example))
        torch.jit.save(script, buffer, _extra_files={"config.txt": json.dumps(config)})
    # The debug records hold source paths of the machine, and only serve tracebacks.
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(name), source.read(name))


def _write_onnx(model: BloodDetector, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(path),
            # The newer exporter would need one more package, onnxscript.
            dynamo=False,
            opset_version=_OPSET,
            input_names=["images"],
            output_names=["output0"],
        )
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, {"names": str(_NAMES), "stride": str(STEP)})
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def _write_cover(model: BloodDetector, path: Path, seed: int) -> None:
    """Show a drawn smear with the boxes that the network finds in it."""
    image = make_smear(np.random.default_rng((seed, 2)), (480, 640))
    rows = predict_with(model, _fitted(image))
    scores = rows[:, 4:5] * rows[:, 5:]
    kinds, sure = scores.argmax(axis=1), scores.max(axis=1)
    boxes = rows[:, :4].copy()
    boxes[:, :2] -= boxes[:, 2:] / 2
    keep = np.flatnonzero(sure > 0.4)
    chosen = cv2.dnn.NMSBoxes(boxes[keep].tolist(), sure[keep].tolist(), 0.4, 0.45)
    picture = np.ascontiguousarray(cv2.resize(image, (480, 360)))
    gain, top = 480 / SIDE, (SIDE - SIDE * 3 // 4) // 2
    for index in keep[np.asarray(chosen, int).ravel()]:
        x, y, width, height = boxes[index]
        corner = (round(gain * x), round(gain * (y - top)))
        other = (round(gain * (x + width)), round(gain * (y + height - top)))
        cv2.rectangle(picture, corner, other, _COLOURS[int(kinds[index])], 2)
    iio.imwrite(path, picture)


def _description(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the content of rdf.yaml."""
    space = [{"type": "space", "id": axis, "size": SIDE} for axis in "yx"]
    columns = ["cx", "cy", "w", "h", "objectness", *CLASSES]
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Blood cell detector",
        "description": "Red cells, white cells and platelets in stained blood smears "
        "with boxes and classes, in the output layout of YOLOv5.",
        "version": "1.0",
        "authors": [{"name": "napari-imagec-ai developers"}],
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "covers": ["cover.png"],
        "tags": ["yolov5", "object-detection", "brightfield", "blood", "cells", "2d"],
        "cite": [
            {
                "text": "Redmon, Divvala, Girshick, Farhadi: You Only Look Once: "
                "Unified, Real-Time Object Detection. CVPR 2016.",
                "doi": "10.1109/CVPR.2016.91",
            },
            {
                "text": "BCCD Dataset: blood cell count and detection.",
                "url": "https://github.com/Shenggan/BCCD_Dataset",
            },
        ],
        "inputs": [
            {
                "id": "images",
                "description": "Photograph of a stained blood smear, in colours",
                "axes": [
                    {"type": "batch", "size": 1},
                    {"type": "channel", "channel_names": ["red", "green", "blue"]},
                    *space,
                ],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": file_entry(folder, "test_input.npy"),
            }
        ],
        "outputs": [
            {
                "id": "output0",
                "description": "Candidates: box in input pixels, objectness and "
                "classes from 0 to 1",
                "axes": [
                    {"type": "batch", "size": 1},
                    {"type": "index", "id": "candidate", "size": (SIDE // STRIDE) ** 2},
                    {"type": "channel", "channel_names": columns},
                ],
                "data": {"type": "float32"},
                "test_tensor": file_entry(folder, "test_output.npy"),
            }
        ],
        "weights": {
            "onnx": {
                **file_entry(folder, "weights.onnx"),
                "opset_version": _OPSET,
                "parent": "torchscript",
            },
            "torchscript": {
                **file_entry(folder, "weights.pt"),
                "pytorch_version": torch.__version__.split("+")[0],
            },
        },
        "config": {
            "napari_imagec_ai": {
                "decoder": "yolo",
                "classes": list(CLASSES),
                "domain": {"polarity": "dark on bright", "colours": "colour"},
                "object_size": list(SIZES),
                **settings,
            },
            "yolo": {"stride": STEP, "letterbox_value": 114},
        },
    }


def _check_engines(folder: Path) -> None:
    """Compare both weight files with the test output, and look at their metadata."""
    image, truth = (np.load(folder / f"test_{n}.npy") for n in ("input", "output"))
    session = onnxruntime.InferenceSession(folder / "weights.onnx")
    script = torch.jit.load(str(folder / "weights.pt"))
    with torch.no_grad():
        by_torch = script(torch.from_numpy(image)).numpy()
    for found in (session.run(None, {"images": image})[0], by_torch):
        error = float(np.abs(found - truth).max())
        if found.shape != truth.shape or error > TOLERANCE:
            raise ValueError(f"exported weights differ by {error:.1e}")
        logger.info("engine check: %s, difference %.1e", found.shape, error)
