"""Detectors that were scripted: lists of images in, tables out; and bare weights."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detectors import SIDE, TORCHVISION, table_rdf
from test_rcnn import onnx_tables, torchscript_tables

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.results.objects import Objects

_COUNT = itertools.count()

# What torchvision's own detectors look like when they are scripted: their signature,
# the warning, tables in a dict whose order is not that of the description.
_SOURCE = """
def found(self, image: Tensor) -> Dict[str, Tensor]:
    boxes: List[Tensor] = []
    labels: List[int] = []
    for channel in range(3):
        bright = torch.nonzero(image[channel] > 0.9)
        if bright.size(0) > 0:
            low, high = torch.amin(bright, [0]), torch.amax(bright, [0]) + 1
            boxes.append(torch.stack([low[1], low[0], high[1], high[0]]))
            labels.append(channel + 1)
    count = len(boxes)
    table = torch.zeros([0, 4])
    if count > 0:
        table = torch.stack(boxes).to(torch.float32)
    return {
        "masks": torch.ones([count, 1, 28, 28]),
        "scores": torch.full([count], 0.8),
        "boxes": table,
        "labels": torch.tensor(labels, dtype=torch.int64)
    }

def forward(self, images: List[Tensor],
            targets: Optional[List[Dict[str, Tensor]]] = None
            ) -> RESULT:
    warnings.warn("RCNN always returns a (Losses, Detections) tuple in scripting")
    losses: Dict[str, Tensor] = {}
    found: List[Dict[str, Tensor]] = []
    for image in images:
        assert image.dim() == 3
        found.append(self.found(image))
    return GIVEN
"""


def scripted(path: Path, losses: bool = True) -> Path:
    """Write such a detector: of each colour, all that is bright is one object."""
    import torch

    tables = "List[Dict[str, Tensor]]"
    result = f"Tuple[Dict[str, Tensor], {tables}]" if losses else tables
    source = _SOURCE.replace("RESULT", result)
    source = source.replace("GIVEN", "(losses, found)" if losses else "found")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is used
        module = type(f"Scripted{next(_COUNT)}", (torch.jit.ScriptModule,), {})()
        module.define(source)
        torch.jit.save(module, str(path))
    return path


def picture(shape: tuple[int, int] = (SIDE, SIDE)) -> ai.ImageInput:
    """Something red, and something blue."""
    image = np.zeros((*shape, 3), np.uint8)
    image[12:36, 8:40, 0] = 250
    image[60:80, 70:100, 2] = 250
    return ai.ImageInput(image, "YXC", rgb=True)


BOXES = [[12, 8, 36, 40], [60, 70, 80, 100]]


def detected(model: Any, image: ai.ImageInput | None = None) -> Objects:
    found = ai.decode(ai.predict(model, image or picture()))
    assert isinstance(found, Objects)
    return found


@pytest.mark.parametrize("losses", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_scripted_detectors_run_as_described(
    make_model: Any, losses: bool, batch: bool
) -> None:
    rdf = table_rdf(classes=["a", "b", "c"])
    rdf |= {"weights": {"torchscript": {"source": "weights.pt"}}}
    if batch:
        rdf["inputs"][0]["axes"].insert(0, {"type": "batch"})
    folder = make_model("scripted", network=lambda p: scripted(p, losses), **rdf)
    found = detected(ai.load_model(folder))
    assert found.boxes.tolist() == BOXES
    assert [found.classes[n] for n in found.class_id] == ["a", "c"]
    assert found.features["area"].tolist() == [24 * 32, 20 * 30]


def test_scripted_weights_alone_are_enough(tmp_path: Path) -> None:
    path = scripted(tmp_path / "maskrcnn.pt")
    model = ai.load_model(path)
    assert (model.kind, choose_decoder(model).name) == ("boxes_masks", "rcnn")
    # They take any size, so that nothing is scaled, whatever the image's.
    for shape in [(SIDE, SIDE), (300, 420)]:
        image = picture(shape)
        raw = ai.predict(model, image)
        assert "any size" in " ".join(raw.assumed)
        found = ai.decode(raw)
        assert isinstance(found, Objects)
        assert found.boxes.tolist() == BOXES
        assert (found.as_labels() > 0).sum() == 24 * 32 + 20 * 30
        assert len(set(found.class_id)) == 2


@pytest.mark.parametrize(
    ("name", "write"),
    [("tables.onnx", onnx_tables), ("tables.pt", torchscript_tables)],
)
def test_other_weights_of_the_family_need_no_description(
    tmp_path: Path, name: str, write: Any
) -> None:
    write(tmp_path / name)
    model = ai.load_model(tmp_path / name)
    assert (model.kind, choose_decoder(model).name) == ("boxes_masks", "rcnn")
    assert {"boxes", "scores", "masks"} <= {output.id for output in model.outputs}
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[0, 0] = 250
    found = detected(model, ai.ImageInput(image, "YXC", rgb=True))
    assert found.boxes.tolist() == [[12, 8, 36, 40]]


@pytest.mark.parametrize(
    "told",
    [
        {"names": ["b", "g", "r"]},
        {"names": ["Blue", "Green", "Red"]},
        {"config": {"napari_imagec_ai": {"channel_order": "bgr"}}},
        {"config": {"detectron2": {"INPUT": {"FORMAT": "BGR"}}}},
    ],
)
def test_colours_go_in_the_order_that_is_described(make_model: Any, told: Any) -> None:
    rdf = table_rdf(TORCHVISION, ["a", "b", "c"])
    rdf |= {"weights": {"torchscript": {"source": "weights.pt"}}}
    names = told.get("names")
    channel: dict[str, Any] = {"type": "channel", "size": 3}
    if names:
        channel = {"type": "channel", "channel_names": names}
    rdf["inputs"][0]["axes"][0] = channel
    for key, value in told.get("config", {}).items():
        rdf["config"][key] = rdf["config"].get(key, {}) | value
    model = ai.load_model(make_model("bgr", network=scripted, **rdf))
    found = detected(model)
    # What is red is in the last channel of the network.
    red = found.boxes.tolist().index(BOXES[0])
    assert found.classes[found.class_id[red]] == "c"


def test_outputs_in_another_order_than_described_are_told_by_their_values(
    make_model: Any,
) -> None:
    names = ("boxes", "scores", "labels", "masks")  # the network: labels, then scores
    rdf = table_rdf(names) | {"weights": {"torchscript": {"source": "weights.pt"}}}
    rdf["config"]["napari_imagec_ai"]["classes"] = ["a", "b", "c"]
    found = detected(ai.load_model(make_model("order", network=scripted, **rdf)))
    assert found.confidence == pytest.approx([0.8, 0.8])
    assert [found.classes[n] for n in found.class_id] == ["a", "c"]
