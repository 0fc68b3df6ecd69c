"""What a network gave for inputs where it comes from, to compare ONNX with."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_imagec_ai.engines.opening_weights import open_file
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.library.convert.rebuilt import difference

Case = tuple[list[NDArray[Any]], list[NDArray[Any]]]
"""Inputs and outputs, in the network's order."""


def read_cases(found: Mapping[str, NDArray[Any]]) -> list[Case]:
    """Cases of an answer: arrays called ``0/input0``, ``0/output0`` and so on."""
    cases = []
    for case in sorted({name.partition("/")[0] for name in found if "/" in name}):
        both: list[list[NDArray[Any]]] = []
        for side in ("input", "output"):
            names = sorted(k for k in found if k.startswith(f"{case}/{side}"))
            both.append([found[name] for name in names])
        cases.append((both[0], both[1]))
    return cases


def largest_difference(onnx: bytes, cases: Sequence[Case]) -> float:
    """Between ONNX and what was given, of all outputs.

    Raises
    ------
    EngineError
        If the ONNX file does not run on the inputs, or gives another number of outputs.
    """
    with tempfile.TemporaryDirectory(prefix="imagec-ai-") as place:
        file = Path(place) / "weights.onnx"
        file.write_bytes(onnx)
        engine = open_file("onnx", file, "cpu")
        try:
            return max(_off(engine.run(inputs), outputs) for inputs, outputs in cases)
        finally:
            engine.close()


def _off(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> float:
    if len(found) != len(expected):
        raise EngineError(
            f"Expected {len(expected)} outputs of the ONNX file, found {len(found)}."
        )
    return max(
        difference(one, other) for one, other in zip(found, expected, strict=True)
    )
