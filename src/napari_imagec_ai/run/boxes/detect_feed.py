"""What a detector is fed with: grey values, whole batches, the size of the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.numbers import white
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.steps.steps import make_transform, measures
from napari_imagec_ai.results.letterbox import FILL, Letterbox
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.feed.inputs import Inputs
from napari_imagec_ai.run.feed.size_inputs import frame_of, is_size, size_values
from napari_imagec_ai.run.tiles.window_limits import main_input

Array = NDArray[Any]

Prepare = Callable[[NDArray[np.float32], Letterbox], Array]
"""Turns a piece of a plane into the network's window (C, Y, X)."""


class DetectFeed:
    """Makes windows ready for a detector.

    Parameters
    ----------
    model : Model
        Which network.
    inputs : Inputs
        What to feed.
    engine : Engine
        The opened network; its types of numbers decide how bright white is.
    percentiles : tuple of float
        Grey values that become black and white, where nothing else is said.
    say : callable
        Takes sentences on what was assumed.
    """

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        engine: Engine,
        percentiles: tuple[float, float],
        say: Callable[[str], None],
    ) -> None:
        self.model, self.inputs, self._say = model, inputs, say
        self._percentiles = percentiles
        self._spec = main_input(model)
        signature = engine.signature
        self._names = [name for name, _ in signature]
        at = model.inputs.index(self._spec)
        dtypes = engine.dtypes
        self._dtype = np.dtype(dtypes[at] if at < len(dtypes) else np.float32)
        self.batch = _fixed_batch(model, signature, at)

    # -- grey values -------------------------------------------------------------------

    def preparation(self, plane: NDArray[np.float32]) -> Prepare:
        """A function that turns a piece of the plane into the network's window."""
        feed = self.inputs.main
        top = self._white
        eight_bits = np.dtype(feed.image.data.dtype) == np.uint8
        if self.is_described:
            return self._described(plane, eight_bits)
        if eight_bits:

            def by_bytes(plane: Any, box: Letterbox) -> Any:
                window = box.apply(_piece(plane, box).astype(np.uint8), 114)
                return window.astype(np.float32) / np.float32(255 / top)

            return by_bytes
        low, scale = self._stretch(plane)

        def by_percentiles(plane: Any, box: Letterbox) -> Any:
            piece = np.clip((_piece(plane, box) - low) * scale, 0, 1)
            return box.apply(piece.astype(np.float32) * np.float32(top), FILL * top)

        return by_percentiles

    def _described(self, plane: NDArray[np.float32], eight_bits: bool) -> Prepare:
        """As the description says."""
        source = plane
        if self._expects_bytes() and not eight_bits and plane.max() > 255:
            low, scale = self._stretch(plane)
            source = np.clip((plane - low) * scale, 0, 1) * np.float32(255)
        letters = self.inputs.main.letters
        prepared = make_transform(self._spec.steps, source, letters)
        top = 1.0
        if self._dtype.kind in "iu":  # of fractions, whole numbers would leave nothing
            whole = prepared(source)
            top = self._white if whole.size and whole.max() <= 1 else 1.0

        def by_description(_: Any, box: Letterbox) -> Any:
            values = prepared(_piece(source, box))
            return box.apply(values * np.float32(top), FILL * top)

        return by_description

    @property
    def is_described(self) -> bool:
        """Whether the description says how grey values are prepared."""
        return any(step.id != "ensure_dtype" for step in self._spec.steps)

    @property
    def takes_fractions(self) -> bool:
        """Whether white is 1 for the network."""
        return self._white == 1.0

    @property
    def _white(self) -> float:
        """The brightest value: by the type that the network takes, or as described."""
        if self._dtype.kind in "iu":
            return white(self._dtype)
        spec = self._spec
        return 255.0 if "int" in spec.dtype or spec.data_range[1] == 255 else 1.0

    def _expects_bytes(self) -> bool:
        """Whether the description's steps are fixed numbers meant for 8-bit images."""
        steps = self._spec.steps
        if any(measures(step) for step in steps):
            return False
        gains = [step.kwargs.get("gain") for step in steps if step.id == "scale_linear"]
        return any(isinstance(gain, (int, float)) and gain < 0.01 for gain in gains)

    def _stretch(self, plane: NDArray[np.float32]) -> tuple[float, float]:
        low, high = np.percentile(plane, self._percentiles)
        lowest, highest = self._percentiles
        self._say(
            f"Grey values were scaled by percentiles: {low:.6g} ({lowest:g} %) became "
            f"0, {high:.6g} ({highest:g} %) became 1."
        )
        return float(low), float(1 / max(high - low, 1e-6))

    # -- all inputs --------------------------------------------------------------------

    def tensors(self, windows: Sequence[Array]) -> list[Array]:
        """Everything that one call takes.

        Parameters
        ----------
        windows : sequence of (C, Y, X) array
            Up to as many as a call has; the last one fills what is left of a batch.
        """
        filled = [*windows, *[windows[-1]] * (self.batch - len(windows))]
        feed = self.inputs.main
        images = [feed.to_network(window) for window in filled]
        window = (windows[0].shape[-2], windows[0].shape[-1])
        letters = [axis.name for axis in self._spec.axes]
        axis = letters.index("b") if "b" in letters else 0
        image = images[0] if len(images) == 1 else np.concatenate(images, axis)
        given = {
            part.spec.id: part.to_network()
            for part in self.inputs.parts
            if not isinstance(part, Feed)
        }
        found = []
        for name in self._all_inputs():
            if name == self._spec.id:
                found.append(image)
            elif name in given:
                values = given[name]
                found.append(np.concatenate([values] * self.batch))
            elif is_size(name):
                values = size_values(name, window, self._count(name))
                found.append(np.stack([values] * self.batch))
        return found

    def _all_inputs(self) -> list[str]:
        """Names of the inputs: the description's, and those that only the file has."""
        told = [spec.id for spec in self.model.inputs]
        return told + self._names[len(told) :]

    def _count(self, name: str) -> int:
        spec = next((s for s in self.model.inputs if s.id == name), None)
        return (spec.channels if spec is not None else None) or 2

    def frame(self, window: tuple[int, int]) -> tuple[float, float]:
        """(height, width) that the network's boxes lie in: a given size, or the window.

        A network that is told a size gives boxes in pixels of an image of that size.
        """
        for part in self.inputs.parts:
            if not isinstance(part, Feed) and is_size(part.spec.id):
                told = frame_of(part.spec.id, part.values.tolist())
                if told is not None:
                    return told
        return window

    def taken_apart(self, outputs: Sequence[Array], count: int) -> list[list[Array]]:
        """For each window of a call all outputs, as of a call with one image."""
        if self.batch == 1:
            return [list(outputs)]
        return [
            [a[i : i + 1] if len(a) == self.batch else a for a in outputs]
            for i in range(count)
        ]


def _fixed_batch(
    model: Model, signature: Sequence[tuple[str, tuple[int | None, ...]]], at: int
) -> int:
    """How many images a call has: more than one only where the file fixes it."""
    letters = [axis.name for axis in model.inputs[at].axes]
    if "b" not in letters or at >= len(signature):
        return 1
    shape = signature[at][1]
    if len(shape) != len(letters):
        return 1
    return shape[letters.index("b")] or 1


def _piece(plane: NDArray[Any], box: Letterbox) -> NDArray[Any]:
    (y, x), (height, width) = box.origin, box.piece
    return plane[:, y : y + height, x : x + width]
