"""What a StarDist network gives: which channel is what, which rays, at which pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_imagec_ai.decoders.channel_roles import main_map
from napari_imagec_ai.decoders.output_grid import Map
from napari_imagec_ai.decoders.stars.star_shapes import (
    Rays,
    circle,
    golden_spiral,
    rays_through,
)
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.blocks import grid
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.prediction import Prediction

STEP = "stardist_postprocessing"
"""What a description calls the decoding, if it has it among the processing steps."""

_STEP_NAMES = {"prob_threshold": "prob", "nms_threshold": "nms"}


@dataclass(frozen=True, slots=True, eq=False)
class StarOutput:
    """The channels of a prediction, in a row over one output or several.

    Attributes
    ----------
    prediction : Prediction
        For its maps.
    names : tuple of str
        Those outputs that are used, in the order of the row.
    rays, classes : int
        Channels of distances, and behind them of classes with the background, if any.
    """

    prediction: Prediction
    names: tuple[str, ...]
    rays: int
    classes: int

    @property
    def cells(self) -> tuple[int, ...]:
        """Size of one plane or volume of the maps."""
        space = len(self.prediction.space)
        return tuple(self.prediction.maps[self.names[0]].shape[-space:])

    def probability(self, index: tuple[int, ...]) -> Map:
        """Of one plane or volume."""
        return np.asarray(self.prediction.maps[self.names[0]][(*index, 0)])

    def probabilities(self) -> Iterator[Map]:
        """All of them, in parts that are not large."""
        values = self.prediction.maps[self.names[0]]
        for index in np.ndindex(self.prediction.planes):
            for where in grid(self.cells):
                part = values[(*index, 0, *where)]
                yield np.nan_to_num(part, nan=0, posinf=0, neginf=0)

    def read(self, index: tuple[int, ...], cells: Any) -> tuple[Map, Map]:
        """Distances (R, K) and classes (C, K) at cells of one plane or volume."""
        found = []
        for name in self.names:
            values = self.prediction.maps[name]
            count = values.shape[len(index)]
            # One by one: the map may lie on the disk, and all of it be too much.
            found += [np.asarray(values[(*index, n)])[cells] for n in range(count)]
        row = np.stack(found[1:])
        # The network counts its own pixels, of which there may be more or fewer.
        scale = self.prediction.scale
        row[: self.rays] /= (
            np.float32(np.prod(scale) ** (1 / len(scale))) if scale else 1
        )
        return row[: self.rays], row[self.rays : self.rays + self.classes]


def find_output(prediction: Prediction, rays: int, classes: int) -> StarOutput:
    """Find the channels.

    Parameters
    ----------
    prediction : Prediction
        From the network.
    rays : int
        Channels of distances; 0: what is left.
    classes : int
        Channels of classes, with that of the background; 0: none.

    Raises
    ------
    DecodeError
        If there are too many channels or too few.
    """
    axis = len(prediction.planes)
    wanted = 1 + rays + classes if rays else 0
    names: list[str] = []
    count = 0
    for name in _in_order(prediction, axis):
        if wanted and count >= wanted:
            break  # whatever comes then is something else
        names.append(name)
        count += prediction.maps[name].shape[axis]
    found = rays or count - 1 - classes
    least = len(prediction.space) + 1
    if found < least or count != 1 + found + classes:
        more = f" and {classes} for the background and the classes" if classes else ""
        raise DecodeError(
            "Expected one channel for the probability, "
            f"{rays or f'{least} or more'} for the distances{more}, found "
            f"{_shapes(prediction)}; set the numbers of rays and classes as the "
            "network has them, or choose another decoder."
        )
    if len({prediction.maps[name].shape[axis + 1 :] for name in names}) > 1:
        raise DecodeError(
            "Expected probability and distances at the same pixels, found "
            f"{_shapes(prediction)}; choose another decoder."
        )
    return StarOutput(prediction, tuple(names), found, classes)


def _in_order(prediction: Prediction, axis: int) -> list[str]:
    """Maps of the prediction: that of the probability first, that of classes last."""
    main_map(prediction)  # refuses outputs that are no maps
    maps = prediction.maps
    names = [spec.id for spec in prediction.model.outputs if spec.id in maps]
    return sorted(names, key=lambda n: (maps[n].shape[axis] > 1, "class" in n.lower()))


def _shapes(prediction: Prediction) -> str:
    maps = prediction.maps.items()
    return ", ".join(f"{tuple(values.shape)} in '{name}'" for name, values in maps)


def step_of(output: StarOutput) -> tuple[float, ...]:
    """Pixels of the image for each of the map: the network's grid, or their ratio."""
    cells = output.cells
    size = output.prediction.frame.shape[-len(cells) :]
    told = described_settings(output.prediction.model).get("grid")
    steps = told if isinstance(told, (list, tuple)) else ()
    ratios = tuple(s / n for s, n in zip(size, cells, strict=True))
    if len(steps) != len(cells) or not all(isinstance(g, int) and g > 0 for g in steps):
        steps = tuple(max(round(r), 1) for r in ratios)
    # A map of half the pixels of an odd size is rounded: the ratio is still two. Some
    # exports repeat pixels until the map is as large as the image: then it is one.
    return tuple(
        float(g) if abs(g * n - s) < max(g, 2) else r
        for g, r, n, s in zip(steps, ratios, cells, size, strict=True)
    )


def other_grid(output: StarOutput) -> str:
    """A sentence, where the map is coarser or finer than the description says."""
    told = described_settings(output.prediction.model).get("grid")
    taken = step_of(output)
    if not isinstance(told, (list, tuple)) or len(told) != len(taken):
        return ""
    # Exports that repeat pixels up to the size of the image are as good.
    if tuple(taken) == tuple(told) or all(step == 1 for step in taken):
        return ""
    size = output.prediction.frame.shape[-len(taken) :]
    expected = tuple(-(-n // g) if g else 0 for n, g in zip(size, told, strict=True))
    return (
        f"The description has a grid of {tuple(told)}, which is {expected} for an "
        f"image of {tuple(size)}, but the network gave {output.cells}: {taken} was "
        "taken."
    )


def rays_of(model: Model, count: int, space: str, anisotropy: float) -> Rays:
    """The rays that distances were trained along.

    Raises
    ------
    DecodeError
        If those of the description are unknown, or of another number.
    """
    if len(space) == 2:
        return circle(count)
    told = described_settings(model)
    json, kwargs = told.get("rays_json"), None
    name = "Rays_GoldenSpiral"
    if isinstance(json, Mapping):
        name, kwargs = json.get("name", name), json.get("kwargs")
    if name == "Rays_GoldenSpiral":
        along = anisotropy_of(told)
        if along is None or anisotropy != relative(along):
            along = (anisotropy, 1.0, 1.0)
        return golden_spiral(count, along)
    if name == "Rays_Explicit" and isinstance(kwargs, Mapping):
        try:
            points = np.asarray(kwargs.get("vertices0"), np.float64)
            if points.shape == (count, 3):
                return rays_through(points)
        except (TypeError, ValueError):
            pass  # no vertices, or none that span a volume
    raise DecodeError(
        f"Expected {count} rays along a golden spiral or through explicit vertices, "
        f"found '{name}' in the description of '{model.name}'; correct its "
        "'config.stardist.config.rays_json'."
    )


def described_settings(model: Model) -> dict[str, Any]:
    """What the description says: ``config.stardist``, then the step, which is newer."""
    found: dict[str, Any] = {}
    hints = model.hints.get("stardist")
    own = hints if isinstance(hints, Mapping) else {}
    for part in (own.get("config"), own.get("thresholds")):
        if isinstance(part, Mapping):
            found |= part
    for output in model.outputs:
        for step in output.steps:
            if step.id == STEP:
                found |= {_STEP_NAMES.get(k, k): v for k, v in step.kwargs.items()}
    return found


def anisotropy_of(told: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Size of a pixel along z, y and x; None where nothing usable is said of it."""
    values = told.get("anisotropy")
    if not isinstance(values, (list, tuple)) or len(values) != 3:
        return None
    if not all(isinstance(v, (int, float)) and 0 < v < math.inf for v in values):
        return None
    return (float(values[0]), float(values[1]), float(values[2]))


def relative(anisotropy: tuple[float, float, float]) -> float:
    """How much larger than along y and x a pixel is along z."""
    z, y, x = anisotropy
    return z / math.sqrt(y * x)
