"""What an export says of itself: task, head, names and sizes come before shapes."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_imagec_ai as ai
from napari_imagec_ai.errors import DecodeError, ModelError

SIDE = 96
NAMES = "{0: 'round', 1: 'rod'}"


def export(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    told: Mapping[str, str],
    shape: Sequence[Any] = (1, 3, SIDE, SIDE),
    dtype: str = "FLOAT",
    sizes: str = "",
) -> Path:
    """Write a network that gives these tensors, whatever it is given.

    ``sizes`` names a second input; boxes are then multiplied with what comes in there.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    make = helper.make_tensor_value_info
    inputs = [make("images", getattr(TensorProto, dtype), list(shape))]
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["numbers"], ["top"], keepdims=0),
        helper.make_node("Mul", ["top", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    if sizes:
        inputs.append(make(sizes, TensorProto.INT64, [shape[0], 2]))
        nodes += [
            helper.make_node("Cast", [sizes], ["size"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["size", "size"], ["twice"], axis=1),
        ]
    infos = []
    for name, array in outputs.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        infos.append(make(name, kind, list(array.shape)))
        constants.append(numpy_helper.from_array(array.astype(np.float32), f"{name}_0"))
        nodes.append(helper.make_node("Add", [f"{name}_0", "nothing"], [f"{name}_1"]))
        last = f"{name}_1"
        if sizes and name == "boxes":
            nodes.append(helper.make_node("Mul", [last, "twice"], [f"{name}_2"]))
            last = f"{name}_2"
        nodes.append(helper.make_node("Cast", [last], [name], to=kind))
    graph = helper.make_graph(nodes, "export", inputs, infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, dict(told))
    save(model, str(path))
    return path


def scripted(path: Path, output: np.ndarray, told: Mapping[str, Any]) -> Path:
    """The same as a TorchScript archive, with what the exporter puts beside it."""
    import warnings

    import torch

    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.from_numpy(output))

        def forward(self, x: Any) -> Any:
            return self.table + 0 * x.mean()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is tested
        module = torch.jit.trace(Constant(), torch.zeros(1, 3, SIDE, SIDE))
        extra = {"config.txt": json.dumps(told)}
        torch.jit.save(module, str(path), _extra_files=extra)
    return path


def rows(width: int, *found: Sequence[float], count: int = 189) -> np.ndarray:
    """A table (1, width, count) of these rows, and empty ones."""
    table = np.zeros((count, width), np.float32)
    for row, values in zip(table[3:], found, strict=False):
        row[: len(values)] = values
    return np.ascontiguousarray(table.T[None])


def run(path: Path, side: int = SIDE, **options: Any) -> ai.Objects:
    model = ai.load_model(path)
    image = ai.ImageInput(np.full((side, side), 90, np.uint8), "YX", name="grey")
    return ai.decode(ai.predict(model, image, **options))


# -- rotated boxes ---------------------------------------------------------------------

TURNED = [(30, 40, 30, 12, 0.9, 0.1, 0.5), (70, 60, 24, 10, 0.1, 0.8, 1.4)]
OBB = {"task": "obb", "head": "OBB", "names": NAMES}


def turned_corners(cx: float, cy: float, w: float, h: float, a: float) -> set[Any]:
    found = set()
    for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x = cx + i * w / 2 * math.cos(a) - j * h / 2 * math.sin(a)
        y = cy + i * w / 2 * math.sin(a) + j * h / 2 * math.cos(a)
        found.add((round(y - 0.5, 2), round(x - 0.5, 2)))
    return found


@pytest.mark.parametrize("way", ["columns", "rows", "nms", "end2end", "torchscript"])
def test_rotated_boxes_are_rotated_outlines_with_an_angle(
    tmp_path: Path, way: str
) -> None:
    told, table = dict(OBB), rows(7, *TURNED)
    if way == "rows":
        table = np.ascontiguousarray(table.transpose(0, 2, 1))
    elif way in ("nms", "end2end"):
        final = [(*t[:4], max(t[4:6]), float(t[5] > t[4]), t[6]) for t in TURNED]
        table = np.ascontiguousarray(rows(7, *final, count=300).transpose(0, 2, 1))
        table[0, :2], table[0, 3:5] = table[0, 3:5].copy(), 0
        told |= {"end2end": "True"} if way == "end2end" else {"args": "{'nms': True}"}
    if way == "torchscript":
        names = {"0": "round", "1": "rod"}
        own = told | {"names": names, "imgsz": [SIDE, SIDE]}
        path = scripted(tmp_path / "a.torchscript", table, own)
    else:
        path = export(tmp_path / "a.onnx", {"output0": table}, told)
    objects = run(path)
    assert objects.counts() == {"round": 1, "rod": 1}
    expected = [np.degrees(0.5), np.degrees(1.4)]
    np.testing.assert_allclose(objects.features["angle"], expected, atol=1e-3)
    np.testing.assert_allclose(objects.features["area"], [360, 240], rtol=1e-4)
    for ring, (cx, cy, w, h, *_, angle) in zip(
        objects.as_polygons(), TURNED, strict=True
    ):
        found = {(round(float(y), 2), round(float(x), 2)) for y, x in ring}
        assert found == turned_corners(cx, cy, w, h, angle)


def test_rotated_boxes_remove_each_other_by_what_they_really_share(
    tmp_path: Path,
) -> None:
    # Two thin boxes side by side at 45 degrees: the upright boxes around them overlap
    # by more than half, they themselves do not touch. The third is a double.
    thin = [(44, 44, 40, 4, 0.9, 0, math.pi / 4), (48, 40, 40, 4, 0.8, 0, math.pi / 4)]
    double = (44.5, 44.5, 40, 4, 0.7, 0, math.pi / 4)
    table = rows(7, *thin, double)
    objects = run(export(tmp_path / "a.onnx", {"output0": table}, OBB))
    assert objects.confidence == pytest.approx([0.9, 0.8])


def test_rotated_boxes_keep_their_place_in_files_and_regions(tmp_path: Path) -> None:
    path = export(tmp_path / "a.onnx", {"output0": rows(7, *TURNED)}, OBB)
    model = ai.load_model(path)
    image = ai.ImageInput(np.zeros((200, 220), np.uint8), "YX", name="grey")
    region = {"Y": (50, 146), "X": (100, 196)}
    raw = ai.predict(model, image, region=region)
    raw.save(tmp_path / "raw.npz")
    objects = ai.decode(ai.Prediction.load(tmp_path / "raw.npz"))
    whole = run(path)
    for there, here in zip(objects.as_polygons(), whole.as_polygons(), strict=True):
        np.testing.assert_allclose(there, here + np.array([50, 100]), atol=1e-3)
    part = objects[[1]]
    np.testing.assert_allclose(part.as_polygons()[0], objects.as_polygons()[1])
    ai.write(objects, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert float(table[0]["angle"]) == pytest.approx(np.degrees(0.5), abs=1e-3)


def test_rotated_boxes_can_be_filled(tmp_path: Path) -> None:
    from napari_imagec_ai.decoders.boxes.yolo import YoloSettings

    path = export(tmp_path / "a.onnx", {"output0": rows(7, *TURNED)}, OBB)
    raw = ai.predict(
        ai.load_model(path), ai.ImageInput(np.zeros((SIDE, SIDE), np.uint8), "YX")
    )
    labels = ai.decode(raw, YoloSettings(fill_boxes=True)).as_labels()
    assert np.bincount(labels.ravel())[1:] == pytest.approx([360, 240], rel=0.05)


# -- key points ------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [2, 3])
@pytest.mark.parametrize("final", [True, False])
def test_key_points_are_columns(tmp_path: Path, numbers: int, final: bool) -> None:
    points = [(20, 38, 0.9), (40, 42, 0.6)]
    flat = [value for point in points for value in point[:numbers]]
    box = (15, 34, 45, 46, 0.8, 0) if final else (30, 40, 30, 12, 0.8)
    table = rows(len(box) + len(flat), (*box, *flat))
    told = {"task": "pose", "head": "Pose", "names": "{0: 'worm'}"}
    told |= {"kpt_shape": f"[2, {numbers}]", "kpt_names": "{0: ['head', 'tail']}"}
    if final:
        table = np.ascontiguousarray(table.transpose(0, 2, 1))
        told["end2end"] = "True"
    objects = run(export(tmp_path / "a.onnx", {"output0": table}, told))
    assert objects.counts() == {"worm": 1}
    assert objects.boxes.tolist() == [[34, 15, 46, 45]]
    found = {
        name: float(v[0]) for name, v in objects.features.items() if "point" in name
    }
    sure = [0.9, 0.6] if numbers == 3 else [1, 1]
    assert found == pytest.approx(
        {
            "point_head_y": 37.5,
            "point_head_x": 19.5,
            "point_head_confidence": sure[0],
            "point_tail_y": 41.5,
            "point_tail_x": 39.5,
            "point_tail_confidence": sure[1],
        }
    )


# -- names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (7, {"task": "detect", "names": NAMES}),
        (72, {"task": "detect", "names": NAMES}),
        (11, {"task": "pose", "names": NAMES, "kpt_shape": "[3, 3]"}),
        (6, {"task": "obb", "names": NAMES}),
        (7, {"names": "{0: 'a', 1: 'b', 2: 'c', 3: 'd'}"}),
    ],
)
def test_names_that_do_not_fit_stop_the_guess(
    tmp_path: Path, width: int, told: Any
) -> None:
    path = export(tmp_path / "a.onnx", {"output0": rows(width, TURNED[0][:6])}, told)
    with pytest.raises(ModelError, match=r"names \d class.*does not fit.*--classes"):
        ai.load_model(path)


@pytest.mark.parametrize("layout", ["columns", "rows"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_names_tell_how_rows_are_read(
    tmp_path: Path, layout: str, count: int
) -> None:
    scores = np.zeros(count)
    scores[-1] = 0.7
    table = rows(4 + count, (30, 40, 20, 10, *scores))
    if layout == "rows":
        table = np.ascontiguousarray(table.transpose(0, 2, 1))
    names = {n: f"kind {n}" for n in range(count)}
    told = {"task": "detect", "head": "Detect", "names": str(names)}
    told |= {"end2end": "False"}
    objects = run(export(tmp_path / "a.onnx", {"output0": table}, told))
    assert objects.classes == tuple(names.values())
    assert objects.class_id.tolist() == [count - 1]
    assert objects.boxes.tolist() == [[35, 20, 45, 40]]


# -- queries ---------------------------------------------------------------------------


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_rows_of_rtdetr_are_centres_in_parts_of_the_window(
    tmp_path: Path, newer: bool, count: int
) -> None:
    boxes = [(0.25, 0.375, 0.25, 0.125), (0.75, 0.5, 0.125, 0.25)]
    table = np.zeros((1, 300, 6 if newer else 4 + count), np.float32)
    for row, box, sure, label in zip(table[0], boxes, (0.9, 0.8), (0, 1), strict=False):
        row[:4] = box
        if newer:
            row[4:] = sure, label
        else:
            row[4 + label] = sure
    names = {n: f"kind {n}" for n in range(count)}
    told = {"task": "detect", "head": "RTDETRDecoder", "names": str(names)}
    objects = run(export(tmp_path / "a.onnx", {"output0": table}, told))
    assert objects.boxes.tolist() == [[30, 12, 42, 36], [36, 66, 60, 78]]
    assert objects.class_id.tolist() == [0, 1]
    assert objects.confidence == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize("own", [None, (1000.0, 500.0)])
def test_the_size_of_the_image_is_given_by_itself_or_by_a_person(
    tmp_path: Path, own: tuple[float, float] | None
) -> None:
    parts = np.zeros((1, 300, 4), np.float32)
    parts[0, :2] = (0.25, 0.25, 0.5, 0.5), (0.5, 0.25, 0.75, 0.75)
    outputs = {
        "labels": np.zeros((1, 300), np.int64),
        "boxes": parts,
        "scores": np.zeros((1, 300), np.float32),
    }
    outputs["scores"][0, :2], outputs["labels"][0, 1] = (0.9, 0.8), 1
    path = export(tmp_path / "a.onnx", outputs, {}, sizes="orig_target_sizes")
    model = ai.load_model(path)
    image = ai.ImageInput(np.full((SIDE, SIDE), 90, np.uint8), "YX")
    given: Any = image if own is None else [image, list(own)]
    objects = ai.decode(ai.predict(model, given))
    assert objects.boxes.tolist() == [[24, 24, 48, 48], [24, 48, 72, 72]]
    assert objects.class_id.tolist() == [0, 1]


def test_rows_of_yolox_are_put_on_their_grids(tmp_path: Path) -> None:
    cells = [
        (s, y, x) for s in (8, 16, 32) for y, x in np.ndindex(SIDE // s, SIDE // s)
    ]
    table = np.zeros((1, len(cells), 7), np.float32)
    for s, y, x, w, h in ((8, 3, 5, 12, 20), (32, 1, 1, 50, 40)):
        values = (0.5, 0.25, math.log(w / s), math.log(h / s), 0.9, 0.1, 1.0)
        table[0, cells.index((s, y, x))] = values
    path = export(tmp_path / "a.onnx", {"output": table}, {})
    objects = run(path, classes=("round", "rod"))
    boxes = np.array(sorted(objects.boxes.tolist()))
    np.testing.assert_allclose(boxes, [[16, 38, 36, 50], [20, 23, 60, 73]], atol=1e-3)
    assert objects.class_id.tolist() == [1, 1]
    assert any("YOLOX" in sentence for sentence in objects.assumed)


# -- boxes that cannot be --------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((60, 60, -20, -10, 0.9, 0), "upside down"),
        ((400, 60, 20, 10, 0.9, 0), "beside its window"),
        ((60, 60, 20, 10, 7.5, 0), "confidences from 0 to 1, found 7.5"),
    ],
)
def test_boxes_that_cannot_be_are_refused(
    tmp_path: Path, row: tuple[float, ...], said: str
) -> None:
    told = {"task": "detect", "names": NAMES}
    path = export(tmp_path / "a.onnx", {"output0": rows(6, row)}, told)
    with pytest.raises(DecodeError, match=said):
        run(path)


# -- what goes in ----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_number_of_channels_is_the_files(tmp_path: Path, channels: int) -> None:
    table = rows(6, (30, 40, 20, 10, 0.9, 0))
    told = {"task": "detect", "names": NAMES, "channels": str(channels)}
    shape = (1, channels, SIDE, SIDE)
    path = export(tmp_path / "a.onnx", {"output0": table}, told, shape)
    data = np.zeros((channels, SIDE, SIDE), np.uint8)
    objects = ai.decode(ai.predict(ai.load_model(path), ai.ImageInput(data, "CYX")))
    assert objects.boxes.tolist() == [[35, 20, 45, 40]]


def test_windows_fill_a_batch_that_the_file_fixes(tmp_path: Path) -> None:
    told = {"task": "detect", "names": NAMES, "batch": "4"}
    table = np.repeat(rows(6, (48, 48, 20, 10, 0.9, 0)), 4, axis=0)
    path = export(tmp_path / "a.onnx", {"output0": table}, told, (4, 3, SIDE, SIDE))
    model = ai.load_model(path)
    image = ai.ImageInput(np.zeros((SIDE, 5 * SIDE), np.uint8), "YX")
    raw = ai.predict(model, image, overlap=0.0)
    assert raw.network_calls == 2  # of four windows, and of one
    found = sorted(ai.decode(raw).boxes.tolist())
    assert [box[1] - 38 for box in found] == [n * SIDE for n in range(5)]


def mean_as_confidence(path: Path, dtype: str, top: float) -> Path:
    """Write a network whose confidence is the mean of its input over ``top``."""
    from onnx import TensorProto, helper, numpy_helper, save

    kind = getattr(TensorProto, dtype)
    make = helper.make_tensor_value_info
    base = rows(6, (30, 40, 20, 10, 0, 0))
    mask = np.zeros_like(base)
    mask[0, 4, 3] = 1 / top
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "mask"], ["sure"]),
        helper.make_node("Add", ["sure", "base"], ["output0"]),
    ]
    constants = [numpy_helper.from_array(base, "base")]
    constants.append(numpy_helper.from_array(mask, "mask"))
    graph = helper.make_graph(
        nodes,
        "mean",
        [make("images", kind, [1, 3, SIDE, SIDE])],
        [make("output0", TensorProto.FLOAT, list(base.shape))],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, {"task": "detect", "names": NAMES})
    save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("dtype", "top"), [("UINT8", 255), ("UINT16", 65535), ("FLOAT", 1), ("FLOAT16", 1)]
)
def test_the_type_that_the_network_takes_decides_how_bright_white_is(
    tmp_path: Path, dtype: str, top: float
) -> None:
    path = mean_as_confidence(tmp_path / "a.onnx", dtype, top)
    model = ai.load_model(path)
    eight = ai.ImageInput(np.full((SIDE, SIDE), 204, np.uint8), "YX")
    assert ai.decode(ai.predict(model, eight)).confidence == pytest.approx(
        0.8, abs=1e-3
    )
    ramp = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
    for image in ((ramp * 40000).astype(np.uint16), ramp.astype(np.float32)):
        found = ai.decode(ai.predict(model, ai.ImageInput(image, "YX")))
        assert found.confidence == pytest.approx(0.5, abs=0.01)


# -- no boxes --------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["byx", "bcyx", "scores"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_a_semantic_export_is_a_map_of_classes(
    tmp_path: Path, axes: str, dtype: str
) -> None:
    numbers = np.zeros((SIDE, SIDE), np.int64)
    numbers[10:30, 10:30], numbers[50:70, 20:40], numbers[50:70, 60:80] = 1, 2, 2
    array = numbers[None].astype(dtype)
    if axes == "bcyx":
        array = array[None]
    elif axes == "scores":
        array = np.stack([(numbers == n) * 9.0 for n in range(3)])[None].astype("f4")
    names = "{0: 'background', 1: 'round', 2: 'rod'}"
    told = {"task": "semantic", "head": "SemanticSegment", "names": names}
    objects = run(export(tmp_path / "a.onnx", {"output0": array}, told))
    assert objects.counts() == {"round": 1, "rod": 2}
    assert np.array_equal(objects.as_labels() > 0, numbers > 0)


def test_a_classifying_export_gives_scores(tmp_path: Path) -> None:
    scores = np.array([[0.2, 0.7, 0.1]], np.float32)
    told = {"task": "classify", "names": "{0: 'a', 1: 'b', 2: 'c'}"}
    path = export(tmp_path / "a.onnx", {"output0": scores}, told)
    image = ai.ImageInput(np.zeros((SIDE, SIDE), np.uint8), "YX")
    found: Any = ai.decode(ai.predict(ai.load_model(path), image))
    assert dict(zip(found.classes, found.values.ravel(), strict=True)) == pytest.approx(
        {"a": 0.2, "b": 0.7, "c": 0.1}
    )


def test_an_input_of_unknown_use_is_named(tmp_path: Path) -> None:
    path = export(
        tmp_path / "a.onnx", {"boxes": np.zeros((1, 4), "f4")}, {}, sizes="mystery"
    )
    with pytest.raises(ModelError, match=r"2 inputs.*what 'mystery' is for"):
        ai.load_model(path)


Run = Callable[..., tuple[int, str, str]]


def test_a_size_can_be_given_on_the_command_line(run_cli: Run, tmp_path: Path) -> None:
    import tifffile

    parts = np.zeros((1, 300, 4), np.float32)
    parts[0, 0] = (0.25, 0.25, 0.5, 0.5)
    outputs = {"labels": np.zeros((1, 300), np.int64), "boxes": parts}
    outputs["scores"] = np.zeros((1, 300), np.float32)
    outputs["scores"][0, 0] = 0.9
    path = export(tmp_path / "a.onnx", outputs, {}, sizes="orig_target_sizes")
    tifffile.imwrite(tmp_path / "i.tif", np.zeros((SIDE, SIDE), np.uint8))
    words = ["predict", path, tmp_path / "i.tif", "-o", tmp_path / "out"]
    code, _, said = run_cli(*words, "--input", "orig_target_sizes=640,640")
    assert code == 0, said
    text = (tmp_path / "out" / "i.objects.csv").read_text(encoding="utf-8")
    (row,) = csv.DictReader(text.splitlines())
    assert [float(row[f"box_{n}"]) for n in ("y0", "x0", "y1", "x1")] == [
        24,
        24,
        48,
        48,
    ]


@pytest.mark.parametrize("task", ["obb", "pose", "semantic", "detect"])
def test_an_export_becomes_a_model_folder(tmp_path: Path, task: str) -> None:
    told = {"task": task, "names": NAMES, "kpt_shape": "[1, 2]"}
    if task != "pose":
        del told["kpt_shape"]
    if task == "semantic":
        numbers = np.zeros((1, SIDE, SIDE), np.uint8)
        numbers[0, 10:30, 10:30] = 1
        outputs = {"output0": numbers}
        told["names"] = "{0: 'background', 1: 'cell'}"
    else:
        extra = {"obb": (0.5,), "pose": (30.0, 40.0), "detect": ()}[task]
        row = (30, 40, 30, 12, 0.9, 0.1, *extra)
        outputs = {"output0": rows(len(row), row)}
    path = export(tmp_path / "a.onnx", outputs, told)
    made = ai.package_model(path, tmp_path / "m")
    image = ai.ImageInput(np.full((SIDE, SIDE), 90, np.uint8), "YX", name="grey")
    found = ai.decode(ai.predict(ai.load_model(made.folder), image))
    bare = run(path)
    assert found.counts() == bare.counts()
    assert sum(found.counts().values()) == 1
    assert np.array_equal(found.boxes, bare.boxes)
    assert sorted(found.features) == sorted(bare.features)


def test_rotated_boxes_are_four_corners_for_yolo(tmp_path: Path) -> None:
    path = export(tmp_path / "a.onnx", {"output0": rows(7, TURNED[0])}, OBB)
    ai.write(run(path), tmp_path / "a.txt")
    (line,) = (tmp_path / "a.txt").read_text(encoding="utf-8").splitlines()
    number, *values = line.split()
    corners = np.array(values, float).reshape(-1, 2)[:, ::-1] * SIDE
    expected = np.array(sorted(turned_corners(*TURNED[0][:4], 0.5))) + 0.5
    assert number == "0"
    np.testing.assert_allclose(sorted(corners.tolist()), expected, atol=0.02)
