"""Which engines there are: those built in, and those of other packages.

Neither runtime is imported before it is needed. Others can be added under the entry
point group ``napari_imagec_ai.engines``: the name is the weights format, the object a
function ``(path, device) -> Engine``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from napari_imagec_ai.engines.engine import Engine, completed
from napari_imagec_ai.errors import EngineError

GROUP = "napari_imagec_ai.engines"


Opener = Callable[[Path, str], Engine]


def _open_onnx(path: Path, device: str) -> Engine:
    from napari_imagec_ai.engines.onnx import OnnxEngine

    return OnnxEngine(path, device)


def _open_torchscript(path: Path, device: str) -> Engine:
    from napari_imagec_ai.engines.torchscript import TorchScriptEngine

    return TorchScriptEngine(path, device)


BUILT_IN: dict[str, Opener] = {"onnx": _open_onnx, "torchscript": _open_torchscript}


def engine_names() -> tuple[str, ...]:
    """Names of all engines, the preferred one first."""
    added = (point.name for point in entry_points(group=GROUP))
    return tuple(dict.fromkeys((*BUILT_IN, *added)))


def opener(name: str) -> Opener:
    """The function that opens weights of a format.

    Raises
    ------
    EngineError
        If there is no such engine.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    for point in entry_points(group=GROUP, name=name):
        found: Opener = point.load()
        return lambda path, device: completed(found(path, device))
    raise EngineError(
        f"There is no engine '{name}'; choose one of {', '.join(engine_names())} or "
        "'auto'."
    )
