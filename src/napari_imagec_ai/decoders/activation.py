"""Whether a network's output is a probability already, and makes it one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from napari_imagec_ai.model import Model, TensorSpec

Activation = Literal["auto", "none", "sigmoid", "softmax"]

_SLACK = 1e-3
"""Rounding may carry a probability this far out of [0, 1]."""

_EXCLUSIVE = ("three_class", "multi_class")
"""Kinds whose channels exclude each other, so that a softmax belongs to them."""


def resolve(
    asked: Activation,
    model: Model,
    spec: TensorSpec,
    values: NDArray[np.float32],
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
    values : array
        The output, or those of its channels that are probabilities or become some.
    exclusive : bool, optional
        Whether its channels exclude each other; by default as the kind says.
    """
    if asked != "auto":
        return asked, ""
    if any(step.id in ("sigmoid", "softmax") for step in spec.steps):
        return "none", ""
    low, high = float(values.min()), float(values.max())
    found = f"values from {low:.3g} to {high:.3g}"
    if low >= -_SLACK and high <= 1 + _SLACK:
        binary = any(step.id == "binarize" for step in spec.steps)
        if binary or spec.data_range == (0.0, 1.0):
            return "none", ""
        return "none", f"Output '{spec.id}' ({found}) was taken as probabilities."
    if exclusive is None:
        exclusive = model.kind in _EXCLUSIVE and (spec.channels or 1) > 1
    name: Activation = "softmax" if exclusive else "sigmoid"
    return name, f"Output '{spec.id}' ({found}) was turned into probabilities: {name}."


def apply(
    activation: Activation, values: NDArray[np.float32], channel_axis: int
) -> NDArray[np.float32]:
    """Apply an activation; gives probabilities of the same shape."""
    if activation == "sigmoid":
        return np.asarray(special.expit(values), np.float32)
    if activation == "softmax":
        return np.asarray(special.softmax(values, axis=channel_axis), np.float32)
    return values
