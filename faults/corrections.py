"""Labels and outlines that came back from people and other programs, wrong."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from faults.arrays import FORMS
from faults.fault import Case, Fault, Lost, Make

_SIDE = 24


def _objects(shape: tuple[int, ...], axes: str) -> Any:
    from napari_imagec_ai.image.image_input import Frame
    from napari_imagec_ai.results.correction.read_back import read_labels

    labels = np.zeros(shape, np.int32)
    labels[..., 2:8, 3:9] = 1
    labels[..., 12:20, 10:17] = 2
    space = tuple(0.5 for axis in axes if axis in "ZYX")
    return read_labels(labels, Frame(axes, shape, space, "micrometer", "cells"))


def prepare(folder: Path) -> Make:
    """Cases on a plane, a stack and a movie."""
    import tifffile

    import napari_imagec_ai as ai

    known = [
        _objects((_SIDE, _SIDE), "YX"),
        _objects((3, _SIDE, _SIDE), "ZYX"),
        _objects((2, 2, _SIDE, _SIDE), "TZYX"),
    ]

    def labels(chance: random.Random) -> Case:
        before = chance.choice(known)
        like = chance.choice((before, before.frame))
        data, told = _labels(before.as_labels().copy(), chance)
        form = chance.choice(FORMS if data.ndim else FORMS[:1])
        as_file = chance.random() < 0.2 and data.dtype.kind in "uif" and data.size

        def run() -> None:
            given: Any = data if data.dtype.kind in "OMU" else form(data, folder)
            if as_file:
                given = folder / "labels.tif"
                tifffile.imwrite(given, data)
            image = None
            _sound(ai.read_labels(given, like, image=image))

        return Case(f"labels, {told}", run)

    def outlines(chance: random.Random) -> Case:
        before = chance.choice(known)
        like = chance.choice((before, before.frame))
        rings = [_ring(len(before.frame.axes), chance) for _ in range(3)]
        ids = chance.choice((None, [1, 2, 3], [1, 1, 1], _odd_ids(chance)))
        pixels = chance.choice((None, True, False))

        def run() -> None:
            _sound(ai.read_outlines(rings, like, ids=ids, pixels=pixels))

        return Case(f"outlines, ids {ids}, pixels {pixels}", run)

    def make(chance: random.Random) -> Case:
        return chance.choice((labels, outlines))(chance)

    return make


def _sound(objects: Any) -> None:
    """What comes back can be used: ids are unique, tables as long, labels drawn."""
    if len(np.unique(objects.id)) != len(objects):
        raise Lost(f"ids are there twice: {objects.id}")
    if any(len(column) != len(objects) for column in objects.features.values()):
        raise Lost("the table is not as long as there are objects")
    if objects.has_pixels:
        objects.as_labels()
    objects.as_polygons()


def _labels(data: Any, chance: random.Random) -> tuple[Any, str]:
    how = chance.choice(("type", "value", "shape", "noise", "cut"))
    if how == "type":
        kinds = ("bool", "uint8", "uint64", "float32", "float16", "complex64", "U3")
        kind = chance.choice((*kinds, "object", "datetime64[s]", "int8"))
        return data.astype(kind), kind
    if how == "value":
        kind = chance.choice(("int32", "int64", "uint64", "float32", "float64"))
        values = [-1, 0.5, np.nan, np.inf, 2**31 - 1, 2**31, 2**40, 1e30, 2**63]
        value = chance.choice(values)
        data = data.astype(kind)
        with np.errstate(invalid="ignore"):
            cast = np.array(value).astype(kind)
        data.flat[chance.randrange(data.size)] = cast
        return data, f"{kind} {cast}"
    if how == "shape":
        shapes = (data[..., :-1], data[None], data[0], data[:0], data[..., None], 3)
        return np.asarray(chance.choice(shapes)), "shape"
    if how == "noise":
        seeded = np.random.default_rng(chance.randrange(1 << 30))
        data = data.astype(np.int64)
        data[..., :6, :6] = seeded.integers(0, 2**31 - 1, data[..., :6, :6].shape)
        return data, "noise"
    data[..., chance.randrange(_SIDE), :] = 0
    return data, "cut"


def _ring(axes: int, chance: random.Random) -> Any:
    odd = (np.nan, np.inf, -np.inf, 1e9, -1e9, 1e30, -5.0, 1e-30)
    count = chance.choice((0, 1, 2, 3, 4, 4, 4, 4, 4, 4, 50))
    ring = np.array(
        [[chance.uniform(-2, 26) for _ in range(axes)] for _ in range(count)]
    )
    ring = ring.reshape(count, axes)
    ring[:, :-2] = chance.choice((0, 1, 1, 7, -1, 0.5))
    if count and chance.random() < 0.3:
        ring[chance.randrange(count), chance.randrange(axes)] = chance.choice(odd)
    how = chance.random()
    if how < 0.05:
        return ring.astype(np.complex64)
    if how < 0.1:
        return "outline"
    if how < 0.15:
        return ring.tolist()
    if how < 0.2:
        return [[1, 2], [3]]
    return ring[:, 1:] if how < 0.25 else ring


def _odd_ids(chance: random.Random) -> Any:
    odd = (0, -1, 2**31, 2**63, 1.5, np.nan, np.inf, "7", "seven", None, True)
    return [chance.choice(odd) for _ in range(chance.choice((2, 3, 3, 3, 3)))]


CORRECTIONS = Fault("corrected labels and outlines", prepare, count=1500, quick=80)
