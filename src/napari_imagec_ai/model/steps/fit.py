"""What a processing step is fitted to, and its arguments as the step needs them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.image.blocks import Blocks
from napari_imagec_ai.model.description import Step
from napari_imagec_ai.model.steps.arguments import LETTERS

Array = NDArray[Any]

Sample = Array | Blocks
"""What statistics are taken from."""

_EPS = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What a step is fitted to: the tensor so far, its axes, and the other tensors."""

    step: Step
    sample: Sample
    letters: str
    references: Mapping[str, Sample]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument as it is written, or the default where it is not there."""
        value = self.step.kwargs.get(name)
        return default if value is None else value

    def number(self, name: str, default: float) -> float:
        """An argument that must be a number."""
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
        """What keeps a step from dividing by zero."""
        return self.number("eps", _EPS)

    def reduced(self) -> tuple[int, ...]:
        """Positions of the axes that the step takes together; all where not said."""
        names = self.get("axes")
        if names is None:
            return tuple(range(len(self.letters)))
        if not are_names(names):
            raise self._wrong("axes", "names of axes", names)
        wanted = as_letters(names)
        return tuple(i for i, letter in enumerate(self.letters) if letter in wanted)

    def measured(self) -> Sample:
        """The tensor that statistics are taken from: this one, or the one named."""
        name = self.word("reference_tensor")
        if name is None:
            return self.sample
        if name not in self.references:
            raise ModelError(
                f"Step '{self.step.id}' refers to the tensor '{name:.40}', which is "
                f"none of {', '.join(self.references) or 'the inputs'}; correct the "
                "description."
            )
        found = self.references[name]
        if self.get("axes") is None:  # all is taken together, whatever the axes are
            if isinstance(found, Blocks):
                return found
            return found.reshape(-1, *[1] * (len(self.letters) - 1))
        kept = set(range(len(self.letters))) - set(self.reduced())
        if found.ndim != len(self.letters) or any(
            found.shape[i] not in (1, self.sample.shape[i]) for i in kept
        ):
            raise ModelError(
                f"Step '{self.step.id}' expects that '{name}' has sizes as this tensor "
                f"along '{''.join(self.letters[i] for i in sorted(kept))}' of "
                f"'{self.letters}', {self.sample.shape}, found {found.shape}; correct "
                "the description."
            )
        return found

    def constant(self, name: str, default: float | None = None) -> Array | float:
        """A number, or a list along the axis that is not taken together."""
        value = self.get(name, default)
        if value is None:
            raise self._wrong(name, "a number or a list of numbers", value)
        if not isinstance(value, (list, tuple)):
            return self.number(name, value)
        try:
            numbers = np.asarray(value, np.float64)
        except (TypeError, ValueError, OverflowError):
            numbers = np.empty((0, 0))
        if numbers.ndim != 1 or np.isnan(numbers).any():
            raise self._wrong(name, "numbers", value)
        if len(value) == 1:
            return float(numbers[0])
        position = self._list_axis(len(value), name)
        shape = [1] * len(self.letters)
        shape[position] = len(value)
        return numbers.reshape(shape)

    def _list_axis(self, length: int, name: str) -> int:
        self.word("axis")
        self.reduced()
        sizes = dict(zip(self.letters, self.sample.shape, strict=True))
        letters = list_letters(self.step, self.letters)
        for letter in letters:
            if sizes[letter] == length:
                return self.letters.index(letter)
        fitting = [f"{sizes[letter]} along '{letter}'" for letter in letters]
        raise ModelError(
            f"Step '{self.step.id}' expects {' or '.join(fitting) or 'another axis'} "
            f"of '{self.letters}' for '{name}', found {length} values; correct the "
            "description."
        )


def are_names(value: object) -> TypeGuard[Sequence[str]]:
    """Whether an argument is a name, or several: letters, or words."""
    return isinstance(value, str) or (
        isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
    )


def as_letters(names: Sequence[str]) -> set[str]:
    """Axes as letters, whichever way the description names them."""
    return {LETTERS.get(name, name) for name in names}


def list_letters(step: Step, letters: str) -> list[str]:
    """Axes that a list of values may lie along, the likeliest first."""
    axis, axes = step.kwargs.get("axis"), step.kwargs.get("axes")
    if isinstance(axis, str):
        return [letter for letter in letters if letter == LETTERS.get(axis, axis)]
    if axes is None and "c" in letters:
        return ["c"]
    together = as_letters(axes) if are_names(axes) else set()
    free = [letter for letter in letters if letter not in {"b", *together}]
    # Inside a run there always is a channel axis, of length 1 if the model has none.
    return sorted(free, key=lambda letter: letter != "c")
