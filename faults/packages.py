"""Packages, recipes and stored predictions that are damaged or mean harm."""

from __future__ import annotations

import io
import json
import random
import shutil
import stat
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from faults.descriptions import TEXT, dumped
from faults.fault import Case, Fault, Lost, Make, use
from faults.networks import describe, write_onnx
from faults.values import any_digits, spoil
from faults.weights import DAMAGE

MODELS = Path(__file__).resolve().parents[1] / "models"


def _tiny(folder: Path) -> Path:
    place = folder / "tiny"
    place.mkdir()
    write_onnx(place / "weights.onnx")
    (place / "rdf.yaml").write_text(yaml.safe_dump(describe(), sort_keys=False))
    return place


# -- zips ------------------------------------------------------------------------------

NAMES = (
    "../escaped.txt",
    "..\\escaped.txt",
    "a/../../escaped.txt",
    f"{tempfile.gettempdir()}/faults-escaped.txt",
    "C:\\escaped.txt",
    "C:escaped.txt",
    "\\\\server\\escaped.txt",
    "model/./../../escaped.txt",
    "....//escaped.txt",
    "weights.onnx/inside.txt",
    "rdf.yaml",
    "rdf.yaml/",
    ".",
    "..",
    "a" * 300,
    "a/" * 200 + "b",
    "a/" * 3000,
    "\u202eexe.txt",
    "con",
    "a\0b.txt",
    "a\nb.txt",
    " ",
)


def _zip(entries: list[tuple[Any, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, content in entries:
                archive.writestr(name, content)
    return stream.getvalue()


def _link(target: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("rdf.yaml" if target.startswith("/etc") else "link")
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def _wicked(entries: list[tuple[Any, bytes]], chance: random.Random) -> bytes:
    """A package with something in it that must not be unpacked."""
    number = chance.randrange(9)
    if number == 0:
        more: list[tuple[Any, bytes]] = [(f"{n}.txt", b"") for n in range(20_000)]
    elif number == 1:
        more = [("bomb.bin", bytes(50 << 20))]
    elif number == 2:
        target = chance.choice(("/etc/passwd", "../..", "rdf.yaml", "/"))
        more = [(_link(target), target.encode()), ("link/escaped.txt", b"x")]
    elif number == 3:
        more = [(chance.choice(NAMES), b"x") for _ in range(3)]
    elif number == 4:
        more = [("inner.zip", _zip(entries)), ("rdf.yaml", b"type: model")]
    elif number == 5:
        device = zipfile.ZipInfo("device")
        device.create_system, device.external_attr = 3, (stat.S_IFBLK | 0o777) << 16
        more = [(device, b"x")]
    elif number == 6:
        more = entries * 3
    else:
        return _rewritten(_zip(entries), chance)
    data = _zip([*entries, *more])
    return data if chance.random() < 0.7 else _rewritten(data, chance)


def _rewritten(data: bytes, chance: random.Random) -> bytes:
    """Flags and sizes in the directory that are not true."""
    changed = bytearray(data)
    starts = [i for i in range(len(data) - 46) if data[i : i + 4] == b"PK\1\2"]
    at = chance.choice(starts)
    place, value, form = chance.choice(
        (
            (8, 1, "<H"),  # encrypted
            (8, 0x41, "<H"),
            (10, chance.choice((1, 6, 9, 12, 14, 93, 99)), "<H"),  # method
            (16, 0, "<I"),  # checksum
            (20, chance.choice((0, 1, 1 << 31)), "<I"),
            (24, chance.choice((0, 1, 1 << 20, (1 << 32) - 1)), "<I"),
            (28, chance.choice((0, 2, 5000)), "<H"),
            (42, chance.choice((0, 1, 1 << 30)), "<I"),
        )
    )
    struct.pack_into(form, changed, at + place, value)
    if chance.random() < 0.4:  # a name that is no UTF-8, though it says so
        changed[at + 9] |= 8
        changed[at + 46] = 0xFF
    if place in (8, 10):  # the entry itself says the same
        (start,) = struct.unpack_from("<I", data, at + 42)
        struct.pack_into(form, changed, start + place - 2, value)
    return bytes(changed)


def zips(folder: Path) -> Make:
    """Packages that are listed, opened and installed."""
    import platformdirs

    import napari_imagec_ai as ai
    from napari_imagec_ai.library.folders import install

    cache = folder / "inside" / "cache"
    platformdirs.user_cache_dir = lambda *a, **k: str(cache)
    tiny = _tiny(folder)
    entries: list[tuple[Any, bytes]] = [
        (path.name, path.read_bytes()) for path in sorted(tiny.iterdir())
    ]
    nested = [(f"tiny/{name}", content) for name, content in entries]
    package = folder / "package.zip"

    def open_it() -> None:
        inside = folder / "inside"
        shutil.rmtree(inside, ignore_errors=True)
        before = sorted(folder.iterdir())
        try:
            ai.load_model(package)
            install(package, inside / "models")
        finally:
            strays = set(folder.iterdir()) - {*before, inside}
            strays |= set(Path(tempfile.gettempdir()).glob("faults-escaped*"))
            links = [path for path in inside.rglob("*") if path.is_symlink()]
            if strays or links:
                raise Lost(f"written outside: {[*strays, *links]}")
            left = [path for path in inside.rglob(".*") if path.is_dir()]
            if left:
                raise Lost(f"left behind: {left}")

    def make(chance: random.Random) -> Case:
        base = chance.choice((entries, nested))
        if chance.random() < 0.6:
            data, name = _wicked(base, chance), "wicked"
        else:
            damage = chance.choice(DAMAGE)
            methods = (zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
            packed = _zip(base, chance.choice((zipfile.ZIP_DEFLATED, *methods)))
            data, name = damage(packed, chance), damage.__name__
        package.write_bytes(data)
        return Case(name, open_it)

    return make


# -- recipes ---------------------------------------------------------------------------


def recipes(folder: Path) -> Make:
    """Recipes that are read, and run where they can be."""
    import napari_imagec_ai as ai
    from napari_imagec_ai.recipes.recipe import Recipe, describe_model
    from napari_imagec_ai.results.class_map import ClassMap, ClassRule
    from napari_imagec_ai.results.filters import Filter
    from napari_imagec_ai.run.settings import RunSettings

    model = ai.load_model(_tiny(folder))
    rule = ClassRule(
        source="thing", becomes="cell", filters=(Filter(feature="area", minimum=2.0),)
    )
    whole = Recipe(
        model=describe_model(model),
        predict=RunSettings(tile=(32,), channels=(0,), planes={}, halo=(4,)),
        decoder="unet",
        settings={"mask_threshold": 0.4},
        classes=ClassMap(rules=(rule,)),
    )
    text = whole.text().encode()
    tree = yaml.safe_load(text)
    pixels = np.random.default_rng(0).random((40, 48), np.float32)
    image = ai.ImageInput(pixels, "YX")
    path = folder / "recipe.yaml"

    def run() -> None:
        recipe = Recipe.load(path)
        recipe.save(folder / "again.yaml")
        recipe.run(image)

    def make(chance: random.Random) -> Case:
        if chance.random() < 0.3:
            change: Callable[..., bytes] = chance.choice(TEXT)
            data, name = change(text, chance), change.__name__.strip("_")
        else:
            changed, name = spoil(tree, chance, chance.choice((1, 1, 2)))
            data = dumped(changed)
        path.write_bytes(data)
        return Case(name, run)

    return make


# -- stored predictions ----------------------------------------------------------------


def predictions(folder: Path) -> Make:
    """Predictions of a map and of a detector, changed on the disk."""
    import napari_imagec_ai as ai
    from napari_imagec_ai.image.samples import sample_image
    from napari_imagec_ai.results.prediction import Prediction

    pixels = np.random.default_rng(0).random((40, 48), np.float32)
    tiny = ai.load_model(_tiny(folder))
    ai.predict(tiny, ai.ImageInput(pixels, "YX")).save(folder / "0.npz")
    cells = ai.load_model(MODELS / "cells-yolov5seg")
    square = np.asarray(sample_image("cells").data)[:320, :320]
    ai.predict(cells, ai.ImageInput(square, "YX")).save(folder / "1.npz")
    sources = [(folder / f"{n}.npz").read_bytes() for n in (0, 1)]
    path = folder / "changed.npz"

    def run() -> None:
        use(Prediction.load(path))

    def make(chance: random.Random) -> Case:
        source = chance.choice(sources)
        if chance.random() < 0.25:
            damage = chance.choice(DAMAGE)
            data, name = damage(source, chance), damage.__name__
        else:
            data, name = _restored(source, chance)
        path.write_bytes(data)
        return Case(name, run)

    return make


def _restored(source: bytes, chance: random.Random) -> tuple[bytes, str]:
    """A whole zip of arrays, one of which is another one."""
    with zipfile.ZipFile(io.BytesIO(source)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(["meta.npy", "meta.npy", *entries])
    array = np.load(io.BytesIO(entries[name]))
    if name == "meta.npy":
        meta, told = spoil(json.loads(array.tobytes()), chance)
        with any_digits():
            text = json.dumps(meta, default=str)
        array = np.frombuffer(text.encode(), np.uint8)
        entries[name] = _stored(array)
        return _zip(list(entries.items())), f"meta, {told}"
    how = chance.choice(("gone", "shape", "type", "objects", "huge", "nan", "empty"))
    if how == "gone":
        del entries[name]
    elif how == "shape":
        shapes = (array.reshape(-1), array[None], array[:1], array[..., :3], array.T)
        entries[name] = _stored(chance.choice(shapes))
    elif how == "type":
        kind = chance.choice(("complex64", "U4", "int8", "bool", ">f8", "float16"))
        entries[name] = _stored(array.astype(kind))
    elif how == "objects":
        entries[name] = _stored(np.array([{"a": 1}, None], object))
    elif how == "huge":
        shape = str(array.shape).encode()
        huge = chance.choice((b"(99999999, 99999999)", b"(-1,)", b"(1, 2, 3, 4, 5)"))
        entries[name] = entries[name].replace(shape, huge, 1)
    elif how == "nan" and array.dtype.kind == "f":
        entries[name] = _stored(np.full_like(array, chance.choice((np.nan, np.inf))))
    else:
        entries[name] = _stored(array[:0])
    return _zip(list(entries.items())), f"{name} {how}"


def _stored(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


ZIPS = Fault("packages (zip)", zips, count=600, quick=25)
RECIPES = Fault("recipes", recipes, count=1000, quick=60)
PREDICTIONS = Fault("stored predictions", predictions, count=1000, quick=50)
