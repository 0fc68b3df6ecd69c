"""A SavedModel is written as ONNX by a Python of the person's that has TensorFlow.

TensorFlow itself is not part of the tests: a stand-in of its name opens a network that
gives its input, in an environment of its own.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import description, onnx_network

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert import other_python, sandbox

pytestmark = pytest.mark.skipif(os.name == "nt", reason="environments lie elsewhere")

TENSORFLOW = """
import os
import numpy as np
__version__ = "0.0"
GIVES = "{gives}"
constant = np.asarray

class Shape(list):
    as_list = list.copy

class Type:
    as_numpy_dtype = np.float32

class Spec:
    shape, dtype = Shape([None, None, None, 1]), Type

class Tensor:
    def __init__(self, values):
        self.numpy = lambda: values

class Function:
    structured_input_signature = ((), {{"image": Spec}})

    def __call__(self, image):
        return {{"out": Tensor(eval(GIVES))}}

class saved_model:
    class Loaded:
        signatures = {signatures}

    @staticmethod
    def load(path):
        assert os.path.isfile(os.path.join(path, "saved_model.pb"))
        return saved_model.Loaded
"""

TF2ONNX = """
import shutil, sys
def main():
    told = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    assert told["--signature_def"] == "serving_default"
    shutil.copy({made!r}, told["--output"])
"""


def python(
    folder: Path, gives: str = "image", signatures: str = "'serving_default'"
) -> Path:
    """An environment with stand-ins for TensorFlow and tf2onnx."""
    place = folder / "with tensorflow"
    venv.create(place, symlinks=True, with_pip=False)
    packages = next(place.glob("lib/python*/site-packages"))
    ours = sysconfig.get_path("purelib")
    (packages / "ours.pth").write_text(f"{ours}\n", encoding="utf-8")
    made = onnx_network(packages / "made.onnx", shape=("b", "y", "x", 1))
    text = TENSORFLOW.format(
        gives=gives, signatures=f"{{{signatures}: Function()}}" if signatures else "{}"
    )
    (packages / "tensorflow.py").write_text(text, encoding="utf-8")
    (packages / "tf2onnx").mkdir()
    (packages / "tf2onnx" / "__init__.py").touch()
    text = TF2ONNX.format(made=str(made))
    (packages / "tf2onnx" / "convert.py").write_text(text, encoding="utf-8")
    return place


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "nuclei"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"a graph")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(other_python.VARIABLE, raising=False)
    return folder


def described(saved: Path, tmp_path: Path, off: float = 0.0) -> Path:
    """A BioImage.IO folder around a SavedModel, as the zoo has them: in a zip."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    shutil.make_archive(str(folder / "model"), "zip", saved.parent, saved.name)
    rdf = description(weights={})
    for tensor in (*rdf["inputs"], *rdf["outputs"]):
        channel = next(a for a in tensor["axes"] if a["type"] == "channel")
        tensor["axes"].remove(channel)
        tensor["axes"].append(channel)
        tensor["test_tensor"] = {"source": f"{tensor['id']}.npy"}
    digest = ai_sha256(folder / "model.zip")
    entry = {"source": "model.zip", "sha256": digest, "tensorflow_version": "1.15"}
    rdf["weights"] = {"tensorflow_saved_model_bundle": entry}
    values = np.random.default_rng(0).random((1, 32, 48, 1)).astype(np.float32)
    for side, change in (("inputs", 0.0), ("outputs", off)):
        np.save(folder / f"{rdf[side][0]['id']}.npy", values + np.float32(change))
        rdf[side][0].pop("preprocessing", None)
        rdf[side][0].pop("postprocessing", None)
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    return folder


def ai_sha256(path: Path) -> str:
    from napari_imagec_ai.model.weights import sha256

    return sha256(path)


def test_a_bare_saved_model_becomes_a_folder_that_runs(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = python(tmp_path)
    if sandbox.bubblewrap() is None:
        assert main(["convert", str(saved), "--python", str(place)]) == 1
        assert "--trust-code" in capsys.readouterr().err
    told = ["convert", str(saved), "--python", str(place), "--trust-code"]
    assert main(told) == 0
    said = capsys.readouterr().out
    assert "what TensorFlow 0.0 gives" in said
    model = ai.load_model(tmp_path / "models" / "nuclei")
    assert all(result.passed for result in ai.test_model(model))
    assert model.settings["converted_from"]["kind"] == "SavedModel"


def test_a_folder_of_the_zoo_must_reproduce_its_tensors(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(other_python.VARIABLE, str(python(tmp_path)))
    source = described(saved, tmp_path)
    made = ai.convert_model(source, tmp_path / "made", trust_code=True)
    assert "published test tensors are reproduced" in made.checked[0]
    shutil.rmtree(source)
    source = described(saved, tmp_path, off=0.1)
    with pytest.raises(ModelError, match="does not give what the folder published"):
        ai.convert_model(source, tmp_path / "other", trust_code=True)
    assert not (tmp_path / "other").exists()


def test_outputs_come_in_the_order_of_the_description(
    saved: Path, tmp_path: Path
) -> None:
    from onnx import TensorProto, helper, save

    place = python(tmp_path, gives="both")
    packages = next(place.glob("lib/python*/site-packages"))
    text = (packages / "tensorflow.py").read_text(encoding="utf-8")
    both = '{"a": Tensor(image), "b": Tensor(-image)}'
    text = text.replace('{"out": Tensor(eval(GIVES))}', both)
    (packages / "tensorflow.py").write_text(text, encoding="utf-8")
    shape = ["b", "y", "x", 1]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["image"], ["a"]),
            helper.make_node("Neg", ["image"], ["b"]),
        ],
        "two",
        [value("image", TensorProto.FLOAT, shape)],
        [value(name, TensorProto.FLOAT, shape) for name in "ab"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, str(packages / "made.onnx"))
    source = described(saved, tmp_path)
    rdf = yaml.safe_load((source / "rdf.yaml").read_text(encoding="utf-8"))
    second = dict(rdf["outputs"][0], id="second")
    second["test_tensor"] = {"source": "second.npy"}
    rdf["outputs"].append(second)
    (source / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    first = source / f"{rdf['outputs'][0]['id']}.npy"
    np.save(source / "second.npy", np.load(first))
    np.save(first, -np.load(first))
    made = ai.convert_model(source, tmp_path / "made", trust_code=True, python=place)
    assert "published test tensors are reproduced" in made.checked[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gives": "image + 1"}, "off by 1"),
        ({"gives": "image * np.nan"}, "off by nan"),
        ({"gives": "1 / 0"}, "division by zero"),
        ({"gives": "os._exit(3)"}, "failed|gave nothing"),
        ({"signatures": ""}, "names no function"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(
    changes: dict[str, str], words: str, saved: Path, tmp_path: Path
) -> None:
    place = python(tmp_path, **changes)
    with pytest.raises(ModelError, match=words):
        ai.convert_model(saved, tmp_path / "made", trust_code=True, python=place)
    assert not (tmp_path / "made").exists()


def test_without_tensorflow_the_commands_are_told(saved: Path, tmp_path: Path) -> None:
    commands = r"python -m tf2onnx\.convert --saved-model nuclei"
    with pytest.raises(ModelError, match=commands):
        ai.convert_model(saved, trust_code=True)
    with pytest.raises(ModelError, match=commands):
        ai.convert_model(saved / "saved_model.pb", trust_code=True)
    place = python(tmp_path)
    shutil.rmtree(next(place.glob("lib/python*/site-packages")) / "tf2onnx")
    with pytest.raises(ModelError, match="found no tf2onnx; install it there"):
        ai.convert_model(saved, trust_code=True, python=place)
