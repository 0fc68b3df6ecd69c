"""Boxes, classes, scores and masks in tensors of their own: Mask R-CNN."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import torchscript_network
from detectors import (
    DETECTRON2,
    SIDE,
    TORCHVISION,
    Fixed,
    SceneEngine,
    TableEngine,
    Thing,
    detector_rdf,
    disc,
    fixed_tables,
    rectangle,
    table_rdf,
    things_image,
)

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.boxes.rcnn import RcnnSettings
from napari_imagec_ai.decoders.boxes.yolo import YoloSettings
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.registry import guess_decoder
from napari_imagec_ai.model.rdf import read_rdf

ONE = (SIDE, SIDE)
"""Shape of an image of one window."""


def pair(shape: tuple[int, int] = ONE) -> list[Thing]:
    """A disc, a rectangle that overlaps it, and a small disc."""
    return [
        Thing(disc(shape, 40, 44, 30), 0, 0),
        Thing(rectangle(shape, (52, 20, 75, 90)), 1, 1),
        Thing(disc(shape, 100, 100, 12), 0, 2),
    ]


def run(
    make_model: Any,
    image: np.ndarray,
    engine: Any = None,
    names: Sequence[str] = TORCHVISION,
    axes: str = "YXC",
    **options: Any,
) -> ai.Prediction:
    """Predict with the stand-in for a network."""
    model = ai.load_model(make_model("rcnn", network=None, **table_rdf(names)))
    picture = ai.ImageInput(image, axes, rgb=axes.endswith("C"), name="scene")
    return ai.predict(model, picture, engine=engine or TableEngine(), **options)


def overlaps(objects: ai.Objects, things: Sequence[Thing]) -> np.ndarray:
    """IoU of the pixels of each object with those of each thing."""
    shape = things[0].pixels.shape
    result = np.zeros((len(objects), len(things)))
    assert objects.masks is not None
    for i in range(len(objects)):
        canvas = np.zeros(shape, np.int32)
        objects.masks.paint(canvas, i, 1, (0, 0))
        for j, thing in enumerate(things):
            both = (canvas > 0) & thing.pixels
            result[i, j] = both.sum() / ((canvas > 0) | thing.pixels).sum()
    return result


def check(objects: ai.Objects, things: Sequence[Thing], least: float = 0.9) -> None:
    """Each thing is one object: its pixels, its class."""
    assert len(objects) == len(things)
    shared = overlaps(objects, things)
    which = shared.argmax(axis=1)
    assert sorted(which) == list(range(len(things)))
    assert shared.max(axis=1).min() >= least
    assert objects.class_id.tolist() == [things[i].class_id for i in which]


@pytest.mark.parametrize("masks", ["box", "window", "channel"])
@pytest.mark.parametrize(("names", "first"), [(TORCHVISION, 1), (DETECTRON2, 0)])
def test_objects_of_one_window_are_found(
    make_model: Any, names: Sequence[str], first: int, masks: str
) -> None:
    engine = TableEngine(names, masks, first)
    raw = run(make_model, things_image(ONE, pair()), engine, names)
    objects = ai.decode(raw)
    check(objects, pair(), 0.96)
    assert objects.classes == ("round", "rod")
    assert objects.confidence == pytest.approx([0.9, 0.89, 0.88])
    assert objects.boxes.tolist()[1] == [52, 20, 75, 90]
    assert objects.features["area"][1] == pytest.approx(23 * 70, rel=0.01)


@pytest.mark.parametrize("masks", ["box", "window"])
@pytest.mark.parametrize("overlap", [0.1, 0.3])
def test_objects_of_several_windows_are_each_found_once(
    make_model: Any, masks: str, overlap: float
) -> None:
    shape = (310, 380)
    things = [
        Thing(disc(shape, 110, 205, 30), 0, 0),  # on borders of windows
        Thing(disc(shape, 128, 270, 12), 1, 0),
        Thing(rectangle(shape, (200, 20, 230, 370)), 1, 1),  # larger than a window
        Thing(disc(shape, 215, 200, 30), 0, 2),  # over it
        Thing(disc(shape, 290, 350, 8), 1, 2),
    ]
    raw = run(
        make_model,
        things_image(shape, things),
        TableEngine(masks=masks),
        overlap=overlap,
    )
    assert raw.network_calls > 6
    assert not len(raw.windows[0].found)
    check(ai.decode(raw), things, 0.9)


@pytest.mark.parametrize("masks", ["box", "window"])
@pytest.mark.parametrize("shape", [(100, 60), (60, 200), (250, 250)])
def test_an_image_of_another_shape_is_fitted_into_the_window(
    make_model: Any, shape: tuple[int, int], masks: str
) -> None:
    things = [Thing(disc(shape, shape[0] / 2, shape[1] / 2, 25), 0, 1)]
    raw = run(make_model, things_image(shape, things), TableEngine(masks=masks))
    assert raw.network_calls == 1
    check(ai.decode(raw), things, 0.9)


def test_a_stack_is_run_plane_by_plane(make_model: Any) -> None:
    things = pair()
    stack = np.stack([things_image(ONE, things[:1]), things_image(ONE, things)])
    objects = ai.decode(run(make_model, stack, axes="ZYXC"))
    assert objects.planes[:, 0].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("masks", ["box", "window"])
@pytest.mark.parametrize("names", [TORCHVISION, tuple("abcd")])
def test_nothing_found_gives_no_objects_and_no_error(
    make_model: Any, tmp_path: Path, names: Sequence[str], masks: str
) -> None:
    rdf = table_rdf(names)
    rdf["config"]["napari_imagec_ai"] |= {"kind": "boxes_masks", "decoder": "rcnn"}
    model = ai.load_model(make_model("none", network=None, **rdf))
    image = ai.ImageInput(np.full((*ONE, 3), 114, np.uint8), "YXC", rgb=True)
    raw = ai.predict(model, image, engine=TableEngine(masks=masks))
    raw.save(tmp_path / "raw.npz")
    for objects in (
        ai.decode(raw),
        ai.decode(ai.Prediction.load(tmp_path / "raw.npz")),
    ):
        assert len(objects) == 0
        assert not objects.as_labels().any()
        ai.write(objects, tmp_path / "none.csv")


def test_the_mask_threshold_moves_without_the_network(make_model: Any) -> None:
    class Soft(TableEngine):
        def _mask(self, mask: np.ndarray, box: Any) -> np.ndarray:
            away = np.linspace(-1, 1, 28) ** 2
            return (1 - np.hypot(*np.meshgrid(away, away)) / 2)[None].astype("f4")

    engine = Soft()
    raw = run(make_model, things_image(ONE, pair()[:1]), engine)
    areas = [
        ai.decode(raw, RcnnSettings(mask_threshold=t)).features["area"][0]
        for t in (0.4, 0.6, 0.8)
    ]
    assert areas[0] > 1.2 * areas[1] > 1.4 * areas[2] > 0
    assert engine.calls == 1


def test_the_network_suppresses_doubles_itself(make_model: Any) -> None:
    tables = fixed_tables([1, 1])
    tables[0] = np.float32([[10, 10, 60, 60], [14, 12, 62, 64]])
    raw = run(make_model, things_image(ONE, []), Fixed(tables))
    assert len(ai.decode(raw)) == 2


@pytest.mark.parametrize("masks", ["box", "window"])
def test_a_saved_prediction_decodes_to_the_same(
    make_model: Any, tmp_path: Path, masks: str
) -> None:
    shape = (310, 380)
    things = [Thing(rectangle(shape, (20, 20, 60, 370)), 1, 1), *pair(shape)[::2]]
    raw = run(make_model, things_image(shape, things), TableEngine(masks=masks))
    raw.save(tmp_path / "raw.npz")
    loaded = ai.Prediction.load(tmp_path / "raw.npz")
    assert loaded.layout == raw.layout
    assert loaded.assumed == raw.assumed
    for threshold in (0.3, 0.7):
        settings = RcnnSettings(mask_threshold=threshold)
        first, again = (ai.decode(each, settings) for each in (raw, loaded))
        assert np.array_equal(first.as_labels(), again.as_labels())
        assert first.classes == again.classes
        assert first.class_id.tolist() == again.class_id.tolist()


def test_a_file_of_the_first_format_is_read(make_model: Any, tmp_path: Path) -> None:
    model = ai.load_model(make_model("old", network=None, **detector_rdf()))
    image = np.full((64, 64), 114, np.uint8)
    image[4:20, 6:30] = 250
    raw = ai.predict(model, ai.ImageInput(image, "YX"), engine=SceneEngine())
    raw.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as stored:
        arrays = dict(stored)
    meta = json.loads(arrays["meta"].tobytes())
    meta["format"] = 1
    for name in ("confidences", "labels", "pictures"):
        del meta["layout"][name]
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(tmp_path / "old.npz", **arrays)
    old = ai.decode(ai.Prediction.load(tmp_path / "old.npz"))
    assert np.array_equal(old.as_labels(), ai.decode(raw).as_labels())


# -- the rest of the package -----------------------------------------------------------


def test_grey_values_are_those_that_the_description_says(make_model: Any) -> None:
    image = things_image(ONE, pair())
    engine = TableEngine()
    raw = run(make_model, image, engine)
    assert engine.seen[0].max() == pytest.approx(250 / 255)
    assert "from 0 to 1" in " ".join(raw.assumed)
    rdf = table_rdf()
    rdf["inputs"][0]["data"] = {"type": "float32", "range": [0, 255]}
    model = ai.load_model(make_model("bytes", network=None, **rdf))
    for pixels in (image, image.astype(np.uint16) * 64):
        engine.seen.clear()
        picture = ai.ImageInput(pixels, "YXC", rgb=True)
        raw = ai.predict(model, picture, engine=engine)
        assert 240 < engine.seen[0].max() <= 255
        assert "from 0 to 1" not in " ".join(raw.assumed)


def test_each_family_has_its_decoder(make_model: Any, shared: Path) -> None:
    rcnn = run(make_model, things_image(ONE, pair()))
    model = ai.load_model(make_model("yolo", network=None, **detector_rdf()))
    grey = ai.ImageInput(np.full((64, 64), 114, np.uint8), "YX")
    yolo = ai.predict(model, grey, engine=SceneEngine())
    for raw, name in ((rcnn, "rcnn"), (yolo, "yolo")):
        decoder = guess_decoder(raw.model)
        assert decoder is not None
        assert decoder.name == name
    with pytest.raises(ai.DecodeError, match="choose the decoder 'rcnn'"):
        ai.decode(rcnn, YoloSettings())
    with pytest.raises(ai.DecodeError, match="choose the decoder 'yolo'"):
        ai.decode(yolo, RcnnSettings())
    for name in ("witty-whale__v0", "modest-spider__v0"):
        decoder = guess_decoder(read_rdf(shared / "zoo_rdfs_2026" / name / "rdf.yaml"))
        assert decoder is not None
        assert decoder.name == "rcnn"


def test_settings_begin_as_described(make_model: Any) -> None:
    rdf = table_rdf()
    rdf["config"]["napari_imagec_ai"]["mask_threshold"] = 0.3
    model = ai.load_model(make_model("told", network=None, **rdf))
    decoder = guess_decoder(model)
    assert decoder is not None
    assert decoder.defaults(model) == settings_with(
        RcnnSettings(), {"mask_threshold": 0.3}
    )


# -- real engines ----------------------------------------------------------------------


def torchscript_tables(path: Path) -> None:
    """Write a network that finds an object in a bright image, none in a dark one."""
    count = "int(x.max() > 0.9)"
    torchscript_network(
        path,
        f"x -> (torch.tensor([[8.0, 12.0, 40.0, 36.0]])[:{count}], "
        f"torch.ones([{count}], dtype=torch.int64), torch.ones([{count}]) * 0.8, "
        f"torch.ones([{count}, 1, 28, 28]))",
    )


def onnx_tables(path: Path) -> None:
    """The same in ONNX."""
    from onnx import TensorProto, helper, numpy_helper, save

    boxes, labels, scores, masks = fixed_tables([1])
    boxes[:] = [8, 12, 40, 36]
    tables = dict(zip(TORCHVISION, (boxes, labels, scores, masks), strict=True))
    constants = {f"all_{name}": table for name, table in tables.items()}
    constants |= {"least": np.float32(0.9), "one": np.int64([1])}
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["highest"], keepdims=0),
        helper.make_node("Greater", ["highest", "least"], ["bright"]),
        helper.make_node("Reshape", ["bright", "one"], ["kept"]),
    ]
    results = []
    for name, table in tables.items():
        nodes.append(
            helper.make_node("Compress", [f"all_{name}", "kept"], [name], axis=0)
        )
        kind = TensorProto.INT64 if name == "labels" else TensorProto.FLOAT
        shape = ["n", *table.shape[1:]]
        results.append(helper.make_tensor_value_info(name, kind, shape))
    source = helper.make_tensor_value_info("image", TensorProto.FLOAT, [3, SIDE, SIDE])
    values = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "tables", [source], results, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, str(path))


@pytest.mark.parametrize(
    ("engine", "network"),
    [("onnx", onnx_tables), ("torchscript", torchscript_tables)],
)
def test_engines_give_as_many_rows_as_there_are_objects(
    make_model: Any, engine: str, network: Any
) -> None:
    weights = {engine: {"source": "weights.bin"}}
    rdf = table_rdf() | {"weights": weights}
    model = ai.load_model(make_model("real", network=network, **rdf))
    image = np.full((*ONE, 3), 20, np.uint8)
    for value, boxes in ((20, []), (250, [[12, 8, 36, 40]])):
        image[0, 0] = value
        raw = ai.predict(model, ai.ImageInput(image, "YXC", rgb=True), engine=engine)
        objects = ai.decode(raw)
        assert objects.boxes.tolist() == boxes
        assert objects.features["area"].sum() == pytest.approx(
            768 * len(boxes), rel=0.01
        )
