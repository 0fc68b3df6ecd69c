"""Networks that lie: they give, or say that they take, what no description tells."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faults.networks import onnx_model, write_torchscript


def lies_onnx(path: Path, chance: random.Random) -> None:
    """Write an ONNX file with a network that lies."""
    path.write_bytes(chance.choice(_ONNX_LIES)().SerializeToString())


def _graph(nodes: list[Any], **more: Any) -> Any:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    sizes = more.pop("out", ["b", 1, "y", "x"])
    kind = more.pop("kind", TensorProto.FLOAT)
    taken = more.pop("taken", TensorProto.FLOAT)
    fed = more.pop("fed", ["b", 1, "y", "x"])
    return onnx_model(
        nodes=nodes,
        inputs=[value("in", taken, fed)],
        outputs=[value("out", kind, sizes)],
        **more,
    )


def _node(name: str, *given: str, **about: Any) -> Any:
    from onnx import helper

    return helper.make_node(name, list(given), ["out"], **about)


def _numbers(name: str, *values: int) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, np.int64), name)


def _external(place: str) -> Any:
    model = onnx_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    return model


def _other_size() -> Any:
    model = onnx_model()
    model.graph.initializer[0].dims[0] = 1 << 40
    return model


def _loops() -> Any:
    return _graph([_node("Identity", "out")])


def _huge() -> Any:
    shape = _numbers("shape", 1 << 20, 1 << 20, 1 << 10)
    return _graph([_node("ConstantOfShape", "shape")], constants=[shape], out=None)


def _reshaped(*sizes: int) -> Callable[[], Any]:
    def build() -> Any:
        shape = _numbers("shape", *sizes)
        return _graph([_node("Reshape", "in", "shape")], constants=[shape], out=None)

    return build


def _ops(number: int) -> Callable[[], Any]:
    def build() -> Any:
        from onnx import helper

        return onnx_model(opsets=[helper.make_opsetid("", number)])

    return build


_ONNX_LIES: tuple[Callable[[], Any], ...] = (
    lambda: _external("data.bin"),
    lambda: _external("/etc/passwd"),
    lambda: _external("../../../../../../etc/passwd"),
    lambda: _external("weights.onnx"),
    lambda: _graph([_node("Nonsense", "in", domain="of.nobody")]),
    lambda: _graph([_node("NoSuchNode", "in")]),
    lambda: _graph([_node("Identity", "nowhere")]),
    lambda: _graph([_node("Identity", "in")], out=[1, 7, 5]),
    lambda: _graph([_node("Identity", "in")], out=["b", 3, "y", "x"]),
    lambda: _graph([_node("Identity", "in")], fed=[1, 1, 7, 7]),
    lambda: _graph([_node("Identity", "in")], fed=["b", 3, "y", "x"]),
    lambda: _graph([_node("Identity", "in")], fed=[]),
    lambda: _graph([_node("Identity", "in")], fed=[0, -1, 0, 0]),
    lambda: _graph([_node("Identity", "in")], kind=8),
    lambda: _graph([_node("Identity", "in")], kind=8, taken=8),
    lambda: _graph([_node("Identity", "in")], kind=14, taken=14),
    lambda: _graph([_node("Identity", "in")], kind=10, taken=10),
    lambda: _graph([_node("Cast", "in", to=9)], kind=9),
    lambda: _graph([_node("Cast", "in", to=8)], kind=8),
    lambda: _graph([_node("Cast", "in", to=11)], kind=11),
    lambda: _graph([_node("SequenceConstruct", "in")], out=None),
    lambda: _graph([_node("ReduceMax", "in", keepdims=0)], out=None),
    lambda: _graph([_node("Log", "in")]),
    lambda: _graph([_node("Shape", "in")], out=None, kind=7),
    lambda: _graph([_node("NonZero", "in")], out=None, kind=7),
    lambda: onnx_model(inputs=[]),
    lambda: onnx_model(outputs=[]),
    lambda: onnx_model(nodes=[]),
    _loops,
    _huge,
    _other_size,
    _reshaped(-1),
    _reshaped(0, 0, -1),
    _reshaped(1, 1, 3, 7),
    _reshaped(-5, 3),
    _ops(0),
    _ops(9999),
    _ops(1),
)

_TORCH_LIES = (
    "return x[:, :, :0]",
    "return x[0, 0, 0, 0]",
    "return x.sum()",
    "return None",
    "return 'words'",
    "return 3.5",
    "return (x, 'words', None)",
    "return [[x], [x, x]]",
    "return torch.jit.annotate(List[Tensor], [])",
    "return x.to(torch.complex64)",
    "return x.to_sparse()",
    "return x.to(torch.bfloat16)",
    "return x.to(torch.float16)",
    "return torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)",
    "return x / 0",
    "return x.view(7, 7, 7)",
    "return torch.zeros([1 << 40, 4])",
    "return torch.empty([1 << 20, 1 << 20, 1 << 20])",
    "return torch.cat([x, x, x], 1)",
    "return x.expand(1, 1, 1, x.size(2), x.size(3))",
    "return x.permute(0, 1, 3, 2)[:, :, 1:]",
    "raise Exception('said the network')\n    return x",
    "assert x.size(0) == 7\n    return x",
    "return torch.nn.functional.interpolate(x, scale_factor=float(0.01))",
    "return x[[100000]]",
    "return torch.as_strided(x, [4, 4], [1 << 40, 1 << 40])",
    "return x.to('cuda')",
    "return x.to('meta')",
)


def lies_torch(path: Path, chance: random.Random) -> None:
    """Write a TorchScript archive with a network that lies."""
    body = chance.choice(_TORCH_LIES)
    source = f"def forward(self, x):\n    {body}\n"
    try:
        write_torchscript(path, source)
    except RuntimeError:  # this version of PyTorch does not even compile it
        write_torchscript(path, "def forward(self, x):\n    return x.view(7, 7, 7)\n")
