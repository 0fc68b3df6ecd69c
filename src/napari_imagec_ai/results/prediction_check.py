"""Whether a prediction that was read from a file can be one: a file may lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.region import Cut
from napari_imagec_ai.results.window_results import WindowResult

_LARGEST = 1 << 31
"""Elements along an axis of an image."""


def check_prediction(fields: Mapping[str, Any]) -> None:
    """Check that all parts of a prediction fit each other.

    Parameters
    ----------
    fields : mapping of str to object
        Of the prediction.

    Raises
    ------
    ValueError
        If one does not; the message says which.
    """
    frame: Frame = fields["frame"]
    cut: Cut | None = fields["cut"]
    space: str = fields["space"]
    scale: tuple[float, ...] = fields["scale"]
    _check_frame(frame)
    if cut is not None:
        _check_frame(cut.whole)
        _demand(len(cut.begin) == len(frame.axes), "its region")
    _demand(bool(space) and frame.axes.endswith(space), "its axes")
    _demand(len(scale) in (0, len(space)), "its scale")
    _demand(all(0 < size < math.inf for size in scale), "its scale")
    planes = frame.shape[: len(frame.shape) - len(space)]
    known = {spec.id for spec in fields["model"].outputs}
    for name, values in fields["maps"].items():
        fits = values.ndim == len(planes) + 1 + len(space) and values.dtype.kind == "f"
        fits = fits and values.shape[: len(planes)] == planes and 0 not in values.shape
        _demand(fits and name in known, f"the map '{name!s:.40}'")
    for name, values in fields["vectors"].items():
        fits = values.shape[:-1] == planes and values.dtype.kind == "f"
        fits = fits and values.size > 0 and name in known
        _demand(fits, f"the scores '{name!s:.40}'")
    if fields["windows"]:
        _demand(fields["layout"] is not None, "its layout")
    for number, window in enumerate(fields["windows"]):
        _check_window(window, planes, frame.shape, f"window {number}")


def _demand(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(f"{what} cannot be so")


def _check_frame(frame: Frame) -> None:
    axes = frame.axes
    usual = "".join(axis for axis in "TZYX" if axis in axes)
    _demand(axes == usual and axes.endswith("YX"), "its axes")
    sizes = len(frame.shape) == len(frame.origin) == len(axes)
    sizes = sizes and all(0 < size < _LARGEST for size in frame.shape)
    _demand(sizes and all(abs(n) < _LARGEST for n in frame.origin), "its shape")
    pixels = frame.pixel_size
    fits = len(pixels) == len(frame.space) and all(0 < s < math.inf for s in pixels)
    _demand(fits, "its pixel size")


def _check_window(
    window: WindowResult, planes: tuple[int, ...], shape: tuple[int, ...], name: str
) -> None:
    found = window.found
    count = len(found.boxes)
    fits = len(window.plane) == len(planes)
    fits = fits and all(0 <= n < m for n, m in zip(window.plane, planes, strict=False))
    _demand(fits, f"the plane of {name}")
    inside = all(
        0 <= part.start < part.stop <= size
        for part, size in zip(window.core, shape[-2:], strict=True)
    )
    box = window.box
    sides = (*box.piece, *box.inner, *box.window)
    inside = inside and all(0 < side < _LARGEST for side in sides)
    for axis in (0, 1):  # it answers for a part of its piece, which lies in the window
        low, high = box.origin[axis], box.origin[axis] + box.piece[axis]
        core, margin = window.core[axis], box.margin[axis]
        inside = inside and low <= core.start and core.stop <= high
        fits_in = margin >= 0 and margin + box.inner[axis] <= box.window[axis]
        inside = inside and fits_in
    _demand(inside, f"the place of {name}")
    _demand(_is(found.boxes, "f", (count, 4)), f"the boxes of {name}")
    _demand(_is(found.confidence, "f", (count,)), f"the confidences of {name}")
    _demand(_is(found.class_id, "iu", (count,)), f"the classes of {name}")
    _demand(_is(found.coefficients, "f", (count, None)), f"the masks of {name}")
    if count:
        _demand(found.class_id.min() >= 0, f"the classes of {name}")
    if found.pictures is not None:
        _demand(_is(found.pictures, "f", (count, None, None)), f"the masks of {name}")
    if found.rotated is not None:
        _demand(_is(found.rotated, "f", (count, 5)), f"the angles of {name}")
    if found.points is not None:
        _demand(_is(found.points, "f", (count, None, 3)), f"the key points of {name}")
    if window.prototypes is not None:
        masks = found.coefficients.shape[1]
        fits = _is(window.prototypes, "f", (masks, None, None))
        _demand(fits and window.prototypes.size > 0, f"the masks of {name}")


def _is(array: NDArray[Any], kinds: str, shape: tuple[int | None, ...]) -> bool:
    """Whether an array has such numbers, all finite, and such a shape."""
    return (
        array.dtype.kind in kinds
        and array.ndim == len(shape)
        and all(m in (None, n) for n, m in zip(array.shape, shape, strict=True))
        and (array.dtype.kind != "f" or bool(np.isfinite(array).all()))
    )
