"""Weights as Keras saves them (HDF5), layer by layer, without Keras."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ModelError

Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer that has weights.

    Attributes
    ----------
    name : str
        Such as ``conv2d_3`` or ``down_level_0_no_1``.
    weights : dict of str to array
        By their names: ``kernel`` (space axes, channels in, channels out), ``bias``,
        ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``.
    """

    name: str
    weights: dict[str, Weights]


def read_layers(path: Path) -> dict[str, Layer]:
    """Layers with weights by name, those that Keras named itself in their order.

    Raises
    ------
    ModelError
        If the file is no such file, or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            found = list(_layers(root, path))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"Expected Keras weights in '{path.name}', found a file that cannot be "
            f"read as HDF5 ({error}); copy it again."
        ) from error
    if not found:
        raise ModelError(
            f"Expected Keras weights in '{path.name}', found none; choose the file "
            "that training saved."
        )
    return {layer.name: layer for layer in sorted(found, key=_created)}


def _layers(root: h5py.Group, path: Path) -> Iterator[Layer]:
    if "layer_names" not in root.attrs:
        raise ModelError(
            f"Expected weights of a Keras model in '{path.name}', found HDF5 of "
            "another kind; choose the file that training saved (weights_best.h5)."
        )
    for raw in root.attrs["layer_names"]:
        name = _text(raw)
        group = root[name]
        weights = {}
        for key in group.attrs.get("weight_names", ()):
            place = _text(key)
            item = group[place]
            if not isinstance(item, h5py.Dataset):
                raise ModelError(
                    f"Expected numbers under '{place}' in '{path.name}', found none; "
                    "the file is damaged: copy it again."
                )
            short = place.rpartition("/")[2].partition(":")[0]
            weights[short] = np.asarray(item, np.float32)
        if weights:
            yield Layer(name, weights)


def _text(raw: object) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)


def _created(layer: Layer) -> tuple[str, int]:
    """Keras counts the layers of a kind as they are made."""
    match = re.fullmatch(r"(.*?)_?(\d+)?", layer.name)
    stem, number = match.groups() if match else (layer.name, None)
    return stem or "", int(number or 0)


def unnamed(layers: dict[str, Layer], kind: str) -> list[Layer]:
    """Layers that Keras named itself, such as ``conv2d``, ``conv2d_1``, in order."""
    pattern = re.compile(rf"{kind}(_\d+)?")
    return [layer for name, layer in layers.items() if pattern.fullmatch(name)]
