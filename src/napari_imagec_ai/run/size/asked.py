"""What a person says about the size of objects."""

from __future__ import annotations

import math
from typing import Literal

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput

ObjectSize = float | Literal["auto", "as described"]
"""Diameter in pixels of the image; ``auto``: found out; ``as described``: as it is."""

WORDS = ("auto", "as described")


def check_size(size: object) -> ObjectSize | None:
    """A size as it was given, checked.

    Raises
    ------
    ImageError
        If it is neither a word that is known nor a diameter.
    """
    if size is None or size in WORDS:
        return size  # type: ignore[return-value]
    number = isinstance(size, (int, float)) and not isinstance(size, bool)
    if not number or not math.isfinite(size) or size <= 0:  # type: ignore[arg-type,operator]
        raise ImageError(
            f"Expected the diameter of an object in pixels (above 0), 'auto' or "
            f"'as described' for the object size, found {size!r:.40}."
        )
    return float(size)  # type: ignore[arg-type]


def size_from_text(text: str) -> ObjectSize:
    """A size as a person writes it: ``92``, ``auto`` or ``as-described``.

    Raises
    ------
    ImageError
        If it cannot be understood.
    """
    word = text.strip().lower().replace("-", " ").replace("_", " ")
    try:
        size = word if word in WORDS else float(text)
    except ValueError:
        raise ImageError(
            f"Expected the diameter of an object in pixels, 'auto' or 'as-described' "
            f"for the object size, found '{text}'."
        ) from None
    found = check_size(size)
    assert found is not None
    return found


def check_fits(size: float, image: ImageInput) -> None:
    """Refuse a diameter that no object in the image can have.

    Raises
    ------
    ImageError
        If it is larger than the image.
    """
    height, width = image.size("Y"), image.size("X")
    if size > max(height, width):
        raise ImageError(
            f"Expected an object size of at most {max(height, width)} pixels, the "
            f"longer side of '{image.name}' ({width} x {height}), found {size:g}; give "
            "the diameter of one object in pixels of the image."
        )
