"""Processing steps against other people's results, and sums in double precision."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import Step
from napari_imagec_ai.model.steps.steps import (
    _STEPS,
    make_transform,
    measures,
    step_problem,
    varies,
)

# One batch of three channels that differ in brightness, in the axes bcyx.
X = np.random.default_rng(3).gamma(2.0, 40.0, (1, 3, 17, 23)).astype(np.float32)
X *= np.array([1, 5, 0.2], np.float32).reshape(1, 3, 1, 1)
WIDE = X.astype(np.float64)
EACH, ALL = (2, 3), (1, 2, 3)


def run(id_: str, x: np.ndarray = X, letters: str = "bcyx", **kwargs: Any) -> Any:
    return make_transform([Step(id_, kwargs)], x, letters)(x)


def normal(axes: tuple[int, ...], eps: float = 1e-6) -> np.ndarray:
    mean = WIDE.mean(axes, keepdims=True)
    return (WIDE - mean) / (WIDE.std(axes, keepdims=True) + eps)


def ranged(axes: Any, low: float, high: float, eps: float = 1e-6) -> np.ndarray:
    lower, upper = (np.percentile(WIDE, q, axes, keepdims=True) for q in (low, high))
    return (WIDE - lower) / (upper - lower + eps)


def column(*values: float) -> np.ndarray:
    return np.array(values).reshape(1, 3, 1, 1)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


EXPECTED: dict[str, tuple[str, dict[str, Any], np.ndarray]] = {
    "normal, text": ("zero_mean_unit_variance", {"axes": "cyx"}, normal(ALL)),
    "normal, text by channel": (
        "zero_mean_unit_variance",
        {"axes": "xy"},
        normal(EACH),
    ),
    "normal, list": (
        "zero_mean_unit_variance",
        {"axes": ["channel", "y", "x"]},
        normal(ALL),
    ),
    "normal, list by channel": (
        "zero_mean_unit_variance",
        {"axes": ["y", "x"], "mode": "per_sample"},
        normal(EACH),
    ),
    "normal, no axes": ("zero_mean_unit_variance", {}, normal(ALL)),
    "normal, eps": ("zero_mean_unit_variance", {"eps": 9.0}, normal(ALL, 9.0)),
    "normal, batch": (
        "zero_mean_unit_variance",
        {"axes": ["batch", "channel", "y", "x"]},
        normal(ALL),
    ),
    "fixed, 0.4": (
        "zero_mean_unit_variance",
        {"mode": "fixed", "axes": "yx", "mean": [1.0, 2.0, 3.0], "std": [4, 5, 6]},
        (WIDE - column(1, 2, 3)) / column(4, 5, 6),
    ),
    "fixed, 0.4 numbers": (
        "zero_mean_unit_variance",
        {"mode": "fixed", "mean": 7.0, "std": 3.0},
        (WIDE - 7) / 3,
    ),
    "fixed, 0.5": (
        "fixed_zero_mean_unit_variance",
        {"axis": "channel", "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]},
        (WIDE - column(1, 2, 3)) / column(4, 5, 6),
    ),
    "fixed, 0.5 numbers": (
        "fixed_zero_mean_unit_variance",
        {"mean": 7.0, "std": 3.0},
        (WIDE - 7) / 3,
    ),
    "range": ("scale_range", {}, ranged(None, 0, 100)),
    "range, percentiles": (
        "scale_range",
        {"axes": "cyx", "min_percentile": 1, "max_percentile": 99.8},
        ranged(None, 1, 99.8),
    ),
    "range, by channel": (
        "scale_range",
        {"axes": ["x", "y"], "min_percentile": 5, "max_percentile": 95, "eps": 2.0},
        ranged(EACH, 5, 95, 2.0),
    ),
    "linear": ("scale_linear", {"gain": 2.0, "offset": -3}, WIDE * 2 - 3),
    "linear, lists in 0.4": (
        "scale_linear",
        {"axes": "xy", "gain": [1, 2, 3], "offset": [4, 5, 6]},
        WIDE * column(1, 2, 3) + column(4, 5, 6),
    ),
    "linear, lists in 0.5": (
        "scale_linear",
        {"axis": "channel", "gain": [1, 2, 3], "offset": [4, 5, 6]},
        WIDE * column(1, 2, 3) + column(4, 5, 6),
    ),
    "linear, list of one": ("scale_linear", {"gain": [2], "offset": [1]}, WIDE * 2 + 1),
    "clip": ("clip", {"min": 20, "max": 100.0}, WIDE.clip(20, 100)),
    "clip, one side": ("clip", {"min": 20}, WIDE.clip(20, None)),
    "clip, percentiles": (
        "clip",
        {"min_percentile": 10, "max_percentile": 90, "axes": ["y", "x"]},
        WIDE.clip(*np.percentile(WIDE, (10, 90), EACH, keepdims=True)),
    ),
    "binarize": ("binarize", {"threshold": 50.0}, WIDE > 50),
    "binarize, lists": (
        "binarize",
        {"axis": "channel", "threshold": [50, 200, 10]},
        column(50, 200, 10) < WIDE,
    ),
    "sigmoid": ("sigmoid", {}, 1 / (1 + np.exp(-WIDE))),
    "softmax": ("softmax", {"axis": "channel"}, softmax(WIDE)),
    "softmax, no axis": ("softmax", {}, softmax(WIDE)),
}


@pytest.mark.parametrize(("id_", "kwargs", "expected"), EXPECTED.values(), ids=EXPECTED)
def test_a_step_is_what_it_says_in_double_precision(
    id_: str, kwargs: dict[str, Any], expected: np.ndarray
) -> None:
    found = run(id_, **kwargs)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_a_matching_of_moments_takes_those_of_the_reference() -> None:
    other = WIDE * 3 + 11
    step = Step("scale_mean_variance", {"reference_tensor": "raw", "axes": ["y", "x"]})
    found = make_transform([step], X, "bcyx", {"raw": other})(X)
    expected = normal(EACH) * other.std(EACH, keepdims=True)
    np.testing.assert_allclose(
        found, expected + other.mean(EACH, keepdims=True), rtol=1e-4
    )


def test_a_range_may_be_that_of_another_tensor() -> None:
    step = Step("scale_range", {"reference_tensor": "raw", "max_percentile": 50})
    found = make_transform([step], X, "bcyx", {"raw": X * 2})(X)
    low, high = 2 * WIDE.min(), 2 * np.median(WIDE)
    np.testing.assert_allclose(found, (WIDE - low) / (high - low + 1e-6), rtol=1e-4)


def test_a_reference_taken_as_a_whole_may_have_other_axes() -> None:
    step = Step("scale_range", {"reference_tensor": "raw"})
    found = make_transform([step], X, "bcyx", {"raw": X[0, :, 3]})(X)
    low, high = WIDE[0, :, 3].min(), WIDE[0, :, 3].max()
    np.testing.assert_allclose(found, (WIDE - low) / (high - low + 1e-6), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64", "bool"])
def test_the_data_type_is_the_one_asked_for(dtype: str) -> None:
    assert run("ensure_dtype", dtype=dtype).dtype == np.dtype(dtype)


def test_statistics_are_of_the_whole_image_and_not_of_the_tile() -> None:
    transform = make_transform(
        [Step("zero_mean_unit_variance", {"axes": "yx"})], X, "bcyx"
    )
    tile = (..., slice(3, 9), slice(5, 20))
    np.testing.assert_array_equal(transform(X[tile]), transform(X)[tile])


def test_a_later_step_measures_what_the_earlier_ones_leave() -> None:
    steps = [Step("clip", {"max": 50}), Step("scale_range", {})]
    found = make_transform(steps, X, "bcyx")(X)
    assert found.max() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("id_", "kwargs", "_"), EXPECTED.values(), ids=EXPECTED)
def test_no_step_changes_what_it_is_given(
    id_: str, kwargs: dict[str, Any], _: np.ndarray
) -> None:
    given = X.copy()
    given.flags.writeable = False  # writing to it would raise
    run(id_, given, **kwargs)
    np.testing.assert_array_equal(given, X)


def test_no_steps_give_the_array_as_it_is() -> None:
    np.testing.assert_array_equal(make_transform([], X, "bcyx")(X), X)


def test_a_constant_image_becomes_zeros_and_no_nan() -> None:
    flat = np.full((1, 1, 4, 4), 7, np.float32)
    for id_ in ("zero_mean_unit_variance", "scale_range"):
        np.testing.assert_array_equal(run(id_, flat), np.zeros_like(flat))


def test_large_sums_keep_their_digits() -> None:
    flat = np.full((1, 1, 600, 600), 50_000.25, np.float32)
    flat[..., ::2] += 1
    found = run("zero_mean_unit_variance", flat)
    np.testing.assert_allclose(np.abs(found), 1.0, rtol=1e-2)


# -- what bioimageio.core says ---------------------------------------------------------

# Written by tools/make_step_cases.py, where the entries are explained.
STORED = dict(np.load(ROOT / "tests" / "data" / "step_cases.npz"))
CASES: list[dict[str, Any]] = json.loads(STORED.pop("cases").tobytes())
_ENDS = np.cumsum([STORED[case["input"]].size for case in CASES])
RESULTS = np.split(STORED.pop("expected"), _ENDS[:-1])


def _name(case: dict[str, Any]) -> str:
    words = [case["step"], case["format"], case["input"]]
    return " ".join([*words, *(f"{k}={v}" for k, v in case["kwargs"].items())])


def _fitted(case: dict[str, Any], x: np.ndarray) -> Any:
    references = {name: STORED[key] for name, key in case["references"].items()}
    step = Step(case["step"], case["kwargs"])
    return make_transform([step], x, case["letters"], references)


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    wide = expected.astype(np.float64)
    error = np.abs(found.astype(np.float64) - wide) / np.maximum(1, np.abs(wide))
    return float(error.max())


@pytest.mark.parametrize("number", range(len(CASES)), ids=[_name(c) for c in CASES])
def test_a_step_gives_what_bioimageio_core_gives(number: int) -> None:
    case, expected = CASES[number], RESULTS[number]
    x = STORED[case["input"]]
    found = _fitted(case, x)(x)
    assert found.dtype == case["dtype"]
    assert _relative(found, expected.reshape(x.shape)) <= 1e-5


def test_every_step_and_format_has_stored_results() -> None:
    assert {case["step"] for case in CASES} == set(_STEPS)
    assert {case["format"] for case in CASES} == {"0.4", "0.5"}
    assert len(CASES) > 1000
    assert RESULTS[-1].size == STORED[CASES[-1]["input"]].size


@pytest.mark.parametrize("name", sorted({case["step"] for case in CASES}))
def test_a_step_on_a_part_is_the_part_of_the_whole(name: str) -> None:
    checked = 0
    for case in CASES:
        letters = case["letters"]
        if case["step"] != name or varies(Step(name, case["kwargs"]), letters):
            continue
        x = STORED[case["input"]]
        transform = _fitted(case, x)
        part = tuple(slice(1, 3) if a in "zyx" else slice(None) for a in letters)
        assert _relative(transform(x[part]), transform(x)[part]) <= 1e-6, _name(case)
        checked += 1
    assert checked > 5


def test_a_list_along_space_varies_and_one_along_channels_does_not() -> None:
    def listed(**kwargs: Any) -> Step:
        return Step("scale_linear", {"gain": [1, 2, 3], **kwargs})

    assert varies(listed(axis="z"), "czyx")
    assert varies(listed(axes="cyx"), "czyx")
    assert varies(listed(), "byx")
    assert not varies(listed(axes="zyx"), "czyx")
    assert not varies(listed(axis="channel"), "czyx")
    assert not varies(listed(), "czyx")
    assert not varies(Step("scale_linear", {"gain": [2]}), "byx")


EXTREMES = {
    "zeros": lambda shape: np.zeros(shape, np.uint8),
    "white": lambda shape: np.full(shape, 65535, np.uint16),
    "grey": lambda shape: np.full(shape, 0.1, np.float32),
    "one pixel": lambda shape: np.where(
        np.arange(np.prod(shape)).reshape(shape) == 7, np.uint16(65535), np.uint16(0)
    ),
    "largest": lambda shape: np.full(shape, np.finfo(np.float32).max, np.float32),
    "both ends": lambda shape: np.resize(
        np.array([-1, 1], np.float32) * np.finfo(np.float32).max, shape
    ),
}


@pytest.mark.parametrize("kind", EXTREMES)
def test_extreme_images_raise_and_warn_of_nothing(kind: str) -> None:
    for case in CASES:
        if not case["input"].endswith("float32"):
            continue
        x = EXTREMES[kind](STORED[case["input"]].shape)
        found = _fitted(case, x)(x)
        assert found.shape == x.shape
        if kind not in ("largest", "both ends"):
            assert np.isfinite(found).all(), _name(case)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float16"])
def test_numbers_that_a_type_cannot_hold_are_no_warning(dtype: str) -> None:
    given = np.array([[-1e9, 1e9, 3e38]], np.float32)
    found = make_transform([Step("ensure_dtype", {"dtype": dtype})], given, "yx")(given)
    assert found.dtype == dtype


@pytest.mark.parametrize("level", [0.1, 1 / 3, 60000.7])
def test_any_constant_image_becomes_zeros(level: float) -> None:
    flat = np.full((1, 1, 40, 50), level, np.float32)
    for id_ in ("zero_mean_unit_variance", "scale_range"):
        np.testing.assert_array_equal(run(id_, flat), np.zeros_like(flat))


# -- what cannot be done ---------------------------------------------------------------


def test_a_custom_step_is_refused_and_never_imported() -> None:
    assert "run code from the model folder" in (step_problem(Step("custom")) or "")
    with pytest.raises(ModelError, match="'custom' processing step"):
        run("custom", callable="os.getcwd")


def test_the_code_of_a_custom_step_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a_step_of_their_own.py"
    source.write_text("raise SystemExit('this was run')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for callable_ in (source.stem, f"{source.stem}.work", str(source)):
        with pytest.raises(ModelError, match="never done"):
            run("custom", callable=callable_, source=str(source))
    assert source.stem not in sys.modules


def test_an_unknown_step_is_refused_by_name_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"unknown processing step 'blur'.*sigmoid"):
        run("blur")


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "text for a number": ("scale_linear", {"gain": "much"}, "a number for 'gain'"),
    "nan": ("scale_range", {"min_percentile": float("nan")}, "a number for 'min_p"),
    "too large": ("clip", {"min": 10**400}, "a number for 'min'"),
    "texts in a list": (
        "scale_linear",
        {"gain": ["a", "b", "c"]},
        "numbers for 'gain'",
    ),
    "a gap in a list": (
        "scale_linear",
        {"axis": "channel", "gain": [1.0, None, 3.0]},
        "numbers for 'gain'",
    ),
    "list in a list": ("scale_linear", {"gain": [[1], [2, 3]]}, "numbers for 'gain'"),
    "number of axes": ("scale_range", {"axes": 3}, "names of axes for 'axes'"),
    "list of lists as axes": ("scale_range", {"axes": [["x"]]}, "names of axes"),
    "list as axis": ("softmax", {"axis": ["c"]}, "a name for 'axis'"),
    "axis that is not there": ("softmax", {"axis": "z"}, "works along 'z'"),
    "length": ("scale_linear", {"gain": [1.0, 2.0]}, "expects 3 along 'c' of 'bcyx'"),
    "tensor that is not there": (
        "scale_range",
        {"reference_tensor": "gone"},
        "tensor 'gone'",
    ),
    "length along an axis": (
        "fixed_zero_mean_unit_variance",
        {"axis": "y", "mean": [1.0, 2.0, 3.0], "std": [1.0, 2.0, 3.0]},
        "expects 17 along 'y' of 'bcyx' for 'mean', found 3 values",
    ),
    "length with axes": (
        "scale_linear",
        {"axes": "yx", "gain": [1.0, 2.0]},
        "expects 3 along 'c' of 'bcyx' for 'gain', found 2 values",
    ),
    "an axis that the tensor has not": (
        "binarize",
        {"axis": "z", "threshold": [1.0, 2.0]},
        "another axis of 'bcyx' for 'threshold', found 2",
    ),
    "no mean": (
        "zero_mean_unit_variance",
        {"mode": "fixed", "std": 1.0},
        "a number or a list of numbers for 'mean', found None",
    ),
    "no deviation": (
        "fixed_zero_mean_unit_variance",
        {"mean": [1, 2, 3], "axis": "channel"},
        "a number or a list of numbers for 'std', found None",
    ),
    "data type": ("ensure_dtype", {"dtype": "int99"}, "unknown data type 'int99'"),
    "complex": ("ensure_dtype", {"dtype": "complex64"}, "unknown data type"),
}


@pytest.mark.parametrize(("id_", "kwargs", "words"), WRONG.values(), ids=WRONG)
def test_arguments_that_make_no_sense_are_named(
    id_: str, kwargs: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        run(id_, **kwargs)
    assert f"'{id_}'" in str(caught.value)
    assert "correct the description" in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 2, 17, 23), (3, 17, 23)])
def test_a_reference_of_other_sizes_is_named(shape: tuple[int, ...]) -> None:
    step = Step("scale_mean_variance", {"reference_tensor": "raw", "axes": ["y", "x"]})
    with pytest.raises(ModelError) as caught:
        make_transform([step], X, "bcyx", {"raw": np.ones(shape, np.float32)})
    assert f"'raw' has sizes as this tensor along 'bc' of 'bcyx', {X.shape}" in str(
        caught.value
    )
    assert f"found {shape}; correct the description" in str(caught.value)


# -- what a run asks about steps -------------------------------------------------------


def test_only_steps_with_statistics_of_the_image_measure() -> None:
    assert measures(Step("scale_range"))
    assert measures(Step("clip", {"max_percentile": 99}))
    assert not measures(Step("clip", {"max": 1}))
    assert not measures(Step("zero_mean_unit_variance", {"mode": "fixed", "mean": 1}))


def test_a_step_by_slice_or_row_varies_in_space() -> None:
    by_slice = Step("zero_mean_unit_variance", {"axes": "xy"})
    assert varies(by_slice, "czyx")
    assert not varies(by_slice, "cyx")
    assert not varies(Step("scale_range", {}), "czyx")
