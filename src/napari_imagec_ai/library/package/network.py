"""What weights say about themselves, once they run: sizes in, sizes out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.output_geometry import Output, Shape, Span, placed

_STEPS = {
    "z": (1, 2, 4, 8, 16, 32, 64),
    "y": (16, 32, 64, 128),
    "x": (16, 32, 64, 128),
}
"""Steps of sizes that are tried. In planes no less than four poolings deep, since a
network that pads by itself takes any size, but begins its pixels at such steps."""

_OTHERS: dict[bool, tuple[dict[str, int], ...]] = {
    False: tuple(
        {"y": n, "x": n} for n in (128, 512, 64, 224, 160, 320, 640, 96, 1024)
    ),
    True: (
        {"z": 16, "y": 128, "x": 128},
        {"z": 64, "y": 64, "x": 64},
        {"z": 32, "y": 128, "x": 128},
        {"z": 96, "y": 96, "x": 96},
        {"z": 16, "y": 64, "x": 64},
    ),
}
"""Sizes of planes, and of volumes, that a network may have been traced with."""

_LEAST = {"z": 8, "y": 64, "x": 64}
"""Smallest sizes that are tried."""

_USUAL = {"z": 32, "y": 256, "x": 256}
_USUAL_IN_VOLUMES = {"z": 32, "y": 64, "x": 64}
"""Sizes to try where the file leaves them open."""

_CHANNELS = (1, 3, 2, 4, 5, 6)
"""Numbers of channels to try, the usual ones first."""


@dataclass(frozen=True, slots=True)
class Network:
    """One input, and outputs.

    Attributes
    ----------
    axes : str
        Of the input, such as ``bcyx``.
    name : str
        Of the input in the file; empty where it has none.
    shape : tuple of int
        An input shape that it takes.
    spans : dict of str to Span
        Sizes that it takes along each space axis.
    outputs : tuple of Output
        In the network's order.
    dtype : str
        Type of numbers that it takes.
    assumed : tuple of str
        Sentences: what was found out and may be otherwise.
    """

    axes: str
    name: str
    shape: Shape
    spans: dict[str, Span]
    outputs: tuple[Output, ...]
    dtype: str = "float32"
    assumed: tuple[str, ...] = ()

    @property
    def space(self) -> str:
        """The space axes of the input, such as ``yx``."""
        return "".join(axis for axis in self.axes if axis in "zyx")

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.shape[self.axes.index("c")] if "c" in self.axes else 1


def probe(engine: Engine, facts: Facts) -> Network:
    """Find out what a network takes and gives, by running it.

    Parameters
    ----------
    engine : Engine
        The opened network.
    facts : Facts
        What a person knows of it.

    Raises
    ------
    ModelError
        If it takes nothing of what was tried.
    """
    name, declared = _declared(engine)
    axes, shape, found = _first_that_runs(engine, facts, declared)
    spans, grown = _spans(engine, axes, shape, found, declared)
    assumed: tuple[str, ...] = ()
    baked = _baked(engine, facts, axes, shape, spans, found)
    if baked is not None:
        shape, found = baked
        spans = {axis: Span(shape[axes.index(axis)], 0) for axis in spans}
        grown = dict.fromkeys(spans, found)
        sizes = " x ".join(str(span.least) for span in spans.values())
        sentence = (
            f"The network gives {sizes} pixels whatever it is given: that size is "
            "written down in it, and was taken as that of its windows."
        )
        assumed = (sentence,)
    names = engine.output_names
    outputs = tuple(
        placed(
            names[i] if i < len(names) else "",
            array,
            axes,
            shape,
            spans,
            {axis: more[i].shape for axis, more in grown.items()},
        )
        for i, array in enumerate(found)
    )
    dtype = engine.dtypes[0] if engine.dtypes else "float32"
    return Network(axes, name, shape, spans, outputs, dtype, assumed)


def _spans(
    engine: Engine,
    axes: str,
    shape: Shape,
    found: list[Any],
    declared: tuple[int | None, ...] | None,
) -> tuple[dict[str, Span], dict[str, list[Any]]]:
    """Sizes that the network takes along each space axis, and what it then gives."""
    spans, grown = {}, {}
    for axis in axes:
        if axis in "zyx":
            at = axes.index(axis)
            fixed = declared is not None and declared[at] is not None
            spans[axis], grown[axis] = _span(engine, shape, at, axis, found, fixed)
    return spans, grown


def _baked(
    engine: Engine,
    facts: Facts,
    axes: str,
    shape: Shape,
    spans: dict[str, Span],
    found: list[Any],
) -> tuple[Shape, list[Any]] | None:
    """The shape that tracing wrote into a network, which gives it for any other."""
    main = found[0].shape
    at = [axes.index(axis) for axis in spans]
    free = all(span.step for span in spans.values())
    if not free or len(main) != len(axes) or facts.decoder == "rcnn":
        return None
    further = [shape[i] + _SHIFT if i in at else shape[i] for i in range(len(shape))]
    try:
        moved = _run(engine, tuple(further))[0].shape
    except EngineError:
        return None
    if moved != main or min(main[i] for i in at) < _SMALLEST:
        return None
    if facts.input_shape:
        return shape, found
    own = tuple(main[i] if i in at else shape[i] for i in range(len(shape)))
    try:
        again = _run(engine, own)
    except EngineError:
        return None
    return (own, again) if again[0].shape == main else None


def _declared(engine: Engine) -> tuple[str, tuple[int | None, ...] | None]:
    """Name and shape of the input as the file tells; None for sizes left open."""
    signature = engine.signature
    if not signature:
        return "", None
    if len(signature) > 1:
        names = ", ".join(name for name, _ in signature)
        raise ModelError(
            f"Expected a network with one input, found {len(signature)} ({names}); "
            "write its rdf.yaml by hand, as docs/models.md says."
        )
    name, shape = signature[0]
    return name, shape


_SHIFT, _SMALLEST = 64, 16
"""Pixels more that change every map, and sides below which there is no map."""


def _first_that_runs(
    engine: Engine, facts: Facts, declared: tuple[int | None, ...] | None
) -> tuple[str, Shape, list[Any]]:
    problems: dict[str, EngineError] = {}
    tried = []
    for axes, shape in _shapes(facts, declared):
        tried.append(shape)
        try:
            found = _run(engine, shape)
        except EngineError as error:
            if "is written into" in str(error):  # another shape will not do
                raise ModelError(str(error)) from error
            problems.setdefault(axes, error)
            continue
        # A network of volumes takes a plane for a volume without batch axis, too; what
        # comes out then has no batch axis either.
        guessed = declared is None and facts.decoder != "rcnn"
        batches = all(a.ndim < len(axes) or a.shape[0] == 1 for a in found)
        if batches or not guessed:
            return axes, shape, found
    shapes = ", ".join(map(str, dict.fromkeys(tried[:4])))
    # Volumes were tried first, planes are likelier.
    problem = str(problems.get("bcyx", next(iter(problems.values()), "")))
    problem = problem or "It gives no batch of one image."
    raise ModelError(
        f"The network takes none of the inputs that were tried ({shapes} ...). "
        f"{problem.rstrip('. ')}. Give a shape that it takes, such as --input-shape "
        "1,1,256,256."
    )


def _shapes(
    facts: Facts, declared: tuple[int | None, ...] | None
) -> Iterator[tuple[str, Shape]]:
    """Axes and shapes to try, the likeliest first."""
    if facts.input_shape:
        yield facts.axes or _usual_axes(facts.input_shape), facts.input_shape
        return
    if declared is not None:
        axes = facts.axes or _usual_axes(declared)
        if len(axes) != len(declared):
            raise ModelError(
                f"The network's input has {len(declared)} axes, but '{axes}' names "
                f"{len(axes)}; give one letter for each."
            )
        yield from ((axes, shape) for shape in _filled(axes, declared))
        return
    # Volumes first: a network of planes refuses them, but not the other way round.
    ways = (facts.axes,) if facts.axes else ("bczyx", "bcyx")
    for axes in ways:
        yield from ((axes, shape) for shape in _filled(axes, (None,) * len(axes)))
    for axes in reversed(ways):  # traced with one size, which it needs
        for sizes in _OTHERS["z" in axes]:
            for channels in _CHANNELS[:2]:
                known = {"b": 1, "c": channels, "t": 1, **sizes}
                yield axes, tuple(known[axis] for axis in axes)


def _usual_axes(shape: Sequence[int | None]) -> str:
    known = {2: "yx", 3: "cyx", 4: "bcyx", 5: "bczyx"}
    if len(shape) not in known:
        raise ModelError(
            f"The network's input has {len(shape)} axes, which is no image; say what "
            "they are, such as --axes bcyx."
        )
    # Networks that come from Keras have their channels last.
    last = shape[-1] is not None and shape[-1] <= max(_CHANNELS)
    if len(shape) in (4, 5) and last and (shape[1] is None or shape[1] > 6):
        return {4: "byxc", 5: "bzyxc"}[len(shape)]
    return known[len(shape)]


def _filled(axes: str, declared: Sequence[int | None]) -> Iterator[Shape]:
    usual = _USUAL_IN_VOLUMES if "z" in axes else _USUAL
    choices: list[Sequence[int]] = []
    for axis, size in zip(axes, declared, strict=True):
        if axis == "b":
            choices.append((1,))
        elif size is not None:
            choices.append((size,))
        else:
            choices.append(_CHANNELS if axis == "c" else (usual.get(axis, 1),))
    return itertools.product(*choices)


def _run(engine: Engine, shape: Shape) -> list[Any]:
    # Small numbers that differ: nothing, everywhere, is an image like no other.
    ramp = np.linspace(0, 1, num=int(np.prod(shape)), dtype=np.float32)
    return engine.run([ramp.reshape(shape)])


def _span(
    engine: Engine, shape: Shape, at: int, axis: str, found: list[Any], fixed: bool
) -> tuple[Span, list[Any]]:
    """Sizes that the network takes along one axis, and what it gives for the next."""
    size = shape[at]
    only = Span(size, 0)
    if fixed:
        return only, found
    for step in _STEPS[axis]:
        larger = _try(engine, shape, at, size + step)
        twice = _try(engine, shape, at, size + 2 * step) if larger else None
        if larger is None or twice is None or not _even(found, larger, twice):
            continue
        least = max(step, _LEAST[axis] // step * step)
        if (size - least) % step or least > size:
            least = size
        if least < size and _try(engine, shape, at, least) is None:
            least = size
        return Span(least, step), larger
    return only, found


def _try(engine: Engine, shape: Shape, at: int, size: int) -> list[Any] | None:
    try:
        return _run(engine, (*shape[:at], size, *shape[at + 1 :]))
    except EngineError:
        return None


def _even(first: list[Any], second: list[Any], third: list[Any]) -> bool:
    """Whether outputs grow by the same at each step: nothing was rounded."""
    return all(
        a.ndim == b.ndim == c.ndim
        and all(
            z - y == y - x for x, y, z in zip(a.shape, b.shape, c.shape, strict=True)
        )
        for a, b, c in zip(first, second, third, strict=True)
    )
