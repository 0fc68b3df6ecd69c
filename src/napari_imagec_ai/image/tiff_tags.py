"""What the tags and texts of a TIFF say: pixel size, and what the numbers mean."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError

_UNITS = {
    "um": "micrometer",
    "µm": "micrometer",
    "μm": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "nm": "nanometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "inch": "inch",
    "pixel": None,
    "": None,
}

_METRES = {
    "angstrom": 1e-10,
    "Å": 1e-10,
    "nanometer": 1e-9,
    "micrometer": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "inch": 0.0254,
    "m": 1.0,
}

_RESOLUTION_UNITS = {2: ("inch", 25_400.0), 3: ("centimetre", 10_000.0)}
"""Values of the tag ResolutionUnit: its name, and how many micrometres it has."""

_PRINTED = 10.0
"""Micrometres; dots that are larger are about printing (10 are 2540 dots per inch)."""

_WHITE_IS_ZERO, _PALETTE, _INKS = 0, 3, 5
_OTHER_COLOURS = {8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "mosaic"}
"""Values of the tag PhotometricInterpretation."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Pixel size by axis, its unit, and sentences on what was assumed."""

    sizes: dict[str, float]
    unit: str | None = None
    assumed: tuple[str, ...] = ()


def scale_of(file: Any) -> Scale:
    """Pixel size from OME, ImageJ or plain TIFF tags.

    Parameters
    ----------
    file : tifffile.TiffFile
        An open file.
    """
    if file.ome_metadata:
        return ome_scale(file.ome_metadata)
    # Files that tifffile wrote, such as our own labels, tell it in the same words.
    imagej: dict[str, Any] = file.imagej_metadata or (file.shaped_metadata or ({},))[0]
    tags = file.pages[0].tags
    sizes = {}
    for axis, name in (("X", "XResolution"), ("Y", "YResolution")):
        tag = tags.get(name)
        if tag is not None and tag.value[0] > 0 and tag.value[1] > 0:
            sizes[axis] = tag.value[1] / tag.value[0]
    unit = as_unit(str(imagej.get("unit", "")).replace("\\u00B5", "µ"))
    if unit is None:
        return Scale({}) if file.imagej_metadata else _resolution(sizes, tags)
    spacing = _positive(imagej.get("spacing"))
    if spacing is not None:
        sizes["Z"] = spacing
    return Scale(sizes, unit)


def _resolution(sizes: dict[str, float], tags: Any) -> Scale:
    """Dots per centimetre or inch, where they are so fine that nothing prints them."""
    tag = tags.get("ResolutionUnit")
    name, micrometres = _RESOLUTION_UNITS.get(
        0 if tag is None else int(tag.value), ("", 0)
    )
    sizes = {axis: size * micrometres for axis, size in sizes.items()}
    if not sizes or not 0 < max(sizes.values()) <= _PRINTED:
        return Scale({})
    said = f"{sizes.get('X', sizes.get('Y')):.4g} micrometer"
    return Scale(
        sizes,
        "micrometer",
        (f"Pixels of {said} were taken from the file's dots per {name}.",),
    )


def ome_scale(text: str) -> Scale:
    """Pixel size as OME-XML tells it, in one unit.

    An axis without a unit has that of X or Y; where neither has one, it is the
    micrometre. Where only one of X and Y has a size, pixels are taken to be square.
    """
    sizes, units = {}, {}
    for axis in "XYZ":
        size = _positive(_attribute(text, f"PhysicalSize{axis}"))
        if size is not None:
            sizes[axis] = size
            units[axis] = _attribute(text, f"PhysicalSize{axis}Unit")
    if not sizes.keys() & {"X", "Y"}:
        return Scale({})
    usual = units.get("X") or units.get("Y") or "µm"
    named = {axis: as_unit(word or usual) for axis, word in units.items()}
    unit = named.get("X", named.get("Y"))
    for axis, other in named.items():
        if other != unit and {unit, other} <= _METRES.keys():
            sizes[axis] *= _METRES[str(other)] / _METRES[str(unit)]
        elif other != unit:  # such as Z in pixels
            del sizes[axis]
    assumed: tuple[str, ...] = ()
    for one, other in ("XY", "YX"):
        if one not in sizes:
            sizes[one] = sizes[other]
            assumed = (
                f"The file has no pixel size along {one}: that of {other} was taken.",
            )
    return Scale(sizes, unit, assumed)


def _attribute(text: str, name: str) -> str | None:
    found = re.search(rf'\b{name}="([^"]*)"', text)
    return html.unescape(found.group(1)).strip() or None if found else None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def as_unit(word: str) -> str | None:
    """A unit's usual name; None for pixels."""
    return _UNITS.get(word.strip(), word.strip() or None)


def as_meant(
    data: NDArray[Any], file: Any, name: str
) -> tuple[NDArray[Any], bool, tuple[str, ...]]:
    """Pixels as they would be seen: white above black, colours as red, green, blue.

    Parameters
    ----------
    data : array
        The numbers of the first series, as they lie in the file.
    file : tifffile.TiffFile
        The open file.
    name : str
        Of the file, for messages.

    Returns
    -------
    pixels, coloured, assumed
        Whether an axis for red, green and blue was added at the end; sentences.

    Raises
    ------
    ImageError
        If the colours are not red, green and blue, and no palette of them.
    """
    page = file.series[0].keyframe
    meaning = int(getattr(page, "photometric", 1))
    if meaning == _INKS or meaning in _OTHER_COLOURS:
        what = _OTHER_COLOURS.get(meaning, "printing inks (CMYK)")
        raise ImageError(
            f"'{name}' has its colours as {what}, where grey values or red, green and "
            "blue were expected; convert it to RGB first."
        )
    if meaning == _WHITE_IS_ZERO:
        return (
            _inverted(data, page, name),
            False,
            (f"White is 0 in '{name}': it was inverted.",),
        )
    # ImageJ's palette is how grey values are shown, and no colours.
    if meaning == _PALETTE and not file.imagej_metadata and page.colormap is not None:
        colours = np.asarray(page.colormap)
        if data.dtype.kind != "u" or data.max(initial=0) >= colours.shape[1]:
            raise ImageError(
                f"'{name}' has a damaged palette; convert it to RGB first."
            )
        return _painted(data, colours), True, ()
    return data, False, ()


def _inverted(data: NDArray[Any], page: Any, name: str) -> NDArray[Any]:
    if data.dtype.kind == "b":
        return ~data
    if data.dtype.kind != "u":
        raise ImageError(
            f"'{name}' says that white is 0, but has {data.dtype} pixels, where whole "
            "numbers from 0 were expected; invert and save it as grey values first."
        )
    bits = page.bitspersample
    bits = bits if isinstance(bits, int) else data.dtype.itemsize * 8
    white = data.dtype.type((1 << bits) - 1)
    return np.asarray(white - data)


def _painted(data: NDArray[Any], colours: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours of a palette, which has 16 bits for each, on a last axis."""
    return np.moveaxis((colours >> 8).astype(np.uint8)[:, data], 0, -1)
