"""The inputs and the kind of run that follow from what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.planes import Planes
from napari_imagec_ai.image.region import Box, Cut, Region, corner, cropped
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.run.boxes.detect_run import DetectRun
from napari_imagec_ai.run.feed.inputs import Given, InputImages, Inputs, plan_inputs
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.run.size.choose import AS_DESCRIBED, Choice, choose

_Feeding = tuple[Sequence[int] | None, Planes | None, float | Sequence[float] | None]
"""Channels, planes and scale."""


def plan_feeding(
    model: Model, image: InputImages, settings: RunSettings
) -> tuple[Inputs, Cut | None]:
    """Plan what the network is fed with; of a region, also where it lies."""
    scale = 1 if model.kind in DETECTORS else settings.scale
    feeding = (settings.channels, settings.planes, scale)
    inputs = plan_inputs(model, image, *feeding)
    if settings.region is None:
        return inputs, None
    return _part(model, image, inputs, settings.region, feeding)


def plan_scale(
    model: Model, inputs: Inputs, engine: Engine, settings: RunSettings
) -> Choice:
    """At which scale the network shall see the image, by the size of objects.

    Parameters
    ----------
    model, inputs, engine, settings
        What is run, on what, by what, and how.

    Raises
    ------
    ImageError
        If an object of that size cannot be in the image, or tells nothing.
    """
    asked = settings.object_size
    if settings.scale is not None and asked not in (None, "as described"):
        raise ImageError(
            "Expected a scale or an object size, which say the same, found both; leave "
            "one of them out."
        )
    if asked is None and _one_scale(model, settings.scale) is not None:
        return AS_DESCRIBED
    return choose(model, inputs, engine, asked, settings.normalize)


def plan_run(
    model: Model,
    inputs: Inputs,
    engine: Engine,
    settings: RunSettings,
    dense: Callable[..., DenseRun] = DenseRun,
) -> DenseRun | DetectRun:
    """Make the run that the model's outputs need; nothing is computed yet.

    Parameters
    ----------
    model, inputs, engine, settings
        What is run, on what, by what, and how.
    dense : callable
        Makes the run of a network that gives maps, such as one that is shared out:
        takes what :class:`~napari_imagec_ai.run.maps.dense_run.DenseRun` takes.
    """
    if model.kind in DETECTORS:
        scale = _one_scale(model, settings.scale)
        settings = settings.model_copy(update={"scale": scale})
        return DetectRun(model, inputs, engine, settings)
    return dense(model, inputs, engine, settings)


def _one_scale(model: Model, scale: float | Sequence[float] | None) -> float | None:
    """Detectors have one scale for both axes."""
    if scale is None:
        told = model.settings.get("scale")
        return float(told) if isinstance(told, (int, float)) else None
    return scale if isinstance(scale, (int, float)) else scale[0]


def _part(
    model: Model,
    images: InputImages,
    inputs: Inputs,
    region: Region,
    feeding: _Feeding,
) -> tuple[Inputs, Cut]:
    """Plan a region: along space axes images are cut, along others planes chosen."""
    main, (channels, planes, scale) = inputs.main, feeding
    along = {axis: span for axis, span in region.box.items() if axis in main.plane_axes}
    twice = sorted(set(along) & set(planes or {}))
    if twice:
        raise ImageError(
            f"Both planes and a region were chosen along {twice[0]}; leave one out."
        )
    box = {axis: span for axis, span in region.box.items() if axis not in along}
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
    cut = Cut(region, whole, corner(main.image, box))
    return plan_inputs(model, parts, channels, planes, scale), cut


def _cropped(given: Given, box: Box) -> Given:
    return cropped(given, box) if isinstance(given, ImageInput) else given
