"""Write what bioimageio.core makes of small arrays, step by step, for the tests.

The package does not depend on bioimageio.core; this is run by hand, from the root of
the repository, with an environment of its own that lies elsewhere::

    python3 -m venv ../oracle
    ../oracle/bin/pip install "bioimageio.core==0.11.*" "pydantic<2.14"
    ../oracle/bin/python tools/make_step_cases.py

What is written is ``tests/data/step_cases.npz``. There, ``cases`` is JSON in UTF-8: for
each case the step as a description spells it, the names of its input and of other
tensors, the data type that comes out, and who the result is by. The tensors are there
by name, and all results one after another as ``expected``.

Every result is computed a second time in double precision, with NumPy only. Where the
library cannot do a case, or does not do what the specification says, that second
result is kept, and ``by`` says why; everywhere else both have to agree.
"""

from __future__ import annotations

import itertools
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from bioimageio.core.proc_ops import get_proc
from bioimageio.core.sample import Sample
from bioimageio.core.stat_calculators import compute_measures
from bioimageio.core.tensor import Tensor
from bioimageio.spec.model import v0_4, v0_5
from numpy.typing import NDArray
from pydantic import TypeAdapter

logger = logging.getLogger(__name__)

FILE = Path(__file__).resolve().parents[1] / "tests" / "data" / "step_cases.npz"

Array = NDArray[Any]

SHAPES = {
    "bcyx": (1, 2, 7, 9),
    "bczyx": (1, 2, 3, 4, 5),
    "byxc": (1, 7, 9, 2),
    "byx": (1, 7, 9),
    "cyx": (2, 7, 9),
}
NAMES = {"b": "batch", "c": "channel", "t": "time", "i": "index"}
LETTERS = {name: letter for letter, name in NAMES.items()}
TOLERANCE = 1e-5
"""Of the larger of 1 and the expected value, as in the test."""


@dataclass
class Case:
    """A step and what it is given; see the module for what each entry is."""

    step: str
    kwargs: dict[str, Any]
    format: str
    letters: str
    input: str
    references: dict[str, str] = field(default_factory=dict)
    by: str = "bioimageio.core"
    dtype: str = "float32"


# -- what is asked ---------------------------------------------------------------------

_PERCENTILES = [
    {},
    {"min_percentile": 1, "max_percentile": 99.8},
    {"min_percentile": 33.3, "max_percentile": 100.0},
    {"min_percentile": 0.0, "max_percentile": 50},
]

_DTYPES = ("float32", "float64", "uint8", "int16", "uint16", "int64", "bool")


def inputs() -> dict[str, Array]:
    """All tensors by name: axes, data type, and how they were drawn."""
    made: dict[str, Array] = {}
    for seed, (letters, shape) in enumerate(SHAPES.items()):
        rng = np.random.default_rng(seed)
        made[f"{letters} float32"] = rng.normal(0.4, 1.7, shape).astype(np.float32)
        made[f"{letters} other"] = rng.gamma(2.0, 9.0, shape).astype(np.float32)
        if letters in ("bcyx", "bczyx"):
            made[f"{letters} uint8"] = rng.integers(0, 256, shape).astype(np.uint8)
            made[f"{letters} uint16"] = rng.integers(0, 65536, shape).astype(np.uint16)
    rng = np.random.default_rng(100)
    shape = SHAPES["bcyx"]
    # A few grey values far from zero: what float32 has to be used with care for.
    made["bcyx narrow"] = rng.integers(60000, 60011, shape).astype(np.uint16)
    made["bcyx positive"] = rng.uniform(0, 120, shape).astype(np.float32)
    made["bcyx highest"] = np.full(shape, 65535, np.uint16)
    made["bcyx sparse"] = np.where(rng.uniform(size=shape) < 0.05, 65535, 0).astype(
        np.uint16
    )
    return made


def cases() -> Iterator[Case]:
    """All cases, without their results."""
    whole = [("bcyx", kind) for kind in ("float32", "uint8", "uint16")]
    for letters, kind in (*whole, ("bczyx", "float32"), ("bczyx", "uint16")):
        for asked in (*_fixed(letters), *_listed(letters), *_measuring(letters)):
            yield _case(*asked, letters, kind)
    for letters in ("byxc", "byx", "cyx"):
        for step, kwargs, version in (*_listed(letters), *_measuring(letters)):
            if version == "0.5" and kwargs.get("min_percentile") != 0:
                yield _case(step, kwargs, version, letters, "float32")
    for kind in ("narrow", "highest", "sparse"):
        for step, kwargs, version in _measuring("bcyx"):
            if version == "0.5" and "batch" not in kwargs.get("axes", ()):
                yield _case(step, kwargs, version, "bcyx", kind)
    for kind, dtype in itertools.product(("positive", "uint8", "uint16"), _DTYPES):
        yield _case("ensure_dtype", {"dtype": dtype}, "0.5", "bcyx", kind)


def _case(
    step: str, kwargs: dict[str, Any], version: str, letters: str, kind: str
) -> Case:
    other = {"raw": f"{letters} other"} if "reference_tensor" in kwargs else {}
    return Case(step, kwargs, version, letters, f"{letters} {kind}", other)


def _fixed(letters: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Steps with numbers for the whole tensor; format 0.3 spells them as 0.4."""
    for version in ("0.4", "0.5"):
        yield "binarize", {"threshold": 0.5}, version
        yield "clip", {"min": -0.5, "max": 120}, version
        yield "scale_linear", {"gain": 2, "offset": -3.5}, version
        yield "sigmoid", {}, version
    yield "binarize", {"threshold": 100}, "0.5"
    yield "clip", {"min": 0.25}, "0.5"
    yield "clip", {"max": 0.75}, "0.5"
    yield "scale_linear", {"gain": 1 / 255}, "0.5"
    yield "scale_linear", {"gain": [0.5], "offset": [2]}, "0.4"
    if "c" in letters:
        yield "softmax", {}, "0.5"
    yield "softmax", {"axis": "channel" if "c" in letters else "y"}, "0.5"
    yield "softmax", {"axis": "x"}, "0.5"
    together = letters.replace("b", "")
    numbers = {"mean": 103.5, "std": 13.7}
    yield "fixed_zero_mean_unit_variance", numbers, "0.5"
    yield (
        "zero_mean_unit_variance",
        {"mode": "fixed", "axes": together, **numbers},
        "0.4",
    )
    yield (
        "zero_mean_unit_variance",
        {"axes": together, **numbers, "eps": 0.05},
        "0.4",
    )


def _listed(letters: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Steps with a list of numbers along one axis."""
    for letter, size in zip(letters, SHAPES[letters], strict=True):
        if letter == "b":
            continue
        first = [float(3 * i % 5) + 0.25 for i in range(size)]
        second = [1.5 + i / 4 for i in range(size)]
        axis = {"axis": NAMES.get(letter, letter)}
        axes = {"axes": "".join(a for a in letters if a not in ("b", letter))}
        yield "binarize", {"threshold": first, **axis}, "0.5"
        yield "scale_linear", {"gain": first, "offset": second, **axis}, "0.5"
        yield "scale_linear", {"offset": first, "gain": 0.5, **axis}, "0.5"
        numbers = {"mean": first, "std": second}
        yield "fixed_zero_mean_unit_variance", {**numbers, **axis}, "0.5"
        yield "scale_linear", {"gain": first, "offset": second, **axes}, "0.4"
        yield "scale_linear", {"gain": second, **axes}, "0.4"
        yield "zero_mean_unit_variance", {"mode": "fixed", **numbers, **axes}, "0.4"


def _measuring(letters: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Steps with statistics, over all of the ways to say over what."""
    reference = {"reference_tensor": "raw"}
    for version, over in _overs(letters):
        if version == "0.5" or "axes" in over:
            yield "zero_mean_unit_variance", over, version
            for percentiles in _PERCENTILES:
                yield "scale_range", {**over, **percentiles}, version
            yield "scale_range", {**over, **_PERCENTILES[1], **reference}, version
        if version == "0.5":
            yield "clip", {**over, **_PERCENTILES[1]}, version
            yield "clip", {**over, **_PERCENTILES[2]}, version
            yield "clip", {**over, "min_percentile": 7, "max": 1.0}, version
            yield "clip", {**over, "max_percentile": 70}, version
        yield "scale_mean_variance", {**over, **reference}, version
    for step in ("zero_mean_unit_variance", "scale_range", "scale_mean_variance"):
        more = reference if step == "scale_mean_variance" else {}
        yield step, {"axes": ["y", "x"], "eps": 0.1, **more}, "0.5"
        yield step, {"mode": "per_sample", "axes": "yx", "eps": 0.01, **more}, "0.4"


def _overs(letters: str) -> Iterator[tuple[str, dict[str, Any]]]:
    space = "".join(letter for letter in letters if letter in "zyx")
    rest = "c" if "c" in letters else ""
    for mode in ("per_sample", "per_dataset"):
        for axes in dict.fromkeys((rest + space, space[::-1])):
            yield "0.4", {"mode": mode, "axes": axes}
        yield "0.4", {"mode": mode}
    yield "0.5", {}
    for joint in dict.fromkeys((rest + space, space, rest + "y", "x")):
        names = [NAMES.get(letter, letter) for letter in joint]
        yield "0.5", {"axes": names}
        yield "0.5", {"axes": ["batch", *names]}


# -- what bioimageio.core says ---------------------------------------------------------


def shortcoming(case: Case, x: Array) -> str | None:
    """Why the library cannot be asked: where it is not what the specification says."""
    if case.step in ("zero_mean_unit_variance", "scale_range") and "eps" in case.kwargs:
        return "NumPy, as bioimageio.core leaves out 'eps'"
    if case.step == "binarize" and isinstance(case.kwargs["threshold"], list):
        return "NumPy, as bioimageio.core compares lists along the last axis"
    if case.step in ("sigmoid", "softmax") and x.dtype.kind == "u":
        return "NumPy, as bioimageio.core lets unsigned numbers overflow"
    return None


def by_library(case: Case, x: Array, references: dict[str, Array]) -> Array:
    """The step's result; raises NotImplementedError where format 0.4 cannot be done."""
    tensor: Any
    # Inside a run arrays have no batch axis, though steps may name it.
    letters = "b" + case.letters.replace("b", "")
    kwargs = {"kwargs": case.kwargs} if case.kwargs else {}
    if case.format == "0.4":
        spelled = {"name": case.step, **kwargs}
        described = TypeAdapter(v0_4.PostprocessingDescr).validate_python(spelled)
        tensor = v0_4.InputTensorDescr.model_construct(name="it", axes=letters)
        if case.by != "bioimageio.core":
            described = v0_5._convert_proc(described, letters)
    else:
        spelled = {"id": case.step, **kwargs}
        described = TypeAdapter(v0_5.PostprocessingDescr).validate_python(spelled)
        tensor = v0_5.InputTensorDescr.model_construct(id="it")
    operator = get_proc(described, tensor)
    members = {
        name: Tensor.from_numpy(_batch(array, case), dims=list(letters))
        for name, array in {"it": x, **references}.items()
    }
    sample = Sample(members=members, stat={}, id="the only one")
    sample.stat = compute_measures(operator.required_measures, [sample])
    operator(sample)
    return np.asarray(sample.members["it"].data.values).reshape(x.shape)


def _batch(array: Array, case: Case) -> Array:
    """The array with a batch axis, which bioimageio.core wants to have."""
    return array if "b" in case.letters else array[None]


# -- what the specification says, in double precision ----------------------------------


def by_numpy(case: Case, x: Array, references: dict[str, Array]) -> Array:
    """The step's result, by the formulas that the specification gives."""
    kwargs, wide = case.kwargs, x.astype(np.float64)
    if case.step in ("zero_mean_unit_variance", "fixed_zero_mean_unit_variance"):
        if "mean" not in kwargs:
            return _by_statistics(case, wide, references)
        mean, std = (_along(case, kwargs[name]) for name in ("mean", "std"))
        return (wide - mean) / (std + kwargs.get("eps", 1e-6))
    if case.step == "binarize":
        return wide > _along(case, kwargs["threshold"])
    if case.step == "ensure_dtype":
        return x.astype(kwargs["dtype"])
    if case.step == "scale_linear":
        gain, offset = kwargs.get("gain", 1), kwargs.get("offset", 0)
        return wide * _along(case, gain) + _along(case, offset)
    if case.step == "sigmoid":
        return np.exp(-np.logaddexp(0, -wide))
    if case.step == "softmax":
        axis = kwargs.get("axis", "channel")
        at = case.letters.index(LETTERS.get(axis, axis))
        powers = np.exp(wide - wide.max(at, keepdims=True))
        return powers / powers.sum(at, keepdims=True)
    return _by_statistics(case, wide, references)


def _by_statistics(case: Case, x: Array, references: dict[str, Array]) -> Array:
    kwargs, eps = case.kwargs, case.kwargs.get("eps", 1e-6)
    names = [LETTERS.get(name, name) for name in kwargs.get("axes", case.letters)]
    axes = tuple(i for i, letter in enumerate(case.letters) if letter in names)
    other = references.get("raw", x).astype(np.float64)
    if case.step in ("zero_mean_unit_variance", "scale_mean_variance"):
        normal = x - x.mean(axes, keepdims=True)
        normal /= x.std(axes, keepdims=True) + eps
        if case.step == "zero_mean_unit_variance":
            return normal
        spread = other.std(axes, keepdims=True) + eps
        return normal * spread + other.mean(axes, keepdims=True)
    if case.step == "clip":
        dataset = "axes" not in kwargs or "b" in names
        how: Any = "linear" if dataset else "inverted_cdf"
        for side, bound in (("min", np.maximum), ("max", np.minimum)):
            if side in kwargs:
                x = bound(x, kwargs[side])
            elif f"{side}_percentile" in kwargs:
                q = kwargs[f"{side}_percentile"]
                limit = np.percentile(other, q, axes, method=how, keepdims=True)
                x = bound(x, limit)
        return x
    low, high = (
        np.percentile(other, kwargs.get(name, default), axes, keepdims=True)
        for name, default in (("min_percentile", 0), ("max_percentile", 100))
    )
    return (x - low) / (high - low + eps)


def _along(case: Case, value: Any) -> Array:
    """Values along the axis that is named, or the one that is not taken together."""
    numbers = np.atleast_1d(np.asarray(value, np.float64))
    if len(numbers) == 1:
        return numbers
    if "axis" in case.kwargs:
        axis = case.kwargs["axis"]
        letter = LETTERS.get(axis, axis)
    else:
        (letter,) = set(case.letters) - set(case.kwargs["axes"]) - {"b"}
    return numbers.reshape([-1 if other == letter else 1 for other in case.letters])


# -- both ------------------------------------------------------------------------------


def result(case: Case, tensors: dict[str, Array]) -> Array:
    """The expected array; notes in the case who it is by."""
    x = tensors[case.input]
    references = {name: tensors[key] for name, key in case.references.items()}
    second = by_numpy(case, x, references)
    why = shortcoming(case, x)
    if why is not None:
        case.by = why
        return second
    try:
        first = by_library(case, x, references)
    except NotImplementedError:
        case.by = "bioimageio.core, once bioimageio.spec made it 0.5"
        first = by_library(case, x, references)
    if case.step == "ensure_dtype":
        case.dtype = str(first.dtype)
    error = np.abs(first.astype(np.float64) - second) / np.maximum(1, np.abs(second))
    if error.max() > TOLERANCE:
        raise ValueError(f"{case} gives an error of {error.max():.3g}.")
    return first


def main() -> None:
    """Write the file."""
    warnings.simplefilter("ignore")  # of percentiles over a data set of one sample
    tensors, made, expected = inputs(), [], []
    for case in cases():
        expected.append(result(case, tensors).astype(np.float32).ravel())
        made.append(asdict(case))
    text = json.dumps(made).encode()
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        FILE,
        cases=np.frombuffer(text, np.uint8),
        expected=np.concatenate(expected),
        **tensors,
    )
    logger.info("Wrote %d cases to %s.", len(made), FILE.name)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
