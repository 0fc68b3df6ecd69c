"""A first run of weights without a description: what they take, and what they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import EngineError
from napari_imagec_ai.run.boxes import yolo_metadata
from napari_imagec_ai.run.boxes.yolo_metadata import Export
from napari_imagec_ai.run.feed.size_inputs import is_size, size_values

_SIDES = (640, 320, 416, 512, 1024, 1280, 256)
"""Windows to try where a file does not tell, the usual one first."""

_MOST_CHANNELS = 16

Signature = Sequence[tuple[str, tuple[int | None, ...]]]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One call that the network took.

    Attributes
    ----------
    axes : str
        Of the image's input: ``bcyx``, ``cyx`` or ``byxc``.
    shape : tuple of int
        Of that input, along these axes.
    name : str
        Of that input in the file; empty where it has none.
    sizes : tuple of (str, int)
        Other inputs, which take the size of the image: names, and how many numbers.
    dtype : str
        Type of numbers that the image's input takes.
    told : Export
        What the exporter wrote.
    outputs : list of array
        What came out, for one image.
    """

    axes: str
    shape: tuple[int, ...]
    name: str
    sizes: tuple[tuple[str, int], ...]
    dtype: str
    told: Export
    outputs: list[NDArray[Any]]

    @property
    def window(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return (self.shape[self.axes.index("y")], self.shape[self.axes.index("x")])

    @property
    def channels(self) -> int:
        """Of the image."""
        return self.shape[self.axes.index("c")]


def try_out(engine: Engine) -> Trial:
    """Run a network on a black window of the size that it takes.

    Raises
    ------
    EngineError
        If it takes none of those that were tried.
    """
    told = yolo_metadata.read(engine.metadata)
    signature = engine.signature
    others = _others(signature)
    dtypes = engine.dtypes
    dtype = dtypes[0] if dtypes else "float32"
    problem: EngineError | None = None
    for axes, shape in _shapes(signature, told):
        window = (shape[axes.index("y")], shape[axes.index("x")])
        count = shape[0] if axes[0] == "b" else 1
        sizes = [np.stack([size_values(n, window, k)] * count) for n, k in others]
        try:
            outputs = engine.run([np.zeros(shape, dtype), *sizes])
        except EngineError as error:
            problem = problem or error
            continue
        one = [a[:1] if count > 1 and len(a) == count else a for a in outputs]
        name = signature[0][0] if signature else ""
        return Trial(axes, shape, name, tuple(others), dtype, told, one)
    raise problem or EngineError("The network takes no window that was tried.")


def _others(signature: Signature) -> list[tuple[str, int]]:
    """Inputs beside the image: each takes the size of the image.

    Raises
    ------
    EngineError
        If one takes something else.
    """
    found = []
    for name, shape in signature[1:]:
        if not is_size(name) or len(shape) > 2:
            names = ", ".join(f"'{name}'" for name, _ in signature)
            raise EngineError(
                f"The network takes {len(signature)} inputs ({names}), and what "
                f"'{name}' is for cannot be told."
            )
        found.append((name, (shape[-1] if shape else None) or 2))
    return found


def _shapes(
    signature: Signature, told: Export
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Axes and shapes to try, as the file says, else the usual ones."""
    shape = signature[0][1] if signature else ()
    axes = _axes(shape)
    fixed: dict[str, int | None] = dict(zip(axes, shape, strict=False))
    batch = fixed.get("b") or (told.batch if not signature else None) or 1
    counts = [fixed.get("c") or told.channels]
    channels = [n for n in counts if n] or [3, 1]
    windows = [told.window] if told.window else []
    windows += [(side, side) for side in _SIDES]
    ways = [axes] if axes else ["bcyx", "cyx"]
    for height, width in dict.fromkeys(windows):
        for count in channels:
            for way in ways:
                sizes = {
                    "b": batch,
                    "c": count,
                    "y": fixed.get("y") or height,
                    "x": fixed.get("x") or width,
                }
                yield way, tuple(sizes[axis] for axis in way)


def _axes(shape: Sequence[int | None]) -> str:
    """Axes of an image's input of this shape; channels are few."""
    if len(shape) == 3:
        return "cyx"
    if len(shape) != 4:
        return ""
    first, last = shape[1], shape[3]
    few = last is not None and last <= _MOST_CHANNELS
    many = first is None or first > _MOST_CHANNELS
    return "byxc" if few and many else "bcyx"
