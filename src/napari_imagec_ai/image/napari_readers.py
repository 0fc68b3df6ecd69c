"""Opens what napari's installed readers open, without napari's window.

Readers are found with npe2; a plugin is imported only when it is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.scenes import choose_scene
from napari_imagec_ai.image.stack import stack_channels
from napari_imagec_ai.image.units import as_unit, in_one_unit, seconds

_USUAL = {2: "YX", 3: "ZYX", 4: "TZYX"}

_CODE = (".py",)
"""napari's own reader would run them."""

_NAPARI = "napari"
"""The plugin with napari's own readers."""


def read_with_plugins(
    path: Path,
    axes: str | None = None,
    napari: bool = True,
    scene: int | str | None = None,
) -> tuple[ImageInput | None, str]:
    """Open an image file with the first reader that can.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        One letter of ``TCZYX`` for each dimension, instead of what the reader says.
    napari : bool
        Try napari's own readers, too.
    scene : int or str, optional
        Which of several images: its name, or its number from 0.

    Returns
    -------
    image, problem
        The image, with a sentence in ``assumed`` on which reader opened it; or None,
        and the readers that were tried and could not, as words for a sentence.

    Raises
    ------
    ImageError
        If a reader opened it, but its axes are not known or do not fit.
    """
    failed = []
    for name, reader in _fitting(path) if path.suffix.lower() not in _CODE else ():
        if name == _NAPARI and not napari:
            continue
        try:
            found = _layers(reader, str(path))
        except Exception as error:  # noqa: BLE001 - other people's code may raise anything
            lines = str(error).strip().splitlines() or [type(error).__name__]
            failed.append(f"the reader of '{name}' failed ({lines[0][:200]})")
            continue
        if found:
            said = f"'{path.name}' was opened by the reader of '{name}'."
            return _image(path, found, axes, said, scene), ""
        failed.append(f"the reader of '{name}' found no image in it")
    return None, "; ".join(dict.fromkeys(failed))


def _fitting(path: Path) -> Iterator[tuple[str, Any]]:
    """Readers that say they take such a file, with the names of their plugins."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    for reader in manager.iter_compatible_readers([str(path)]):
        yield reader.command.partition(".")[0], reader


def _layers(reader: Any, path: str) -> list[tuple[Any, dict[str, Any]]]:
    """Pixels and what is known of them, for each image that a reader finds."""
    read = reader.exec(kwargs={"path": [path], "stack": False})
    answer = read([path], stack=False) if read is not None else None
    found = []
    for layer in answer or ():
        data, *rest = layer if isinstance(layer, tuple) else (layer,)
        meta = dict(rest[0] or {}) if rest else {}
        kind = rest[1] if len(rest) > 1 else "image"
        if data is None or str(kind).lower() != "image":
            continue
        several = meta.get("multiscale")
        if several or (several is None and isinstance(data, (list, tuple))):
            data = data[0]  # the finest level
        found.append((data if hasattr(data, "dtype") else np.asarray(data), meta))
    return found


def _image(
    path: Path,
    found: Sequence[tuple[Any, Mapping[str, Any]]],
    axes: str | None,
    said: str,
    scene: int | str | None,
) -> ImageInput:
    """One image: of several, channels where they are of one size, else the first."""
    images = [_single(path, data, meta, axes, said) for data, meta in found]
    first = images[0]
    alike = len(images) > 1 and all(
        "C" not in one.axes and (one.axes, one.shape) == (first.axes, first.shape)
        for one in images
    )
    names = [str(meta.get("name") or "") for _, meta in found]
    if alike and scene is None:
        joined = stack_channels([(one, None) for one in images], first.name)
        named = names if all(names) else ()
        return replace(joined, assumed=first.assumed, channel_names=tuple(named))
    number, more = choose_scene(path.name, names, scene)
    chosen = images[number]
    return _with(chosen, (*chosen.assumed, *more))


def _with(image: ImageInput, assumed: tuple[str, ...]) -> ImageInput:
    return replace(image, assumed=assumed)


def _single(
    path: Path, data: Any, meta: Mapping[str, Any], axes: str | None, said: str
) -> ImageInput:
    """One answer of a reader, with axes and pixel size as its metadata say them."""
    rgb = _is_rgb(data, meta)
    if axes is None:
        data = _squeezed(data, meta, rgb)
    ndim = len(data.shape)
    channel = meta.get("channel_axis")
    channel = None if channel is None else int(channel) % ndim
    own = [i for i in range(ndim - rgb) if i != channel]
    assumed = [said]
    if axes is None:
        letters = _letters(meta.get("axis_labels"), own, ndim - rgb)
        if not letters:
            letters = _guessed(path, len(own))
            assumed += [_guess(path, letters)] if len(own) > 2 else []
        order = dict(zip(own, letters, strict=True))
        axes = "".join(order.get(i, "C") for i in range(ndim))
    sizes = _of_axes(meta.get("scale"), own, ndim - rgb)
    named = axes.upper() if len(axes) == ndim else ""
    known = {named[i]: abs(float(n)) for i, n in sizes.items() if named}
    space = [axis for axis in axes.upper() if axis in "ZYX"]
    usable = all(known.get(axis, 1.0) > 0 for axis in space)
    units = _units(meta.get("units"), own, ndim - rgb) if usable else {}
    lengths = {named[i]: unit for i, unit in units.items() if named}
    interval = seconds(known.get("T"), lengths.get("T") or "none")
    known, unit = in_one_unit(known if usable else {}, lengths)
    return ImageInput(
        data,
        axes,
        pixel_size=tuple(known.get(axis, 1.0) for axis in space) or None,
        unit=unit,
        unsized="".join(a for a in space if a not in known) if unit else "",
        name=path.stem,
        rgb=rgb and named[-1:] == "C",
        assumed=tuple(assumed),
        key=(str(path.resolve()), path.stat().st_mtime_ns, axes, meta.get("name")),
        file=path.name,
        interval=interval,
    )


def _squeezed(data: Any, meta: Mapping[str, Any], rgb: bool) -> Any:
    """Without axes of size 1 that nobody says anything of."""
    told = any(
        meta.get(n) is not None for n in ("axis_labels", "channel_axis", "scale")
    )
    lead = range(len(data.shape) - 2 - rgb)
    single = tuple(i for i in lead if data.shape[i] == 1)
    if told or not single or not hasattr(data, "squeeze"):
        return data
    return data.squeeze(axis=single)


def _is_rgb(data: Any, meta: Mapping[str, Any]) -> bool:
    """Whether colours lie along the last axis: as told, else as napari guesses it."""
    told = meta.get("rgb")
    if told is not None or meta.get("channel_axis") is not None:
        return bool(told)
    colours = len(data.shape) > 2 and data.shape[-1] in (3, 4)
    return colours and np.dtype(data.dtype) == np.uint8


def _of_axes(values: Any, own: Sequence[int], ndim: int) -> dict[int, Any]:
    """A value for each axis but channels, from one for each or for all axes."""
    given = list(values) if values is not None and not isinstance(values, str) else []
    if len(given) == len(own):
        return dict(zip(own, given, strict=True))
    return {i: given[i] for i in own} if len(given) == ndim else {}


def _letters(labels: Any, own: Sequence[int], ndim: int) -> str:
    """Axes by their labels; empty where these do not say them."""
    found = _of_axes(labels, own, ndim)
    letters = "".join(str(label)[:1].upper() for label in found.values())
    unlike = len(set(letters)) == len(letters) == len(own)
    return letters if unlike and {"Y", "X"} <= set(letters) <= set("TCZYX") else ""


def _guessed(path: Path, ndim: int) -> str:
    if ndim not in _USUAL:
        raise ImageError(
            f"'{path.name}' has {ndim} dimensions and its reader does not say what "
            "they are; name them, such as --axes TCZYX."
        )
    return _USUAL[ndim]


def _guess(path: Path, letters: str) -> str:
    return (
        f"The reader of '{path.name}' does not say what its axes are: {letters} was "
        "taken; name them with --axes where that is wrong."
    )


def _units(units: Any, own: Sequence[int], ndim: int) -> dict[int, str | None]:
    """Units by axis; one word is that of all."""
    if units is None:
        return {}
    if isinstance(units, str):
        return dict.fromkeys(own, as_unit(units))
    return {i: as_unit(str(u)) for i, u in _of_axes(units, own, ndim).items()}
