"""Opens zarr folders: arrays, OME-Zarr images, and fields of containers and plates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.scenes import choose_scene, listed
from napari_imagec_ai.image.unreadable import cannot_be_read
from napari_imagec_ai.image.zarr_axes import Axes, axes_of_array, axes_of_scales

_USUAL = {2: "YX", 3: "ZYX"}

_MARKS = (".zgroup", ".zarray", ".zattrs", "zarr.json")
"""Files that make a folder one of zarr."""


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group, whatever its name."""
    return any((path / mark).is_file() for mark in _MARKS)


def open_zarr(
    path: Path, axes: str | None = None, scene: int | str | None = None
) -> ImageInput:
    """Open a zarr folder, without reading its pixels.

    Parameters
    ----------
    path : Path
        An array, a group with ``multiscales`` as OME-Zarr has (NGFF 0.1 to 0.5), whose
        finest level is taken, or a container of such groups: of bioformats2raw, a well.
    axes : str, optional
        One letter of ``TCZYX`` for each dimension, instead of what the group says.
    scene : int or str, optional
        Which image of a container or plate: its path in it, or its number.

    Raises
    ------
    ImageError
        If it holds no image, or no such scene.
    """
    try:
        array, told, said = _found(path, scene)
    except ImageError:
        raise
    except Exception as error:  # those of stores and codecs have no common root
        raise ImageError(cannot_be_read(path.name, error)) from error
    axes = axes or told.letters
    if not axes:
        if len(array.shape) not in _USUAL:
            raise ImageError(
                f"'{path.name}' has {len(array.shape)} dimensions {array.shape} and "
                "does not say what they are; name them, such as --axes TZYX."
            )
        axes = _USUAL[len(array.shape)]
    space = [axis for axis in axes.upper() if axis in "ZYX"]
    lacking = "".join(axis for axis in space if axis not in told.sizes)
    return ImageInput(
        array,
        axes,
        pixel_size=tuple(told.sizes.get(axis, 1.0) for axis in space) or None,
        unit=told.unit,
        name=name_of(path),
        assumed=said,
        key=(str(path.resolve()), path.stat().st_mtime_ns, axes, str(scene or "")),
        unsized=lacking if told.unit else "",
        interval=told.interval if "T" in axes.upper() else None,
        channel_names=told.channels,
        file=file_of(path),
    )


def name_of(path: Path) -> str:
    """Name of an image; of a field in a container: with the way to it."""
    first, *rest = file_of(path).split("/")
    return "_".join([first.removesuffix(".zarr").removesuffix(".ome"), *rest])


def file_of(path: Path) -> str:
    """Name of an image's file; of a field in a container: with the way to it."""
    parts = [path.name]
    for folder in path.parents:
        if not is_zarr(folder):
            break
        parts.insert(0, folder.name)
    return "/".join(parts)


def stem_of(path: Path) -> str:
    """What names of result files begin with: no two fields of a container share it."""
    first, *rest = file_of(path).split("/")
    return "_".join([Path(first).stem, *rest])


def fields_of(path: Path) -> list[Path]:
    """The fields of a plate or a well, which are images of a batch; else nothing.

    Raises
    ------
    ImageError
        If the folder is damaged.
    """
    if not path.is_dir() or not is_zarr(path):
        return []
    import zarr

    try:
        group = zarr.open(str(path), mode="r")
        if not isinstance(group, zarr.Group):
            return []
        told = _told(group)
        if "plate" in told or "well" in told:
            return [path / field for field in _fields(group, told)]
    except Exception as error:  # those of stores and codecs have no common root
        raise ImageError(cannot_be_read(path.name, error)) from error
    return []


def names_in(path: Path) -> tuple[str, ...]:
    """Names of the images in a container, a well or a plate; empty for one image."""
    import zarr

    group = zarr.open(str(path), mode="r")
    if not isinstance(group, zarr.Group) or "multiscales" in _told(group):
        return ()
    return tuple(_fields(group, _told(group)))


def _found(path: Path, scene: int | str | None) -> tuple[Any, Axes, tuple[str, ...]]:
    """The array that is meant, what is known of its axes, and what is said of it."""
    import zarr

    found = zarr.open(str(path), mode="r")
    said: tuple[str, ...] = ()
    if isinstance(found, zarr.Group) and "multiscales" not in _told(found):
        found, said = _field(path, found, scene)
        scene = None
    if isinstance(found, zarr.Group):
        scales = _told(found).get("multiscales")
        if not isinstance(scales, list) or not scales:
            raise _no_image(path, found)
        names = [str(one.get("name") or "") for one in scales]
        number, more = choose_scene(path.name, names, scene)
        chosen = scales[number]
        array = found[chosen["datasets"][0]["path"]]
        told = axes_of_scales(chosen, _told(found).get("omero"), len(array.shape))
        return array, told, (*said, *more)
    choose_scene(path.name, ("",), scene)
    return found, axes_of_array(found), said


def _told(group: Any) -> Mapping[str, Any]:
    """What OME says of a group: its attributes, from version 0.5 on below ``ome``."""
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    return ome if isinstance(ome, Mapping) else {}


def _field(
    path: Path, group: Any, scene: int | str | None
) -> tuple[Any, tuple[str, ...]]:
    """One image of a container."""
    told = _told(group)
    fields = _fields(group, told)
    if not fields:
        raise _no_image(path, group)
    if scene is None and "plate" in told:
        raise ImageError(
            f"'{path.name}' is a plate of {len(fields)} fields, where one image was "
            f"expected: {listed(fields)}; open one of them, such as "
            f"{path.name}/{fields[0]}."
        )
    number, said = choose_scene(path.name, fields, scene)
    if scene is None and not said:
        said = (f"'{path.name}' holds one image, '{fields[0]}', which was taken.",)
    found = group[fields[number]]
    deeper = _told(found) if hasattr(found, "attrs") else {}
    if "well" in deeper and "multiscales" not in deeper:
        return _field(path / fields[number], found, None)
    return found, said


def _fields(group: Any, told: Mapping[str, Any]) -> list[str]:
    """Paths of the images in a container, in its own order."""
    if isinstance(plate := told.get("plate"), Mapping):
        fields = []
        for well in plate.get("wells") or ():
            place = str(well["path"])
            if place in group:
                inner = _fields(group[place], _told(group[place]))
                fields += [f"{place}/{field}" for field in inner]
        return fields
    if isinstance(well := told.get("well"), Mapping):
        return [str(image["path"]) for image in well.get("images") or ()]
    series = told.get("series")
    if series is None and "OME" in group:  # where bioformats2raw tells its order
        series = _told(group["OME"]).get("series")
    if isinstance(series, Sequence) and not isinstance(series, str):
        return [str(one) for one in series if str(one) in group]
    if isinstance(labels := told.get("labels"), list):
        return [str(one) for one in labels]
    return sorted(
        (name for name, inner in group.groups() if "multiscales" in _told(inner)),
        key=lambda name: (
            not name.isdecimal(),
            int(name) if name.isdecimal() else 0,
            name,
        ),
    )


def _no_image(path: Path, group: Any) -> ImageError:
    inside = sorted(name for name, _ in group.members())
    holds = f"; it holds {', '.join(inside[:12])}" if inside else ""
    return ImageError(
        f"'{path.name}' is a zarr group without an image: expected 'multiscales' "
        f"as in OME-Zarr{holds}; name the array or the field in it."
    )
