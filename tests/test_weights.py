"""Weight files that are missing, broken, foreign, or not those described."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import onnx_network, torchscript_network

from napari_imagec_ai.engines.opening_weights import open_engine, open_file
from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.model.description import FileRef
from napari_imagec_ai.model.weights import check_weights, sha256

STATE_DICTS = ("unet2d_fixed_shape", "unet2d_diff_output_shape", "upsample_test_model")


def problem(path: Path, framework: str = "torchscript") -> str | None:
    return check_weights(framework, FileRef(path.name, None, path)).problem


@pytest.mark.parametrize("name", STATE_DICTS)
def test_a_model_with_only_a_state_dict_says_so_and_what_to_do(
    name: str, shared: Path
) -> None:
    model = load_model(shared / "models" / name)
    assert not model.usable
    assert "state dict" in (model.problem or "")
    assert "imagec-ai convert" in (model.problem or "")
    with pytest.raises(ModelError, match="state dict"):
        open_engine(model)


@pytest.mark.parametrize("name", STATE_DICTS)
def test_a_state_dict_that_claims_to_be_torchscript_is_found_out(
    name: str, shared: Path
) -> None:
    said = problem(shared / "models" / name / "weights.pt") or ""
    assert "state dict" in said
    assert "imagec-ai convert" in said


def test_a_pickle_of_old_pytorch_is_found_out_without_opening_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps({"conv.weight": [1.0]}))
    assert "state dict" in (problem(path) or "")


def test_networks_of_both_formats_have_no_problem(tmp_path: Path) -> None:
    assert problem(onnx_network(tmp_path / "a.onnx"), "onnx") is None
    assert problem(torchscript_network(tmp_path / "a.pt")) is None


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_truncated_torchscript_is_not_opened(kept: float, tmp_path: Path) -> None:
    path = torchscript_network(tmp_path / "a.pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    said = problem(path) or ""
    assert "not a complete TorchScript archive" in said
    assert "download it again" in said


def test_an_empty_onnx_file_is_none(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    (folder / "weights.onnx").write_bytes(b"")
    assert "not an ONNX file" in (load_model(folder).problem or "")


def test_truncated_onnx_is_an_engine_error_in_words(
    make_model: Callable[..., Path],
) -> None:
    folder = make_model()
    path = folder / "weights.onnx"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(EngineError, match=r"could not open 'weights.onnx' \(damaged"):
        open_engine(load_model(folder))


def test_torchscript_with_a_broken_inside_is_an_engine_error_in_words(
    make_model: Callable[..., Path],
) -> None:
    folder = make_model(network=None, weights={"torchscript": {"source": "weights.pt"}})
    with zipfile.ZipFile(folder / "weights.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"x")
        archive.writestr("a/code/x.py", b"x")
    with pytest.raises(EngineError, match=r"could not open 'weights.pt' \(damaged"):
        open_engine(load_model(folder))


@pytest.mark.parametrize("framework", ["onnx", "torchscript"])
def test_missing_weights_say_which_file_and_what_to_do(
    framework: str, make_model: Callable[..., Path]
) -> None:
    folder = make_model(network=None, weights={framework: {"source": "gone.bin"}})
    said = load_model(folder).problem or ""
    assert "'gone.bin'" in said
    assert "download the whole model package" in said


def test_weights_on_the_internet_are_not_fetched_but_named(
    make_model: Callable[..., Path],
) -> None:
    source = "https://example.com/files/net.onnx"
    folder = make_model(network=None, weights={"onnx": {"source": source}})
    assert f"on the internet ({source})" in (load_model(folder).problem or "")


def test_weights_with_an_address_may_lie_in_the_folder(
    make_model: Callable[..., Path],
) -> None:
    source = "https://example.com/files/net.onnx?download=1"
    folder = make_model(network=None, weights={"onnx": {"source": source}})
    onnx_network(folder / "net.onnx")
    assert load_model(folder).usable


@pytest.mark.parametrize("how", ["parent", "absolute", "symlink"])
def test_weights_outside_the_folder_are_not_touched(
    how: str, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    outside = onnx_network(tmp_path / "outside.onnx")
    source = {
        "parent": "../../outside.onnx",
        "absolute": str(outside),
        "symlink": "link.onnx",
    }[how]
    folder = make_model(network=None, weights={"onnx": {"source": source}})
    (folder / "link.onnx").symlink_to(outside)
    assert (folder / source).resolve() == outside  # it is there, but not ours
    model = load_model(folder)
    assert model.weights["onnx"].file.path is None
    assert "not in the folder" in (model.problem or "")


@pytest.mark.parametrize(
    "framework",
    [
        "keras_hdf5",
        "keras_v3",
        "tensorflow_js",
        "tensorflow_saved_model_bundle",
        "caffe",
    ],
)
def test_weights_of_other_frameworks_say_what_to_convert_to(
    framework: str, make_model: Callable[..., Path]
) -> None:
    folder = make_model(network=None, weights={framework: {"source": "w"}})
    assert "ONNX" in (load_model(folder).problem or "")


def test_one_good_format_is_enough(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    rdf["weights"]["torchscript"] = {"source": "gone.pt"}
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    model = load_model(folder)
    assert model.usable
    assert model.runnable == ("onnx",)


def test_another_file_than_the_one_described_is_not_run(
    make_model: Callable[..., Path],
) -> None:
    weights = {"onnx": {"source": "weights.onnx", "sha256": "ab" * 32}}
    model = load_model(make_model(weights=weights))
    found = sha256(model.folder / "weights.onnx")[:12]
    with pytest.raises(ModelError, match=f"expected sha256 abababababab.*{found}"):
        open_engine(model)


def test_a_hash_in_capitals_is_the_same_hash(make_model: Callable[..., Path]) -> None:
    folder = make_model()
    digest = sha256(folder / "weights.onnx").upper()
    weights = {"onnx": {"source": "weights.onnx", "sha256": digest}}
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text()) | {"weights": weights}
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    open_engine(load_model(folder)).close()


def test_a_file_that_cannot_be_read_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    assert problem(tmp_path, "onnx") is not None  # opening a folder is an OSError
    assert problem(tmp_path, "torchscript") is not None


def test_pytorch_script_is_the_old_name_of_torchscript(
    make_model: Callable[..., Path],
) -> None:
    weights = {"pytorch_script": {"source": "w.pt"}}
    model = load_model(make_model(network=torchscript_network, weights=weights))
    assert model.runnable == ("torchscript",)


# -- hostile files ---------------------------------------------------------------------


def external(path: Path, location: str, inside: str = "initializer") -> Path:
    """A network that adds four numbers which lie in another file."""
    import onnx
    from onnx import TensorProto, helper

    tensor = TensorProto(name="w", data_type=1, dims=[1, 1, 2, 2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="16")
    nodes = [helper.make_node("Add", ["in", "w"], ["out"])]
    if inside == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    shape = [1, 1, 2, 2]
    graph = helper.make_graph(
        nodes,
        "adds",
        [helper.make_tensor_value_info("in", 1, shape)],
        [helper.make_tensor_value_info("out", 1, shape)],
        [tensor] if inside == "initializer" else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    assert onnx.load_model_from_string(path.read_bytes()).graph.node
    return path


NUMBERS = np.arange(4, dtype=np.float32)


def test_numbers_beside_an_onnx_file_are_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(NUMBERS.tobytes())
    engine = open_file("onnx", external(tmp_path / "a.onnx", "w.bin"))
    (found,) = engine.run([np.zeros((1, 1, 2, 2), np.float32)])
    np.testing.assert_array_equal(found.ravel(), NUMBERS)
    engine.close()


@pytest.mark.parametrize("inside", ["initializer", "constant"])
@pytest.mark.parametrize(
    "location",
    [
        "OUTSIDE",
        "../secret.bin",
        "sub/../../secret.bin",
        "..\\secret.bin",
        "C:\\secret.bin",
        "https://example.com/w.bin",
        "link.bin",
        "gone.bin",
        ".",
        "*/_ORT_MEM_ADDR_/*",
    ],
)
def test_numbers_elsewhere_are_not_read(
    location: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(NUMBERS.tobytes())
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.bin").symlink_to(secret)
    monkeypatch.chdir(tmp_path)
    path = external(folder / "a.onnx", location.replace("OUTSIDE", str(secret)), inside)
    with pytest.raises(EngineError, match=r"which is no file in its folder"):
        open_file("onnx", path)


class Trap:
    """Unpickled as Python, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
def test_a_pickle_in_a_torchscript_file_is_never_run_as_python(
    name: str, tmp_path: Path
) -> None:
    good = torchscript_network(tmp_path / "good.pt")
    mark, bad = tmp_path / "was-run", tmp_path / "bad.pt"
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()  # this is what it would do
    mark.rmdir()
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith(f"/{name}"):
                content = pickle.dumps(Trap(mark), 2)
            target.writestr(member.filename, content)
    for isolated in (True, False):
        with pytest.raises((EngineError, ModelError)):
            open_file("torchscript", bad, isolated=isolated).run([np.zeros((1, 1))])
    assert not mark.exists()


def test_a_torchscript_file_that_would_fill_the_memory_is_left_alone(
    tmp_path: Path,
) -> None:
    path = torchscript_network(tmp_path / "a.pt")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data/0", bytes(200 << 20))
    assert path.stat().st_size < 1 << 20
    assert "would unpack to" in (problem(path) or "")
    with pytest.raises(ModelError, match="it was left alone"):
        open_file("torchscript", path)
