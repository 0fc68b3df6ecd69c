"""Grey values for networks that take whole numbers: brought to the type's range.

The type that a network takes decides: of an image with other numbers, black becomes 0
and white the type's highest value. Nothing wraps round, and fractions do not all become
0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_imagec_ai.engines.numbers import white
from napari_imagec_ai.image.blocks import Blocks
from napari_imagec_ai.model.description import Step, TensorSpec

_LOW, _HIGH = 0.0, 99.8
"""Percentiles that become black and white, where the numbers have no common scale."""

Plane = NDArray[np.float32] | Blocks


def with_range(spec: TensorSpec, dtype: str) -> TensorSpec:
    """The input with the range of its type of whole numbers, where it declares none."""
    if np.dtype(dtype).kind not in "iu" or spec.data_range != (None, None):
        return spec
    return replace(spec, data_range=(0.0, white(dtype)))


def type_steps(
    spec: TensorSpec, dtype: str, image: DTypeLike, plane: Plane
) -> tuple[tuple[Step, ...], str]:
    """Steps that bring grey values to the type that a network takes, and a sentence.

    Parameters
    ----------
    spec : TensorSpec
        The network's input; nothing is done where its description scales values.
    dtype : str
        Type that the network takes.
    image : dtype
        Type of the image's pixels.
    plane : array or Blocks
        All of the plane or volume.
    """
    target, source = np.dtype(dtype), np.dtype(image)
    described = any(step.id != "ensure_dtype" for step in spec.steps)
    if target.kind not in "iu" or source == target or described:
        return (), ""
    low, high, whole = _ends(plane)
    top = white(target)
    if source.kind == "f" and low >= 0 and high <= 1:
        sentence = f"1 became {top:g}, as the network takes {target} and no fractions."
        return (_gain(top),), sentence
    if source.kind in "iu" and source.itemsize == 1 and target.itemsize == 2:
        most = float(np.iinfo(source).max)
        sentence = f"{most:g} became {top:g}, as the network takes {target}."
        return (_gain(top / most),), sentence
    ends = np.iinfo(target)
    if (
        whole
        and ends.min <= low
        and high <= (top if target.itemsize <= 2 else ends.max)
    ):
        return (), ""
    ranks = {"min_percentile": _LOW, "max_percentile": _HIGH}
    steps = (
        Step("scale_range", ranks),
        _gain(top),
        Step("clip", {"min": 0.0, "max": top}),
    )
    return steps, (
        f"The network takes {target}, and the image has {low:.6g} to {high:.6g}: the "
        f"lowest value became 0, the {_HIGH:g} % percentile {top:g}."
    )


def after_description(
    spec: TensorSpec, dtype: str, prepared: NDArray[np.float32]
) -> tuple[tuple[Step, ...], str]:
    """What is left to do where a description gives fractions to such a network.

    Parameters
    ----------
    spec : TensorSpec
        The network's input.
    dtype : str
        Type that the network takes.
    prepared : array
        A plane or volume after the description's steps.
    """
    target = np.dtype(dtype)
    described = any(step.id != "ensure_dtype" for step in spec.steps)
    if target.kind not in "iu" or not described or prepared.dtype.kind != "f":
        return (), ""
    if not prepared.size or prepared.min() < -1e-3 or prepared.max() > 1.001:
        return (), ""
    top = white(target)
    return (_gain(top),), (
        f"The description brings grey values to 0..1, but the network takes {target}: "
        f"1 became {top:g}."
    )


def _gain(factor: float) -> Step:
    return Step("scale_linear", {"gain": factor, "offset": 0.0})


def _ends(plane: Plane) -> tuple[float, float, bool]:
    """The lowest and the highest value, and whether all are whole numbers."""
    blocks: Sequence[NDArray[np.float32]] | Blocks
    blocks = plane if isinstance(plane, Blocks) else [plane]
    low, high, whole = np.inf, -np.inf, True
    for block in blocks:
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        whole = whole and bool(np.all(block == np.rint(block)))
    return low, high, whole
