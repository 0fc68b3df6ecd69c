"""Image files that are damaged, are something else, or lie."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faults.fault import Case, Fault, Make, use
from faults.networks import tiny_model
from faults.weights import DAMAGE

SUFFIXES = (
    ".tif",
    ".tiff",
    ".ome.tif",
    ".png",
    ".jpg",
    ".bmp",
    ".npy",
    ".zarr",
    ".gif",
)

_MOST = 1 << 18
"""Pixels of an image that is run."""


def _tiffs() -> Iterator[tuple[str, bytes]]:
    import tifffile

    grey = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24)
    byte = grey.astype(np.uint8)
    colours = np.random.default_rng(0).integers(0, 65535, (3, 256), np.uint16)
    written: dict[str, tuple[Any, dict[str, Any]]] = {
        "plain": (grey, {}),
        "tiled": (grey, {"tile": (16, 16), "compression": "zlib"}),
        "stack": (np.stack([grey] * 3), {"photometric": "minisblack"}),
        "ome": (np.stack([grey] * 3), {"ome": True, "metadata": {"axes": "ZYX"}}),
        "imagej": (np.stack([grey] * 2), {"imagej": True}),
        "big": (grey, {"bigtiff": True, "byteorder": ">"}),
        "float16": (grey.astype(np.float16), {}),
        "complex": (grey.astype(np.complex64), {}),
        "rgb": (np.stack([byte] * 3, -1), {"photometric": "rgb"}),
        "inks": (np.stack([byte] * 4, -1), {"photometric": "separated"}),
        "palette": (byte, {"photometric": "palette", "colormap": colours}),
        "white": (byte, {"photometric": "miniswhite"}),
        "one": (grey[:1, :1], {}),
        "many": (np.zeros((2, 3, 2, 20, 24), np.uint8), {}),
    }
    for name, (data, options) in written.items():
        stream = io.BytesIO()
        tifffile.imwrite(stream, data, **options)
        yield f"{name}.tif", stream.getvalue()


def _pictures() -> Iterator[tuple[str, bytes]]:
    from PIL import Image

    byte = np.arange(20 * 24, dtype=np.uint8).reshape(20, 24)
    base = Image.fromarray(byte)
    for mode, kinds in (
        ("1", ("png", "bmp")),
        ("L", ("png", "jpeg", "bmp")),
        ("P", ("png", "bmp")),
        ("LA", ("png",)),
        ("RGB", ("png", "jpeg", "bmp")),
        ("RGBA", ("png",)),
        ("I;16", ("png",)),
        ("CMYK", ("jpeg",)),
    ):
        for kind in kinds:
            stream = io.BytesIO()
            base.convert(mode).save(stream, kind)
            yield f"{mode}.{kind}", stream.getvalue()


def _arrays() -> Iterator[tuple[str, bytes]]:
    grey = np.arange(20 * 24, dtype=np.float32).reshape(20, 24)
    for name, data in {
        "grey": grey,
        "fortran": np.asfortranarray(grey),
        "swapped": grey.astype(">f4"),
        "number": np.float32(3),
        "row": grey[0],
        "none": grey[:0],
        "stack": np.stack([grey] * 2),
        "five": grey[None, None, None],
        "objects": np.array([[{}]], object),
        "fields": np.zeros((4, 4), "i4,f4"),
        "words": np.array([["a"]]),
        "complex": grey.astype(np.complex64),
    }.items():
        stream = io.BytesIO()
        np.save(stream, data, allow_pickle=True)
        yield f"{name}.npy", stream.getvalue()
    stream = io.BytesIO()
    np.savez(stream, a=grey)
    yield "npz.npy", stream.getvalue()


def _stores(folder: Path) -> list[Path]:
    import zarr

    grey = np.arange(20 * 24, dtype=np.uint16).reshape(20, 24)
    made = []
    for version in (2, 3):
        plain = folder / f"plain{version}.zarr"
        zarr.create_array(plain, data=grey, chunks=(8, 8), zarr_format=version)
        group = folder / f"group{version}.zarr"
        root = zarr.open_group(group, mode="w", zarr_format=version)
        root.create_array("0", data=grey, chunks=(8, 8))
        scale = [{"type": "scale", "scale": [0.5, 0.5]}]
        multiscales = [
            {
                "axes": [{"name": axis, "type": "space"} for axis in "yx"],
                "datasets": [{"path": "0", "coordinateTransformations": scale}],
            }
        ]
        told = {"multiscales": multiscales}
        root.attrs.update(told if version == 2 else {"ome": told})
        container = folder / f"container{version}.zarr"
        top = zarr.open_group(container, mode="w", zarr_format=version)
        wells = {"plate": {"wells": [{"path": "A/1"}]}} if version == 2 else {}
        layout = {"bioformats2raw.layout": 3, **wells}
        top.attrs.update(layout if version == 2 else {"ome": layout})
        well = top.require_group("A/1" if version == 2 else "0")
        if version == 2:
            well.attrs["well"] = {"images": [{"path": "0"}]}
            well = well.create_group("0")
        well.create_array("0", data=grey, chunks=(8, 8))
        well.attrs.update(told if version == 2 else {"ome": told})
        made += [plain, group, container]
    return made


def prepare(folder: Path) -> Make:
    """Cases that are opened and, where there is an image, run."""
    import napari_imagec_ai as ai

    model, engine = tiny_model(folder / "model")
    files = [*_tiffs(), *_pictures(), *_arrays()]
    stores = _stores(folder)

    def look(path: Path, axes: str | None, scene: str | None) -> None:
        image = ai.open_image(path, axes, scene)
        if np.prod(image.shape) <= _MOST:
            use(ai.predict(model, image, engine=engine))

    def make(chance: random.Random) -> Case:
        axes = chance.choice((None, None, None, "YX", "ZYX", "YXC", "Q", ""))
        scene = chance.choice((None, None, None, None, "0", "1", "A/1/0"))
        if chance.random() < 0.15:
            store = chance.choice(stores)
            name = _damage_store(store, folder / "store.zarr", chance)
            return Case(name, lambda: look(folder / "store.zarr", axes, scene))
        stem, data = chance.choice(files)
        suffix = Path(stem).suffix
        if chance.random() < 0.2:
            suffix = chance.choice(SUFFIXES)
        path = folder / f"image{suffix}"
        how = chance.choice((*DAMAGE, None))
        if chance.random() < 0.03:
            data = b""
        path.write_bytes(how(data, chance) if how and data else data)
        told = f"{stem} as {suffix}, {how.__name__ if how else 'whole'}, {axes}"
        return Case(told, lambda: look(path, axes, scene))

    return make


def _damage_store(store: Path, place: Path, chance: random.Random) -> str:
    """A copy of a zarr folder with one file damaged or gone."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(store, place)
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    files += [
        path for path in files if path.suffix == ".json" or path.name[0] == "."
    ] * 3
    file = chance.choice(files)
    damages: tuple[Callable[..., bytes], ...] = DAMAGE
    damage = chance.choice((None, _edited, _edited, *damages))
    if damage is None:
        file.unlink()
        return f"{store.name} without {file.name}"
    file.write_bytes(damage(file.read_bytes(), chance))
    return f"{store.name}, {file.name}, {damage.__name__}"


def _edited(data: bytes, chance: random.Random) -> bytes:
    """A description in JSON with an absurd value."""
    import json

    from faults.values import spoil

    try:
        return json.dumps(spoil(json.loads(data), chance)[0], default=str).encode()
    except (ValueError, TypeError):  # no JSON, or what JSON cannot say
        return data[: len(data) // 2]


FILES = Fault("images, files", prepare, count=2000, quick=60)
