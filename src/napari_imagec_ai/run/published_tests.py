"""The test tensors that were published with a model, and how near the network comes.

By numbers alone: labels that were published in the place of maps take a decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import FileRef, Model, TensorSpec
from napari_imagec_ai.model.steps.steps import DECODING, make_transform

ABSOLUTE = 1e-4
RELATIVE = 1e-3
"""How far a value may be off: ``ABSOLUTE + RELATIVE * |published|``."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """How one engine did on one output.

    Attributes
    ----------
    engine, device : str
        What ran; device is empty where nothing did.
    output : str
        Name of the output; empty where nothing ran.
    max_abs_error : float or None
        Largest difference to the published output; of objects, the part of them that
        differs: 1 - mean overlap.
    passed : bool
        Whether all values are near enough.
    problem : str or None
        What went wrong, in words.
    compared : str
        What was compared, where that is not the output's values.
    """

    __test__ = False  # pytest would take the name for a test

    engine: str
    device: str
    output: str
    max_abs_error: float | None
    passed: bool
    problem: str | None = None
    compared: str = ""


def published_inputs(model: Model) -> list[NDArray[Any]]:
    """The test tensors of all inputs, as they were published.

    Raises
    ------
    ModelError
        If one is missing or damaged.
    """
    return [_tensor(spec, spec.test_tensor, model) for spec in model.inputs]


def published_outputs(model: Model) -> list[NDArray[Any]]:
    """What was published as the outputs for them; raises like published_inputs."""
    return [_tensor(spec, spec.test_tensor, model) for spec in model.outputs]


def prepared(model: Model, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What the network gets for its test tensors."""
    references: Mapping[str, NDArray[Any]] = {
        spec.id: array for spec, array in zip(model.inputs, inputs, strict=True)
    }
    return [
        make_transform(spec.steps, array, spec.letters, references)(array)
        for spec, array in zip(model.inputs, inputs, strict=True)
    ]


def _judge(
    engine: Engine,
    spec: TensorSpec,
    found: NDArray[Any],
    expected: NDArray[Any],
    tolerance: tuple[float, float],
) -> TestResult:
    if found.shape != expected.shape:
        problem = (
            f"Expected the shape {expected.shape} of the published output, found "
            f"{found.shape}; the description and the weights disagree."
        )
        return TestResult(engine.name, engine.device, spec.id, None, False, problem)
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    error = float(difference.max()) if difference.size else 0.0
    absolute, relative = tolerance
    allowed = absolute + relative * np.abs(expected.astype(np.float64))
    passed = bool(np.all(difference <= allowed))
    sentence = (
        f"The largest difference to the published output is {error:.3g}, more than "
        f"{absolute:g} + {relative:g} of the value; the weights may not be those that "
        "were published."
    )
    return TestResult(
        engine.name, engine.device, spec.id, error, passed, None if passed else sentence
    )


def _tolerance(model: Model) -> tuple[float, float]:
    """What the description allows, where that is more than our own."""
    hints = model.hints.get("bioimageio")
    entries = (
        hints.get("reproducibility_tolerance") if isinstance(hints, dict) else None
    )
    absolute, relative = ABSOLUTE, RELATIVE
    for entry in entries if isinstance(entries, list) else []:
        try:
            absolute = max(absolute, float(entry.get("absolute_tolerance", 0)))
            relative = max(relative, float(entry.get("relative_tolerance", 0)))
        except (AttributeError, TypeError, ValueError):
            continue
    return absolute, relative


def _tensor(spec: TensorSpec, file: FileRef | None, model: Model) -> NDArray[Any]:
    if file is None:
        raise ModelError(
            f"'{model.name}' was published without a test tensor for '{spec.id}', so "
            "there is nothing to compare with."
        )
    if file.path is None:
        raise ModelError(
            f"The test tensor '{file.source}' of '{spec.id}' is not in the folder of "
            f"'{model.name}'; download the whole model package again."
        )
    try:
        array: NDArray[Any] = np.load(file.path, allow_pickle=False)
    except Exception as error:  # those of damaged arrays have no common root
        raise ModelError(
            f"The test tensor '{file.source}' of '{spec.id}' is no array of numbers in "
            f"numpy's format ({error}); download the model again."
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != len(spec.axes):
        raise ModelError(
            f"Expected the axes '{spec.letters}' in the test tensor '{file.source}' of "
            f"'{spec.id}', found the shape {getattr(array, 'shape', None)}; correct "
            "the description or download the model again."
        )
    return array


def is_decoded(spec: TensorSpec) -> bool:
    """Whether labels were published, where the network gives maps."""
    return any(step.id in DECODING for step in spec.steps)


def reproduces(model: Model, engine: Engine) -> bool:
    """Whether a network gives what was published; labels cannot be told by numbers.

    Raises
    ------
    ImagecAIError
        If the test tensors are missing, or the network does not take them.
    """
    inputs, expected = published_inputs(model), published_outputs(model)
    found = engine.run(prepared(model, inputs))
    results = judged(model, engine, inputs, found, expected)
    return len(results) == len(model.outputs) and all(each.passed for each in results)


def judged(
    model: Model,
    engine: Engine,
    inputs: Sequence[NDArray[Any]],
    found: Sequence[NDArray[Any]],
    expected: Sequence[NDArray[Any]],
) -> list[TestResult]:
    """Compare what a network gave with what was published, output by output.

    Parameters
    ----------
    model, engine
        What ran.
    inputs, expected : sequence of array
        As they were published.
    found : sequence of array
        What the network gave.

    Returns
    -------
    list of TestResult
        One for each output whose published values are numbers of the network's own.
    """
    references: Mapping[str, NDArray[Any]] = {
        spec.id: array for spec, array in zip(model.inputs, inputs, strict=True)
    }
    results = []
    for spec, array, target in zip(model.outputs, found, expected, strict=False):
        if is_decoded(spec):
            continue
        if array.shape == target.shape:  # else the steps would fail before we can say
            post = make_transform(spec.steps, array, spec.letters, references)
            array = post(array)
        results.append(_judge(engine, spec, array, target, _tolerance(model)))
    for spec in model.outputs[len(found) :]:
        problem = f"The network gave only {len(found)} outputs."
        results.append(
            TestResult(engine.name, engine.device, spec.id, None, False, problem)
        )
    return results
