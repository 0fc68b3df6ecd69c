"""Which engine is the faster one for a model: measured once, and kept.

Two runtimes that give the same differ in speed, by model and by machine. Where a model
has weights for both, its own test (which runs both anyway) measures them; ``auto`` then
takes the faster one. Until then it takes ONNX, which was the faster one wherever we
looked, and starts sooner; a first run is not the time to measure.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.learned import keep, recall
from napari_imagec_ai.model.weights import fingerprint

_TOPIC = "speed"

_CALLS = 2
"""Calls of each engine that are timed, after as many to warm up."""

_PACKAGES = {"onnx": ("onnxruntime", "onnxruntime-gpu"), "torchscript": ("torch",)}

MARGIN = 0.9
"""The first format is left only for one that takes less than this part of its time:
less is noise, and a program is the less welcome the more it can do."""


class _Network(Protocol):
    name: str
    device: str

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]: ...


def compare(
    model: Model, networks: Sequence[_Network], inputs: Sequence[NDArray[Any]]
) -> None:
    """Time networks that give the same, one after the other, and keep what came out.

    Parameters
    ----------
    model : Model
        Whose weights they are.
    networks : sequence of Engine
        Opened, and known to reproduce the model's published output.
    inputs : sequence of array
        What they take.
    """
    best: dict[str, float] = {}
    for number in range(2 * _CALLS):
        for network in networks:
            started = time.perf_counter()
            network.run(inputs)
            seconds = time.perf_counter() - started
            if number >= _CALLS:
                best[network.name] = min(seconds, best.get(network.name, seconds))
    found = {
        network.name: {
            "mark": _mark(model, network.name),
            "device": network.device,
            "seconds": round(best[network.name], 6),
        }
        for network in networks
    }
    keep(model, _TOPIC, found)


def is_known(model: Model) -> bool:
    """Whether it was measured, with these weights and packages."""
    found = recall(model, _TOPIC)
    names = model.runnable
    return all(_seconds(model, name, "auto", found) is not None for name in names)


def by_speed(model: Model, device: str) -> list[str]:
    """Weights formats that can run here, the one that is to be tried first in front.

    Parameters
    ----------
    model : Model
        Which model.
    device : str
        As asked for; what was measured is what ``auto`` took.
    """
    names = list(model.runnable)
    if len(names) < 2:
        return names
    found = recall(model, _TOPIC)
    times = {name: _seconds(model, name, device, found) for name in names}
    first = times[names[0]]
    if first is None or any(seconds is None for seconds in times.values()):
        return names
    fastest = min(names, key=lambda name: times[name] or 0.0)
    if (times[fastest] or 0.0) < MARGIN * first:
        names.remove(fastest)
        names.insert(0, fastest)
    return names


def _seconds(
    model: Model, name: str, device: str, found: Mapping[str, Any]
) -> float | None:
    """What was measured, if it was on these weights with these packages."""
    entry = found.get(name)
    if not isinstance(entry, Mapping) or entry.get("mark") != _mark(model, name):
        return None
    if device not in ("auto", entry.get("device")):
        return None
    seconds = entry.get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) else None


def _mark(model: Model, name: str) -> str:
    """What changes when the weights, the runtime or the processor do."""
    parts = [fingerprint(model, name), str(os.cpu_count())]
    for package in _PACKAGES.get(name, ()):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)
