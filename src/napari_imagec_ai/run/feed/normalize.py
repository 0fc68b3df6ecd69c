"""Grey values that the description says nothing of: noticed, or brought to scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.blocks import Blocks
from napari_imagec_ai.model.description import Step, TensorSpec
from napari_imagec_ai.run.settings import Normalize

_FAR = 4.0
"""Values beyond this many times a declared range were not what the network saw."""


def normalizing(normalize: Normalize, spec: TensorSpec, dtype: Any) -> tuple[Step, ...]:
    """Steps that bring grey values to 0..1, or to the range that was declared.

    Parameters
    ----------
    normalize : Normalize
        ``range`` takes the darkest pixel to the lower end and the brightest to the
        upper one, ``percentiles`` the 1st and the 99.8th, ``type`` the ends of the
        integer type (of 16 bits, 65535); ``as described`` does nothing.
    spec : TensorSpec
        The network's input.
    dtype : dtype
        Of the image.
    """
    if normalize == "as described":
        return ()
    low, high = _declared(spec) or (0.0, 1.0)
    if normalize == "type":
        kind = np.dtype(dtype)
        most = float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0
        return (_linear((high - low) / most, low),)
    ends = (0.0, 100.0) if normalize == "range" else (1.0, 99.8)
    kwargs = {"min_percentile": ends[0], "max_percentile": ends[1]}
    return (Step("scale_range", kwargs), _linear(high - low, low))


def _linear(gain: float, offset: float) -> Step:
    return Step("scale_linear", {"gain": gain, "offset": offset})


def _declared(spec: TensorSpec) -> tuple[float, float] | None:
    low, high = spec.data_range
    if low is None or high is None or not np.isfinite([low, high]).all():
        return None
    return (low, high) if high > low else None


def doubt(spec: TensorSpec, plane: NDArray[np.float32] | Blocks) -> str:
    """A sentence where the grey values are hardly what the network was made for.

    Only where the description has no step that would bring them to scale.
    """
    if any(step.id != "ensure_dtype" for step in spec.steps):
        return ""
    blocks = plane if isinstance(plane, Blocks) else (plane,)
    ends = [(float(block.min()), float(block.max())) for block in blocks]
    low, high = min(pair[0] for pair in ends), max(pair[1] for pair in ends)
    found = f"the image has {low:.6g} to {high:.6g}"
    declared = _declared(spec)
    if declared is not None:
        span = declared[1] - declared[0]
        inside = declared[0] - _FAR * span <= low <= high <= declared[1] + _FAR * span
        # A dark corner of the range is as far off as a value beyond it.
        if inside and high - low > span / 100:
            return ""
        wanted = f"{declared[0]:g} to {declared[1]:g}"
        return (
            f"The network was made for grey values from {wanted} and {found}: if the "
            "result is poor, normalize them."
        )
    if high <= 255:
        return ""
    return (
        f"The description asks for no normalization and {found}: if the result is "
        "poor, normalize them."
    )
