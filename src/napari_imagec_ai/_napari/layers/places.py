"""Where layers lie, to be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.units import length

if TYPE_CHECKING:
    from napari.layers import Image


def state(layer: Image) -> dict[str, Any]:
    """Where a layer lies, to be compared."""
    parts = ("scale", "translate", "rotate", "shear")
    found: dict[str, Any] = {name: np.array(getattr(layer, name)) for name in parts}
    found["affine"] = np.array(layer.affine.affine_matrix)
    found["units"] = np.array([str(unit) for unit in layer.units])
    return found


def off(a: NDArray[Any], b: NDArray[Any], reach: int) -> str:
    """In what the places of two images differ, in words; empty: they lie on each other.

    A tenth of a pixel is nothing that a person placed.

    Parameters
    ----------
    a, b : (D + 1, D + 1) array
        From pixels to the world, for homogeneous coordinates.
    reach : int
        Pixels along the longest side.
    """
    if a.shape != b.shape:
        return ""  # they differ in their dimensions, which is another matter
    pixel = np.abs(a[:-1, :-1]).max(initial=1e-12)
    if np.allclose(a[:-1, :-1], b[:-1, :-1], rtol=0, atol=0.1 * pixel / reach):
        near = np.allclose(a[:-1, -1], b[:-1, -1], rtol=0, atol=0.1 * pixel)
        return "" if near else "position"
    lengths = [np.linalg.norm(each[:-1, :-1], axis=0) for each in (a, b)]
    same = np.allclose(lengths[0], lengths[1], rtol=1e-3)
    return "rotation or shear" if same else "pixel size"


def length_of(unit: Any) -> str | None:
    """The name of a layer's unit; None where it is none of length."""
    found = length(str(unit))
    return None if found is None else found.name
