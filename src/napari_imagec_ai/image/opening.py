"""Opens image files, with the axes and the pixel size that they tell."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.tiff_tags import as_meant, scale_of
from napari_imagec_ai.image.zarr_images import open_zarr

_LARGE = 1 << 28
"""Bytes of an image from which on it is read where it is needed."""

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy")
"""Files that can be opened."""


def open_image(path: str | Path, axes: str | None = None) -> ImageInput:
    """Open an image file.

    Parameters
    ----------
    path : path
        TIFF (also ImageJ and OME), PNG, JPEG, BMP, numpy's ``.npy``, or a ``.zarr``
        folder (an array, or OME-Zarr, whose finest level is taken). Other files, and
        those that turn out to be of another kind, are opened by the readers of
        installed napari plugins, which ``assumed`` tells. Large files are
        read where they are needed, and never as a whole.
    axes : str, optional
        One letter of ``TCZYX`` for each dimension, instead of what the file says.

    Returns
    -------
    ImageInput
        Axes of size 1 are there only where somebody wrote them down, as
        ``tifffile.imwrite(..., metadata={"axes": "ZYX"})`` does: OME and ImageJ files
        have all axes, whether they mean them or not.

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
        return _of_other_kind(path, axes)
    try:
        return _open_known(path, suffix, axes)
    except ImageError:
        raise
    except Exception as error:  # the readers' errors have no common root
        found, _ = _by_plugins(path, axes, napari=False)
        if found is not None:
            return found
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ImageError(
            f"'{path.name}' cannot be read ({first[:200]}); it may be damaged."
        ) from error


def _open_known(path: Path, suffix: str, axes: str | None) -> ImageInput:
    if suffix in (".tif", ".tiff"):
        return _open_tiff(path, axes)
    if suffix == ".npy":
        large = path.stat().st_size > _LARGE
        data = np.load(path, "r" if large else None, allow_pickle=False)
        if not isinstance(data, np.ndarray):
            data.close()
            raise ImageError(
                f"'{path.name}' holds several arrays (npz), where one was "
                "expected; save the image alone, with numpy.save."
            )
        guessed = axes is None and data.ndim > 2
        if axes is None:
            data = np.squeeze(data) if data.ndim > 3 else data
            axes = _usual_axes(path, data.shape)
        return _image(path, data, axes, guessed=guessed)
    return _open_picture(path, axes)


def _of_other_kind(path: Path, axes: str | None) -> ImageInput:
    found, problem = _by_plugins(path, axes)
    if found is not None:
        return found
    raise ImageError(
        f"'{path.name}' has no known image format"
        f"{f', and {problem}' if problem else ''}; expected one of "
        f"{', '.join((*SUFFIXES, '.zarr'))}, or what an installed reader of napari "
        "opens."
    )


def _by_plugins(
    path: Path, axes: str | None, napari: bool = True
) -> tuple[ImageInput | None, str]:
    """What is tried where this room knows no better; npe2 takes time to import."""
    from napari_imagec_ai.image.napari_readers import read_with_plugins

    return read_with_plugins(path, axes, napari)


def _open_tiff(path: Path, axes: str | None) -> ImageInput:
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        letters, scale = series.axes, scale_of(file)
        told = _axes_in_tags(file)
        if series.nbytes > _LARGE:
            data, assumed = _lazily(path, series), _not_as_meant(file, path.name)
        else:
            data, coloured, assumed = as_meant(series.asarray(), file, path.name)
            letters += "S" * coloured
    guessed = False
    rgb = "S" in letters and data.shape[letters.find("S")] in (3, 4)
    letters = letters.replace("S", "C") if "C" not in letters else letters
    if axes is None:
        if letters != told:
            data, letters = _squeezed(data, letters)
        # Q and I: the file does not say what the axis is.
        axes = letters.replace("Q", "Z", 1).replace("I", "Z", 1)
        if set(axes) - set("TCZYX"):
            axes = _usual_axes(path, data.shape)
        guessed = axes != letters
    image = _image(path, data, axes, scale.sizes, scale.unit, rgb, guessed)
    return replace(image, assumed=(*image.assumed, *assumed, *scale.assumed))


def _axes_in_tags(file: Any) -> str | None:
    """Axes that somebody wrote down, with those of size 1.

    In OME and ImageJ files every image has all axes, so those of size 1 say nothing.
    """
    metadata = file.shaped_metadata
    return str(metadata[0].get("axes")) if metadata else None


def _not_as_meant(file: Any, name: str) -> tuple[str, ...]:
    """Of a file that is too large to change its numbers: what they mean is told."""
    import tifffile

    few = np.zeros((1, 1), file.series[0].dtype)
    changed = as_meant(few, file, name)[1:]
    if changed == (False, ()):
        return ()
    kind = tifffile.PHOTOMETRIC(file.series[0].keyframe.photometric).name
    return (f"The numbers of '{name}' were taken as they are, though it is {kind}.",)


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


def _open_picture(path: Path, axes: str | None) -> ImageInput:
    import imageio.v3 as iio

    # From bytes: of a file that it cannot open, imageio forgets to close the handle.
    source = path.read_bytes()
    stored = iio.immeta(source, plugin="pillow").get("mode")
    mode = "RGB" if stored in ("CMYK", "YCbCr", "LAB", "HSV") else None
    data = np.asarray(iio.imread(source, plugin="pillow", mode=mode))
    if data.ndim == 3 and data.shape[-1] == 2:  # grey and alpha
        data = data[..., 0]
    rgb = axes is None and data.ndim == 3 and data.shape[-1] in (3, 4)
    if rgb and all(np.array_equal(data[..., 0], data[..., i]) for i in (1, 2)):
        data, rgb = data[..., 0], False
    return _image(path, data, axes or ("YXC" if rgb else "YX"), rgb=rgb)


def _usual_axes(path: Path, shape: tuple[int, ...]) -> str:
    usual = {2: "YX", 3: "ZYX"}
    if len(shape) < 2:
        raise ImageError(
            f"'{path.name}' has the shape {shape}, which is no image; expected two or "
            "more dimensions, Y and X among them."
        )
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
