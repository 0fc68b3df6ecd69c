"""Which planes of an image are meant, as a person writes it."""

from __future__ import annotations

from collections.abc import Mapping

from napari_imagec_ai.errors import ImageError

Planes = Mapping[str, int | tuple[int, int]]
"""Along an axis that the network does not have: a position, or (start, stop)."""


def planes_from_text(text: str, along: str) -> dict[str, int | tuple[int, int]]:
    """Planes as a person writes them: ``3``, ``2-5`` with both ends, ``T=0, Z=2-5``.

    Parameters
    ----------
    text : str
        What was written.
    along : str
        Axes that it may speak of; where there is one, it need not be named.

    Raises
    ------
    ImageError
        If it cannot be understood.
    """
    planes: dict[str, int | tuple[int, int]] = {}
    try:
        for part in text.split(","):
            name, sign, span = part.rpartition("=")
            axis = name.strip().upper() if sign else along
            first, dash, last = span.partition("-")
            if len(axis) != 1 or axis not in along:
                raise ValueError
            planes[axis] = (int(first), int(last) + 1) if dash else int(first)
    except ValueError:
        named = ", ".join(f"{axis}=2-5" for axis in along)
        raise ImageError(
            f"Expected planes such as {named}, found '{text}'; count from 0."
        ) from None
    return planes
