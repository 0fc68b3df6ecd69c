"""Opens zarr folders: plain arrays, and OME-Zarr with its axes and pixel size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput

_USUAL = {2: "YX", 3: "ZYX"}


def open_zarr(path: Path, axes: str | None = None) -> ImageInput:
    """Open a zarr folder, without reading its pixels.

    Parameters
    ----------
    path : Path
        An array, or a group with ``multiscales`` as OME-Zarr has (NGFF 0.4 and 0.5);
        its finest level is taken.
    axes : str, optional
        One letter of ``TCZYX`` for each dimension, instead of what the group says.

    Raises
    ------
    ImageError
        If it holds no image.
    """
    import zarr

    try:
        found = zarr.open(str(path), mode="r")
        sizes: dict[str, float] = {}
        unit = None
        if isinstance(found, zarr.Group):
            scales = _multiscales(path, found)
            axes = axes or "".join(_letter(axis) for axis in scales["axes"])
            level = scales["datasets"][0]
            sizes, unit = _scale(level, scales["axes"])
            found = found[level["path"]]
    except ImageError:
        raise
    except Exception as error:  # those of stores and codecs have no common root
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ImageError(
            f"'{path.name}' cannot be read ({first[:200]}); it may be damaged."
        ) from error
    if axes is None:
        if len(found.shape) not in _USUAL:
            raise ImageError(
                f"'{path.name}' has {len(found.shape)} dimensions {found.shape} and "
                "does not say what they are; name them, such as --axes TZYX."
            )
        axes = _USUAL[len(found.shape)]
    space = [axis for axis in axes.upper() if axis in "ZYX"]
    return ImageInput(
        found,
        axes,
        pixel_size=tuple(sizes.get(axis, 1.0) for axis in space) if space else None,
        unit=unit,
        name=path.name.removesuffix(".zarr").removesuffix(".ome"),
        key=(str(path.resolve()), path.stat().st_mtime_ns, axes),
    )


def _multiscales(path: Path, group: Any) -> Mapping[str, Any]:
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    listed = ome.get("multiscales") if isinstance(ome, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise ImageError(
            f"'{path.name}' is a zarr group without an image: expected 'multiscales' "
            "as in OME-Zarr; name the array in it."
        )
    first: Mapping[str, Any] = listed[0]
    return first


def _letter(axis: Any) -> str:
    return str(axis["name"] if isinstance(axis, Mapping) else axis)[:1].upper()


def _scale(level: Mapping[str, Any], axes: Any) -> tuple[dict[str, float], str | None]:
    """Pixel size by axis, and the unit of X."""
    numbers: list[Any] = []
    for step in level.get("coordinateTransformations", ()):
        if step.get("type") == "scale":
            numbers = step["scale"]
    letters = [_letter(axis) for axis in axes]
    sizes = {
        letter: float(number)
        for letter, number in zip(letters, numbers, strict=False)
        if letter in "ZYX" and float(number) > 0
    }
    units = [axis.get("unit") for axis in axes if isinstance(axis, Mapping)]
    unit = units[-1] if sizes and units else None
    return sizes, None if unit is None else str(unit)
