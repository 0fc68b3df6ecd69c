"""Images of every kind of number, shape and memory, given as arrays and layers."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from faults.fault import Case, Fault, Lost, Make, use
from faults.networks import describe, tiny_model, write_onnx

MODELS = Path(__file__).resolve().parents[1] / "models"

NUMBERS = (
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64"),
    *("int64", "float16", "float32", "float64", "longdouble"),
)
"""Types that run."""

OTHERS = (
    "complex64",
    "complex128",
    "object",
    "U3",
    "S2",
    "datetime64[s]",
    "V4",
    "i4,f4",
)
"""Types that are refused."""

AXES = ("YX", "ZYX", "CYX", "YXC", "TYX", "TCYX", "CZYX", "TZYX", "XY", "TCZYX", "ZCXY")

WRONG_AXES = ("", "Y", "X", "YY", "QX", "YXYX", "zyx?", "TZCYXS", "BYX", "ÿX", "Y X")


# -- values ----------------------------------------------------------------------------


def _values(shape: tuple[int, ...], kind: str, chance: random.Random) -> Any:
    noise = np.random.default_rng(chance.randrange(1 << 30))
    data = np.asarray(noise.random(shape) * 200)
    if kind == "longdouble":
        return data.astype(np.longdouble)
    dtype = np.dtype(kind)
    if dtype.kind == "V":
        return np.zeros(shape, dtype)
    if dtype.kind in "M":
        return data.astype(np.int64).astype(dtype)
    return data.astype(dtype)


def _absurd(data: Any, chance: random.Random) -> tuple[Any, str]:
    """Some numbers, or all of them, replaced by ends of the type or by none."""
    odd: list[tuple[str, Any]] = [("0", 0), ("1", 1)]
    if data.dtype.kind == "f":
        ends = np.finfo(data.dtype)
        odd += [("nan", np.nan), ("inf", np.inf), ("-inf", -np.inf)]
        odd += [("max", ends.max), ("min", ends.min), ("tiny", ends.tiny)]
    elif data.dtype.kind in "iu":
        limits = np.iinfo(data.dtype)
        odd += [("max", limits.max), ("min", limits.min)]
    name, value = chance.choice(odd)
    data = data.copy()
    how = chance.choice(("all", "some", "one"))
    if how == "all":
        data[...] = value
    elif how == "some" and data.ndim:
        data[..., ::3] = value
    else:
        data.flat[chance.randrange(data.size)] = value
    return data, f"{how} {name}"


# -- memory ----------------------------------------------------------------------------


def _strided(data: Any, folder: Path) -> Any:
    wide = np.zeros((*data.shape[:-1], data.shape[-1] * 3), data.dtype)
    wide[..., ::3] = data
    return wide[..., ::3]


def _reversed(data: Any, folder: Path) -> Any:
    return data[..., ::-1].copy()[..., ::-1]


def _read_only(data: Any, folder: Path) -> Any:
    data = data.copy()
    data.flags.writeable = False
    return data


def _swapped(data: Any, folder: Path) -> Any:
    return data.astype(data.dtype.newbyteorder(">"))


def _unaligned(data: Any, folder: Path) -> Any:
    raw = np.frombuffer(b"\0" + data.tobytes(), np.uint8)[1:]
    return np.frombuffer(raw, data.dtype).reshape(data.shape)


def _dask(data: Any, folder: Path) -> Any:
    import dask.array

    return dask.array.from_array(data, chunks=7)


def _zarr(data: Any, folder: Path) -> Any:
    import zarr

    if data.dtype.name in ("longdouble", "float128"):
        return data
    return zarr.array(data, chunks=tuple(min(9, size) for size in data.shape))


def _memmap(data: Any, folder: Path) -> Any:
    np.save(folder / "mapped.npy", data)
    return np.load(folder / "mapped.npy", mmap_mode="r")


def _masked(data: Any, folder: Path) -> Any:
    return np.ma.masked_array(data)


FORMS: tuple[Callable[[Any, Path], Any], ...] = (
    lambda data, folder: data,
    lambda data, folder: np.asfortranarray(data),
    _strided,
    _reversed,
    _read_only,
    _swapped,
    _unaligned,
    _dask,
    _zarr,
    _memmap,
    _masked,
)


# -- cases -----------------------------------------------------------------------------


def _shape(axes: str, chance: random.Random) -> tuple[int, ...]:
    few = {"T": (1, 2), "C": (1, 2, 3, 4), "Z": (1, 2, 3)}
    sides = (1, 2, 3, 15, 16, 17, 33, 40)
    return tuple(chance.choice(few.get(axis, sides)) for axis in axes)


def _given_shape(axes: str, chance: random.Random) -> tuple[int, ...]:
    """Sizes, which now and then do not fit the axes, or are 0."""
    if chance.random() < 0.1:
        axes = chance.choice(AXES)
    shape = _shape(axes, chance)
    return (*shape[:-1], 0) if chance.random() < 0.05 else shape


def prepare(folder: Path) -> Make:
    """Cases for a tiny network, and sometimes for the bundled ones."""
    import yaml

    import napari_imagec_ai as ai
    from napari_imagec_ai.engines.opening_weights import open_engine

    for old in (False, True):
        place = folder / f"model{old:d}"
        place.mkdir()
        write_onnx(place / "weights.onnx")
        (place / "rdf.yaml").write_text(yaml.safe_dump(describe(old=old)))
    places = [folder / "model0", folder / "model1", *sorted(MODELS.iterdir())]
    models = [ai.load_model(place) for place in places if (place / "rdf.yaml").exists()]
    opened = [open_engine(model, "onnx", "cpu", isolated=False) for model in models]

    def run(image: Any, number: int) -> Any:
        prediction = ai.predict(models[number], image, engine=opened[number])
        use(prediction)
        return prediction

    def make(chance: random.Random) -> Case:
        number = chance.choice((0, 0, 0, 0, 1, 1, 1, 2, 2, 3))
        kind = chance.choice((*NUMBERS, *NUMBERS, *OTHERS))
        axes = chance.choice((*AXES, *AXES, *AXES, *WRONG_AXES))
        shape = _given_shape(axes, chance)
        data, told = np.asarray(_values(shape, kind, chance)), ""
        if chance.random() < 0.4 and data.size and kind in NUMBERS:
            data, told = _absurd(data, chance)
        form = chance.choice(FORMS if data.ndim else FORMS[:1])
        name = f"{kind} {axes} {shape} {told} {form.__name__}, model {number}"

        def try_it() -> None:
            given = form(data, folder) if kind in NUMBERS and data.size else data
            image = ai.ImageInput(given, axes)
            if kind in OTHERS:
                raise Lost(f"{kind} pixels were taken")
            before = data.copy()
            prediction = run(image, number)
            if not np.array_equal(before, data, equal_nan=data.dtype.kind == "f"):
                raise Lost("the image was changed")
            if given is not data and number < 2:
                plain = run(ai.ImageInput(data.copy(), axes), number)
                _compare(prediction, plain)

        return Case(name, try_it)

    return make


def _compare(one: Any, other: Any) -> None:
    """The same numbers give the same maps, however they lie in the memory."""
    for name, values in one.maps.items():
        if not np.allclose(values, other.maps[name], atol=1e-4, equal_nan=True):
            raise Lost(f"'{name}' depends on how the pixels lie in the memory")


# -- layers ----------------------------------------------------------------------------


def layers(folder: Path) -> Make:
    """Cases through napari's Image layers, as the widget takes them."""
    from napari.layers import Image

    import napari_imagec_ai as ai
    from napari_imagec_ai._napari.layers.from_napari import guess_axes, take

    model, engine = tiny_model(folder / "model")

    def make(chance: random.Random) -> Case:
        axes = chance.choice(AXES)
        kind = chance.choice(("bool", "uint8", "uint16", "float32", "float64", "int64"))
        data = _values(_shape(axes, chance), kind, chance)
        told = ""
        if chance.random() < 0.4:
            data, told = _absurd(data, chance)
        scale = [chance.choice((1, 0.5, -1, 1e-9, 1e9, 3)) for _ in data.shape]
        form = chance.choice(FORMS)
        named = chance.random() < 0.5
        name = f"{kind} {axes} {data.shape} {told} {form.__name__} {scale}"

        more: dict[str, Any] = {"axis_labels": tuple(axes)} if named else {}
        more |= {"rgb": False, "scale": scale}
        try:
            layer = Image(form(data, folder), **more)
        except Exception:  # noqa: BLE001 - what napari itself cannot show is no case
            layer = Image(data, **more)

        def try_it() -> None:
            source = take(layer, guess_axes(layer))
            use(ai.predict(model, source.image, engine=engine))

        return Case(name, try_it)

    return make


ARRAYS = Fault("images, arrays", prepare, count=2000, quick=60)
LAYERS = Fault("images, napari layers", layers, count=200, quick=16)
