"""Runs a model on the test tensors that were published with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines import speed
from napari_imagec_ai.engines.opening import Engine, open_engine
from napari_imagec_ai.errors import ImagecAIError, ModelError
from napari_imagec_ai.model import memory as model_memory
from napari_imagec_ai.model.description import FileRef, Model, TensorSpec
from napari_imagec_ai.model.steps import steps as processing
from napari_imagec_ai.model.weights import fingerprint, sha256

_log = logging.getLogger(__name__)

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


Verdict = Literal["passed", "failed", ""]
"""What is known of a model's own test; empty: it was not run with these weights."""

_TOPIC = "tested"


def keep_results(model: Model, results: Sequence[TestResult]) -> None:
    """Remember what came out of a model's own test, for each of its weights."""
    known = model_memory.recall(model, _TOPIC)
    for name in {result.engine for result in results}:
        path = _weights(model, name)
        if path is not None:
            known[name] = {
                "passed": all(r.passed for r in results if r.engine == name),
                "seen": fingerprint(model, name),
                "sha256": sha256(path),
            }
    model_memory.keep(model, _TOPIC, known)


def verdict(model: Model) -> Verdict:
    """What came out when the model's own test was run last, with these weights."""
    known = model_memory.recall(model, _TOPIC)
    passed = [_passed(model, name, known.get(name)) for name in model.runnable]
    if False in passed:
        return "failed"
    return "passed" if passed and all(passed) else ""


def _passed(model: Model, name: str, kept: Any) -> bool | None:
    """What is known of one of the weights; None: nothing, or they are others now."""
    path = _weights(model, name)
    if not isinstance(kept, Mapping) or path is None or not path.is_file():
        return None
    # To hash gigabytes takes seconds: only where the file was touched.
    same = kept.get("seen") == fingerprint(model, name)
    if not same and kept.get("sha256") != sha256(path):
        return None
    return bool(kept.get("passed"))


def _weights(model: Model, name: str) -> Path | None:
    weights = model.weights.get(name)
    return weights.file.path if weights is not None else None


def test_model(
    model: Model, engine: str = "all", *, verify: bool = True
) -> list[TestResult]:
    """Compare a model's outputs on its own test inputs with the published ones.

    Parameters
    ----------
    model : Model
        Which one.
    engine : str
        ``onnx``, ``torchscript``, or ``all`` that it has weights for; of several that
        pass, ``auto`` takes the faster one from then on.
    verify : bool
        Whether weights that are not those of the description (by sha256) are refused.

    Returns
    -------
    list of TestResult
        One for each engine and output; an engine that fails has one with a problem.

    Raises
    ------
    ModelError
        If the model cannot run, or its test tensors are missing.
    """
    if model.problems:
        raise ModelError(f"'{model.name}' cannot run. {model.problem}")
    names = model.runnable if engine in ("all", "auto") else (engine,)
    inputs, expected = published_inputs(model), _published_outputs(model)
    results: list[TestResult] = []
    for name in names:
        try:
            opened = open_engine(model, name, "cpu", verify=verify)
        except ImagecAIError as error:
            results.append(TestResult(name, "", "", None, False, str(error)))
            continue
        try:
            results.extend(_compare(model, opened, inputs, expected))
        except ImagecAIError as error:
            results.append(TestResult(name, opened.device, "", None, False, str(error)))
        finally:
            opened.close()
    passed = all(result.passed for result in results)
    if passed and len(names) > 1 and not speed.is_known(model):
        _compare_speed(model, names, inputs)
    return results


def _compare_speed(
    model: Model, names: Sequence[str], inputs: Sequence[NDArray[Any]]
) -> None:
    """Find out which engine is the faster one, where ``auto`` would run it."""
    opened: list[Engine] = []
    try:
        for name in names:
            opened.append(open_engine(model, name, verify=False))
        speed.compare(model, opened, _prepared(model, inputs))
    except ImagecAIError as error:  # then the first one stays the first one
        _log.info("engines of '%s' were not compared: %s", model.name, error)
    finally:
        for engine in opened:
            engine.close()


test_model.__test__ = False  # type: ignore[attr-defined]


def published_inputs(model: Model) -> list[NDArray[Any]]:
    """The test tensors of all inputs, as they were published.

    Raises
    ------
    ModelError
        If one is missing or damaged.
    """
    return [_tensor(spec, spec.test_tensor, model) for spec in model.inputs]


def _published_outputs(model: Model) -> list[NDArray[Any]]:
    return [_tensor(spec, spec.test_tensor, model) for spec in model.outputs]


def compare_published(model: Model, engine: Engine) -> list[TestResult]:
    """Like :func:`test_model`, for an engine that is open already.

    Raises
    ------
    ImagecAIError
        If the test tensors are missing, or the network does not take them.
    """
    return _compare(model, engine, published_inputs(model), _published_outputs(model))


def _compare(
    model: Model,
    engine: Engine,
    inputs: Sequence[NDArray[Any]],
    expected: Sequence[NDArray[Any]],
) -> list[TestResult]:
    references: Mapping[str, NDArray[Any]] = {
        spec.id: array for spec, array in zip(model.inputs, inputs, strict=True)
    }
    found = engine.run(_prepared(model, inputs))
    results = []
    for spec, array, target in zip(model.outputs, found, expected, strict=False):
        if any(step.id in processing.DECODING for step in spec.steps):
            results.append(_judge_objects(model, engine, spec, found, target))
            continue
        if array.shape == target.shape:  # else the steps would fail before we can say
            post = processing.prepare(spec.steps, array, spec.letters, references)
            array = post(array)
        results.append(_judge(engine, spec, array, target, _tolerance(model)))
    for spec in model.outputs[len(found) :]:
        problem = f"The network gave only {len(found)} outputs."
        results.append(
            TestResult(engine.name, engine.device, spec.id, None, False, problem)
        )
    return results


def _prepared(model: Model, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What the network gets for its test tensors."""
    references: Mapping[str, NDArray[Any]] = {
        spec.id: array for spec, array in zip(model.inputs, inputs, strict=True)
    }
    return [
        processing.prepare(spec.steps, array, spec.letters, references)(array)
        for spec, array in zip(model.inputs, inputs, strict=True)
    ]


def _judge_objects(
    model: Model,
    engine: Engine,
    spec: TensorSpec,
    found: Sequence[NDArray[Any]],
    expected: NDArray[Any],
) -> TestResult:
    """Compare what is decoded with labels, where these are what was published."""
    from napari_imagec_ai.library.agreement import LEAST, compare_objects

    name, device = engine.name, engine.device
    try:
        agrees = compare_objects(model, found, spec, expected)
    except ImagecAIError as error:
        return TestResult(name, device, spec.id, None, False, str(error))
    sentence = (
        f"Of the decoded objects, compared with the published labels, there are "
        f"{agrees}, less than the {LEAST:g} that is expected; the weights or the "
        "thresholds may not be those that were published."
    )
    return TestResult(
        name,
        device,
        spec.id,
        round(1 - agrees.overlap, 6),
        agrees.enough,
        None if agrees.enough else sentence,
        compared=f"decoded objects with published labels: {agrees}",
    )


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
