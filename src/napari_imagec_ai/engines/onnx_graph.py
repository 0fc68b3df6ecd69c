"""Changes to an ONNX graph that make it run here, or take other sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_FLOAT, _FLOAT16, _DOUBLE, _BFLOAT16 = 1, 10, 11, 16
"""Numbers of the types in the format."""

_TYPES = ("to", "dtype", "output_dtype", "stash_type")
"""Attributes of operators that name a type."""


def freed(source: bytes, axes: Sequence[int]) -> bytes:
    """The network without sizes along these axes, and without those that follow.

    Raises
    ------
    ImportError
        Without the package onnx.
    """
    import onnx

    model = onnx.load_model_from_string(source)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for i in axes:
        dims[i].dim_param = f"size{i}"
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return bytes(runnable(model.SerializeToString()))


def runnable(source: bytes) -> bytes:
    """The network with float32 for bfloat16, which no operator computes on processors.

    Each bfloat16 is a float32, so that nothing is lost. Others stay as they are, byte
    for byte.
    """
    # A cheap look: without the type's number there is no such tensor in it.
    if b"\x10\x10" not in source and b"\x08\x10" not in source:
        return source
    return _with_float32(source, (_BFLOAT16,)) or source


def single(source: bytes) -> bytes | None:
    """The network with float32 for all other fractions; None where it has no others.

    For operators that a runtime has for float32 only.
    """
    return _with_float32(source, (_FLOAT16, _DOUBLE, _BFLOAT16))


def _with_float32(source: bytes, kinds: Sequence[int]) -> bytes | None:
    """Turn types into float32 everywhere; None where there are none."""
    try:
        import onnx

        model = onnx.load_model_from_string(source)
    except Exception:  # noqa: BLE001 - the runtime finds words for a damaged file
        return None
    found = False
    for message in _messages(model):
        name = message.DESCRIPTOR.name
        if name == "TensorProto" and message.data_type in kinds:
            values = np.asarray(onnx.numpy_helper.to_array(message), np.float32)
            message.CopyFrom(onnx.numpy_helper.from_array(values, message.name))
            found = True
        elif name == "Tensor" and message.elem_type in kinds:
            message.elem_type = _FLOAT
            found = True
        elif name == "AttributeProto" and message.name in _TYPES and message.i in kinds:
            message.i = _FLOAT
            found = True
    return bytes(model.SerializeToString()) if found else None


def _messages(message: Any) -> Iterator[Any]:
    """A message and all that it holds, however deep."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        # Repeated fields are sequences, others the message itself.
        for one in [value] if hasattr(value, "DESCRIPTOR") else value:
            yield from _messages(one)
