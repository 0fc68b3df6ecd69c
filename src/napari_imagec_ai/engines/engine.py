"""What an engine is, and which there are.

Neither runtime is imported before it is needed. Others can be added under the entry
point group ``napari_imagec_ai.engines``: the name is the weights format, the object a
function ``(path, device) -> Engine``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_imagec_ai.errors import EngineError

GROUP = "napari_imagec_ai.engines"


class Engine(Protocol):
    """An opened network.

    Attributes
    ----------
    name : str
        The weights format, such as ``onnx``.
    device : str
        What really runs it, read back from the runtime, such as ``cpu`` or ``cuda``.

    Notes
    -----
    An engine may have more, which is used where it is there: ``interrupt()`` makes a
    call that is under way in another thread raise an error; ``loosen(axes)`` makes it
    take other sizes than its file declares; ``metadata`` is what an exporter wrote.
    """

    name: str
    device: str

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run one batch, without any pre- or postprocessing.

        Parameters
        ----------
        inputs : sequence of array
            One for each input of the network, in the network's order and axes.

        Returns
        -------
        list of array
            One for each output, in the network's order.

        Raises
        ------
        EngineError
            If the network does not take these inputs.
        """
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


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
        return found
    raise EngineError(
        f"There is no engine '{name}'; choose one of {', '.join(engine_names())} or "
        "'auto'."
    )
