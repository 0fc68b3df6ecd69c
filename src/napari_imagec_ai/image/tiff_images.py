"""Opens TIFF files: one way for small and large ones, pyramids, tiles and series."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.image.from_file import FromFile
from napari_imagec_ai.image.meant_pixels import AsSeen
from napari_imagec_ai.image.scenes import choose_scene
from napari_imagec_ai.image.tiff_colours import meaning_of
from napari_imagec_ai.image.tiff_tags import Scale, orientation_of, scale_of

SUFFIXES = (
    *(".tif", ".tiff", ".tf8", ".tf2", ".btf", ".ptif", ".ptiff", ".lsm", ".stk"),
    *(".svs", ".ndpi", ".scn", ".bif", ".qptiff", ".qpi", ".gel", ".avs", ".zif"),
)
"""What names of TIFF files end with."""


@dataclass(frozen=True, slots=True, eq=False)
class TiffImage:
    """One image of a TIFF file.

    Attributes
    ----------
    data : array-like
        An array, or what is read where it is needed.
    letters : str
        Axes as tifffile names them, without those of size 1 that say nothing; S are
        colours.
    written : bool
        Whether somebody wrote the axes down.
    scale : Scale
        Pixel size, interval and channel names.
    assumed : tuple of str
        Sentences.
    """

    data: Any
    letters: str
    written: bool
    scale: Scale
    assumed: tuple[str, ...]


def read_tiff(
    path: Path, large: int, scene: int | str | None = None, squeeze: bool = True
) -> TiffImage:
    """Open one image of a TIFF file, in full resolution.

    Parameters
    ----------
    path : Path
        The file.
    large : int
        Bytes from which on pixels are read where they are needed.
    scene : int or str, optional
        Which image: its number from 0, or its name. The first by default.
    squeeze : bool
        Leave out axes of size 1 that nobody wrote down.

    Raises
    ------
    ImageError
        If there is no such image, or its colours are not known.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        everything = file.series
        names = [_name(file, number) for number in range(len(everything))]
        number, said = choose_scene(path.name, names, scene)
        series = everything[number]
        letters, told = series.axes, _axes_in_tags(file, number)
        shape = series.shape
        if told is not None and letters != told and not file.shaped_metadata:
            # Axes of size 1 that tifffile leaves out, and that are named.
            letters, shape = series.get_axes(False), series.get_shape(False)
        meaning = meaning_of(series.keyframe, file, path.name)
        scale = scale_of(file, number)
        said += (*meaning.assumed, *_missing(series, path.name))
        said += orientation_of(series.keyframe, path.name)
        dropped: tuple[int, ...] = ()
        if squeeze and letters != told:
            dropped = tuple(
                i
                for i, (size, letter) in enumerate(zip(shape, letters, strict=True))
                if size == 1 and letter not in (told or "YX")
            )
        is_large = series.nbytes > large
        data = _lazily(path, series, number, shape) if is_large else series.asarray()
    data = np.asarray(data).reshape(shape) if not is_large else data
    if dropped or meaning.change is not None:
        data = AsSeen(data, dropped, meaning.change, meaning.dtype, meaning.colours)
    letters = "".join(one for i, one in enumerate(letters) if i not in dropped)
    letters += "S" if meaning.colours else ""
    return TiffImage(
        data if is_large else np.asarray(data), letters, letters == told, scale, said
    )


def names_in(path: Path) -> tuple[str, ...]:
    """Names of the images in a TIFF file; empty where one has none."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        return tuple(_name(file, number) for number in range(len(file.series)))


def _name(file: Any, number: int) -> str:
    """Of an image, where the file has one that somebody gave."""
    name = str(file.series[number].name or "").strip()
    several = len(file.series) > 1
    return name if several and (file.is_ome or name != f"Series{number}") else ""


def _axes_in_tags(file: Any, number: int) -> str | None:
    """Axes that somebody wrote down, with those of size 1.

    In OME and ImageJ files every image has all axes, so those of size 1 say nothing,
    but where another word of the description names them.
    """
    metadata = file.shaped_metadata
    if metadata and number < len(metadata):
        return str(metadata[number].get("axes"))
    imagej = file.imagej_metadata or {}
    return str(imagej["axes"]) if "axes" in imagej and not number else None


def _missing(series: Any, name: str) -> tuple[str, ...]:
    """Planes that other files should hold, and that are read as zeros."""
    absent = sum(page is None for page in series.pages)
    if not absent:
        return ()
    return (
        (
            f"{absent} of the {len(series.pages)} planes of '{name}' lie in files "
            "that are not here: they were taken as black."
        ),
    )


def _lazily(path: Path, series: Any, number: int, shape: tuple[int, ...]) -> Any:
    """The pixels of a large TIFF, read where they are needed."""
    import tifffile
    import zarr

    if series.dataoffset is not None:  # in one piece, and not compressed
        order = series.keyframe.parent.byteorder
        dtype = np.dtype(series.dtype).newbyteorder(order)
        return FromFile(path, series.dataoffset, tuple(shape), dtype)
    # The level is named, as of a pyramid there would be a group of all of them.
    file = tifffile.TiffFile(path)
    store: Any = file.series[number].aszarr(level=0, squeeze=shape == series.shape)
    data = zarr.open(store, mode="r")
    weakref.finalize(data, _closed, store, file)
    return data


def _closed(store: Any, file: Any) -> None:
    store.close()
    file.close()
