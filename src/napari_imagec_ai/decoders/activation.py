"""Whether a network's output is a probability already, and makes it one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from napari_imagec_ai.model.description import Model, TensorSpec

Activation = Literal["auto", "none", "sigmoid", "softmax", "bytes"]
"""How probabilities are made; ``bytes`` divides values from 0 to 255."""

_SLACK = 1e-3
"""Rounding may carry a probability this far out of [0, 1]."""

_BYTE = 255.0

_WIDE = 0.8
"""Values from 0 to 1 that are farther apart are taken for probabilities."""

_EXCLUSIVE = ("three_class", "multi_class")
"""Kinds whose channels exclude each other, so that a softmax belongs to them."""


def resolve(
    asked: Activation,
    model: Model,
    spec: TensorSpec,
    values: Iterable[NDArray[np.float32]],
    *,
    exclusive: bool | None = None,
) -> tuple[Activation, str]:
    """Which activation to apply, and a sentence where it had to be assumed.

    Parameters
    ----------
    asked : Activation
        What the person set; ``auto`` looks at the description, then at the values.
    model : Model
        For its kind.
    spec : TensorSpec
        The output; its postprocessing was done already.
    values : array, or iterable of arrays
        The output, or those of its channels that are probabilities or become some; not
        looked at where nothing depends on them.
    exclusive : bool, optional
        Whether its channels exclude each other; by default as the kind says.
    """
    if asked != "auto":
        return asked, _doubt(asked, spec, values)
    if any(step.id in ("sigmoid", "softmax") for step in spec.steps):
        return "none", ""
    low, high = _ends(values)
    found = f"values from {low:.3g} to {high:.3g}"
    if low >= -_SLACK and high <= 1 + _SLACK:
        binary = any(step.id == "binarize" for step in spec.steps)
        if binary or spec.data_range == (0.0, 1.0):
            return "none", ""
        return "none", f"Output '{spec.id}' ({found}) was taken as probabilities."
    if in_bytes(spec) and low >= -_SLACK and high <= _BYTE:
        return "bytes", ""
    if exclusive is None:
        exclusive = model.kind in _EXCLUSIVE and (spec.channels or 1) > 1
    name: Activation = "softmax" if exclusive else "sigmoid"
    return name, f"Output '{spec.id}' ({found}) was turned into probabilities: {name}."


def _doubt(
    asked: Activation, spec: TensorSpec, values: Iterable[NDArray[np.float32]]
) -> str:
    """A sentence where what a person set does not fit the values; else empty."""
    if asked == "bytes":
        return ""
    low, high = _ends(values)
    found = f"Output '{spec.id}' has values from {low:.3g} to {high:.3g}"
    inside = low >= -_SLACK and high <= 1 + _SLACK
    if asked == "none" and (low < -_SLACK or high > 1 + _SLACK):
        return f"{found}, which are no probabilities: 'activation' may be wrong here."
    # Of part of an image, what a network gives may lie in any narrow range.
    if asked != "none" and inside and high - low > _WIDE:
        return (
            f"{found}, as probabilities have: a {asked} was applied to them once more, "
            "as 'activation' asks; auto or none leaves them as they are."
        )
    return ""


def in_bytes(spec: TensorSpec) -> bool:
    """Whether the description says that values go from 0 to 255."""
    return spec.dtype == "uint8" or spec.data_range == (0.0, 255.0)


def _ends(values: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """The lowest and the highest value; NaN if there is one."""
    ends = np.array([(part.min(), part.max()) for part in values], np.float64)
    return float(ends[:, 0].min()), float(ends[:, 1].max())


def apply(
    activation: Activation, values: NDArray[np.float32], channel_axis: int
) -> NDArray[np.float32]:
    """Apply an activation; gives probabilities of the same shape."""
    if activation == "bytes":
        return np.asarray(values / np.float32(_BYTE))
    if activation == "sigmoid":
        return np.asarray(special.expit(values), np.float32)
    if activation == "softmax":
        return np.asarray(special.softmax(values, axis=channel_axis), np.float32)
    return values
