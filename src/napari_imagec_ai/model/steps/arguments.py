"""Whether the arguments of a processing step can be meant as they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_imagec_ai.model.description import Step

LETTERS = {"batch": "b", "channel": "c", "time": "t", "index": "i"}
"""Axes by the words of format 0.5."""


def axes_problem(step: Step, axes: Sequence[str]) -> str | None:
    """A sentence where a step works along axes that its tensor lacks, or None.

    Parameters
    ----------
    step : Step
        Which step.
    axes : sequence of str
        Names of the tensor's axes. Batch and channel are always there, if need be with
        one element.
    """
    named = step.kwargs.get("axes")
    names = list(named) if isinstance(named, (str, list, tuple)) else []
    axis = step.kwargs.get("axis")
    names += [axis] if isinstance(axis, str) else []
    letters = [LETTERS.get(n, n) for n in names if isinstance(n, str)]
    lacking = [letter for letter in letters if letter not in {*axes, "b", "c"}]
    if not lacking:
        return None
    return (
        f"Step '{step.id:.40}' works along '{lacking[0]:.40}', which is none of the "
        f"tensor's axes {', '.join(axes):.80}; correct the description."
    )


def range_problem(step: Step) -> str | None:
    """A sentence where percentiles or limits of a step cannot be, or None."""
    low, high = _number(step, "min_percentile"), _number(step, "max_percentile")
    for name, value in (("min_percentile", low), ("max_percentile", high)):
        if value is not None and not 0 <= value <= 100:
            return (
                f"Step '{step.id:.40}' expects a percentage from 0 to 100 for "
                f"'{name}', found {value:g}; correct the description."
            )
    usual = step.id == "scale_range"
    ends = [
        ("percentile", low if low is not None or not usual else 0.0),
        ("percentile", high if high is not None or not usual else 100.0),
    ]
    if step.id == "clip":
        ends += [("value", _number(step, "min")), ("value", _number(step, "max"))]
    for (what, least), (_, most) in zip(ends[::2], ends[1::2], strict=True):
        if least is None or most is None:
            continue
        if least > most or (least == most and what == "percentile"):
            return (
                f"Step '{step.id:.40}' expects a lowest {what} below the highest, "
                f"found {least:g} and {most:g}; correct the description."
            )
    return None


def _number(step: Step, name: str) -> float | None:
    """An argument that is a number; what is none is refused where it is used."""
    value = step.kwargs.get(name)
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number
