"""What the tags and texts of a TIFF say: pixel size, interval, names of channels."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_imagec_ai.image.units import as_unit, in_one_unit, positive, seconds

_RESOLUTION_UNITS = {2: ("inch", 25_400.0), 3: ("centimetre", 10_000.0)}
"""Values of the tag ResolutionUnit: its name, and how many micrometres it has."""

_PRINTED = 10.0
"""Micrometres; dots that are larger are about printing (10 are 2540 dots per inch)."""

_ORIENTATIONS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "upside down",
    5: "mirrored and turned by 90 degrees",
    6: "turned by 90 degrees clockwise",
    7: "mirrored and turned by 270 degrees",
    8: "turned by 90 degrees counterclockwise",
}
"""Values of the tag Orientation, in TIFF and in EXIF: how a picture is to be shown."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Pixel size by axis, its unit, and sentences on what was assumed.

    Attributes
    ----------
    sizes : dict of str to float
        Of the axes whose size is known.
    unit : str or None
        Of the sizes; None: pixels.
    assumed : tuple of str
        Sentences.
    interval : float or None
        Seconds from one time to the next.
    channels : tuple of str
        Names of the channels.
    """

    sizes: dict[str, float]
    unit: str | None = None
    assumed: tuple[str, ...] = ()
    interval: float | None = None
    channels: tuple[str, ...] = ()


def orientation_said(value: int, name: str) -> tuple[str, ...]:
    """A sentence on a picture that is to be shown otherwise than it is stored."""
    if value not in _ORIENTATIONS:
        return ()
    return (
        (
            f"'{name}' says that it is to be shown {_ORIENTATIONS[value]} (orientation "
            f"{value}): its pixels were taken as they lie in the file."
        ),
    )


def orientation_of(page: Any, name: str) -> tuple[str, ...]:
    """What the tag Orientation says, as a sentence; see above."""
    tag = page.tags.get("Orientation")
    try:
        return orientation_said(0 if tag is None else int(tag.value), name)
    except (TypeError, ValueError):
        return ()


def scale_of(file: Any, number: int = 0) -> Scale:
    """Pixel size of one image, from OME, ImageJ, LSM, STK, Aperio or plain TIFF tags.

    Parameters
    ----------
    file : tifffile.TiffFile
        An open file.
    number : int
        Which of its series.
    """
    page = file.series[number].keyframe
    if file.ome_metadata:
        series = file.series[number]
        return ome_scale(file.ome_metadata, number, series.name, len(file.series))
    if file.is_lsm and file.lsm_metadata:
        return _of_lsm(file.lsm_metadata)
    if file.is_stk and file.stk_metadata:
        return _of_stk(file.stk_metadata)
    if file.is_svs and (found := _of_aperio(page)) is not None:
        return found
    return _of_tags(file, number, page.tags)


def _of_tags(file: Any, number: int, tags: Any) -> Scale:
    # Files that tifffile wrote tell it in the same words as ImageJ.
    shaped = file.shaped_metadata or ()
    imagej: dict[str, Any] = file.imagej_metadata or (
        shaped[number] if number < len(shaped) else {}
    )
    sizes = {}
    for axis, name in (("X", "XResolution"), ("Y", "YResolution")):
        tag = tags.get(name)
        if tag is not None and tag.value[0] > 0 and tag.value[1] > 0:
            sizes[axis] = tag.value[1] / tag.value[0]
    interval = seconds(imagej.get("finterval"), str(imagej.get("tunit", "s")))
    unit = as_unit(str(imagej.get("unit", "")))
    if unit is None:
        plain = {} if file.imagej_metadata else sizes
        return replace(_resolution(plain, tags), interval=interval)
    spacing = positive(imagej.get("spacing"))
    if spacing is not None:
        sizes["Z"] = spacing
    own = {axis: imagej.get(f"{axis.lower()}unit") for axis in sizes}
    units = {axis: as_unit(str(own[axis] or unit)) for axis in sizes}
    sizes, unit = in_one_unit(sizes, units)
    return Scale(sizes, unit, interval=interval)


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


def _of_lsm(told: dict[str, Any]) -> Scale:
    """Zeiss LSM: metres."""
    sizes = {}
    for axis in "XYZ":
        size = positive(told.get(f"VoxelSize{axis}"))
        if size is not None:
            sizes[axis] = size * 1e6
    names = (told.get("ChannelColors") or {}).get("ColorNames") or ()
    return Scale(
        sizes,
        "micrometer" if sizes else None,
        interval=seconds(told.get("TimeIntervall"), "s"),
        channels=tuple(str(name) for name in names),
    )


def _of_stk(told: dict[str, Any]) -> Scale:
    """MetaMorph: sizes along X and Y, and a distance of planes where they have one."""
    unit = as_unit(str(told.get("CalibrationUnits") or ""))
    sizes = {}
    for axis in "XY":
        size = positive(told.get(f"{axis}Calibration"))
        if size is not None and unit is not None:
            sizes[axis] = size
    distances = np.atleast_1d(np.asarray(told.get("ZDistance", 0), np.float64))
    if sizes and distances.size and positive(distances.flat[0]) is not None:
        sizes["Z"] = float(distances.flat[0])
    return Scale(sizes, unit if sizes else None)


def _of_aperio(page: Any) -> Scale | None:
    """Aperio SVS: micrometres per pixel in the description."""
    found = re.search(r"\bMPP\s*=\s*([\d.]+)", str(page.description))
    size = positive(found.group(1)) if found else None
    return None if size is None else Scale({"X": size, "Y": size}, "micrometer")


def ome_scale(text: str, number: int = 0, name: str = "", count: int = 0) -> Scale:
    """Pixel size as OME-XML tells it of one image, in one unit.

    An axis without a unit has that of X or Y; where neither has one, it is the
    micrometre. Where only one of X and Y has a size, pixels are taken to be square.

    Parameters
    ----------
    text : str
        The XML.
    number : int
        Which image.
    name : str
        Its name, where there are others than in the file.
    count : int
        How many the file holds; 0: as many as the XML.
    """
    part = _image_in(text, number, name, count)
    pixels = _first_tag(part, "Pixels")
    sizes, units = {}, {}
    for axis in "XYZ":
        size = positive(_attribute(pixels, f"PhysicalSize{axis}"))
        if size is not None:
            sizes[axis] = size
            units[axis] = _attribute(pixels, f"PhysicalSize{axis}Unit")
    step = _attribute(pixels, "TimeIncrement")
    empty = Scale(
        {},
        interval=seconds(step, _attribute(pixels, "TimeIncrementUnit") or "s"),
        channels=_ome_channels(part),
    )
    if not sizes.keys() & {"X", "Y"}:
        return empty
    usual = units.get("X") or units.get("Y") or "µm"
    named = {axis: as_unit(word or usual) for axis, word in units.items()}
    found, unit = in_one_unit(sizes, named)
    assumed: tuple[str, ...] = ()
    for one, other in ("XY", "YX"):
        if one not in sizes:
            found[one] = found[other]
            assumed = (
                f"The file has no pixel size along {one}: that of {other} was taken.",
            )
    return replace(empty, sizes=found, unit=unit, assumed=assumed)


def _image_in(text: str, number: int, name: str, count: int) -> str:
    """The part of the XML that is about one image: sizes belong to theirs."""
    parts = re.split(r"<(?:\w+:)?Image\b", text)
    if len(parts) < 2:
        return text
    images = parts[1:]
    if count in (0, len(images)) and number < len(images):
        return images[number]
    alike = [part for part in images if _attribute(_head(part), "Name") == name]
    return alike[0] if len(alike) == 1 else ""


def _head(part: str) -> str:
    return part.partition(">")[0]


def _first_tag(text: str, name: str) -> str:
    found = re.search(rf"<(?:\w+:)?{name}\b[^>]*", text)
    return found.group(0) if found else ""


def _ome_channels(part: str) -> tuple[str, ...]:
    tags = re.findall(r"<(?:\w+:)?Channel\b[^>]*", part)
    names = tuple(_attribute(tag, "Name") or "" for tag in tags)
    return names if any(names) else ()


def _attribute(text: str, name: str) -> str | None:
    found = re.search(rf"\b{name}=([\"'])(.*?)\1", text)
    return html.unescape(found.group(2)).strip() or None if found else None
