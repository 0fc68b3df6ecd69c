"""Opens image files, with the axes and the pixel size that they tell."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image import tiff_images, zarr_images
from napari_imagec_ai.image.from_file import array_in
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.pictures import read_picture
from napari_imagec_ai.image.scenes import choose_scene
from napari_imagec_ai.image.tiff_tags import Scale
from napari_imagec_ai.image.unreadable import cannot_be_read
from napari_imagec_ai.image.zarr_images import is_zarr, open_zarr

_LARGE = 1 << 28
"""Bytes of an image from which on it is read where it is needed."""

SUFFIXES = (
    *tiff_images.SUFFIXES,
    *(".png", ".jpg", ".jpeg", ".jp2", ".j2k", ".bmp", ".npy"),
)
"""Files that can be opened."""

KINDS = "TIFF, PNG, JPEG, JPEG 2000, BMP, .npy, OME-Zarr"
"""The same in words."""


def open_image(
    path: str | Path, axes: str | None = None, scene: int | str | None = None
) -> ImageInput:
    """Open an image file.

    Parameters
    ----------
    path : path
        TIFF (also ImageJ, OME, LSM, STK and slides), PNG, JPEG, JPEG 2000, BMP,
        numpy's ``.npy``, or a ``.zarr`` folder: an array, OME-Zarr, whose finest level
        is taken, or a field in a container or plate (``plate.zarr/A/1/0``). Other
        files, and those that turn out to be of another kind, are opened by the readers
        of installed napari plugins, which ``assumed`` tells. Large files are
        read where they are needed, and never as a whole.
    axes : str, optional
        One letter of ``TCZYX`` for each dimension, instead of what the file says.
    scene : int or str, optional
        Which image of a file that holds several (positions, series, fields): its name,
        or its number from 0. By default the first, which ``assumed`` tells.

    Returns
    -------
    ImageInput
        Axes of size 1 are there only where somebody wrote them down, as
        ``tifffile.imwrite(..., metadata={"axes": "ZYX"})`` does: OME and ImageJ files
        have all axes, whether they mean them or not.

    Raises
    ------
    ImageError
        If the file cannot be read, has no such scene, or its axes are not known.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if os.path.isdir(path) and (suffix == ".zarr" or is_zarr(path)):
        return open_zarr(path, axes, scene)
    if os.path.isdir(path):
        raise ImageError(
            f"Expected an image, found the folder '{path}'; give one of its images."
        )
    if not os.path.isfile(path):
        raise ImageError(f"There is no image '{path}'; check the name.")
    if suffix not in SUFFIXES:
        return _of_other_kind(path, axes, scene)
    try:
        return _open_known(path, suffix, axes, scene)
    except ImageError:
        raise
    except Exception as error:  # the readers' errors have no common root
        found, _ = _by_plugins(path, axes, scene, napari=False)
        if found is not None:
            return found
        raise ImageError(cannot_be_read(path.name, error)) from error


def scene_names(path: str | Path) -> tuple[str, ...]:
    """Names of the images in a file, in order, where it holds several.

    One may have no name. Files that cannot be read hold none.
    """
    path = Path(path)
    try:
        if os.path.isdir(path):
            found = zarr_images.names_in(path) if is_zarr(path) else ()
        elif path.suffix.lower() in tiff_images.SUFFIXES:
            found = tiff_images.names_in(path)
        else:
            found = ()
    except Exception:  # noqa: BLE001 - the readers' errors have no common root
        return ()
    return found if len(found) > 1 else ()


def _open_known(
    path: Path, suffix: str, axes: str | None, scene: int | str | None
) -> ImageInput:
    if suffix in tiff_images.SUFFIXES:
        return _open_tiff(path, axes, scene)
    choose_scene(path.name, ("",), scene)
    if suffix == ".npy":
        data: Any = array_in(path) if path.stat().st_size > _LARGE else None
        if data is None:
            data = np.load(path, allow_pickle=False)
        if not hasattr(data, "shape"):
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
    data, said = read_picture(path)
    rgb = axes is None and data.ndim == 3 and data.shape[-1] in (3, 4)
    if rgb and all(np.array_equal(data[..., 0], data[..., i]) for i in (1, 2)):
        data, rgb = data[..., 0], False
    image = _image(path, data, axes or ("YXC" if rgb else "YX"), rgb=rgb)
    return replace(image, assumed=(*image.assumed, *said))


def _of_other_kind(path: Path, axes: str | None, scene: int | str | None) -> ImageInput:
    found, problem = _by_plugins(path, axes, scene)
    if found is not None:
        return found
    raise ImageError(
        f"'{path.name}' has no known image format"
        f"{f', and {problem}' if problem else ''}; expected {KINDS}, or what an "
        "installed reader of napari opens: save it as TIFF, or install its reader."
    )


def _by_plugins(
    path: Path, axes: str | None, scene: int | str | None, napari: bool = True
) -> tuple[ImageInput | None, str]:
    """What is tried where this room knows no better; npe2 takes time to import."""
    from napari_imagec_ai.image.napari_readers import read_with_plugins

    return read_with_plugins(path, axes, napari, scene)


def _open_tiff(path: Path, axes: str | None, scene: int | str | None) -> ImageInput:
    found = tiff_images.read_tiff(path, _LARGE, scene, squeeze=axes is None)
    data, letters, shape = found.data, found.letters, found.data.shape
    guessed = False
    rgb = "S" in letters and shape[letters.find("S")] in (3, 4)
    letters = letters.replace("S", "C") if "C" not in letters else letters
    if axes is None:
        # Q and I: the file does not say what the axis is.
        axes = letters.replace("Q", "Z", 1).replace("I", "Z", 1)
        if set(axes) - set("TCZYX"):
            axes = _usual_axes(path, shape)
        guessed = axes != letters
    image = _image(path, data, axes, found.scale, rgb, guessed, scene)
    said = (*image.assumed, *found.assumed, *found.scale.assumed)
    return replace(image, assumed=(*said, *without_depth(image, path.name)))


def without_depth(image: ImageInput, name: str) -> tuple[str, ...]:
    """A sentence on a stack that does not say how far its planes are apart."""
    if "Z" not in image.unsized:
        return ()
    return (
        (
            f"'{name}' does not say how far its planes are apart (Z): sizes along it "
            "stay in planes, volumes in voxels; tell it with --pixel-size."
        ),
    )


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
    scale: Scale | None = None,
    rgb: bool = False,
    guessed: bool = False,
    scene: int | str | None = None,
) -> ImageInput:
    # Axes that the person names may still be wrong: ImageInput checks them.
    scale = scale or Scale({})
    space = [axis for axis in axes.upper() if axis in "ZYX"]
    lacking = [axis for axis in space if axis not in scale.sizes]
    return ImageInput(
        data,
        axes,
        pixel_size=tuple(scale.sizes.get(axis, 1.0) for axis in space) or None,
        unit=scale.unit,
        name=path.stem,
        rgb=rgb and "C" in axes.upper(),
        assumed=(_guess(path, axes),) if guessed and len(axes) > 2 else (),
        key=(str(path.resolve()), path.stat().st_mtime_ns, axes, str(scene or "")),
        unsized="".join(lacking) if scale.unit else "",
        interval=scale.interval if "T" in axes.upper() else None,
        channel_names=scale.channels,
        file=path.name,
    )
