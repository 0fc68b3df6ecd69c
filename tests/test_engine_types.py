"""Types of numbers, orders in memory and versions that exported networks bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import torchscript_network

from napari_imagec_ai.engines.numbers import cast
from napari_imagec_ai.engines.onnx import OnnxEngine
from napari_imagec_ai.engines.torchscript import TorchScriptEngine
from napari_imagec_ai.errors import EngineError

X = np.random.default_rng(1).random((1, 1, 12, 16)).astype(np.float32)


def convolution(path: Path, kind: str, edge: str = "FLOAT", opset: int = 17) -> Path:
    """A mean over 3 x 3 pixels, with weights of one type and inputs of another."""
    import ml_dtypes
    from onnx import TensorProto, helper, numpy_helper, save

    numbers = {
        "FLOAT16": np.float16,
        "BFLOAT16": ml_dtypes.bfloat16,
        "DOUBLE": np.float64,
        "FLOAT": np.float32,
    }[kind]
    mean = np.full((1, 1, 3, 3), 1 / 9).astype(numbers)
    inside, outside = getattr(TensorProto, kind), getattr(TensorProto, edge)
    nodes = [
        helper.make_node("Cast", ["in"], ["a"], to=inside),
        helper.make_node("Conv", ["a", "mean"], ["b"], pads=[1] * 4),
        helper.make_node("Cast", ["b"], ["out"], to=outside),
    ]
    sides = [
        helper.make_tensor_value_info(name, outside, [1, 1, "y", "x"])
        for name in ("in", "out")
    ]
    weights = [numpy_helper.from_array(mean, "mean")]
    graph = helper.make_graph(nodes, "mean", sides[:1], sides[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    save(model, str(path))
    return path


def saved(module: Any, path: Path, example: Any = None) -> Path:
    """Trace a module, or take a scripted one as it is."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is tested
        if example is not None:
            module = torch.jit.trace(module, example)
        module.save(str(path))
    return path


def mean_of(image: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.uniform_filter(image[0, 0], 3, mode="constant")[None, None]


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16", "DOUBLE"])
@pytest.mark.parametrize("inside_only", [True, False])
def test_onnx_weights_of_any_precision_run(
    tmp_path: Path, kind: str, inside_only: bool
) -> None:
    path = convolution(tmp_path / "a.onnx", kind, "FLOAT" if inside_only else kind)
    (found,) = OnnxEngine(path).run([X])
    exact = {"FLOAT16": 2e-3, "BFLOAT16": 1e-2, "DOUBLE": 1e-6}[kind]
    np.testing.assert_allclose(found, mean_of(X), atol=exact)


@pytest.mark.parametrize("kind", ["half", "bfloat16", "double"])
def test_torchscript_weights_of_any_precision_run(tmp_path: Path, kind: str) -> None:
    import torch

    dtype = getattr(torch, kind)
    module = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    torch.nn.init.constant_(module.weight, 1 / 9)
    example = torch.zeros(1, 1, 8, 8, dtype=dtype)
    saved(module.to(dtype), tmp_path / "a.pt", example)
    (found,) = TorchScriptEngine(tmp_path / "a.pt").run([X])
    assert found.dtype in (np.float32, np.float64)
    np.testing.assert_allclose(found, mean_of(X), atol=2e-2)


def test_a_network_that_looks_at_its_weights_as_they_lie_in_memory_runs(
    tmp_path: Path,
) -> None:
    import torch

    class Positions(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.where = torch.nn.Parameter(torch.arange(48.0).view(1, 3, 4, 4))
            self.mean = torch.nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return self.mean(x) + self.where.view(1, -1)[0, 5]

    module = Positions()
    saved(module, tmp_path / "a.pt", torch.zeros(1, 1, 8, 8))
    engine = TorchScriptEngine(tmp_path / "a.pt")
    (found,) = engine.run([X])
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([-3.0, 0.4, 0.6, 300.0, np.nan, np.inf], "uint8", [0, 0, 1, 255, 0, 255]),
        ([-5, 700, 70000], "uint16", [0, 700, 65535]),
        ([40000, 65535], "int16", [32767, 32767]),
        ([-1e30, 1e30], "int64", [-(2**63), 2**63 - 1024]),
    ],
)
def test_numbers_are_rounded_and_cut_and_never_wrap_round(
    values: list[float], dtype: str, expected: list[int]
) -> None:
    kind = np.int32 if all(isinstance(v, int) for v in values) else np.float64
    assert cast(np.array(values, kind), dtype).tolist() == expected


def test_a_version_that_is_too_new_is_named(tmp_path: Path) -> None:
    from onnx import load, save

    path = convolution(tmp_path / "new.onnx", "FLOAT")
    model = load(path)
    model.ir_version = 99
    save(model, str(path))
    with pytest.raises(EngineError, match=r"version 99 of the ONNX .* up to \d+; up"):
        OnnxEngine(path)
    with pytest.raises(EngineError, match=r"version 99 of the oper.* knows up to \d+"):
        OnnxEngine(convolution(tmp_path / "ops.onnx", "FLOAT", opset=99))


def test_an_operator_that_is_not_there_is_named(tmp_path: Path) -> None:
    from onnx import load, save

    path = convolution(tmp_path / "own.onnx", "FLOAT")
    model = load(path)
    model.graph.node[1].op_type = "Magic"
    save(model, str(path))
    with pytest.raises(EngineError, match=r"the operator 'Magic', which ONNX Runtime"):
        OnnxEngine(path)


def test_a_device_that_is_written_into_the_file_is_named(tmp_path: Path) -> None:
    path = torchscript_network(
        tmp_path / "gpu.pt", "x + torch.zeros([1], device=torch.device('cuda:0'))"
    )
    engine = TorchScriptEngine(path, "cpu")
    with pytest.raises(EngineError, match=r"device 'cuda:0' is written into 'gpu.pt'"):
        engine.run([X])


def traced_for_the_processor(
    monkeypatch: pytest.MonkeyPatch, path: Path, device: str
) -> TorchScriptEngine:
    """An engine as on a GPU, with a network that runs on the processor alone."""
    engine = TorchScriptEngine(torchscript_network(path, "x + 1"), device)
    engine.device = "cuda"
    called = engine._called

    def on_the_processor(tensors: Any) -> Any:
        if engine.device == "cpu":
            return called(tensors)
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two "
            "devices, cuda:0 and cpu!"
        )

    monkeypatch.setattr(engine, "_called", on_the_processor)
    return engine


def test_a_network_traced_for_the_processor_goes_there_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = traced_for_the_processor(monkeypatch, tmp_path / "a.pt", "auto")
    assert np.array_equal(engine.run([X])[0], X + 1)
    assert engine.device == "cpu"


def test_a_network_traced_for_the_processor_stays_where_the_person_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = traced_for_the_processor(monkeypatch, tmp_path / "a.pt", "cpu")
    with pytest.raises(EngineError, match=r"processor is written into 'a.pt'.*'cpu'"):
        engine.run([X])


def test_a_reason_is_told_to_its_end_and_without_the_source_of_the_runtime(
    tmp_path: Path,
) -> None:
    path = torchscript_network(tmp_path / "a.pt", "x.reshape([7, -1])")
    with pytest.raises(EngineError) as caught:
        TorchScriptEngine(path).run([X])
    said = str(caught.value)
    assert "shape '[7, -1]' is invalid for input of size 192" in said
    assert "Traceback" not in said
    assert "\n" not in said
