"""What an engine is: an opened network that runs one batch at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from numpy.typing import NDArray

Signature = tuple[tuple[str, tuple[int | None, ...]], ...]
"""Names and shapes of a network's inputs."""

PLAIN = ("metadata", "window", "output_names", "signature", "dtypes")
"""What an engine knows beside a name and a device, in plain values."""


class Engine(Protocol):
    """An opened network.

    Attributes
    ----------
    name : str
        The weights format, such as ``onnx``.
    device : str
        What really runs it, read back from the runtime, such as ``cpu`` or ``cuda``.

    notices : tuple of str
        Sentences that every run with it repeats.
    metadata : mapping of str to str
        What an exporter wrote into the file.
    window : tuple of int or None
        (height, width) of the first input, where the file fixes it.
    signature : tuple of (str, tuple of int or None)
        Names and shapes of the inputs, None for sizes that are open; empty: not known.
    dtypes : tuple of str
        Types of numbers that the inputs take, such as ``uint8``; empty: not known.
    output_names : tuple of str
        Of the outputs, in their order; empty: not known.
    batch : int
        Images that a call has, where the file fixes more than one; fewer are filled up.
    can_interrupt : bool
        Whether :meth:`interrupt` ends a call.

    Notes
    -----
    Engines of other packages need a name, a device, :meth:`run` and :meth:`close`;
    :func:`completed` gives them the rest.
    """

    name: str
    device: str
    notices: tuple[str, ...] = ()
    metadata: Mapping[str, str] = MappingProxyType({})
    window: tuple[int, int] | None = None
    signature: Signature = ()
    dtypes: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    batch: int = 1
    can_interrupt: bool = False

    def interrupt(self) -> None:
        """End a call that is under way in another thread; it raises an error there."""
        return

    def loosen(self, axes: Sequence[int]) -> bool:
        """Take other sizes than those that the file fixes in its declarations.

        Parameters
        ----------
        axes : sequence of int
            Positions of the space axes in the first input.

        Returns
        -------
        bool
            Whether they are free now; whether the network then runs is another matter.
        """
        return True

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


class Completed(Engine):
    """An engine of another package, with all that an engine may have.

    Parameters
    ----------
    engine : object
        With a name, a device, ``run`` and ``close``; whatever else it has is used.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.device = engine.name, engine.device
        for name in (*PLAIN, "notices"):
            setattr(self, name, getattr(engine, name, getattr(Engine, name)))
        self.can_interrupt = hasattr(engine, "interrupt")

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See :meth:`Engine.run`."""
        results = self._engine.run(inputs)
        self.device = self._engine.device
        return results

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        self._engine.close()

    def interrupt(self) -> None:
        """See :meth:`Engine.interrupt`."""
        if self.can_interrupt:
            self._engine.interrupt()

    def loosen(self, axes: Sequence[int]) -> bool:
        """See :meth:`Engine.loosen`."""
        known = hasattr(self._engine, "loosen")
        return bool(self._engine.loosen(axes)) if known else True


def completed(engine: Engine) -> Engine:
    """An engine with all that the protocol has, whoever made it."""
    return engine if Engine in type(engine).__mro__ else Completed(engine)
