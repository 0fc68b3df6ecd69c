"""Units of length and time: the one table that readers, writers and flags share.

Lengths are known by the names that OME-Zarr takes from UDUNITS-2, such as
``micrometer``; symbols are those of the OME schema (enumeration ``UnitsLength``).
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

from napari_imagec_ai.errors import ImageError


@dataclass(frozen=True, slots=True)
class Length:
    """A unit of length.

    Attributes
    ----------
    name : str
        As results call it.
    metres : float
        How long it is.
    symbol : str
        As OME writes it.
    in_zarr : bool
        Whether OME-Zarr lists it among its units of space.
    words : tuple of str
        Other spellings, in small letters and singular.
    """

    name: str
    metres: float
    symbol: str
    in_zarr: bool = True
    words: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """As ImageJ's files have it: in ASCII, as its own menus say it."""
        usual = {"micrometer": "um", "angstrom": "angstrom", "inch": "inch"}
        return usual.get(self.name, self.symbol)


_PREFIXES = (
    *(("yocto", "y", -24), ("zepto", "z", -21), ("atto", "a", -18)),
    *(("femto", "f", -15), ("pico", "p", -12), ("nano", "n", -9)),
    *(("micro", "µ", -6), ("milli", "m", -3), ("centi", "c", -2)),
    *(("deci", "d", -1), ("", "", 0), ("deca", "da", 1), ("hecto", "h", 2)),
    *(("kilo", "k", 3), ("mega", "M", 6), ("giga", "G", 9), ("tera", "T", 12)),
    *(("peta", "P", 15), ("exa", "E", 18), ("zetta", "Z", 21), ("yotta", "Y", 24)),
)

LENGTHS = {
    unit.name: unit
    for unit in (
        *(
            Length(f"{name}meter", 10.0**power, f"{symbol}m", name != "deca")
            for name, symbol, power in _PREFIXES
        ),
        Length("angstrom", 1e-10, "Å", True, ("å", "ångström", "ångstrom", "ang")),
        Length("thou", 2.54e-5, "thou", False, ("mil",)),
        Length("line", 0.0254 / 12, "li", False),
        Length("inch", 0.0254, "in", True, ("inche", "in.", '"')),
        Length("foot", 0.3048, "ft", True, ("feet",)),
        Length("yard", 0.9144, "yd"),
        Length("mile", 1609.344, "mi"),
        Length("point", 0.0254 / 72, "pt", False),
        Length("astronomical unit", 149_597_870_700.0, "ua", False, ("au",)),
        Length("light year", 9_460_730_472_580_800.0, "ly", False),
        Length("parsec", 3.0856775814913673e16, "pc"),
    )
}
"""Every unit of length that OME has, by name."""

_NONE = {"", "pixel", "px", "voxel", "vx", "reference frame", "none", "null", "unknown"}
"""Words that say that there is no unit."""

_EXACT = {unit.symbol: unit.name for unit in LENGTHS.values()}
_EXACT |= {"um": "micrometer", "u": "micrometer", "µ": "micrometer", "A": "angstrom"}
_LOOSE = {
    "micron": "micrometer",
    "um": "micrometer",
    # UTF-8 that somebody read as Latin-1, as many files have it.
    "âµm": "micrometer",
    "ã\x85": "angstrom",
    **{word: unit.name for unit in LENGTHS.values() for word in unit.words},
    **{name: name for name in LENGTHS},
}

SECONDS = {
    **dict.fromkeys(("s", "sec", "second", ""), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond"), 1e-3),
    **dict.fromkeys(("us", "µs", "usec", "microsecond"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanosecond"), 1e-9),
    **dict.fromkeys(("ps", "picosecond"), 1e-12),
    **dict.fromkeys(("cs", "centisecond"), 1e-2),
    **dict.fromkeys(("ds", "decisecond"), 1e-1),
    **dict.fromkeys(("ks", "kilosecond"), 1e3),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("h", "hr", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
}
"""How many seconds a unit of time has, by its spellings in singular."""


def as_unit(word: str | None) -> str | None:
    """The usual name of a unit of length.

    Parameters
    ----------
    word : str or None
        In any spelling: ``um``, ``µm`` with either micro sign, ``microns``, ``Å``.

    Returns
    -------
    str or None
        Such as ``micrometer``; None for pixels; a word that is in no table as it is.
    """
    given = _plain(word or "")
    if given in _EXACT:
        return _EXACT[given]
    small = given.lower().replace("metre", "meter")
    for one in (small, small.removesuffix("s")):
        if one in _NONE:
            return None
        if one in _LOOSE:
            return _LOOSE[one]
    exact = {symbol.lower(): name for symbol, name in reversed(_EXACT.items())}
    return exact.get(small, given)


def _plain(word: str) -> str:
    """A word with one micro sign, one Å, and ImageJ's escapes undone."""
    told = re.sub(
        r"\\[uU]([0-9a-fA-F]{4})", lambda found: chr(int(found.group(1), 16)), word
    )
    told = unicodedata.normalize("NFC", told).strip().strip("\0")
    return told.replace("μ", "µ")


def length(unit: str | None) -> Length | None:
    """The unit of that name or spelling; None: it is no known unit of length."""
    name = as_unit(unit)
    return None if name is None else LENGTHS.get(name)


def known_unit(word: str) -> str | None:
    """The name of a unit that a person gives; None for pixels.

    Raises
    ------
    ImageError
        If it is no unit of length.
    """
    name = as_unit(word)
    if name is not None and name not in LENGTHS:
        raise ImageError(
            f"Expected a unit of length such as micrometer, nm, mm or inch, found "
            f"'{word}'; write 'pixel' where there is none."
        )
    return name


def ratio(unit: str | None, other: str | None) -> float | None:
    """How many of ``other`` one ``unit`` is; None where one is no length."""
    first, second = length(unit), length(other)
    if first is None or second is None:
        return None
    return float(f"{first.metres / second.metres:.14g}")  # 1e-9 / 1e-6 is 0.001


def seconds(number: object, unit: str | None) -> float | None:
    """A step in time in seconds; None where it says none.

    Parameters
    ----------
    number : object
        As a file has it; what is no number above 0 says nothing.
    unit : str or None
        Of time; None: seconds.
    """
    step = positive(number)
    word = _plain(unit or "").lower()
    for one in (word, word.removesuffix("s")):
        if step is not None and one in SECONDS:
            return step * SECONDS[one]
    return None


def positive(value: object) -> float | None:
    """A number above 0, where a file tells one."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def in_one_unit(
    sizes: dict[str, float], units: dict[str, str | None]
) -> tuple[dict[str, float], str | None]:
    """Sizes of pixels along axes, all in the unit of X (or of Y).

    Parameters
    ----------
    sizes : dict of str to float
        By axis.
    units : dict of str to (str or None)
        Names of units by axis; None: pixels.

    Returns
    -------
    sizes, unit
        Without the axes whose size is in no unit, where X and Y have one.
    """
    unit = units.get("X", units.get("Y"))
    found = {}
    for axis, size in sizes.items():
        own = units.get(axis)
        factor = 1.0 if own == unit else ratio(own, unit)
        if factor is not None:
            found[axis] = size * factor
    return found, unit
