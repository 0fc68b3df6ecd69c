"""Steps of a description that bring grey values to what a network was trained with."""

from __future__ import annotations

from typing import Any

from napari_imagec_ai.engines.numbers import white
from napari_imagec_ai.library.package.network import Network

_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue in ImageNet, from 0 to 1."""

_GREY = (0.449, 0.226)
"""The same of one channel: their means."""


def scaling_steps(scaling: str, network: Network) -> list[dict[str, Any]]:
    """Preprocessing, as the format has it.

    Parameters
    ----------
    scaling : str
        See :data:`~napari_imagec_ai.library.package.facts.Scaling`.
    network : Network
        What takes the values: one that takes whole numbers gets the range of their
        type, and divides by itself.
    """
    whole = network.dtype.startswith(("uint", "int"))
    to_float = _step("ensure_dtype", dtype="float32")
    last = _step("ensure_dtype", dtype=network.dtype if whole else "float32")
    own = ("bytes", "bit-depth", "none")  # what such a network does itself, or nothing
    if whole and scaling in own:
        return [last]
    steps = _steps(scaling, network)
    if not steps:
        return [to_float]
    if whole and scaling in ("percentiles", "range"):
        top = white(network.dtype)
        steps += [_step("scale_linear", gain=top, offset=0.0)]
        steps += [_step("clip", min=0.0, max=top)]
    return [to_float, *steps, last]


def _steps(scaling: str, network: Network) -> list[dict[str, Any]]:
    wide = {"axes": list(network.space), "eps": 1e-6}
    ends = {"percentiles": (1.0, 99.8), "range": (0.0, 100.0)}
    if scaling in ends:
        low, high = ends[scaling]
        return [_step("scale_range", **wide, min_percentile=low, max_percentile=high)]
    if scaling == "zero-mean":
        return [_step("zero_mean_unit_variance", **wide)]
    if scaling == "bytes":
        return [_step("scale_linear", gain=1 / 255, offset=0.0)]
    if scaling == "imagenet":  # after the division by the highest value of the type
        return [_imagenet(network.channels)]
    return []


def _imagenet(channels: int) -> dict[str, Any]:
    if channels == len(_MEANS):
        lists = {"mean": list(_MEANS), "std": list(_DEVIATIONS), "axis": "channel"}
        return _step("fixed_zero_mean_unit_variance", **lists)
    mean, deviation = _GREY
    return _step("fixed_zero_mean_unit_variance", mean=mean, std=deviation)


def _step(name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": name, "kwargs": arguments}
