"""Bare weights become model folders: described, tested, and the same as before."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import ROOT, match_f1, onnx_network

import napari_imagec_ai as ai
from napari_imagec_ai.image.samples import sample_image

NUCLEI, CELLS = ROOT / "models" / "nuclei-unet", ROOT / "models" / "cells-yolov5seg"

Run = Callable[..., tuple[int, str, str]]

# The format's own library leaves files open.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def check_format(folder: Path) -> None:
    """The format's own library reads it, with its files and their hashes."""
    from bioimageio.spec import ValidationContext, load_description

    with ValidationContext(perform_io_checks=True):
        summary = load_description(folder / "rdf.yaml").validation_summary
    assert summary.status != "failed", summary.format()


def check_folder(folder: Path, engines: int = 1) -> ai.Model:
    """It can run, its own test passes on each engine, and it is valid."""
    model = ai.load_model(folder)
    assert model.problem is None
    results = ai.test_model(model)
    assert {result.engine for result in results} == set(model.runnable)
    assert len(model.runnable) == engines
    assert all(result.passed for result in results), results
    assert model.cover is not None
    assert model.documentation is not None
    check_format(folder)
    return model


def same(one: ai.Objects, other: ai.Objects) -> bool:
    """Whether two results are the same objects."""
    return (
        len(one) > 0
        and one.classes == other.classes
        and np.array_equal(one.boxes, other.boxes)
        and np.array_equal(one.class_id, other.class_id)
        and np.allclose(one.confidence, other.confidence)
    )


# -- YOLO ------------------------------------------------------------------------------


def table_network(path: Path, layout: str, masks: bool, side: int = 64) -> Path:
    """Write an ONNX file that always finds the same three boxes, as YOLO would."""
    found = [(12, 20, 8, 10, 0.9, 0), (40, 40, 12, 8, 0.8, 1), (50, 14, 8, 8, 0.7, 1)]
    rows = np.zeros((40, (6 if layout == "end_to_end" else 4 + 2) + 4 * masks), "f4")
    for row, (x, y, w, h, sure, kind) in zip(rows, found, strict=False):
        if layout == "end_to_end":
            row[:6] = (x - w / 2, y - h / 2, x + w / 2, y + h / 2, sure, kind)
        else:
            row[:4], row[4 + kind] = (x, y, w, h), sure
        row[6:7] = 8.0
    table = rows[None] if layout == "end_to_end" else rows.T[None].copy()
    tensors = {"output0": table}
    if masks:
        pictures = np.zeros((1, 4, side // 4, side // 4), np.float32)
        pictures[:, 0] = 1.0
        tensors["output1"] = pictures
    told = {"names": "{0: 'cell', 1: 'dead cell'}", "imgsz": f"[{side}, {side}]"}
    if layout == "end_to_end":
        told["end2end"] = "True"
    return constant_network(path, [1, 3, side, side], tensors, told)


def constant_network(
    path: Path, shape: list[int], tensors: Any, told: dict[str, str]
) -> Path:
    """Write an ONNX file that gives the same, whatever the image is."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    constants = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    for name, array in tensors.items():
        constants.append(numpy_helper.from_array(array, f"{name}_all"))
        nodes.append(helper.make_node("Add", [f"{name}_all", "nothing"], [name]))
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "constant",
        [make("images", TensorProto.FLOAT, shape)],
        [make(n, TensorProto.FLOAT, list(a.shape)) for n, a in tensors.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    helper.set_model_props(model, told)
    checker.check_model(model)
    save(model, str(path))
    return path


@pytest.mark.parametrize("layout", ["scores", "end_to_end"])
@pytest.mark.parametrize("masks", [False, True])
def test_a_yolo_export_gives_the_same_as_before(
    layout: str, masks: bool, tmp_path: Path
) -> None:
    weights = table_network(tmp_path / "best.onnx", layout, masks)
    image = ai.ImageInput(dots(), "YX")
    before = ai.decode(ai.predict(ai.load_model(weights), image))
    made = ai.package_model(weights, tmp_path / "made", name="My cells")
    model = check_folder(made.folder)
    raw = ai.predict(model, image)
    assert same(before, ai.decode(raw))
    assert model.classes == ("cell", "dead cell")
    assert model.kind == ("boxes_masks" if masks else "boxes")
    assert not any("no description" in sentence for sentence in raw.assumed)


@pytest.mark.parametrize("suffix", ["onnx", "pt"])
def test_a_trained_yolov5_export_gives_the_same_as_before(
    suffix: str, tmp_path: Path
) -> None:
    weights = tmp_path / f"best.{suffix}"
    weights.write_bytes((CELLS / f"weights.{suffix}").read_bytes())
    image = sample_image("cells")
    before = ai.decode(ai.predict(ai.load_model(weights), image))
    made = ai.package_model(
        weights, tmp_path / "made", classes=["round", "rod"], license="BSD-3-Clause"
    )
    model = check_folder(made.folder)
    assert same(before, ai.decode(ai.predict(model, image)))
    assert model.license == "BSD-3-Clause"
    assert made.found is not None
    assert made.found > 20


def test_grids_beside_the_rows_do_no_harm(tmp_path: Path) -> None:
    rows = np.zeros((1, 192, 7), np.float32)
    rows[0, 0] = (20, 30, 8, 8, 0.9, 0.9, 0.1)
    grids = rows.reshape(1, 3, 8, 8, 7)
    weights = constant_network(
        *(tmp_path / "best.onnx", [1, 3, 64, 64], {"output": rows, "grid": grids}, {})
    )
    made = ai.package_model(weights, tmp_path / "made", classes=["a", "b"])
    check_folder(made.folder)
    assert made.found


def test_a_mask_rcnn_export_is_described_by_its_names(tmp_path: Path) -> None:
    tables = {
        "boxes": np.float32([[10, 12, 30, 40], [60, 60, 90, 80]]),
        "labels": np.float32([1, 2]),
        "scores": np.float32([0.9, 0.7]),
        "masks": np.ones((2, 1, 28, 28), np.float32),
    }
    weights = constant_network(tmp_path / "rcnn.onnx", [3, 96, 96], tables, {})
    made = ai.package_model(
        weights, tmp_path / "made", decoder="rcnn", classes=["cell", "debris"]
    )
    model = check_folder(made.folder)
    assert model.kind == "boxes_masks"
    found = ai.decode(ai.predict(model, ai.ImageInput(dots(), "YX")))
    assert found.boxes.tolist() == [[12, 10, 40, 30], [60, 60, 80, 90]]
    assert found.class_id.tolist() == [0, 1]


def test_wrong_names_of_classes_are_refused(tmp_path: Path) -> None:
    weights = table_network(tmp_path / "best.onnx", "scores", masks=False)
    with pytest.raises(ai.ModelError, match=r"has 2 classes .* 1 names were given"):
        ai.package_model(weights, tmp_path / "made", classes=["cell"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.onnx"]


# -- maps ------------------------------------------------------------------------------


def test_a_unet_with_both_formats_finds_what_the_described_model_finds(
    tmp_path: Path,
) -> None:
    made = ai.package_model(
        [NUCLEI / "weights.onnx", NUCLEI / "weights.pt"],
        tmp_path / "made",
        decoder="unet",
        classes=["nucleus"],
        scaling="percentiles",
        output_channels=["foreground", "boundary", "distance"],
        settings={"mask_threshold": "0.45", "class_threshold": "0.2"},
    )
    model = check_folder(made.folder, engines=2)
    assert model.settings["mask_threshold"] == 0.45
    assert model.settings["class_threshold"] == 0.2
    assert model.kind == "foreground_boundary_distance"
    image = sample_image("nuclei")
    bundled = ai.load_model(NUCLEI)
    truth = ai.decode(ai.predict(bundled, image, scale=1.0))
    found = ai.decode(ai.predict(model, image, scale=1.0))
    # Those of which the described model is hardly sure are left out by it.
    assert match_f1(truth.as_labels(), found.as_labels()) > 0.93


def torch_network(path: Path, module: Any, *shape: int) -> Path:
    """Write a module as TorchScript or ONNX, by the suffix."""
    import torch

    example = torch.rand(*shape)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if path.suffix == ".onnx":
            free = {i: f"size{i}" for i, size in enumerate(shape) if size > 8}
            torch.onnx.export(
                module.eval(),
                (example,),
                str(path),
                dynamo=False,
                input_names=["image"],
                dynamic_axes={"image": free},
            )
        else:
            torch.jit.trace(module.eval(), example).save(str(path))
    return path


def bright(keras: bool = False, rays: int = 32) -> Any:
    """Star-convex shapes of 5 pixels wherever it is bright, on every second pixel."""
    import torch

    class Bright(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            if keras:
                x = x.permute(0, 3, 1, 2)
            x = torch.nn.functional.max_pool2d(x, 2)
            near = torch.nn.functional.avg_pool2d(x, 5, 1, 2)
            sure = torch.sigmoid(8 * (near - 0.5))
            far = 5 + 0 * x.expand(-1, rays, -1, -1)
            if keras:
                return sure.permute(0, 2, 3, 1), far.permute(0, 2, 3, 1)
            return torch.cat([sure, far], dim=1)

    return Bright()


def dots() -> np.ndarray:
    """Nine bright discs."""
    rows, columns = np.mgrid[:96, :96]
    away = np.hypot((rows % 32) - 16, (columns % 32) - 16)
    return np.where(away < 5, 200, 10).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "keras"), [("star.pt", False), ("star.onnx", False), ("star.onnx", True)]
)
def test_a_stardist_export_finds_objects_at_half_resolution(
    name: str, keras: bool, tmp_path: Path
) -> None:
    shape = (1, 64, 96, 1) if keras else (1, 1, 64, 96)
    weights = torch_network(tmp_path / name, bright(keras), *shape)
    image = ai.ImageInput(dots(), "YX")
    made = ai.package_model(
        *(weights, tmp_path / "made"),
        decoder="stardist",
        classes=["dot"],
        pixel_size=0.5,
        image=image,
    )
    model = check_folder(made.folder)
    assert model.kind == "stardist"
    found = ai.decode(ai.predict(model, image, scale=1.0))
    assert len(found) == made.found == 9
    assert np.hypot(*np.diff(found.boxes.reshape(-1, 2, 2), axis=1)[0, 0]) < 20
    assert model.inputs[0].axes[1 if keras else 2].pixel_size == 0.5
    # The discs are 9 pixels wide, and shapes of 5 to each side 11.
    least, usual, most = model.settings["object_size"]
    assert least < 9 < usual < 11 < most < 16
    assert any("object_size" in sentence for sentence in made.assumed)


def test_a_cellpose_export_has_flows_and_a_style(tmp_path: Path) -> None:
    import torch

    class Flows(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = torch.nn.Conv2d(2, 3, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return self.mix(x), x.mean(dim=(2, 3))

    weights = torch_network(tmp_path / "cyto.pt", Flows(), 1, 2, 64, 64)
    made = ai.package_model(weights, tmp_path / "made", decoder="cellpose")
    model = check_folder(made.folder)
    assert model.inputs[0].channels == 2
    assert model.outputs[0].channel_names == ("flow_y", "flow_x", "cellprob")
    assert model.outputs[1].space == ()


def test_a_network_of_small_values_is_described_as_the_format_has_it(
    tmp_path: Path,
) -> None:
    import torch

    class Small(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 1e-4

    weights = torch_network(tmp_path / "small.pt", Small(), 1, 1, 64, 64)
    check_folder(ai.package_model(weights, tmp_path / "made", decoder="unet").folder)


def test_a_network_of_volumes_is_told_from_one_of_planes(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)  # weights that saturate at nothing but 0 would say nothing

    volumes = torch.nn.Sequential(
        torch.nn.AvgPool3d((1, 2, 2)),
        torch.nn.Upsample(scale_factor=(1.0, 2.0, 2.0)),
        torch.nn.Conv3d(1, 1, 3, padding=1),
        torch.nn.Sigmoid(),
    )
    weights = torch_network(tmp_path / "deep.pt", volumes, 1, 1, 8, 32, 32)
    made = ai.package_model(weights, tmp_path / "made", decoder="unet")
    model = check_folder(made.folder)
    assert model.inputs[0].letters == "bczyx"
    stack = sample_image("nuclei_stack")
    assert ai.predict(model, stack, planes={}).space == "ZYX"


def test_weights_that_an_exporter_put_beside_are_taken_in(tmp_path: Path) -> None:
    import onnx

    graph = onnx.load(str(NUCLEI / "weights.onnx"))
    (tmp_path / "apart").mkdir()
    apart = tmp_path / "apart" / "net.onnx"
    onnx.save(graph, str(apart), save_as_external_data=True, location="net.onnx.data")
    made = ai.package_model(apart, tmp_path / "made", decoder="unet")
    check_folder(made.folder)
    (tmp_path / "apart" / "net.onnx.data").unlink()
    with pytest.raises(ai.ModelError, match="keeps its weights in another file"):
        ai.package_model(apart, tmp_path / "other", decoder="unet")


def test_classes_of_pixels_count_the_background(tmp_path: Path) -> None:
    net = onnx_network(tmp_path / "net.onnx", channels=3, expression="channels")
    made = ai.package_model(
        net, tmp_path / "made", decoder="semantic", classes=["cell", "debris"]
    )
    names = check_folder(made.folder).outputs[0].channel_names
    assert names == ("background", "cell", "debris")
    with pytest.raises(ai.ModelError, match="3 classes of pixels, but 1 were named"):
        ai.package_model(net, tmp_path / "other", decoder="semantic", classes=["cell"])


# -- bad input -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({}, "is no YOLO export.*--decoder"),
        ({"decoder": "onet"}, "no decoder 'onet'"),
        ({"decoder": "yolo"}, "no description, and is no export of YOLO"),
        ({"decoder": "unet", "axes": "bcqx"}, "Expected axes of the network's input"),
        ({"decoder": "unet", "axes": "bcy"}, "Expected axes of the network's input"),
        ({"decoder": "unet", "axes": "cyx"}, "has 4 axes, but 'cyx' names 3"),
        ({"decoder": "unet", "input_shape": (1, 3, 64, 64)}, "takes none of the input"),
        ({"decoder": "unet", "input_shape": (0,)}, "sizes from 1 on"),
        ({"decoder": "unet", "output_channels": ["a", "b"]}, "has 1 channels, but 2"),
        ({"decoder": "unet", "scaling": "loud"}, "no scaling 'loud'"),
        ({"decoder": "unet", "pixel_size": -1}, "pixel sizes above 0"),
        ({"decoder": "unet", "pixel_size": (1, 1, 1)}, "one pixel size, or one for"),
        ({"decoder": "unet", "settings": {"mask_threshold": 7}}, "cannot be 7"),
        ({"decoder": "unet", "settings": {"loud": 7}}, "'loud' cannot be"),
        ({"decoder": "stardist"}, "Expected one channel for the probability"),
        ({"decoder": "cellpose"}, "channel"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    told: Any, sentence: str, tmp_path: Path
) -> None:
    net = onnx_network(tmp_path / "net.onnx")
    with pytest.raises(ai.ImagecAIError, match=sentence):
        ai.package_model(net, tmp_path / "models" / "made", **told)
    assert not list((tmp_path / "models").glob("*"))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("net.h5", b"", r"Expected weights \(\.onnx"),
        ("net.onnx", b"hello", "not an ONNX file"),
        ("net.pt", b"\x80\x02", "state dict or pickle"),
        ("net.pt", None, r"found no file.*check the name"),
    ],
)
def test_files_that_are_no_weights_are_refused(
    name: str, content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ai.ModelError, match=sentence):
        ai.package_model(tmp_path / name, tmp_path / "made", decoder="unet")
    assert not (tmp_path / "made").exists()


def test_a_folder_is_replaced_only_if_told_and_only_if_it_is_a_model(
    tmp_path: Path,
) -> None:
    net = onnx_network(tmp_path / "net.onnx")
    made = ai.package_model(net, tmp_path / "made", decoder="unet", name="First")
    with pytest.raises(ai.ModelError, match="is there already"):
        ai.package_model(net, tmp_path / "made", decoder="unet")
    again = ai.package_model(
        net, tmp_path / "made", decoder="unet", name="Second", replace=True
    )
    assert (made.model.name, again.model.name) == ("First", "Second")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("dear")
    with pytest.raises(ai.ModelError, match="folder of other files"):
        ai.package_model(net, tmp_path / "letters", decoder="unet", replace=True)
    assert (tmp_path / "letters" / "mine.txt").read_text() == "dear"


def test_the_description_can_lie_beside_the_weights(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    net = onnx_network(folder / "net.onnx")
    check_folder(ai.package_model(net, folder, decoder="unet", replace=True).folder)


# -- the command line ------------------------------------------------------------------


def test_the_command_makes_a_model_that_the_library_lists(
    run_cli: Run, tmp_path: Path
) -> None:
    net = onnx_network(tmp_path / "net.onnx", channels=2, expression="channels")
    image = tmp_path / "dots.npy"
    np.save(image, dots())
    code, out, err = run_cli(
        *("package", net, "--decoder", "unet", "--classes", "dot"),
        *("--name", "Dots 2.0", "--scaling", "range", "--image", image),
        *("--output-channels", "foreground,boundary", "--author", "A. Body"),
        *("--pixel-size", "0.25", "--set", "mask_threshold=0.4", "--json"),
    )
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["weights"] == ["onnx"]
    assert told["classes"] == ["dot"]
    rdf = yaml.safe_load((Path(told["folder"]) / "rdf.yaml").read_text())
    assert rdf["authors"] == [{"name": "A. Body"}]
    code, out, _ = run_cli("models", "models", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert (row["name"], row["usable"], row["decoder"]) == ("Dots 2 0", True, "unet")
    code, _, err = run_cli("package", net, "--decoder", "unet", "-o", "models/net")
    assert code == 1
    assert "is there already" in err


def test_the_command_says_what_it_made(run_cli: Run, tmp_path: Path) -> None:
    net = onnx_network(tmp_path / "net.onnx")
    code, out, _ = run_cli("package", net, "--decoder", "unet", "-o", "made")
    assert code == 0
    assert out.startswith("made\n")
    assert "its own test passed" in out
    assert "No licence was named" in out
