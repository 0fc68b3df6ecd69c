"""Both runtimes on tiny real networks, and engines from elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from conftest import onnx_network, torchscript_network

import napari_imagec_ai as ai
from napari_imagec_ai.engines import opening_weights
from napari_imagec_ai.engines.engine import completed
from napari_imagec_ai.engines.onnx import OnnxEngine
from napari_imagec_ai.engines.opening_weights import candidates, open_engine
from napari_imagec_ai.engines.registry import engine_names
from napari_imagec_ai.engines.torchscript import TorchScriptEngine
from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.library import selftest
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.model.description import Model

X = np.random.default_rng(0).random((1, 1, 16, 16)).astype(np.float32)
ENGINES: dict[str, Any] = {
    "onnx": lambda folder: OnnxEngine(onnx_network(folder / "a.onnx")),
    "torchscript": lambda folder: TorchScriptEngine(
        torchscript_network(folder / "a.pt")
    ),
}
any_engine = pytest.mark.parametrize("build", ENGINES.values(), ids=ENGINES)


@pytest.fixture
def model(make_model: Callable[..., Path]) -> Model:
    """A model with weights of both formats."""
    weights = {"torchscript": {"source": "w.pt"}, "onnx": {"source": "w.onnx"}}
    folder = make_model(network=None, weights=weights)
    onnx_network(folder / "w.onnx")
    torchscript_network(folder / "w.pt")
    return load_model(folder)


# -- the runtimes ----------------------------------------------------------------------


@any_engine
def test_an_engine_gives_what_the_network_gives(build: Any, tmp_path: Path) -> None:
    engine = build(tmp_path)
    (found,) = engine.run([X])
    np.testing.assert_array_equal(found, X)
    assert engine.device == "cpu"
    engine.close()
    engine.close()  # twice does no harm


@any_engine
@pytest.mark.parametrize("dtype", ["float64", "uint16", ">f4", "float16", "bool"])
def test_onnx_and_torchscript_take_arrays_of_other_types(
    dtype: str, build: Any, tmp_path: Path
) -> None:
    given = (X * 9).astype(dtype)
    (found,) = build(tmp_path).run([given])
    np.testing.assert_array_equal(found, given)


@any_engine
def test_arrays_with_gaps_or_that_are_read_only_are_taken(
    build: Any, tmp_path: Path
) -> None:
    given = X[..., ::-1, ::2]
    given.flags.writeable = False
    (found,) = build(tmp_path).run([given])
    np.testing.assert_array_equal(found, given)


@any_engine
def test_the_wrong_number_of_inputs_is_an_error_in_words(
    build: Any, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=r"2 inputs|2 were given|on inputs of shape"):
        build(tmp_path).run([X, X])


def test_a_shape_that_onnx_does_not_take_is_told_with_the_expected_one(
    tmp_path: Path,
) -> None:
    engine = OnnxEngine(onnx_network(tmp_path / "a.onnx", shape=(1, 1, 32, 32)))
    with pytest.raises(
        EngineError, match=r"\[1, 1, 32, 32\], but got \[1, 1, 16, 16\]"
    ):
        engine.run([X])


@pytest.mark.parametrize(
    ("returns", "outputs"), [("tensor", 1), ("tuple", 2), ("list", 2), ("dict", 2)]
)
def test_torchscript_may_return_tensors_in_any_wrapping(
    returns: str, outputs: int, tmp_path: Path
) -> None:
    engine = TorchScriptEngine(torchscript_network(tmp_path / "a.pt", returns))
    found = engine.run([X])
    assert len(found) == outputs
    for factor, array in enumerate(found, start=1):
        np.testing.assert_array_equal(array, X * factor)


@pytest.mark.parametrize("device", ["tpu9", "cuda:99"])
@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_a_device_that_is_not_there_is_an_error_that_names_others(
    engine: str, device: str, model: Model
) -> None:
    with pytest.raises(EngineError, match=rf"'{device}'.*cpu.*'auto'"):
        open_engine(model, engine, device)


# -- choosing --------------------------------------------------------------------------


def test_auto_prefers_onnx(model: Model) -> None:
    assert open_engine(model).name == "onnx"


def test_the_engine_asked_for_is_the_one_that_runs(model: Model) -> None:
    assert open_engine(model, "torchscript").name == "torchscript"


def test_an_unknown_engine_is_answered_with_the_known_ones(model: Model) -> None:
    with pytest.raises(EngineError, match=r"no engine 'magic'.*onnx, torchscript"):
        open_engine(model, "magic")


def test_weights_that_a_model_lacks_are_told_with_those_it_has(
    make_model: Callable[..., Path],
) -> None:
    with pytest.raises(ModelError, match="no torchscript weights, but onnx"):
        open_engine(load_model(make_model()), "torchscript")


def missing(path: Path, device: str) -> Any:
    raise ImportError("No module named 'onnxruntime'")


def test_a_missing_runtime_falls_to_the_next_format(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(opening_weights.BUILT_IN, "onnx", missing)
    assert open_engine(model).name == "torchscript"


def test_a_missing_runtime_that_was_asked_for_is_an_error(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(opening_weights.BUILT_IN, "onnx", missing)
    with pytest.raises(EngineError, match=r"runtime is not installed.*with pip"):
        open_engine(model, "onnx")


def test_a_fault_of_the_first_format_does_not_fall_to_the_next(model: Model) -> None:
    (model.folder / "w.onnx").write_bytes(b"\x08broken")
    with pytest.raises(EngineError, match=r"could not open 'w.onnx'"):
        open_engine(model)


# -- engines from elsewhere ------------------------------------------------------------


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install another distribution with an engine for Keras."""
    site = tmp_path / "site"
    info = site / "keras_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: keras-engine\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[napari_imagec_ai.engines]\nkeras_hdf5 = keras_engine:Engine\n"
    )
    (site / "keras_engine.py").write_text(
        "class Engine:\n"
        "    name = 'keras_hdf5'\n"
        "    def __init__(self, path, device):\n"
        "        self.device, self.path = device, path\n"
        "    def run(self, inputs):\n"
        "        return [inputs[0] * 3]\n"
        "    def close(self):\n"
        "        pass\n"
    )
    monkeypatch.syspath_prepend(site)


@pytest.mark.usefixtures("third_party")
def test_an_engine_of_another_package_opens_its_weights(
    make_model: Callable[..., Path],
) -> None:
    weights = {"keras_hdf5": {"source": "w.h5"}, "onnx": {"source": "weights.onnx"}}
    folder = make_model(network=None, weights=weights)
    onnx_network(folder / "weights.onnx")
    (folder / "w.h5").write_bytes(b"x")
    assert engine_names() == ("onnx", "torchscript", "keras_hdf5")
    engine = open_engine(load_model(folder), "keras_hdf5")
    np.testing.assert_array_equal(engine.run([X])[0], X * 3)


@pytest.mark.usefixtures("third_party")
def test_the_command_line_takes_engines_of_other_packages(
    make_model: Callable[..., Path], run_cli: Any, tmp_path: Path
) -> None:
    weights = {"keras_hdf5": {"source": "w.h5"}, "onnx": {"source": "weights.onnx"}}
    folder = make_model(network=None, weights=weights)
    onnx_network(folder / "weights.onnx")
    (folder / "w.h5").write_bytes(b"x")
    tifffile.imwrite(tmp_path / "image.tif", X[0, 0])
    asked = ("predict", str(folder), str(tmp_path / "image.tif"), "--json")
    code, said, problem = run_cli(
        *asked, "-o", str(tmp_path / "out"), "--engine", "keras_hdf5"
    )
    assert code == 0, problem
    assert json.loads(said)["engine"] == "keras_hdf5"
    code, _, problem = run_cli(*asked, "-o", str(tmp_path / "out"), "--engine", "magic")
    assert code == 1
    assert "onnx" in problem
    assert "keras_hdf5" in problem


def test_an_engine_with_the_least_is_completed_and_the_rest_is_used() -> None:
    class Least:
        name, device = "least", "cpu"

        def __init__(self) -> None:
            self.metadata = {"names": "cell"}
            self.loose: Any = None

        def run(self, inputs: Any) -> Any:
            return list(inputs)

        def close(self) -> None:
            self.loose = "closed"

        def loosen(self, axes: Any) -> bool:
            self.loose = axes
            return False

    least: Any = Least()
    whole = completed(least)
    assert (whole.name, whole.device) == ("least", "cpu")
    assert whole.metadata == {"names": "cell"}
    assert (whole.window, whole.signature, whole.notices) == (None, (), ())
    assert not whole.can_interrupt
    whole.interrupt()
    assert not whole.loosen([2, 3])
    assert least.loose == [2, 3]
    whole.close()
    assert least.loose == "closed"
    assert completed(whole) is whole


# -- which one is the faster one -------------------------------------------------------


@pytest.fixture
def published(model: Model) -> Model:
    """The model of both formats, with test tensors."""
    rdf = yaml.safe_load((model.folder / "rdf.yaml").read_text())
    rdf["inputs"][0]["test_tensor"] = {"source": "x.npy"}
    rdf["outputs"][0]["test_tensor"] = {"source": "x.npy"}
    (model.folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    np.save(model.folder / "x.npy", X)
    return load_model(model.folder)


def delayed(monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    """Make every call of one engine take longer."""
    opened = selftest.open_engine

    def open_(model: Model, name: str, *given: Any, **more: Any) -> Any:
        engine = opened(model, name, *given, **more)
        if name == slow:
            run = engine.run

            def later(inputs: Any) -> Any:
                time.sleep(0.05)
                return run(inputs)

            monkeypatch.setattr(engine, "run", later)
        return engine

    monkeypatch.setattr(selftest, "open_engine", open_)


@pytest.mark.parametrize(
    ("slow", "expected"), [("onnx", "torchscript"), ("torchscript", "onnx")]
)
def test_auto_takes_the_engine_that_was_the_faster_one_in_the_models_own_test(
    slow: str, expected: str, published: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    delayed(monkeypatch, slow)
    assert candidates(published)[0] == "onnx"  # until it was measured
    assert all(result.passed for result in ai.test_model(published))
    assert candidates(published)[0] == expected
    assert open_engine(published).name == expected
    assert open_engine(published, device="cpu").name == expected
    # Another device, other weights: that was not measured.
    assert candidates(published, device="cuda")[0] == "onnx"
    torchscript_network(published.folder / "w.pt", "x * 1")
    assert candidates(load_model(published.folder))[0] == "onnx"


def test_an_engine_that_does_not_reproduce_the_test_is_not_taken_for_its_speed(
    published: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    delayed(monkeypatch, "onnx")
    torchscript_network(published.folder / "w.pt", "x + 1")
    model = load_model(published.folder)
    assert not all(result.passed for result in ai.test_model(model))
    assert candidates(model)[0] == "onnx"


def test_onnx_runtime_reports_nothing(tmp_path: Path) -> None:
    """Its builds mark the machine with an id and report sessions, unless forbidden."""
    home = tmp_path / "home"
    home.mkdir()
    spared = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS")
    environment = {k: v for k, v in os.environ.items() if k not in spared}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    script = (
        "import sys; from pathlib import Path;"
        "from napari_imagec_ai.engines.onnx import OnnxEngine;"
        "OnnxEngine(Path(sys.argv[1])).close()"
    )
    weights = onnx_network(tmp_path / "a.onnx")
    subprocess.run([sys.executable, "-c", script, weights], env=environment, check=True)
    assert not [path for path in home.rglob("*") if "onnxruntime" in path.name]
