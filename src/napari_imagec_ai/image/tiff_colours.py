"""What the numbers in a TIFF mean: grey values, colours, or places in a palette."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImageError

_WHITE_IS_ZERO, _PALETTE, _INKS, _LUMA = 0, 3, 5, 6
_OTHER_COLOURS = {8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "mosaic"}
"""Values of the tag PhotometricInterpretation."""

_TO_RGB = {6, 7, 33003, 33005, 34712, 34892, 33007, 34933, 34934}
"""Ways of compression whose decoders give red, green and blue for YCbCr."""

Pixels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Meaning:
    """How stored numbers become pixels.

    Attributes
    ----------
    change : callable or None
        Made of each part that is read; None: numbers are pixels.
    dtype : dtype or None
        Of the result, where it is another.
    colours : int
        Size of the axis that is added at the end; 0: none.
    assumed : tuple of str
        Sentences.
    """

    change: Callable[[Pixels], Pixels] | None = None
    dtype: Any = None
    colours: int = 0
    assumed: tuple[str, ...] = ()


def meaning_of(page: Any, file: Any, name: str) -> Meaning:
    """Pixels as they would be seen: white above black, colours as red, green, blue.

    Parameters
    ----------
    page : tifffile.TiffPage
        Of the image.
    file : tifffile.TiffFile
        The open file.
    name : str
        Of the file, for messages.

    Raises
    ------
    ImageError
        If the colours are not red, green and blue, and no palette of them.
    """
    value = int(getattr(page, "photometric", 1))
    what = _OTHER_COLOURS.get(value, "printing inks (CMYK)" if value == _INKS else "")
    if value == _LUMA and int(page.compression) not in _TO_RGB:
        what = "luminance and colour differences (YCbCr)"
    if what:
        raise ImageError(
            f"'{name}' has its colours as {what}, where grey values or red, green and "
            "blue were expected; convert it to RGB first."
        )
    if value == _WHITE_IS_ZERO:
        return _inverting(page, name)
    # ImageJ's palette is how grey values are shown, and no colours.
    if value == _PALETTE and not file.imagej_metadata and page.colormap is not None:
        return _painting(page, name)
    return Meaning()


def _inverting(page: Any, name: str) -> Meaning:
    said = (f"White is 0 in '{name}': it was inverted.",)
    dtype = np.dtype(page.dtype)
    if dtype.kind == "b":
        return Meaning(np.logical_not, assumed=said)
    if dtype.kind != "u":
        raise ImageError(
            f"'{name}' says that white is 0, but has {dtype} pixels, where whole "
            "numbers from 0 were expected; invert and save it as grey values first."
        )
    bits = page.bitspersample
    bits = bits if isinstance(bits, int) else dtype.itemsize * 8
    white = dtype.type((1 << bits) - 1)
    return Meaning(lambda data: np.asarray(white - data), assumed=said)


def _painting(page: Any, name: str) -> Meaning:
    """Colours of a palette, which has 16 bits for each, on a last axis."""
    colours = (np.asarray(page.colormap) >> 8).astype(np.uint8)
    damaged = f"'{name}' has a damaged palette; convert it to RGB first."
    if np.dtype(page.dtype).kind != "u":
        raise ImageError(damaged)

    def painted(data: Pixels) -> Pixels:
        if data.max(initial=0) >= colours.shape[1]:
            raise ImageError(damaged)
        return np.moveaxis(colours[:, data], 0, -1)

    return Meaning(painted, np.uint8, len(colours))
