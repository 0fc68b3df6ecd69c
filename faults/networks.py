"""Networks of a node or two, and descriptions that fit them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_imagec_ai.engines.engine import Engine
    from napari_imagec_ai.model.description import Model

_SIDE = 32


def describe(old: bool = False, **changes: Any) -> dict[str, Any]:
    """An rdf, of format 0.5 or 0.4, for a network that gives its input back."""
    return (_described_old() if old else _described()) | changes


def tiny_model(place: Path) -> tuple[Model, Engine]:
    """A new model folder with a network that gives its input back, and its engine."""
    import yaml

    from napari_imagec_ai.engines.opening_weights import open_engine
    from napari_imagec_ai.library.folders import load_model

    place.mkdir()
    write_onnx(place / "weights.onnx")
    (place / "rdf.yaml").write_text(yaml.safe_dump(describe()))
    model = load_model(place)
    return model, open_engine(model, "onnx", "cpu", isolated=False)


def _described() -> dict[str, Any]:
    sides = [{"type": "space", "id": axis, "scale": 0.5} for axis in "yx"]
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Tiny",
        "inputs": [
            {
                "id": "raw",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["grey"]},
                    *({**axis, "size": {"min": 16, "step": 16}} for axis in sides),
                ],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": {"source": "test_input.npy"},
                "preprocessing": [
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                    {
                        "id": "scale_range",
                        "kwargs": {
                            "axes": ["channel", "y", "x"],
                            "min_percentile": 1.0,
                            "max_percentile": 99.8,
                            "eps": 1e-6,
                        },
                    },
                    {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
                    {
                        "id": "scale_linear",
                        "kwargs": {"gain": [1.0], "offset": [0.0], "axis": "channel"},
                    },
                ],
            }
        ],
        "outputs": [
            {
                "id": "probability",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["foreground"]},
                    *(
                        {
                            **axis,
                            "size": {"tensor_id": "raw", "axis_id": axis["id"]},
                            "halo": 4,
                        }
                        for axis in sides
                    ),
                ],
                "test_tensor": {"source": "test_output.npy"},
                "postprocessing": [{"id": "sigmoid", "kwargs": {}}],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx"}},
        "config": {
            "napari_imagec_ai": {
                "decoder": "unet",
                "kind": "foreground",
                "classes": ["thing"],
                "mask_threshold": 0.6,
                "class_threshold": 0.5,
            },
            "bioimageio": {"reproducibility_tolerance": [{"absolute_tolerance": 0.1}]},
        },
    }


def _described_old() -> dict[str, Any]:
    return {
        "format_version": "0.4.9",
        "type": "model",
        "name": "Tiny",
        "inputs": [
            {
                "name": "input0",
                "axes": "bcyx",
                "data_type": "float32",
                "data_range": [0, 255],
                "shape": {"min": [1, 1, 16, 16], "step": [0, 0, 16, 16]},
                "preprocessing": [
                    {
                        "name": "zero_mean_unit_variance",
                        "kwargs": {"axes": "cyx", "mode": "per_sample", "eps": 1e-6},
                    }
                ],
            }
        ],
        "outputs": [
            {
                "name": "output0",
                "axes": "bcyx",
                "data_type": "float32",
                "halo": [0, 0, 4, 4],
                "shape": {
                    "reference_tensor": "input0",
                    "scale": [1, 1, 1, 1],
                    "offset": [0, 0, 0, 0],
                },
                "postprocessing": [{"name": "binarize", "kwargs": {"threshold": 0.5}}],
            }
        ],
        "test_inputs": ["test_input.npy"],
        "test_outputs": ["test_output.npy"],
        "weights": {"onnx": {"source": "weights.onnx"}},
        "config": {"napari_imagec_ai": {"decoder": "unet"}},
    }


def write_test_tensors(folder: Path) -> None:
    """Input and output of a network that gives its input back."""
    values = np.linspace(0, 1, _SIDE * _SIDE, dtype=np.float32)
    values = values.reshape(1, 1, _SIDE, _SIDE)
    np.save(folder / "test_input.npy", values)
    np.save(folder / "test_output.npy", 1 / (1 + np.exp(-values)))


def write_onnx(path: Path, **changes: Any) -> Path:
    """A convolution that gives its input back, or another graph.

    ``nodes``, ``constants``, ``inputs``, ``outputs``, ``opsets`` and ``checked`` change
    what is written.
    """
    path.write_bytes(onnx_model(**changes).SerializeToString())
    return path


def onnx_model(**changes: Any) -> Any:
    """See :func:`write_onnx`."""
    from onnx import TensorProto, helper, numpy_helper

    def tensor(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 1, 1] = 1
    constants = [numpy_helper.from_array(kernel, "kernel")]
    nodes = [helper.make_node("Conv", ["in", "kernel"], ["out"], pads=[1, 1, 1, 1])]
    graph = helper.make_graph(
        changes.get("nodes", nodes),
        "tiny",
        changes.get("inputs", [tensor("in", ["b", 1, "y", "x"])]),
        changes.get("outputs", [tensor("out", ["b", 1, "y", "x"])]),
        changes.get("constants", constants),
    )
    opsets = changes.get("opsets", [helper.make_opsetid("", 17)])
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return model


def write_torchscript(path: Path, source: str | None = None) -> Path:
    """A convolution that gives its input back, or another ``forward``."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is tested
        if source is None:
            network = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
            network.weight.data.zero_()
            network.weight.data[0, 0, 1, 1] = 1
            module = torch.jit.script(network)
        else:
            # A class of its own: PyTorch keeps one forward for each class.
            module = type("Net", (torch.jit.ScriptModule,), {})()
            module.define(source)
        torch.jit.save(module, str(path))
    return path
