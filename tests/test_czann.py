"""Packages of ZEN: what lies beside the network says what it is for."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_imagec_ai as ai
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.folders import install

SIDE = 96
NAME = "0b5d295b-91ff-46ca-bb60-b2e26c393809"


def network(path: Path, channels: int = 2) -> Path:
    """A network with its channels last: background, and what is above 0.4 of white."""
    from onnx import TensorProto, helper, numpy_helper, save

    nodes = [
        helper.make_node("Sub", ["input:0", "half"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "slope"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["rest"]),
        helper.make_node("Mul", ["p", "none"], ["never"]),
        helper.make_node(
            "Concat", ["rest", "p", *["never"] * (channels - 2)], ["out"], axis=3
        ),
    ]
    values = {"half": 0.4, "slope": 60.0, "one": 1.0, "none": 0.0}
    constants = [numpy_helper.from_array(np.float32(v), n) for n, v in values.items()]
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [make("input:0", TensorProto.FLOAT, ["n", SIDE, SIDE, 1])],
        [make("out", TensorProto.FLOAT, ["n", SIDE, SIDE, channels])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, str(path))
    return path


def czann(folder: Path, classes: Any = ("background", "nucleus"), **told: Any) -> Path:
    values = {
        "Id": NAME,
        "Type": "SingleClassSemanticSegmentation",
        "InputShape": [SIDE, SIDE, 1],
        "OutputShape": [SIDE, SIDE, len(classes)],
        "ModelName": "Nuclei",
        "Classes": list(classes),
        "MinOverlap": [16, 16],
        "Scaling": [0.325e-6, 0.65e-6],
    }
    text = json.dumps(values | told)
    return packed(folder / "a.czann", f"{NAME}.json", text, len(classes))


def czseg(folder: Path, scaled: str = "true") -> Path:
    text = f"""<?xml version="1.0" encoding="utf-8"?>
    <Model Version="3.2.0"><Id>{NAME}</Id><ModelName>Nuclei</ModelName>
    <Channels><Item PixelType="Gray8 Gray16" /></Channels>
    <TrainingClasses><Item LabelValue="1" Name="background" />
    <Item LabelValue="2" Name="nucleus" /></TrainingClasses>
    <BorderSize>8</BorderSize><ScaleInputsByBitdepth>{scaled}</ScaleInputsByBitdepth>
    </Model>"""
    return packed(folder / "a.czseg", f"{NAME}.xml", text, 2)


def packed(path: Path, name: str, text: str, channels: int) -> Path:
    weights = network(path.with_suffix(".onnx"), channels)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"modelid={NAME}", "")
        archive.writestr(name, text)
        archive.write(weights, f"{NAME}.model")
    return path


def squares(dtype: Any, top: float) -> ai.ImageInput:
    image = np.full((220, 230), 0.1 * top)
    for y, x in ((20, 20), (20, 180), (88, 90), (170, 40)):  # one on a seam
        image[y : y + 18, x : x + 18] = 0.8 * top
    return ai.ImageInput(image.astype(dtype), "YX", name="squares")


@pytest.mark.parametrize("make", [czann, czseg])
@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_package_of_zen_finds_its_objects_as_it_is(
    tmp_path: Path, make: Any, dtype: Any, top: float
) -> None:
    model = ai.load_model(make(tmp_path))
    assert (model.name, model.classes, model.kind) == (
        "Nuclei",
        ("nucleus",),
        "foreground",
    )
    raw = ai.predict(model, squares(dtype, top))
    assert raw.network_calls > 4
    found = ai.decode(raw)
    assert found.counts() == {"nucleus": 4}
    assert found.features["area"].tolist() == [18 * 18] * 4


def test_what_a_czann_says_is_in_the_model(tmp_path: Path) -> None:
    model = ai.load_model(czann(tmp_path))
    axes = {axis.name: axis for axis in model.inputs[0].axes}
    assert (axes["y"].pixel_size, axes["x"].pixel_size) == pytest.approx((0.65, 0.325))
    assert {axis.halo for axis in model.outputs[0].axes if axis.name in "yx"} == {8}


def test_several_classes_are_a_map_of_classes(tmp_path: Path) -> None:
    model = ai.load_model(czann(tmp_path, ("background", "cell", "dust")))
    assert model.kind == "multi_class"
    found = ai.decode(ai.predict(model, squares(np.uint8, 255)))
    assert found.counts() == {"cell": 4, "dust": 0}


def test_a_package_can_be_installed(tmp_path: Path) -> None:
    folder = install(czseg(tmp_path), tmp_path / "models")
    (entry,) = ai.find_models(tmp_path / "models")
    assert (entry.path, entry.problem) == (folder, None)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"Type": "ObjectDetection"}, "a model for 'ObjectDetection'"),
        ({"Classes": ["a"]}, "names 1 classes.*gives 2 channels"),
        ({"MinOverlap": "wide"}, "cannot be read"),
    ],
)
def test_what_cannot_run_is_refused_in_a_sentence(
    tmp_path: Path, told: Any, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        ai.load_model(czann(tmp_path, **told))


def test_a_package_that_says_nothing_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.czann", "other.txt", "", 2)
    with pytest.raises(ModelError, match=f"there is no '{NAME}.json'"):
        ai.load_model(path)
