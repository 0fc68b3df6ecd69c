"""Opens a network that Keras saved and writes it as ONNX, in a process of its own.

This file is run as a script by :mod:`.keras_file`, never imported by the package: it
imports Keras. What it answers is data, in a numpy archive: the ONNX file, what Keras
itself gives, and what it says of the network.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import warnings
from typing import Any

PATHS = os.environ.get("IMAGEC_AI_PATHS", "").split(os.pathsep)
sys.path += [path for path in PATHS if path not in sys.path]
os.environ |= {
    "KERAS_BACKEND": "torch",
    "KERAS_TORCH_DEVICE": "cpu",
    "KERAS_HOME": os.path.join(tempfile.gettempdir(), "keras"),
    "CUDA_VISIBLE_DEVICES": "",
}

import numpy as np  # noqa: E402


def main() -> None:
    """Read the job, open, export, answer."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    archive = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    job = json.loads(bytes(archive["job"]))
    warnings.simplefilter("ignore")
    found: dict[str, Any]
    try:
        found = converted(job, archive)
    except Exception as error:  # noqa: BLE001  (of any network: told as a sentence)
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        found = {"problem": np.frombuffer(first[:300].encode(), np.uint8)}
    with answer:
        np.savez(answer, **found)


def converted(job: dict[str, Any], archive: Any) -> dict[str, Any]:
    """ONNX, and what Keras gives for two sizes of each input."""
    import keras
    import torch

    torch.set_num_threads(2)
    for name in dir(keras.layers):
        if name.startswith(("Conv", "Depthwise")) and name[:1].isupper():
            without_groups(getattr(keras.layers, name))
    network = keras.saving.load_model(job["path"], compile=False, safe_mode=True)
    shapes = [tuple(tensor.shape) for tensor in network.inputs]
    examples = [archive[f"input{n}"] for n in range(job["inputs"])]
    if not examples:
        examples = [example(shape, job["axes"], job["sizes"]) for shape in shapes]
    free = [
        [at for at, size in enumerate(shape) if size is None and at in range(most)]
        for shape, most in zip(
            shapes, [x.ndim if job["free"] else 0 for x in examples], strict=True
        )
    ]
    if job["free"] == "sizes":
        free = [[at for at in axes if at] for axes in free]
    # Where numbers lie in memory is nothing that ONNX could say.
    torch.onnx.register_custom_op_symbolic("aten::contiguous", lambda _, x, __: x, 9)
    plain = of_keras(torch, keras)(network).eval()
    written = io.BytesIO()
    names = [f"input{n}" for n in range(len(examples))]
    given = tuple(torch.from_numpy(np.ascontiguousarray(x)) for x in examples)
    with torch.no_grad():
        first = plain(*given)
        outputs = [f"output{n}" for n in range(len(first))]
        sizes = {
            name: {at: f"{name}_{at}" for at in axes}
            for name, axes in zip(names, free, strict=True)
            if axes
        }
        if sizes:
            sizes |= {
                name: {at: f"{name}_{at}" for at in range(value.ndim - 1)}
                for name, value in zip(outputs, first, strict=True)
            }
        torch.onnx.export(
            plain,
            given,
            written,
            dynamo=False,
            opset_version=job["opset"],
            input_names=names,
            output_names=outputs,
            dynamic_axes=sizes,
        )
        larger = [twice(x, axes) for x, axes in zip(examples, free, strict=True)]
        second = plain(*(torch.from_numpy(x) for x in larger))
    last = network.layers[-1]
    activation = getattr(last, "activation", None)
    told = {
        "shapes": shapes,
        "activation": getattr(activation, "__name__", type(last).__name__).lower(),
        "outputs": len(first),
        "keras": keras.__version__,
    }
    found = {"onnx": np.frombuffer(written.getvalue(), np.uint8)}
    found["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    for case, (inputs, values) in enumerate(((examples, first), (larger, second))):
        found |= {f"{case}/input{n}": x for n, x in enumerate(inputs)}
        found |= {f"{case}/output{n}": y.numpy() for n, y in enumerate(values)}
    return found


def without_groups(layer: Any) -> None:
    """Keras 2 wrote ``groups`` where Keras 3 knows none; 1 means none, too."""
    read = layer.from_config.__func__

    def from_config(cls: Any, config: dict[str, Any]) -> Any:
        try:
            return read(cls, dict(config))
        except (TypeError, ValueError):
            if config.get("groups") != 1:
                raise
        return read(cls, {k: v for k, v in config.items() if k != "groups"})

    layer.from_config = classmethod(from_config)


def of_keras(torch: Any, keras: Any) -> Any:
    """The class of a network that takes and gives nothing but tensors."""

    class Plain(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Any) -> tuple[Any, ...]:
            taken = inputs[0] if len(inputs) == 1 else list(inputs)
            return tuple(keras.tree.flatten(self.network(taken, training=False)))

    return Plain


def example(shape: tuple[int | None, ...], axes: str, sizes: dict[str, int]) -> Any:
    """Random values of a shape that the network takes."""
    if len(shape) != len(axes):
        raise ValueError(f"an input of the shape {shape} beside one of another")
    sizes = {"b": 1, "c": 1} | sizes
    wanted = [s or sizes[axis] for s, axis in zip(shape, axes, strict=True)]
    return np.random.default_rng(0).random(wanted, dtype=np.float32)


def twice(values: Any, axes: list[int]) -> Any:
    """Other values, twice as many along the axes."""
    wanted = [size * (2 if at in axes else 1) for at, size in enumerate(values.shape)]
    if np.prod(wanted) > 1 << 22:  # one image, and one axis, will do
        wanted = list(values.shape)
        if axes:
            wanted[axes[-1]] *= 2
    random = np.random.default_rng(1).random(wanted, dtype=np.float32)
    least, most = float(values.min()), float(values.max())
    return (least + (most - least or 1.0) * random).astype(values.dtype)


if __name__ == "__main__":
    main()
