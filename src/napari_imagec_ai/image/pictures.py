"""Reads pictures: PNG, JPEG, JPEG 2000 and BMP, with as many bits as they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.tiff_tags import orientation_said

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF_ORIENTATION = 0x0112


def read_picture(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read a picture.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    pixels, said
        (Y, X) or (Y, X, C), and sentences on what was assumed.
    """
    # From bytes: of a file that it cannot open, imageio forgets to close the handle.
    source = path.read_bytes()
    said: tuple[str, ...] = ()
    if _is_deep_png(source):
        from imagecodecs import png_decode

        # Pillow, and imageio with it, makes 8 bits of colours with 16.
        data = np.asarray(png_decode(source))
    elif path.suffix.lower() in (".jp2", ".j2k"):
        from imagecodecs import jpeg2k_decode

        data = np.asarray(jpeg2k_decode(source))
    else:
        data, said = _by_pillow(source, path.name)
    if data.ndim == 3 and data.shape[-1] in (1, 2):  # grey and alpha
        data = data[..., 0]
    return data, said


def _is_deep_png(source: bytes) -> bool:
    """Whether a PNG says in its header that it has 16 bits for each colour."""
    return source.startswith(_PNG) and source[12:16] == b"IHDR" and source[24] == 16


def _by_pillow(source: bytes, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    import imageio.v3 as iio

    meta = iio.immeta(source, plugin="pillow")
    stored = meta.get("mode")
    mode = "RGB" if stored in ("CMYK", "YCbCr", "LAB", "HSV") else None
    return np.asarray(iio.imread(source, plugin="pillow", mode=mode)), orientation_said(
        _orientation(source), name
    )


def _orientation(source: bytes) -> int:
    """EXIF's orientation; 0 where there is none, or what is there is damaged."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(source)) as picture:
            return int(picture.getexif().get(_EXIF_ORIENTATION, 0))
    except Exception:  # noqa: BLE001 - a damaged note beside good pixels stops nobody
        return 0
