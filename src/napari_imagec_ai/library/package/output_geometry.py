"""How outputs of a network lie on its input, told by what it gives for two sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

_SUMS = 1e-3
"""How far a sum of probabilities may be from 1."""


@dataclass(frozen=True, slots=True)
class Span:
    """Sizes of one axis: ``least + n * step``; step 0: only this one."""

    least: int
    step: int


@dataclass(frozen=True, slots=True)
class Growth:
    """How an output's axis follows the input's: ``factor * size + offset``."""

    factor: float
    offset: int


@dataclass(frozen=True, slots=True)
class Output:
    """One output of the network.

    Attributes
    ----------
    name : str
        In the file; empty where it has none.
    shape : tuple of int
        Of one call with the tried shape.
    growth : dict of str to Growth
        For the space axes that follow the input's; empty for what is no map.
    axes : str
        Of a map: one letter for each axis, ``z`` also for a depth that is the output's
        own; empty for what is no map.
    exclusive : bool
        Whether the channels sum to 1 everywhere, as after a softmax.
    dtype : str
        Type of its numbers.
    """

    name: str
    shape: Shape
    growth: dict[str, Growth]
    axes: str = ""
    exclusive: bool = False
    dtype: str = "float32"

    @property
    def channels(self) -> int:
        """Of a map; 1 without an axis of channels."""
        return self.shape[self.axes.index("c")] if "c" in self.axes else 1


def placed(
    name: str,
    array: NDArray[Any],
    axes: str,
    shape: Shape,
    spans: Mapping[str, Span],
    grown: Mapping[str, Shape],
) -> Output:
    """Tell how one output lies on the input.

    Parameters
    ----------
    name : str
        Of the output in the file.
    array : array
        What it was for ``shape``.
    axes, shape : str, tuple of int
        Of the input.
    spans : mapping of str to Span
        Sizes that the input takes along each space axis.
    grown : mapping of str to tuple of int
        Shape of the output where the input is longer by a step along an axis.
    """
    at = _axes_of(array.shape, axes, shape, spans, grown)
    dtype = str(array.dtype)
    if at is None:
        return Output(name, array.shape, {}, dtype=dtype)
    growth = {}
    for axis, span in spans.items():
        size, output = shape[axes.index(axis)], array.shape[at[axis]]
        if span.step:
            factor = (grown[axis][at[axis]] - output) / span.step
        else:
            factor = output / size
        growth[axis] = Growth(factor, round(output - factor * size))
    letters = _letters(array.shape, at, axes, shape)
    if letters is None:
        return Output(name, array.shape, {}, dtype=dtype)
    exclusive = "c" in letters and _sums_to_one(array, letters.index("c"))
    return Output(name, array.shape, growth, letters, exclusive, dtype)


def _axes_of(
    output: Shape,
    axes: str,
    shape: Shape,
    spans: Mapping[str, Span],
    grown: Mapping[str, Shape],
) -> dict[str, int] | None:
    """Which axis of the output follows each space axis; None where one does not."""
    found: dict[str, int] = {}
    for axis, span in spans.items():
        if not span.step:
            continue
        more = grown[axis]
        if len(more) != len(output):
            return None
        longer = [i for i, (a, b) in enumerate(zip(output, more, strict=True)) if b > a]
        if len(longer) != 1 or longer[0] in found.values():
            return None
        found[axis] = longer[0]
    fixed = [axis for axis, span in spans.items() if not span.step]
    free = [i for i in range(len(output)) if i not in found.values()]
    return _with_fixed(output, axes, shape, fixed, free, found)


def _with_fixed(
    output: Shape,
    axes: str,
    shape: Shape,
    fixed: list[str],
    free: list[int],
    found: dict[str, int],
) -> dict[str, int] | None:
    """The same with axes whose size is fixed: by place, else by size, else the last."""
    if not fixed:
        return found
    sizes = {axis: shape[axes.index(axis)] for axis in fixed}
    same = {axis: axes.index(axis) for axis in fixed}
    alike = len(output) == len(axes) and set(same.values()) <= set(free)
    if alike and all(output[i] == sizes[a] for a, i in same.items()):
        return found | same
    # As many axes in a row as there are, of just these sizes.
    for first in range(len(output) - len(fixed), -1, -1):
        row = range(first, first + len(fixed))
        fits = zip(fixed, row, strict=True)
        if all(i in free and output[i] == sizes[axis] for axis, i in fits):
            return found | dict(zip(fixed, row, strict=True))
    if alike and all(output[i] > 1 for i in same.values()):
        return found | same  # another size: a half, or without the rim
    return None


def _letters(
    output: Shape, at: Mapping[str, int], axes: str, shape: Shape
) -> str | None:
    """A letter for each axis of a map; None where some have no meaning."""
    letters = [""] * len(output)
    for axis, i in at.items():
        letters[i] = axis
    rest = [i for i, letter in enumerate(letters) if not letter]
    batch = shape[axes.index("b")] if "b" in axes else 1
    if rest and rest[0] == 0 and output[0] == batch and ("b" in axes or len(rest) > 1):
        letters[rest.pop(0)] = "b"
    if "t" in axes and len(rest) > 1:
        place = axes.index("t")
        if place in rest:
            rest.remove(place)
            letters[place] = "t"
    if rest:
        letters[rest.pop(0)] = "c"
    if rest and "z" not in at:
        letters[rest.pop(0)] = "z"  # a depth that the input does not have
    return None if rest else "".join(letters)


def _sums_to_one(array: NDArray[Any], axis: int) -> bool:
    """Whether channels are probabilities that exclude each other."""
    if array.dtype.kind != "f" or array.shape[axis] < 2:
        return False
    low, high = float(array.min()), float(array.max())
    sums = array.sum(axis=axis, dtype=np.float64)
    return low >= -_SUMS and high <= 1 + _SUMS and bool(np.abs(sums - 1).max() <= _SUMS)
