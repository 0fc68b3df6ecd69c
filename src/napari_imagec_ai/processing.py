"""The pre- and postprocessing steps that a model description may ask for.

A step is first *fitted* to the whole image, which is where its statistics come from,
and the function that comes out is then applied to each tile, so that tiles never
disagree. The steps and their arguments are those of
https://github.com/bioimage-io/spec-bioimage-io, spelled as in formats 0.3 to 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from scipy import special

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model import Step

Array = NDArray[Any]
Transform = Callable[[Array], Array]
"""Takes and returns one tensor; never changes its argument."""

_EPS = 1e-6

_LETTERS = {"batch": "b", "channel": "c", "time": "t", "index": "i"}


class _Fit:
    """What a step is fitted to: the tensor so far, its axes, and the other tensors."""

    def __init__(
        self, step: Step, sample: Array, letters: str, references: Mapping[str, Array]
    ) -> None:
        self.step = step
        self.sample = sample
        self.letters = letters
        self.references = references

    def get(self, name: str, default: Any = None) -> Any:
        value = self.step.kwargs.get(name)
        return default if value is None else value

    def number(self, name: str, default: float) -> float:
        value = self.get(name, default)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if math.isnan(number):
            raise self._wrong(name, "a number", value)
        return number

    def word(self, name: str, default: Any = None) -> Any:
        """A name; None, where that is the default."""
        value = self.get(name, default)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "a name", value)
        return value

    def _wrong(self, name: str, expected: str, found: object) -> ModelError:
        return ModelError(
            f"Step '{self.step.id}' expects {expected} for '{name}', found "
            f"{found!r:.40}; correct the description."
        )

    @property
    def eps(self) -> float:
        return self.number("eps", _EPS)

    def reduced(self) -> tuple[int, ...]:
        """Positions of the axes that the step takes together; all where not said."""
        names = self.get("axes")
        if names is None:
            return tuple(range(len(self.letters)))
        if not _are_names(names):
            raise self._wrong("axes", "names of axes", names)
        wanted = {_LETTERS.get(name, name) for name in names}
        return tuple(i for i, letter in enumerate(self.letters) if letter in wanted)

    def measured(self) -> Array:
        """The tensor that statistics are taken from: this one, or the one named."""
        reference = self.word("reference_tensor")
        if reference is None:
            return self.sample
        if reference not in self.references:
            raise ModelError(
                f"Step '{self.step.id}' refers to the tensor '{reference}', which is "
                f"none of {', '.join(self.references) or 'the inputs'}; correct the "
                "description."
            )
        return self.references[reference]

    def constant(self, name: str, default: float) -> Array | float:
        """A number, or a list along the axis that is not taken together."""
        value = self.get(name, default)
        if not isinstance(value, (list, tuple)):
            return self.number(name, default)
        try:
            numbers = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            numbers = np.empty((0, 0), np.float32)
        if numbers.ndim != 1:
            raise self._wrong(name, "numbers", value)
        if len(value) == 1:
            return float(numbers[0])
        position = self._list_axis(len(value), name)
        shape = [1] * len(self.letters)
        shape[position] = len(value)
        return numbers.reshape(shape)

    def _list_axis(self, length: int, name: str) -> int:
        axis = self.word("axis")
        if axis is not None:
            letters = _LETTERS.get(axis, axis)
        else:
            together = set(self.reduced()) if self.get("axes") is not None else set()
            letters = "".join(
                letter
                for i, letter in enumerate(self.letters)
                if i not in together and letter != "b"
            )
            letters = "c" if "c" in letters else letters
        for letter in letters:
            position = self.letters.find(letter)
            if position >= 0 and self.sample.shape[position] == length:
                return position
        raise ModelError(
            f"Step '{self.step.id}' has {length} values for '{name}', but no axis of "
            f"'{self.letters}' with sizes {self.sample.shape} is as long; correct the "
            "description."
        )


def _binarize(fit: _Fit) -> Transform:
    threshold = fit.constant("threshold", 0.5)
    return lambda x: (x > threshold).astype(np.float32)


def _clip(fit: _Fit) -> Transform:
    low, high = fit.get("min"), fit.get("max")
    lower: Any = -np.inf if low is None else fit.number("min", 0)
    upper: Any = np.inf if high is None else fit.number("max", 0)
    axes = fit.reduced()
    if fit.get("min_percentile") is not None:
        lower = _percentile(fit.sample, fit.number("min_percentile", 0), axes)
    if fit.get("max_percentile") is not None:
        upper = _percentile(fit.sample, fit.number("max_percentile", 100), axes)
    return lambda x: np.clip(_float(x), _f32(lower), _f32(upper))


def _ensure_dtype(fit: _Fit) -> Transform:
    try:
        dtype = np.dtype(fit.word("dtype", "float32"))
    except (TypeError, ValueError):
        dtype = np.dtype("O")
    if dtype.kind not in "buif":
        raise ModelError(
            f"Step 'ensure_dtype' asks for the unknown data type "
            f"{fit.get('dtype')!r:.40}; correct the description."
        )
    return lambda x: x.astype(dtype, copy=False)


def _scale_linear(fit: _Fit) -> Transform:
    gain, offset = fit.constant("gain", 1.0), fit.constant("offset", 0.0)
    return lambda x: _float(x) * _f32(gain) + _f32(offset)


def _scale_range(fit: _Fit) -> Transform:
    measured, axes = fit.measured(), fit.reduced()
    lower = _percentile(measured, fit.number("min_percentile", 0.0), axes)
    upper = _percentile(measured, fit.number("max_percentile", 100.0), axes)
    scale = 1.0 / (upper - lower + fit.eps)
    return lambda x: (_float(x) - _f32(lower)) * _f32(scale)


def _scale_mean_variance(fit: _Fit) -> Transform:
    axes, eps = fit.reduced(), fit.eps
    mean, std = _moments(fit.sample, axes)
    target_mean, target_std = _moments(fit.measured(), axes)
    gain = (target_std + eps) / (std + eps)
    return lambda x: (_float(x) - _f32(mean)) * _f32(gain) + _f32(target_mean)


def _sigmoid(fit: _Fit) -> Transform:
    return lambda x: np.asarray(special.expit(_float(x)))


def _softmax(fit: _Fit) -> Transform:
    axis = fit.word("axis", "channel")
    position = fit.letters.find(_LETTERS.get(axis, axis))
    if position < 0:
        raise ModelError(
            f"Step 'softmax' works along '{axis}', which the tensor '{fit.letters}' "
            "does not have; correct the description."
        )
    return lambda x: np.asarray(special.softmax(_float(x), axis=position))


def _zero_mean_unit_variance(fit: _Fit) -> Transform:
    if fit.get("mode") == "fixed" or fit.get("mean") is not None:
        return _fixed_zero_mean_unit_variance(fit)
    mean, std = _moments(fit.sample, fit.reduced())
    gain = 1.0 / (std + fit.eps)
    return lambda x: (_float(x) - _f32(mean)) * _f32(gain)


def _fixed_zero_mean_unit_variance(fit: _Fit) -> Transform:
    mean, std = fit.constant("mean", 0.0), fit.constant("std", 1.0)
    gain = 1.0 / (np.asarray(std) + fit.eps)
    return lambda x: (_float(x) - _f32(mean)) * _f32(gain)


_STEPS: dict[str, Callable[[_Fit], Transform]] = {
    "binarize": _binarize,
    "clip": _clip,
    "ensure_dtype": _ensure_dtype,
    "scale_linear": _scale_linear,
    "scale_range": _scale_range,
    "scale_mean_variance": _scale_mean_variance,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "zero_mean_unit_variance": _zero_mean_unit_variance,
    "fixed_zero_mean_unit_variance": _fixed_zero_mean_unit_variance,
}

_MEASURING = {"scale_range", "scale_mean_variance", "zero_mean_unit_variance"}


def step_problem(step: Step) -> str | None:
    """A sentence why a step cannot be done, or None.

    Only the name is looked at: a ``custom`` step would run code from the model folder,
    and is never imported.
    """
    if step.id in _STEPS:
        return None
    if step.id == "custom":
        return (
            "It asks for a 'custom' processing step, which would run code from the "
            "model folder, and that is never done; use a model without one."
        )
    return (
        f"It asks for the unknown processing step '{step.id}'; known are "
        f"{', '.join(sorted(_STEPS))}."
    )


def measures(step: Step) -> bool:
    """Whether a step takes statistics from the whole image."""
    if step.id == "clip":
        return {"min_percentile", "max_percentile"} & set(step.kwargs) != set()
    if step.id == "zero_mean_unit_variance":
        return step.kwargs.get("mode") != "fixed" and step.kwargs.get("mean") is None
    return step.id in _MEASURING


def varies(step: Step, letters: str) -> bool:
    """Whether a step may do another thing at another place, as by slice or row."""
    if step.kwargs.get("axis") in ("z", "y", "x"):
        return True
    axes = step.kwargs.get("axes")
    if not measures(step) or not _are_names(axes):
        return False
    return any(letter in "zyx" and letter not in axes for letter in letters)


def prepare(
    steps: Sequence[Step],
    sample: Array,
    letters: str,
    references: Mapping[str, Array] | None = None,
) -> Transform:
    """Fit steps to the whole image.

    Parameters
    ----------
    steps : sequence of Step
        In the order of the description.
    sample : (...) array
        The whole tensor, axes as in ``letters``; not changed.
    letters : str
        One letter for each axis, such as ``bcyx``.
    references : mapping of str to array, optional
        Tensors that a step may name as ``reference_tensor``.

    Returns
    -------
    Transform
        Applies all steps to the tensor, or to any part of its space axes unless a step
        :func:`varies`; gives a new array, float32 unless the last step asks for
        another type.

    Raises
    ------
    ModelError
        If a step is unknown or its arguments do not fit the tensor.
    """
    transforms: list[Transform] = []
    pending = sum(measures(step) for step in steps)
    for step in steps:
        problem = step_problem(step)
        if problem is not None:
            raise ModelError(problem)
        fit = _Fit(step, sample, letters, references or {})
        transform = _STEPS[step.id](fit)
        transforms.append(transform)
        pending -= measures(step)
        if pending:  # a later step measures what this one leaves
            sample = transform(sample)
    return _chain(transforms)


def _are_names(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, str) or (
        isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
    )


def _chain(transforms: Iterable[Transform]) -> Transform:
    chained = tuple(transforms)

    def run(x: Array) -> Array:
        for transform in chained:
            x = transform(x)
        return x

    return run


def _float(x: Array) -> Array:
    return x if x.dtype == np.float32 else x.astype(np.float32)


def _f32(value: Array | float) -> Any:
    return np.asarray(value, np.float32)


def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    # In double precision: a float32 sum over a large image loses the fourth digit.
    mean = x.mean(axis=axes, dtype=np.float64, keepdims=True)
    std = x.std(axis=axes, dtype=np.float64, keepdims=True)
    return mean, std


def _percentile(x: Array, q: float, axes: tuple[int, ...]) -> Array:
    if q <= 0:
        return np.asarray(x.min(axis=axes, keepdims=True), np.float64)
    if q >= 100:
        return np.asarray(x.max(axis=axes, keepdims=True), np.float64)
    return np.asarray(np.percentile(x, q, axis=axes, keepdims=True), np.float64)
