"""What networks take and give, as others export them: sizes, types, classes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import napari_imagec_ai as ai
from napari_imagec_ai.errors import EngineError, ModelError


def spots(side: int = 160) -> np.ndarray:
    """Four bright squares of 16 pixels on a dark ground, 8 bits."""
    image = np.full((side, side), 20, np.uint8)
    for y, x in ((16, 16), (16, 96), (96, 16), (96, 96)):
        image[y : y + 16, x : x + 16] = 200
    return image


def picture(data: np.ndarray, axes: str = "YX") -> ai.ImageInput:
    return ai.ImageInput(data, axes, name="spots")


def graph(
    path: Path,
    nodes: Any,
    constants: Any,
    kinds: tuple[str, str] = ("FLOAT", "FLOAT"),
    shape: Any = (1, 1, "y", "x"),
    out: Any = (1, None, "y", "x"),
) -> Path:
    """Write an ONNX file from 'in' to 'out'."""
    from onnx import TensorProto, helper, numpy_helper, save

    make = helper.make_tensor_value_info
    sides = [
        make("in", getattr(TensorProto, kinds[0]), list(shape)),
        make("out", getattr(TensorProto, kinds[1]), list(out)),
    ]
    arrays = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    made = helper.make_graph(nodes, "net", sides[:1], sides[1:], arrays)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, str(path))
    return path


def steep(source: str = "in", half: float = 0.43) -> list[Any]:
    """Nodes from grey values 0 to 1 to a probability 'p' of being bright."""
    from onnx import helper

    return [
        helper.make_node("Sub", [source, "half"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "slope"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["p"]),
    ]


CONSTANTS = {"half": np.float32(0.43), "slope": np.float32(40)}


def objects_of(made: Any, data: np.ndarray, axes: str = "YX") -> ai.Objects:
    found = ai.decode(ai.predict(made.model, picture(data, axes)))
    assert isinstance(found, ai.Objects)
    return found


# -- types of numbers ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["UINT8", "UINT16", "INT16", "INT32"])
def test_an_image_of_any_type_fits_a_network_of_whole_numbers(
    tmp_path: Path, dtype: str
) -> None:
    from onnx import TensorProto, helper

    top = {"UINT8": 255, "UINT16": 65535, "INT16": 32767, "INT32": 255}[dtype]
    cast = helper.make_node("Cast", ["in"], ["number"], to=TensorProto.FLOAT)
    share = helper.make_node("Div", ["number", "top"], ["part"])
    end = helper.make_node("Identity", ["p"], ["out"])
    nodes = [cast, share, *steep("part"), end]
    path = graph(
        tmp_path / "a.onnx",
        nodes,
        CONSTANTS | {"top": np.float32(top)},
        (dtype, "FLOAT"),
    )
    made = ai.package_model(path, tmp_path / "m", decoder="unet", classes=["cell"])
    eight = spots()
    images = [eight, (eight / 255).astype(np.float32)]
    if dtype != "INT32":  # has no white of its own: 16 bits are taken as they come
        images.append(eight.astype(np.uint16) * (257 if dtype == "UINT16" else 100))
    for image in images:
        assert len(objects_of(made, image)) == 4, image.dtype
    assert all(result.passed for result in ai.test_model(made.model))


@pytest.mark.parametrize("scaling", ["percentiles", "range"])
def test_a_scaling_ends_in_the_numbers_that_the_network_takes(
    tmp_path: Path, scaling: Any
) -> None:
    from onnx import TensorProto, helper

    cast = helper.make_node("Cast", ["in"], ["number"], to=TensorProto.FLOAT)
    share = helper.make_node("Div", ["number", "top"], ["part"])
    end = helper.make_node("Identity", ["p"], ["out"])
    constants = CONSTANTS | {"top": np.float32(255)}
    nodes = [cast, share, *steep("part"), end]
    path = graph(tmp_path / "a.onnx", nodes, constants, ("UINT8", "FLOAT"))
    made = ai.package_model(path, tmp_path / "m", decoder="unet", scaling=scaling)
    assert len(objects_of(made, spots().astype(np.uint16) * 7)) == 4


# -- grey values as the network knew them ----------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenet_values_are_what_torchvision_makes(
    tmp_path: Path, channels: int
) -> None:
    from onnx import helper

    node = helper.make_node("Identity", ["in"], ["out"])
    shape = (1, channels, "y", "x")
    path = graph(tmp_path / "a.onnx", [node], {}, shape=shape, out=shape)
    made = ai.package_model(path, tmp_path / "m", decoder="image", scaling="imagenet")
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (channels, 64, 80), dtype=np.uint8)
    means = np.array([0.485, 0.456, 0.406] if channels == 3 else [0.449])
    widths = np.array([0.229, 0.224, 0.225] if channels == 3 else [0.226])
    for image, top in ((data, 255), (data.astype(np.uint16) * 257, 65535)):
        (found,) = ai.predict(made.model, picture(image, "CYX")).maps.values()
        expected = (image / top - means[:, None, None]) / widths[:, None, None]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_bit_depth_of_the_image_divides(tmp_path: Path) -> None:
    from onnx import helper

    node = helper.make_node("Identity", ["in"], ["out"])
    path = graph(tmp_path / "a.onnx", [node], {}, out=(1, 1, "y", "x"))
    made = ai.package_model(path, tmp_path / "m", decoder="image", scaling="bit-depth")
    data = spots()
    for image, top in ((data, 255), (data.astype(np.uint16) * 100, 65535)):
        (found,) = ai.predict(made.model, picture(image)).maps.values()
        np.testing.assert_allclose(found[0], image / top, atol=1e-5)


# -- what channels mean ----------------------------------------------------------------


@pytest.mark.parametrize("keras", [False, True])
def test_two_channels_that_sum_to_one_are_background_and_object(
    tmp_path: Path, keras: bool
) -> None:
    from onnx import helper

    nodes = [
        *steep(),
        helper.make_node("Sub", ["one", "p"], ["rest"]),
        helper.make_node("Concat", ["rest", "p"], ["out"], axis=3 if keras else 1),
    ]
    shape = (1, "y", "x", 1) if keras else (1, 1, "y", "x")
    out = (1, "y", "x", 2) if keras else (1, 2, "y", "x")
    constants = CONSTANTS | {"one": np.float32(1)}
    path = graph(tmp_path / "a.onnx", nodes, constants, shape=shape, out=out)
    made = ai.package_model(
        path, tmp_path / "m", decoder="unet", classes=["cell"], scaling="bytes"
    )
    assert made.model.kind == "foreground"
    assert len(objects_of(made, spots())) == 4


@pytest.mark.parametrize("axis", [True, False])
@pytest.mark.parametrize("dtype", ["INT64", "UINT8", "FLOAT"])
@pytest.mark.parametrize("classes", [1, 2])
def test_an_argmax_inside_gives_a_map_of_classes(
    tmp_path: Path, axis: bool, dtype: str, classes: int
) -> None:
    from onnx import TensorProto, helper

    # Two of the squares are brighter: a class of their own, where there are two.
    nodes = [
        helper.make_node("Greater", ["in", "low"], ["some"]),
        helper.make_node("Greater", ["in", "high"], ["much"]),
        helper.make_node("Cast", ["some"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["much"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Add" if classes > 1 else "Max", ["a", "b"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["whole"], to=getattr(TensorProto, dtype)),
        helper.make_node("Identity", ["whole"], ["out"])
        if axis
        else helper.make_node("Squeeze", ["whole", "one"], ["out"]),
    ]
    constants = {"low": np.float32(0.4), "high": np.float32(0.85), "one": np.array([1])}
    out = (1, 1, "y", "x") if axis else (1, "y", "x")
    path = graph(tmp_path / "a.onnx", nodes, constants, ("FLOAT", dtype), out=out)
    names = ["dim", "bright"][:classes]
    made = ai.package_model(
        path,
        tmp_path / "m",
        decoder="semantic",
        classes=names,
        scaling="bytes",
        image=picture(spots()),
    )
    data = spots()
    data[96:] = np.where(data[96:] > 100, 240, data[96:])
    found = objects_of(made, data)
    assert found.counts() == ({"dim": 2, "bright": 2} if classes > 1 else {"dim": 4})


@pytest.mark.parametrize("names", [("prob", "dist", "class"), ("a", "b", "c")])
def test_classes_of_stars_come_from_their_own_output(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    make = helper.make_tensor_value_info
    middle = np.zeros((1, 160, 160, 1), np.float32)
    for y, x in ((24, 24), (24, 104), (104, 24), (104, 104)):
        middle[0, y, x] = 1
    bright = np.zeros((1, 160, 160, 3), np.float32)
    bright[..., 1], bright[:, 90:, :, 1], bright[:, 90:, :, 2] = 0.9, 0.1, 0.9
    bright[..., 0] = 1 - bright[..., 1:].sum(axis=-1)
    tables = {
        "p": middle,
        "d": np.full((1, 160, 160, 32), 7, np.float32),
        "k": bright,
    }
    constants = [numpy_helper.from_array(array, key) for key, array in tables.items()]
    constants.append(numpy_helper.from_array(np.float32(0), "zero"))
    nodes = [helper.make_node("Mul", ["img", "zero"], ["nothing"])]
    outputs = []
    for name, key in zip(names, tables, strict=True):
        nodes.append(helper.make_node("Add", [key, "nothing"], [name]))
        outputs.append(make(name, TensorProto.FLOAT, list(tables[key].shape)))
    source = make("img", TensorProto.FLOAT, [1, 160, 160, 1])
    made = helper.make_graph(nodes, "stars", [source], outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, str(tmp_path / "a.onnx"))
    found = ai.package_model(
        tmp_path / "a.onnx",
        tmp_path / "m",
        decoder="stardist",
        classes=["dim", "bright"],
        image=picture(spots()),
    )
    assert objects_of(found, spots()).counts() == {"dim": 2, "bright": 2}


# -- sizes -----------------------------------------------------------------------------


def traced(path: Path, module: Any, *shape: int) -> Path:
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is tested
        torch.jit.trace(module, torch.zeros(*shape)).save(str(path))
    return path


@pytest.mark.parametrize("way", ["resized", "viewed"])
def test_a_size_that_tracing_wrote_down_is_that_of_the_windows(
    tmp_path: Path, way: str
) -> None:
    import torch

    class Baked(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            x = torch.sigmoid((x - 0.43) * 40)
            if way == "viewed":
                return x.view(1, 96 * 96).view(1, 1, 96, 96)
            return torch.nn.functional.interpolate(x, size=(96, 96))

    path = traced(tmp_path / "a.pt", Baked(), 1, 1, 96, 96)
    made = ai.package_model(path, tmp_path / "m", decoder="unet", scaling="bytes")
    sizes = [axis["size"] for axis in _rdf(made)["inputs"][0]["axes"][2:]]
    assert sizes == [96, 96]
    assert len(objects_of(made, spots())) == 4


def test_volumes_grow_by_the_steps_that_the_network_takes(tmp_path: Path) -> None:
    import torch

    class Deep(torch.nn.Module):
        """Five poolings, and back: sizes are multiples of 32, along z, too."""

        def forward(self, x: Any) -> Any:
            small = torch.nn.functional.avg_pool3d(x, 32)
            back = torch.nn.functional.interpolate(small, scale_factor=32.0)
            return torch.sigmoid((x + 0 * back - 0.43) * 40)

    path = traced(tmp_path / "a.pt", Deep(), 1, 1, 32, 64, 64)
    made = ai.package_model(path, tmp_path / "m", decoder="unet", scaling="bytes")
    sizes = {a["id"]: a["size"] for a in _rdf(made)["inputs"][0]["axes"][2:]}
    assert sizes["z"] == {"min": 32, "step": 32}
    assert {sizes[axis]["step"] for axis in "yx"} == {32}


def _rdf(made: Any) -> Any:
    return yaml.safe_load((made.folder / "rdf.yaml").read_text(encoding="utf-8"))


def test_maps_of_a_network_with_a_fixed_batch(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [*steep(), helper.make_node("Identity", ["p"], ["out"])]
    shape = (4, 1, 64, 64)
    path = graph(tmp_path / "a.onnx", nodes, CONSTANTS, shape=shape, out=shape)
    made = ai.package_model(path, tmp_path / "m", decoder="unet", scaling="bytes")
    raw = ai.predict(made.model, picture(spots()), halo=4, larger_tiles=False)
    assert 9 <= 4 * raw.network_calls <= 16  # four windows in each call
    assert len(ai.decode(raw)) == 4


# -- files beside ----------------------------------------------------------------------


def beside(folder: Path) -> Path:
    """A model folder whose weights keep their numbers in another file."""
    from onnx import helper, load, save_model

    nodes = [*steep("scaled"), helper.make_node("Identity", ["p"], ["out"])]
    nodes.insert(0, helper.make_node("Mul", ["in", "many"], ["scaled"]))
    constants = CONSTANTS | {"many": np.full((1, 1, 1, 1), 1, np.float32)}
    path = graph(folder.parent / "a.onnx", nodes, constants, out=(1, 1, "y", "x"))
    made = ai.package_model(path, folder, decoder="unet", scaling="bytes")
    weights = folder / "weights.onnx"
    save_model(
        load(weights),
        str(weights),
        save_as_external_data=True,
        location="numbers.data",
        size_threshold=0,
    )
    rdf = _rdf(made)
    entry = rdf["weights"]["onnx"]
    entry["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    numbers = (folder / "numbers.data").read_bytes()
    told = {"source": "numbers.data", "sha256": hashlib.sha256(numbers).hexdigest()}
    entry["external_data"] = told
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    return folder


def test_numbers_beside_the_weights_are_known_by_their_hash(tmp_path: Path) -> None:
    folder = beside(tmp_path / "m")
    assert len(ai.decode(ai.predict(ai.load_model(folder), picture(spots())))) == 4
    changed = shutil.copytree(folder, tmp_path / "changed")
    numbers = bytearray((changed / "numbers.data").read_bytes())
    numbers[-1] ^= 1
    (changed / "numbers.data").write_bytes(numbers)
    with pytest.raises(ModelError, match=r"'numbers.data' is not the file that"):
        ai.predict(ai.load_model(changed), picture(spots()))
    (folder / "numbers.data").unlink()
    (entry,) = ai.find_models(folder)
    assert entry.problem is not None
    assert "'numbers.data', which is not in the folder" in entry.problem


# -- windows without objects -----------------------------------------------------------


@pytest.mark.parametrize("softmax", [False, True])
def test_a_window_that_the_network_fails_on_is_named_and_left_empty(
    tmp_path: Path, make_model: Any, softmax: bool
) -> None:
    import torch

    class Needy(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            first = torch.nonzero(x > 0.5).select(0, 0)
            p = torch.sigmoid((x - 0.43) * 40) + 0 * first.sum()
            return torch.cat([1 - p, p], dim=1) if softmax else p

    size = {"min": 32, "step": 32}
    space = [{"type": "space", "id": axis, "size": size} for axis in "yx"]
    follow = [
        {"type": "space", "id": a, "size": {"tensor_id": "in", "axis_id": a}, "halo": 4}
        for a in "yx"
    ]
    grey = {"type": "channel", "channel_names": ["grey"]}
    names = ["background", "foreground"] if softmax else ["foreground"]
    told = {"type": "channel", "channel_names": names}
    folder = make_model(
        "needy",
        network=None,
        inputs=[{"id": "in", "axes": [{"type": "batch"}, grey, *space]}],
        outputs=[{"id": "out", "axes": [{"type": "batch"}, told, *follow]}],
        weights={"torchscript": {"source": "w.pt"}},
        config={"napari_imagec_ai": {"decoder": "unet", "kind": "foreground"}},
    )
    with torch.no_grad():
        example = torch.ones(1, 1, 64, 64)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace(Needy(), example, check_trace=False).save(
                str(folder / "w.pt")
            )
    model = ai.load_model(folder)
    data = np.zeros((160, 160), np.float32)
    data[20:36, 20:36], data[110:126, 110:126] = 1, 1
    raw = ai.predict(model, picture(data), tile=64)
    found = ai.decode(raw)
    assert len(found) == 2
    assert found.features["area"].tolist() == [256, 256]
    said = " ".join(raw.assumed)
    assert "The network failed on" in said
    assert "which were left empty" in said
    with pytest.raises(EngineError):
        ai.predict(model, picture(np.zeros((160, 160), np.float32)), tile=64)


# -- sentences -------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[""], [None], ["  "]])
def test_a_class_without_a_name_gets_one_and_that_is_said(
    make_model: Any, names: Any
) -> None:
    config = {"napari_imagec_ai": {"decoder": "unet", "classes": names}}
    model = ai.load_model(make_model("blank", config=config))
    data = np.zeros((64, 64), np.float32)
    data[10:30, 10:30] = 1
    found = ai.decode(ai.predict(model, picture(data)))
    assert found.counts() == {"class 1": 1}
    assert any("number 1 is called 'class 1'" in s for s in found.assumed)


# -- other shapes of results -----------------------------------------------------------


@pytest.mark.parametrize("order", ["bczyx", "bzcyx"])
def test_a_plane_may_become_a_volume(tmp_path: Path, order: str) -> None:
    import tifffile
    from onnx import helper

    axis = 1 + order.index("z") - 1
    nodes = [
        helper.make_node("Unsqueeze", ["in", "place"], ["one"]),
        helper.make_node("Mul", ["one", "weights"], ["out"]),
    ]
    shape = (1, 1, 5, 1, 1) if order == "bczyx" else (1, 5, 1, 1, 1)
    weights = np.arange(1, 6, dtype=np.float32).reshape(shape)
    constants = {"place": np.array([axis]), "weights": weights}
    out = (1, 1, 5, "y", "x") if order == "bczyx" else (1, 5, 1, "y", "x")
    path = graph(tmp_path / "a.onnx", nodes, constants, out=out)
    made = ai.package_model(path, tmp_path / "m", decoder="image")
    if order == "bzcyx":  # a description may have another order than the usual one
        rdf = _rdf(made)
        axes = rdf["outputs"][0]["axes"]
        axes[1], axes[2] = (
            {"type": "space", "id": "z", "size": 5},
            {"type": "channel", "channel_names": ["out"]},
        )
        (made.folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    data = spots(96)
    images = ai.decode(ai.predict(ai.load_model(made.folder), picture(data)))
    ai.write(images, tmp_path / "volume.tif")
    with tifffile.TiffFile(tmp_path / "volume.tif") as file:
        assert file.series[0].axes == "ZYX"
        found = file.series[0].asarray()
    np.testing.assert_allclose(found, data * np.arange(1, 6)[:, None, None])
    with pytest.raises(ModelError, match=r"a volume .* which only the decoder"):
        ai.package_model(path, tmp_path / "again", decoder="unet")


def test_scores_may_be_a_table(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["in"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "table"], ["out"]),
    ]
    table = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    path = graph(
        tmp_path / "a.onnx",
        nodes,
        {"table": table},
        shape=(1, 1, 64, 64),
        out=(1, 3, 4),
    )
    made = ai.package_model(path, tmp_path / "m", decoder="scores")
    (found,) = ai.predict(
        made.model, picture(np.full((64, 64), 2, np.uint8))
    ).vectors.values()
    np.testing.assert_allclose(found.ravel(), 2 * table.ravel(), rtol=1e-5)
