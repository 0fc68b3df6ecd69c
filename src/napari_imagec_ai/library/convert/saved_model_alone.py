"""Opens a SavedModel and writes it as ONNX, in a process and a Python of its own.

This file is run as a script by :mod:`.saved_model`, never imported by the package: it
imports TensorFlow and tf2onnx. What it answers is data, in a numpy archive: the ONNX
file, what TensorFlow itself gives, and its version.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial
from itertools import permutations
from typing import Any

os.environ.update({"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"})

import numpy as np


def main() -> None:
    """Read the job, open, export, answer."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    archive = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    job = json.loads(bytes(archive["job"]))
    try:
        found = converted(job, archive)
    except Exception as error:  # noqa: BLE001  (of any network: told as a sentence)
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        found = {"problem": np.frombuffer(first[:300].encode(), np.uint8)}
    with answer:
        np.savez(answer, **found)


def converted(job: dict[str, Any], archive: Any) -> dict[str, Any]:
    """ONNX, and what TensorFlow gives for two sizes of the input."""
    import tensorflow as tf

    loaded = tf.saved_model.load(job["path"])
    names = sorted(loaded.signatures)
    if not names:
        raise ValueError("it names no function that takes images")
    name = "serving_default" if "serving_default" in names else names[0]
    function = loaded.signatures[name]
    ((key, spec),) = inputs_of(function)
    shape = spec.shape.as_list()
    first = archive["input0"] if "input0" in archive else example(shape, job["sizes"])
    if first.ndim != len(shape):
        raise ValueError(f"it takes {len(shape)} axes, not {first.ndim}")
    examples = [np.asarray(first, spec.dtype.as_numpy_dtype)]
    free = [at for at, size in enumerate(shape) if size is None and at]
    if free:
        examples.append(twice(examples[0], free))
    given = [function(**{key: tf.constant(values)}) for values in examples]
    onnx, outputs = written(job, name, partial(ordered, given[0], archive))
    told = {"tensorflow": tf.__version__}
    found = {"onnx": np.frombuffer(onnx, np.uint8)}
    found["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    for case, (values, gave) in enumerate(zip(examples, given)):  # noqa: B905
        found[f"{case}/input0"] = values
        for n, output in enumerate(outputs):
            found[f"{case}/output{n}"] = of_output(gave, output).numpy()
    return found


def inputs_of(function: Any) -> list[tuple[str, Any]]:
    """Names and shapes of what a function takes; older files tell them otherwise."""
    told = function.structured_input_signature
    if told is not None and told[1]:
        specs = sorted(told[1].items())
    else:
        specs = list(zip(function._arg_keywords, function.inputs))  # noqa: B905
    if len(specs) != 1:
        raise ValueError(f"it takes {len(specs)} inputs, not one")
    return specs


def example(shape: list[int | None], sizes: dict[str, list[int]]) -> Any:
    """Random values of a shape that the network takes."""
    usual = sizes.get(str(len(shape)))
    if usual is None:
        raise ValueError(f"it takes {len(shape)} axes, not those of an image")
    wanted = [have or size for have, size in zip(shape, usual)]  # noqa: B905
    return np.random.default_rng(0).random(wanted, dtype=np.float32)


def twice(values: Any, free: list[int]) -> Any:
    """Other values, of a larger size along the last open axis of space."""
    at = max((axis for axis in free if axis < values.ndim - 1), default=0)
    wanted = [size * (2 if n == at else 1) for n, size in enumerate(values.shape)]
    least, most = float(values.min()), float(values.max())
    random = np.random.default_rng(1).random(wanted)
    return (least + (most - least or 1.0) * random).astype(values.dtype)


def written(
    job: dict[str, Any], signature: str, order: Callable[[list[str]], list[str]]
) -> tuple[bytes, list[str]]:
    """The ONNX file that tf2onnx's own command writes, and names of its outputs."""
    import onnx
    from tf2onnx import convert

    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "weights.onnx")
        sys.argv = ["tf2onnx", "--saved-model", job["path"], "--output", path]
        sys.argv += ["--opset", str(job["opset"]), "--signature_def", signature]
        sys.argv += ["--tag", "serve"]
        convert.main()
        model = onnx.load(path)
    outputs = {one.name: one for one in model.graph.output}
    names = order(list(outputs))
    if names != list(outputs):
        copies = [deepcopy(outputs[name]) for name in names]
        del model.graph.output[:]
        model.graph.output.extend(copies)
    return model.SerializeToString(), names


def ordered(gave: dict[str, Any], archive: Any, names: list[str]) -> list[str]:
    """Outputs in the order of what was published: TensorFlow has them by name."""
    wanted = [archive[n] for n in sorted(archive.files) if n.startswith("expected")]
    if len(names) < 2 or len(wanted) != len(names) or len(names) > 5:
        return names
    values = {name: of_output(gave, name).numpy() for name in names}

    def alike(order: Iterable[str]) -> float:
        pairs = [(values[n], w) for n, w in zip(order, wanted)]  # noqa: B905
        if any(a.shape != b.shape for a, b in pairs):
            return -1.0
        # Steps that follow may scale values; what is high stays high.
        return sum(likeness(a, b) for a, b in pairs)

    return list(max(permutations(names), key=alike))


def likeness(one: Any, other: Any) -> float:
    """Correlation of two maps, from 0."""
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    return max(float(a @ b) / (float(np.sqrt((a @ a) * (b @ b))) or 1.0), 0.0)


def of_output(gave: dict[str, Any], name: str) -> Any:
    """What TensorFlow gave for an output of the ONNX file."""
    if len(gave) == 1:
        return next(iter(gave.values()))
    return gave[name] if name in gave else gave[name.partition(":")[0]]


if __name__ == "__main__":
    main()
