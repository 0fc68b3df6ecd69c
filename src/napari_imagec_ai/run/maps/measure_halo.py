"""Finds the halo of a network whose description has none: how far it looks.

Measured on the network itself. Everything beyond a line is changed, and the output
shows how far before the line that still makes a difference: the reach of a changed
pixel, summed over all the pixels that a tile does not see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.model.learned import keep, recall
from napari_imagec_ai.model.weights import fingerprint
from napari_imagec_ai.run.feed.feed import from_network
from napari_imagec_ai.run.tiles.window_limits import (
    BUDGET,
    geometry,
    main_input,
    window_sizes,
)

Arrays = list[NDArray[Any]]

_TOPIC = "reach"

_WINDOW = {2: 320, 3: 80}
"""Window to measure in, by number of space axes, where the network leaves a choice."""

_NOTICED = 2e-3
"""Part of the output's range that counts as a difference."""

_USUAL = {2: 32, 3: 16}
"""Overlap where measuring is not possible."""

_MOST = 0.25
"""Part of a window that may be overlap at each side: more costs more than it gives."""


@dataclass(frozen=True, slots=True)
class Halo:
    """Halo of a network whose description has none.

    Attributes
    ----------
    sizes : tuple of int
        Input pixels at each side of a window, along each space axis.
    sentence : str
        How it was found.
    """

    sizes: tuple[int, ...]
    sentence: str


def known_halo(model: Model, space: str, engine: Engine) -> Halo | None:
    """The halo that was measured earlier, or None."""
    known = recall(model, _TOPIC)
    reach = known.get(space)
    if known.get("weights") != fingerprint(model, engine.name) or not isinstance(
        reach, list
    ):
        return None
    return _halo(model, space, [int(pixels) for pixels in reach])


def measure_halo(
    model: Model, space: str, engine: Engine, sample: Sequence[NDArray[Any]]
) -> Halo:
    """Measure how far the network looks, and keep it with the model.

    Parameters
    ----------
    model : Model
        Whose description has no halo.
    space : str
        Space axes of its main input in ZYX order.
    engine : Engine
        The opened network.
    sample : sequence of array
        What to measure on, for each input of the network, in its axes and preprocessed;
        of any size along space axes.
    """
    try:
        reach = _measure(model, space, engine, sample)
    except EngineError:
        reach = None
    if reach is None:
        halo = tuple(
            min(_USUAL.get(len(space), 16), most) for most in _most(model, space)
        )
        return Halo(
            halo,
            "The description has no halo, and how far the network looks could not be "
            f"measured: tiles overlap by {_listed(halo)} pixels ({space}) at each "
            "side.",
        )
    known = recall(model, _TOPIC)
    mark = fingerprint(model, engine.name)
    if known.get("weights") != mark:
        known = {"weights": mark}
    keep(model, _TOPIC, known | {space: reach})
    return _halo(model, space, reach)


def _halo(model: Model, space: str, reach: Sequence[int]) -> Halo:
    most = _most(model, space)
    # Ids of objects are continued in what two windows see of them.
    least = _USUAL.get(len(space), 16) if model.kind == "labels" else 0
    reach = [max(pixels, least) for pixels in reach]
    halo = tuple(min(pixels, top) for pixels, top in zip(reach, most, strict=True))
    sentence = (
        f"The description has no halo: tiles overlap by {_listed(halo)} pixels "
        f"({space}) at each side, "
    )
    if list(halo) == list(reach):
        return Halo(halo, sentence + "as far as the network was measured to look.")
    return Halo(
        halo,
        sentence + f"while the network was measured to look {_listed(reach)} pixels "
        "far; objects at seams may differ a little.",
    )


def _most(model: Model, space: str) -> tuple[int, ...]:
    """Largest overlap that leaves windows with a useful core."""
    spec = main_input(model)
    usual = BUDGET ** (1 / len(space))
    sizes = (window_sizes(spec, letter) for letter in space.lower())
    return tuple(int((usual if step else least) * _MOST) for least, step in sizes)


def _measure(
    model: Model, space: str, engine: Engine, sample: Sequence[NDArray[Any]]
) -> list[int] | None:
    """Reach along each axis: the farthest on the image and on noise, to both sides.

    What an image shows near the line that is changed is a matter of chance; noise is
    everywhere, and the same for all images of a kind.
    """
    windows = _windows(model, space, sample)
    spec = main_input(model)
    seen: list[list[int]] = []
    for content in (_noise(model, windows), windows):
        if seen and len(space) > 2:
            break  # a call of a network for volumes takes seconds
        before = _maps(model, space, engine.run(content))
        if not any(np.ptp(values) > 0 for values in before.values()):
            continue
        reach = []
        for letter in space.lower():
            length = content[model.inputs.index(spec)].shape[_position(spec, letter)]
            farthest = 0
            for far in (True, False):
                changed = [
                    _turned(array, own, letter, far)
                    for array, own in zip(content, model.inputs, strict=False)
                ]
                after = _maps(model, space, engine.run(changed))
                found = _distance(model, space, letter, length, before, after, far)
                farthest = max(farthest, found)
            reach.append(farthest)
        seen.append(reach)
    return [max(pixels) for pixels in zip(*seen, strict=True)] if seen else None


def _noise(model: Model, windows: Arrays) -> Arrays:
    """Noise, fine and coarse, with the mean and the deviation of the sample."""
    random = np.random.default_rng(0)
    noisy = []
    for array, spec in zip(windows, model.inputs, strict=False):
        if not spec.space:
            noisy.append(array)
            continue
        fine = random.standard_normal(array.shape)
        near = [4.0 if axis.name in spec.space else 0.0 for axis in spec.axes]
        coarse = ndimage.gaussian_filter(random.standard_normal(array.shape), near)
        mixed = fine / fine.std() + coarse / max(float(coarse.std()), 1e-9)
        spread = float(array.std()) or 1.0
        noise = float(array.mean()) + spread * mixed / np.sqrt(2)
        noisy.append(noise.astype(array.dtype))
    return noisy


def _windows(model: Model, space: str, sample: Sequence[NDArray[Any]]) -> Arrays:
    """The sample, cut or mirrored to a window that the network takes."""
    limits = geometry(model, space, (0,) * len(space)).limits
    sizes = {
        letter: limit.fit(_WINDOW.get(len(space), 80))
        for letter, limit in zip(space.lower(), limits, strict=True)
    }
    windows = []
    for array, spec in zip(sample, model.inputs, strict=False):
        for i, axis in enumerate(spec.axes):
            size = sizes.get(axis.name)
            if size is None or not spec.space:
                continue
            start = max(0, (array.shape[i] - size) // 2)
            array = array.take(range(start, min(start + size, array.shape[i])), i)
            widths = [(0, 0)] * array.ndim
            widths[i] = (0, size - array.shape[i])
            array = np.pad(array, widths, mode="symmetric")
        windows.append(np.ascontiguousarray(array))
    return windows


def _position(spec: TensorSpec, letter: str) -> int:
    return [axis.name for axis in spec.axes].index(letter)


def _turned(
    array: NDArray[Any], spec: TensorSpec, letter: str, far: bool
) -> NDArray[Any]:
    """The same with its far (or near) half shifted by a third of it.

    The values stay the same, so that networks that normalise inside themselves do not
    see another image altogether.
    """
    if letter not in spec.space:
        return array
    axis = _position(spec, letter)
    halves = np.array_split(array, [array.shape[axis] // 2], axis)
    half = halves[far]
    halves[far] = np.roll(half, half.shape[axis] // 3, axis)
    return np.ascontiguousarray(np.concatenate(halves, axis))


def _maps(model: Model, space: str, results: Arrays) -> dict[str, NDArray[np.float32]]:
    grids = geometry(model, space, (0,) * len(space)).grids
    found = {
        spec.id: from_network(array, spec, space)
        for spec, array, grid in zip(model.outputs, results, grids, strict=False)
        if grid is not None
    }
    if model.kind != "labels":
        return found
    return {name: _outlined(values) for name, values in found.items()}


def _outlined(ids: NDArray[np.float32]) -> NDArray[np.float32]:
    """Objects and their borders: one more object gives all behind it another id."""
    shown = (ids > 0).astype(np.float32)
    for axis in range(1, ids.ndim):
        border = np.diff(ids, axis=axis) != 0
        before = (slice(None),) * axis + (slice(None, -1),)
        shown[before][border] += 1
    return shown


def _distance(
    model: Model,
    space: str,
    letter: str,
    length: int,
    before: dict[str, NDArray[np.float32]],
    after: dict[str, NDArray[np.float32]],
    far: bool,
) -> int:
    """Input pixels from the middle to the farthest difference in the half that stayed.

    The far half was changed, or the near one.
    """
    shape = geometry(model, space, (0,) * len(space))
    i = space.lower().index(letter)
    farthest = 0.0
    for spec, grid in zip(model.outputs, shape.grids, strict=True):
        if grid is None:
            continue
        values = before[spec.id]
        others = tuple(axis for axis in range(values.ndim) if axis != i + 1)
        difference = np.abs(after[spec.id] - values).max(axis=others)
        different = difference > _NOTICED * max(float(np.ptp(values)), 1e-12)
        at = np.flatnonzero(different) + 0.5 - grid.offsets[i] / 2
        distances = length // 2 - at / grid.factors[i]
        distances = distances if far else -distances
        farthest = max(farthest, float(distances.max(initial=0)))
    return math.ceil(farthest)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
