"""The pre- and postprocessing steps that a model description may ask for.

A step is first *fitted* to the whole image, which is where its statistics come from,
and the function that comes out is then applied to each tile, so that tiles never
disagree. The steps and their arguments are those of
https://github.com/bioimage-io/spec-bioimage-io, spelled as in formats 0.3 to 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.image.blocks import Blocks
from napari_imagec_ai.model.description import Step
from napari_imagec_ai.model.steps.arguments import LETTERS, range_problem
from napari_imagec_ai.model.steps.fit import (
    Fit,
    Sample,
    are_names,
    as_letters,
    list_letters,
)
from napari_imagec_ai.model.steps.statistics import moments, percentiles

Array = NDArray[Any]
Transform = Callable[[Array], Array]
"""Takes and returns one tensor; never changes its argument."""

_LISTED = ("threshold", "gain", "offset", "mean", "std")
"""Arguments that may be a list of values along an axis."""


def _binarize(fit: Fit) -> Transform:
    threshold = fit.constant("threshold", 0.5)
    return lambda x: (_float(x) > _f32(threshold)).astype(np.float32)


def _clip(fit: Fit) -> Transform:
    low, high = fit.get("min"), fit.get("max")
    lower: Any = -np.inf if low is None else fit.number("min", 0)
    upper: Any = np.inf if high is None else fit.number("max", 0)
    axes, names = fit.reduced(), fit.get("axes")
    # As bioimageio.core has it: over a data set values are interpolated, as everywhere
    # else; the percentile of a single sample is one of its values.
    stepped = names is not None and "b" not in as_letters(names)
    if fit.get("min_percentile") is not None:
        low = fit.number("min_percentile", 0)
        (lower,) = percentiles(fit.sample, [low], axes, stepped=stepped)
    if fit.get("max_percentile") is not None:
        high = fit.number("max_percentile", 100)
        (upper,) = percentiles(fit.sample, [high], axes, stepped=stepped)
    return lambda x: np.clip(_float(x), _f32(lower), _f32(upper))


def _ensure_dtype(fit: Fit) -> Transform:
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


def _scale_linear(fit: Fit) -> Transform:
    gain, offset = fit.constant("gain", 1.0), fit.constant("offset", 0.0)
    return lambda x: _float(x) * _f32(gain) + _f32(offset)


def _scale_range(fit: Fit) -> Transform:
    measured, axes = fit.measured(), fit.reduced()
    low, high = fit.number("min_percentile", 0.0), fit.number("max_percentile", 100.0)
    lower, upper = percentiles(measured, [low, high], axes)
    gain = 1.0 / (upper - lower + fit.eps)
    return lambda x: _shifted(x, lower, gain)


def _scale_mean_variance(fit: Fit) -> Transform:
    axes, eps = fit.reduced(), fit.eps
    mean, std = moments(fit.sample, axes)
    target_mean, target_std = moments(fit.measured(), axes)
    gain = (target_std + eps) / (std + eps)
    return lambda x: _shifted(x, mean, gain) + _f32(target_mean)


def _sigmoid(fit: Fit) -> Transform:
    return lambda x: np.asarray(special.expit(_float(x)))


def _softmax(fit: Fit) -> Transform:
    axis = fit.word("axis", "channel")
    position = fit.letters.find(LETTERS.get(axis, axis))
    if position < 0:
        raise ModelError(
            f"Step 'softmax' works along '{axis}', which the tensor '{fit.letters}' "
            "does not have; correct the description."
        )
    return lambda x: np.asarray(special.softmax(_float(x), axis=position))


def _zero_mean_unit_variance(fit: Fit) -> Transform:
    if fit.get("mode") == "fixed" or fit.get("mean") is not None:
        return _fixed_zero_mean_unit_variance(fit)
    mean, std = moments(fit.sample, fit.reduced())
    gain = 1.0 / (std + fit.eps)
    return lambda x: _shifted(x, mean, gain)


def _fixed_zero_mean_unit_variance(fit: Fit) -> Transform:
    mean, std = fit.constant("mean"), fit.constant("std")
    gain = 1.0 / (np.asarray(std) + fit.eps)
    return lambda x: _shifted(x, mean, gain)


_STEPS: dict[str, Callable[[Fit], Transform]] = {
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

DECODING = {"cellpose_flow_dynamics", "stardist_postprocessing"}
"""Steps that make objects of maps: decoders do that, and read the arguments."""

_MEASURING = {"scale_range", "scale_mean_variance", "zero_mean_unit_variance"}


def step_problem(step: Step) -> str | None:
    """A sentence why a step cannot be done, or None.

    Only the name is looked at: a ``custom`` step would run code from the model folder,
    and is never imported.
    """
    if step.id in _STEPS or step.id in DECODING:
        return None
    if step.id == "custom":
        return (
            "It asks for a 'custom' processing step, which would run code from the "
            "model folder, and that is never done; use a model without one."
        )
    return (
        f"It asks for the unknown processing step '{step.id:.40}'; known are "
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
    lists = [step.kwargs.get(name) for name in _LISTED]
    if any(isinstance(values, (list, tuple)) and len(values) > 1 for values in lists):
        return any(letter in "zyx" for letter in list_letters(step, letters))
    axes = step.kwargs.get("axes")
    if not measures(step) or not are_names(axes):
        return False
    return any(letter in "zyx" and letter not in axes for letter in letters)


def make_transform(
    steps: Sequence[Step],
    sample: Sample,
    letters: str,
    references: Mapping[str, Sample] | None = None,
) -> Transform:
    """Fit steps to the whole image.

    Parameters
    ----------
    steps : sequence of Step
        In the order of the description.
    sample : (...) array, or Blocks
        The whole tensor, axes as in ``letters``; not changed. One that is read in
        blocks must not have a step that :func:`varies`.
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
        problem = step_problem(step) or range_problem(step)
        if problem is not None:
            raise ModelError(problem)
        if step.id in DECODING:
            continue
        fit = Fit(step, sample, letters, references or {})
        transform = _STEPS[step.id](fit)
        transforms.append(transform)
        pending -= measures(step)
        if pending:  # a later step measures what this one leaves
            change = _chain([transform])
            sample = (
                sample.map(change) if isinstance(sample, Blocks) else change(sample)
            )
    return _chain(transforms)


def _chain(transforms: Iterable[Transform]) -> Transform:
    chained = tuple(transforms)

    def run(x: Array) -> Array:
        # A number too large for its type becomes infinite, or wraps round; a sentence
        # of NumPy's about it in the middle of a run would help nobody.
        with np.errstate(over="ignore", invalid="ignore"):
            for transform in chained:
                x = transform(x)
        return x

    return run


def _float(x: Array) -> Array:
    return x if x.dtype == np.float32 else x.astype(np.float32)


def _f32(value: Array | float) -> Any:
    return np.asarray(value, np.float32)


def _shifted(x: Array, shift: Array | float, gain: Array) -> Array:
    """(x - shift) * gain; float32 that is as good as double precision."""
    near = _f32(shift)
    rest = _f32(shift - near)  # counts where grey values are few and far from zero
    moved: Array = _float(x) - near
    moved -= rest
    moved *= _f32(gain)
    return moved
