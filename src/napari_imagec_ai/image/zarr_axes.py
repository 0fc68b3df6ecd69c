"""What zarr folders say of their axes: order, pixel size, interval, channel names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_imagec_ai.image.units import as_unit, in_one_unit, positive, seconds

_OLDEST = "TCZYX"
"""Axes of NGFF 0.1 and 0.2, which do not name them."""

_TYPES = {"channel": "C", "time": "T"}


@dataclass(frozen=True, slots=True)
class Axes:
    """Axes of an array.

    Attributes
    ----------
    letters : str
        Of ``TCZYX``; empty where nothing says them.
    sizes : dict of str to float
        Pixel sizes in ``unit``, of the axes where they are known.
    unit : str or None
        Of length.
    interval : float or None
        Seconds from one time to the next.
    channels : tuple of str
        Their names.
    """

    letters: str = ""
    sizes: dict[str, float] = field(default_factory=dict)
    unit: str | None = None
    interval: float | None = None
    channels: tuple[str, ...] = ()


def axes_of_scales(scales: Mapping[str, Any], omero: Any, ndim: int) -> Axes:
    """What one entry of ``multiscales`` says of its finest level.

    A scale of the level and one of all levels, which lies beside ``datasets``, are
    multiplied. A size without a unit, beside others that have one, is none.

    Parameters
    ----------
    scales : mapping
        The entry.
    omero : object
        What the group says for viewers, with the names of channels.
    ndim : int
        How many dimensions the level has.
    """
    axes = scales.get("axes") or list(_OLDEST[-ndim:] if ndim == 5 else "")
    letters = "".join(_letter(axis) for axis in axes)
    finest: Mapping[str, Any] = (scales.get("datasets") or [{}])[0]
    numbers = [1.0] * len(letters)
    told = False
    for steps in (finest, scales):
        for step in steps.get("coordinateTransformations") or ():
            if step.get("type") == "scale" and len(step["scale"]) == len(letters):
                numbers = [
                    a * float(b) for a, b in zip(numbers, step["scale"], strict=True)
                ]
                told = True
    known = dict(zip(letters, numbers, strict=True)) if told else {}
    units = {
        _letter(axis): axis.get("unit") for axis in axes if isinstance(axis, Mapping)
    }
    lengths = {axis: as_unit(str(units.get(axis) or "")) for axis in "ZYX"}
    sizes = {a: n for a, n in known.items() if a in "ZYX" and positive(n) is not None}
    sizes, unit = in_one_unit(sizes, lengths)
    time = units.get("T")
    return Axes(
        letters,
        sizes,
        unit if sizes else None,
        seconds(known.get("T"), str(time)) if time else None,
        _channels(omero),
    )


def axes_of_array(array: Any) -> Axes:
    """What an array itself says: ``dimension_names``, in zarr 2 what xarray writes."""
    names = getattr(array.metadata, "dimension_names", None)
    names = names or dict(array.attrs).get("_ARRAY_DIMENSIONS")
    if not isinstance(names, Sequence) or len(names) != len(array.shape):
        return Axes()
    letters = "".join(_letter(name) for name in names)
    fits = len(set(letters)) == len(letters) and {"Y", "X"} <= set(letters)
    return Axes(letters) if fits and set(letters) <= set("TCZYX") else Axes()


def _letter(axis: Any) -> str:
    if isinstance(axis, Mapping):
        told = _TYPES.get(str(axis.get("type")))
        return told or str(axis.get("name", "?"))[:1].upper()
    return str(axis)[:1].upper() or "?"


def _channels(omero: Any) -> tuple[str, ...]:
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(listed, list):
        return ()
    names = tuple(
        str(one.get("label") or "") if isinstance(one, Mapping) else ""
        for one in listed
    )
    return names if any(names) else ()
