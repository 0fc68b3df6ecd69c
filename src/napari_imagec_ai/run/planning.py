"""What was asked of a run, and the inputs and the kind of run that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening import open_engine
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.region import Box, Cut, Region, as_region, corner, cropped
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.run.boxes.detect_run import DetectRun, DetectSettings
from napari_imagec_ai.run.feed.feed import Planes
from napari_imagec_ai.run.feed.inputs import Given, InputImages, Inputs, plan_inputs
from napari_imagec_ai.run.feed.normalize import Normalize
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.tiles.blending import Seams

_Feeding = tuple[Sequence[int] | None, Planes | None, float | Sequence[float] | None]
"""Channels, planes and scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Everything that :func:`napari_imagec_ai.predict` may be asked for.

    The attributes are its arguments. None has a default here, so that whoever makes one
    cannot forget to pass something on.
    """

    engine: str | Engine
    device: str
    tile: int | Sequence[int] | None
    channels: Sequence[int] | None
    planes: Planes | None
    scale: float | Sequence[float] | None
    halo: int | Sequence[int] | None
    normalize: Normalize
    larger_tiles: bool
    overlap: float
    percentiles: tuple[float, float]
    region: Region | Box | None
    classes: Sequence[str] | None
    seams: Seams
    memory: float | None
    verify: bool
    dense: Callable[..., DenseRun]

    def check(self, model: Model) -> None:
        """Refuse what no run can do, before anything is read.

        Raises
        ------
        ImageError
            If there is no such way to normalize, or a number is out of its range.
        """
        known = get_args(Normalize)
        if self.normalize not in known:
            raise ImageError(
                f"Expected one of {', '.join(known)} for 'normalize', found "
                f"'{self.normalize}'."
            )
        self._detecting(model)

    def inputs(self, model: Model, image: InputImages) -> tuple[Inputs, Cut | None]:
        """Plan what the network is fed with; of a region, also where it lies."""
        scale = 1 if model.kind in DETECTORS else self.scale
        feeding = (self.channels, self.planes, scale)
        inputs = plan_inputs(model, image, *feeding)
        if self.region is None:
            return inputs, None
        return _part(model, image, inputs, self.region, feeding)

    def _detecting(self, model: Model) -> DetectSettings:
        scale = _one_scale(model, self.scale)
        return DetectSettings(scale, self.overlap, self.percentiles)

    def open(self, model: Model) -> Engine:
        """Open an engine, unless an open one was given."""
        if not isinstance(self.engine, str):
            return self.engine
        return open_engine(model, self.engine, self.device, verify=self.verify)

    def run(self, model: Model, inputs: Inputs, engine: Engine) -> DenseRun | DetectRun:
        """Make the run that the model's outputs need; nothing is computed yet."""
        if model.kind in DETECTORS:
            return DetectRun(model, inputs.main, engine, self._detecting(model))
        space = inputs.main.space
        return self.dense(
            model,
            inputs,
            engine,
            _for_each_axis(self.tile, space, "tile", 1),
            _for_each_axis(self.halo, space, "halo", 0),
            self.normalize,
            self.larger_tiles,
            self.seams,
            self.memory,
        )


def _one_scale(model: Model, scale: float | Sequence[float] | None) -> float | None:
    """Detectors have one scale for both axes."""
    if scale is None:
        told = model.settings.get("scale")
        return float(told) if isinstance(told, (int, float)) else None
    return scale if isinstance(scale, (int, float)) else scale[0]


def _for_each_axis(
    sizes: int | Sequence[int] | None, space: str, word: str, least: int
) -> tuple[int, ...] | None:
    """One size for each space axis."""
    if sizes is None:
        return None
    if isinstance(sizes, (int, float)):
        sizes = (sizes,) * len(space)
    several = tuple(sizes)
    if any(int(size) != size for size in several):
        raise ImageError(f"Expected whole {word} sizes, found {several}.")
    if len(several) != len(space):
        raise ImageError(
            f"Expected a {word} size for each of the axes '{space}', found {several}; "
            f"give one number, or {len(space)}."
        )
    if min(several) < least:
        raise ImageError(f"Expected {word} sizes from {least}, found {several}.")
    return several


def _part(
    model: Model,
    images: InputImages,
    inputs: Inputs,
    region: Region | Box,
    feeding: _Feeding,
) -> tuple[Inputs, Cut]:
    """Plan a region: along space axes images are cut, along others planes chosen."""
    chosen = as_region(region)
    main, (channels, planes, scale) = inputs.main, feeding
    along = {axis: span for axis, span in chosen.box.items() if axis in main.plane_axes}
    twice = sorted(set(along) & set(planes or {}))
    if twice:
        raise ImageError(
            f"Both planes and a region were chosen along {twice[0]}; leave one out."
        )
    box = {axis: span for axis, span in chosen.box.items() if axis not in along}
    given = images if isinstance(images, (ImageInput, Mapping)) else list(images)
    if isinstance(given, ImageInput):
        parts: InputImages = cropped(given, box)
    elif isinstance(given, Mapping):
        parts = {name: _cropped(one, box) for name, one in given.items()}
    else:
        parts = [_cropped(one, box) for one in given]
    spans = {
        axis: (max(start, 0), min(stop, main.image.size(axis)))
        for axis, (start, stop) in along.items()
    }
    planes = {**(planes or {}), **spans}
    whole = plan_inputs(model, images, channels, planes, scale).main.frame
    cut = Cut(chosen, whole, corner(main.image, box))
    return plan_inputs(model, parts, channels, planes, scale), cut


def _cropped(given: Given, box: Box) -> Given:
    return cropped(given, box) if isinstance(given, ImageInput) else given
