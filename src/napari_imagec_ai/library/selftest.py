"""Runs a model on the test tensors that were published with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from napari_imagec_ai.engines import speed
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening_weights import open_engine
from napari_imagec_ai.errors import ImagecAIError, ModelError
from napari_imagec_ai.library.agreement import LEAST, compare_objects
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.model.learned import keep, recall
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.run.published_tests import (
    TestResult,
    is_decoded,
    judged,
    prepared,
    published_inputs,
    published_outputs,
)

_log = logging.getLogger(__name__)


Verdict = Literal["passed", "failed", ""]
"""What is known of a model's own test; empty: it was not run with these weights."""

_TOPIC = "tested"


def keep_results(model: Model, results: Sequence[TestResult]) -> None:
    """Remember what came out of a model's own test, for each of its weights."""
    known = {}
    for name in {result.engine for result in results}:
        path = _weights(model, name)
        if path is not None:
            known[name] = {
                "passed": all(r.passed for r in results if r.engine == name),
                "sha256": sha256(path),
            }
    keep(model, _TOPIC, known, more=True)


def verdict(model: Model) -> Verdict:
    """What came out when the model's own test was run last, with these weights."""
    known = recall(model, _TOPIC)
    passed = [_passed(model, name, known.get(name)) for name in model.runnable]
    if False in passed:
        return "failed"
    return "passed" if passed and all(passed) else ""


def _passed(model: Model, name: str, kept: Any) -> bool | None:
    """What is known of one of the weights; None: nothing, or they are others now."""
    path = _weights(model, name)
    if not isinstance(kept, Mapping) or path is None or not path.is_file():
        return None
    if kept.get("sha256") != sha256(path):
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
    inputs, expected = published_inputs(model), published_outputs(model)
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
        speed.compare(model, opened, prepared(model, inputs))
    except ImagecAIError as error:  # then the first one stays the first one
        _log.info("engines of '%s' were not compared: %s", model.name, error)
    finally:
        for engine in opened:
            engine.close()


test_model.__test__ = False  # type: ignore[attr-defined]


def _compare(
    model: Model,
    engine: Engine,
    inputs: Sequence[NDArray[Any]],
    expected: Sequence[NDArray[Any]],
) -> list[TestResult]:
    """Values by numbers, and labels by the objects that they are decoded to."""
    found = engine.run(prepared(model, inputs))
    results = {
        each.output: each for each in judged(model, engine, inputs, found, expected)
    }
    for spec, target in zip(model.outputs, expected, strict=True):
        if is_decoded(spec) and spec.id not in results:
            results[spec.id] = _judge_objects(model, engine, spec, found, target)
    return [results[spec.id] for spec in model.outputs]


def _judge_objects(
    model: Model,
    engine: Engine,
    spec: TensorSpec,
    found: Sequence[NDArray[Any]],
    expected: NDArray[Any],
) -> TestResult:
    """Compare what is decoded with labels, where these are what was published."""
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
