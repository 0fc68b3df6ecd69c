"""Opens image files, with the axes and the pixel size that they tell."""

from __future__ import annotations

import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image import ImageInput
from napari_imagec_ai.zarrfile import open_zarr

_LARGE = 1 << 28
"""Bytes of an image from which on it is read where it is needed."""

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy")
"""Files that can be opened."""

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


def open_image(path: str | Path, axes: str | None = None) -> ImageInput:
    """Open an image file.

    Parameters
    ----------
    path : path
        TIFF (also ImageJ and OME), PNG, JPEG, BMP, numpy's ``.npy``, or a ``.zarr``
        folder (an array, or OME-Zarr, whose finest level is taken). Large files are
        read where they are needed, and never as a whole.
    axes : str, optional
        One letter of ``TCZYX`` for each dimension, instead of what the file says.

    Raises
    ------
    ImageError
        If the file cannot be read, or its axes are not known.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".zarr" and path.is_dir():
        return open_zarr(path, axes)
    if not path.is_file():
        raise ImageError(f"There is no image '{path}'; check the name.")
    if suffix not in SUFFIXES:
        raise ImageError(
            f"'{path.name}' has no known image format; expected one of "
            f"{', '.join((*SUFFIXES, '.zarr'))}."
        )
    try:
        if suffix in (".tif", ".tiff"):
            return _open_tiff(path, axes)
        if suffix == ".npy":
            large = path.stat().st_size > _LARGE
            data = np.load(path, "r" if large else None, allow_pickle=False)
            guessed = axes is None and data.ndim > 2
            if axes is None:
                data = np.squeeze(data) if data.ndim > 3 else data
                axes = _usual_axes(path, data.shape)
            return _image(path, data, axes, guessed=guessed)
        return _open_picture(path, axes)
    except ImageError:
        raise
    except Exception as error:  # the readers' errors have no common root
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ImageError(
            f"'{path.name}' cannot be read ({first[:200]}); it may be damaged."
        ) from error


def _open_tiff(path: Path, axes: str | None) -> ImageInput:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        data = _lazily(path, series) if series.nbytes > _LARGE else series.asarray()
        letters, sizes, unit = series.axes, *_tiff_scale(file)
    guessed = False
    rgb = "S" in letters and data.shape[letters.find("S")] in (3, 4)
    letters = letters.replace("S", "C") if "C" not in letters else letters
    if axes is None:
        data, letters = _squeezed(data, letters)
        # Q and I: the file does not say what the axis is.
        axes = letters.replace("Q", "Z", 1).replace("I", "Z", 1)
        if set(axes) - set("TCZYX"):
            axes = _usual_axes(path, data.shape)
        guessed = axes != letters
    return _image(path, data, axes, sizes, unit, rgb, guessed)


def _lazily(path: Path, series: Any) -> Any:
    """The pixels of a large TIFF, read where they are needed."""
    import tifffile
    import zarr

    if series.dataoffset is not None:  # in one piece, and not compressed
        return tifffile.memmap(path, mode="r")
    store: Any = tifffile.imread(path, aszarr=True)
    data = zarr.open(store, mode="r")
    weakref.finalize(data, store.close)
    return data


def _squeezed(data: Any, letters: str) -> tuple[Any, str]:
    """Drop axes of size 1 other than Y and X."""
    for i in reversed(range(len(letters))):
        if data.shape[i] == 1 and letters[i] not in "YX":
            data, letters = _dropped(data, i), letters[:i] + letters[i + 1 :]
    return data, letters


def _dropped(data: Any, axis: int) -> Any:
    if isinstance(data, np.ndarray):
        return data.squeeze(axis)
    import dask.array

    return dask.array.from_array(data, chunks=data.chunks).squeeze(axis)


def _tiff_scale(file: Any) -> tuple[dict[str, float], str | None]:
    """Pixel size by axis, and its unit, from OME, ImageJ or plain TIFF tags."""
    if file.ome_metadata:
        return _ome_scale(file.ome_metadata)
    # Files that tifffile wrote, such as our own labels, tell it in the same words.
    imagej: dict[str, Any] = file.imagej_metadata or (file.shaped_metadata or ({},))[0]
    tags = file.pages[0].tags
    sizes = {}
    for axis, name in (("X", "XResolution"), ("Y", "YResolution")):
        tag = tags.get(name)
        if tag is not None and tag.value[0] > 0 and tag.value[1] > 0:
            sizes[axis] = tag.value[1] / tag.value[0]
    unit = _unit(str(imagej.get("unit", "")).replace("\\u00B5", "µ"))
    if unit is None:
        # Dots per inch without ImageJ's word for the unit are about printing.
        return {}, None
    if "spacing" in imagej:
        sizes["Z"] = float(imagej["spacing"])
    return sizes, unit


def _ome_scale(text: str) -> tuple[dict[str, float], str | None]:
    sizes = {}
    for axis in "XYZ":
        found = re.search(rf'\bPhysicalSize{axis}="([^"]+)"', text)
        if found:
            sizes[axis] = float(found.group(1))
    unit = re.search(r'\bPhysicalSizeXUnit="([^"]+)"', text)
    return sizes, _unit(unit.group(1) if unit else "µm") if sizes else None


def _unit(word: str) -> str | None:
    return _UNITS.get(word.strip(), word.strip() or None)


def _open_picture(path: Path, axes: str | None) -> ImageInput:
    import imageio.v3 as iio

    # From bytes: of a file that it cannot open, imageio forgets to close the handle.
    data = np.asarray(iio.imread(path.read_bytes(), plugin="pillow"))
    if data.ndim == 3 and data.shape[-1] == 2:  # grey and alpha
        data = data[..., 0]
    rgb = axes is None and data.ndim == 3 and data.shape[-1] in (3, 4)
    if rgb and all(np.array_equal(data[..., 0], data[..., i]) for i in (1, 2)):
        data, rgb = data[..., 0], False
    return _image(path, data, axes or ("YXC" if rgb else "YX"), rgb=rgb)


def _usual_axes(path: Path, shape: tuple[int, ...]) -> str:
    usual = {2: "YX", 3: "ZYX"}
    if len(shape) not in usual:
        raise ImageError(
            f"'{path.name}' has {len(shape)} dimensions {shape} and does not say what "
            "they are; name them, such as --axes TZYX."
        )
    return usual[len(shape)]


def _guess(path: Path, axes: str) -> str:
    return (
        f"'{path.name}' does not say what its axes are: {axes} was taken; name them "
        "with --axes where that is wrong."
    )


def _image(
    path: Path,
    data: Any,
    axes: str,
    sizes: dict[str, float] | None = None,
    unit: str | None = None,
    rgb: bool = False,
    guessed: bool = False,
) -> ImageInput:
    # Axes that the person names may still be wrong: ImageInput checks them.
    known = sizes or {}
    space = [axis for axis in axes.upper() if axis in "ZYX"]
    return ImageInput(
        data,
        axes,
        pixel_size=tuple(known.get(axis, 1.0) for axis in space) if space else None,
        unit=unit,
        name=path.stem,
        rgb=rgb and "C" in axes.upper(),
        assumed=(_guess(path, axes),) if guessed and len(axes) > 2 else (),
        key=(str(path.resolve()), path.stat().st_mtime_ns, axes),
    )
