"""Small networks that stand in for published ones: same tensors, simple arithmetic.

A description says which tensors a network takes and gives, and what they mean.
:func:`build` writes networks that keep to it and answer by brightness: what is bright
is an object. :func:`scene` draws an image with a known number of bright blobs for them.
"""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray

from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.model.description import (
    Axis,
    FixedSize,
    Model,
    RelativeSize,
    SteppedSize,
    TensorSpec,
)
from napari_imagec_ai.model.kinds import channel_count, channel_roles, main_output
from napari_imagec_ai.model.rdf import read_rdf

FILES = {"onnx": "weights.onnx", "torchscript": "weights.pt"}
"""Weights of a stand-in by format."""

STEP = 0.1
"""How much more each next class gets in scores than the one before."""

_ORDER = "bczyx"
"""Axes of every value inside a network, whatever those of its inputs are."""

_TABLES = ("boxes", "boxes_masks")
_SURE = 16.0
"""Logits between background and blobs."""
_EDGE = 30.0
"""Slope of the logits of boundaries."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COUNT = itertools.count()


def build(
    rdf: Path, folder: Path, formats: Sequence[str] = ("onnx", "torchscript")
) -> Path:
    """Write a model folder with networks that do as a description says.

    Parameters
    ----------
    rdf : Path
        Any description of a model; weights and test tensors that it names are not
        looked at.
    folder : Path
        Where to write; is made.
    formats : sequence of str
        ``onnx``, ``torchscript``, or both.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If an output is larger than its input by a border, or by no whole number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = yaml.load(rdf.read_bytes(), Loader=_LOADER)
    for side in ("inputs", "outputs"):
        for name in (f"test_{side}", f"sample_{side}"):
            description.pop(name, None)
        for tensor in description[side]:
            tensor.pop("test_tensor", None)
            tensor.pop("sample_tensor", None)
    description["weights"] = {name: {"source": FILES[name]} for name in formats}
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    model = read_rdf(folder / "rdf.yaml")
    for name in formats:
        graph: _Graph = _Onnx(model) if name == "onnx" else _TorchScript(model)
        for result in _results(graph, model):
            graph.give(result)
        graph.save(folder / FILES[name])
    return folder


# -- what a network computes -----------------------------------------------------------


class _Graph(Protocol):
    """Writes one operation after the other; values are known by name.

    Values have the axes ``bczyx``; axes are counted as positions in it.
    """

    def take(self, index: int) -> str:
        """An input of the network, axes that it does not have with size 1."""

    def number(self, values: NDArray[Any]) -> str:
        """A constant."""

    def add(self, a: str, b: str) -> str: ...

    def mul(self, a: str, b: str) -> str: ...

    def sigmoid(self, a: str) -> str: ...

    def mean(self, a: str, axes: Sequence[int]) -> str:
        """Mean along axes, which stay with size 1."""

    def pool(self, a: str, size: Sequence[int]) -> str:
        """Mean of each ``size`` pixels along z, y, x."""

    def highest(self, a: str, size: Sequence[int]) -> str:
        """Highest value of ``size`` pixels along z, y, x around each pixel."""

    def repeat(self, a: str, times: Sequence[int]) -> str:
        """Each pixel several times along z, y, x."""

    def crop(self, a: str, axis: int, before: int, after: int) -> str:
        """Leave out pixels at both ends of an axis."""

    def expand(self, a: str, shape: Sequence[int]) -> str:
        """Repeat a constant of any axes until it has a shape."""

    def arrange(self, a: str, letters: str) -> str:
        """Axes as an output has them: those of ``bczyx`` in its order, others new."""

    def give(self, a: str) -> None:
        """Make a value the next output of the network."""

    def save(self, path: Path) -> None: ...


def _results(graph: _Graph, model: Model) -> Iterator[str]:
    main = model.inputs[image_input(model)]
    images = [i for i, spec in enumerate(model.inputs) if _lies_on(spec, main)]
    taken = [graph.take(i) for i in range(len(model.inputs))]
    if model.kind == "scores":
        # Each input counts in another way, so that it matters which is which.
        means = [graph.mean(value, (1, 2, 3, 4)) for value in taken]
        bright = _sum(graph, [_times(graph, m, i) for i, m in enumerate(means, 1)])
    else:
        means = [graph.mean(taken[i], (1,)) for i in images]
        bright = _times(graph, _sum(graph, means), 1 / len(means))
    for spec in model.outputs:
        if model.kind in _TABLES:
            table = graph.number(_table(model, spec))
            yield graph.expand(table, [_fixed(axis) for axis in spec.axes])
        else:
            yield _map(graph, model, spec, bright)


def _map(graph: _Graph, model: Model, spec: TensorSpec, bright: str) -> str:
    """One output: of each pixel, or of whatever the output has no axes for."""
    source = model.inputs[image_input(model)]
    names = [axis.name for axis in spec.axes]
    lost = [2 + i for i, name in enumerate("zyx") if name not in names]
    weights, sigmoid = _channels(model, spec)
    value = graph.mul(bright, graph.number(weights[0]))
    if weights[1].any():
        # Brightest less darkest pixel around: what is steep.
        size = [3 if name in source.space else 1 for name in "zyx"]
        dark = graph.highest(_times(graph, bright, -1), size)
        edge = graph.add(graph.highest(bright, size), dark)
        value = graph.add(value, graph.mul(edge, graph.number(weights[1])))
    value = graph.add(value, graph.number(weights[2]))
    if sigmoid:
        value = graph.sigmoid(value)
    if lost:
        value = graph.mean(value, lost)
    value = _resampled(graph, value, source, spec)
    return graph.arrange(value, "".join(_letter(axis) for axis in spec.axes))


def _resampled(graph: _Graph, value: str, source: TensorSpec, spec: TensorSpec) -> str:
    """The output's own pixels: fewer or more of them, or none at the sides."""
    ratios = [_ratio(source, spec, name) for name in "zyx"]
    shrink = [max(1, round(1 / factor)) for factor, _ in ratios]
    grow = [max(1, round(factor)) for factor, _ in ratios]
    for (factor, offset), less, more in zip(ratios, shrink, grow, strict=True):
        if not math.isclose(factor, more / less) or offset > 0:
            raise ValueError(f"'{spec.id}': no stand-in for {factor} * n + {offset}")
    if max(shrink) > 1:
        value = graph.pool(value, shrink)
    if max(grow) > 1:
        value = graph.repeat(value, grow)
    for i, (_, offset) in enumerate(ratios):
        if offset < 0:
            before = -offset // 2
            value = graph.crop(value, 2 + i, before, -offset - before)
    return value


def _channels(model: Model, spec: TensorSpec) -> tuple[NDArray[np.float32], bool]:
    """How channels are computed, and whether a sigmoid follows.

    Returns
    -------
    weights : (3, 1, C, 1, 1, 1) float32
        For each channel, what brightness and edges are multiplied with, and what is
        added.
    sigmoid : bool
        Whether a sigmoid follows.
    """
    count = channel_count(model, spec) or 1
    middle, contrast = _levels(model)
    bright = np.array([1, 0, -middle]) * _SURE / contrast
    dark = -bright
    edge = np.array([0, 1, -0.35 * contrast]) * _EDGE / contrast
    never = np.array([0, 0, -_SURE])
    roles, kind = channel_roles(model), model.kind
    rows = np.zeros((count, 3))
    main = spec is main_output(model)
    if main and kind == "boundary":  # objects lie between membranes
        rows[:] = dark
    elif main and kind == "affinities":  # or the opposite, for one algorithm
        parts = re.search(rb"mutex|\bmws\b", model.source, re.IGNORECASE)
        rows[:] = dark if parts else bright
    elif main and kind in ("foreground", "labels"):
        rows[:] = bright
    elif main and kind in (
        "foreground_boundary",
        "foreground_boundary_distance",
        "three_class",
        "multi_class",
    ):
        rows[:] = never
        first = 0 if roles.background is None else int(roles.background == 0)
        for role, row in (
            (roles.foreground if kind != "multi_class" else first, bright),
            (roles.boundary, edge),
            (roles.distance, bright),
        ):
            if role is not None:
                rows[role] = row
    else:
        rows[:, 0] = 1
        rows[:, 2] = np.arange(count) * (STEP if kind == "scores" else 1)
        return np.asarray(rows.T.reshape(3, 1, -1, 1, 1, 1), np.float32), False
    if roles.background is not None:
        rows[roles.background] = dark
    steps = {step.id for step in spec.steps}
    sigmoid = (
        "binarize" in steps or spec.data_range == (0.0, 1.0) or kind == "labels"
    ) and not steps & {"sigmoid", "softmax"}
    return np.asarray(rows.T.reshape(3, 1, -1, 1, 1, 1), np.float32), sigmoid


def _levels(model: Model) -> tuple[float, float]:
    """A grey value between background and blobs, and how far these lie apart.

    Both as the network sees them, after the preprocessing of the description.
    """
    spec = model.inputs[image_input(model)]
    white = white_of(model)
    middle, contrast = 0.5 * white, 0.8 * white
    for step in spec.steps:
        get = step.kwargs.get
        fixed = get("mean") is not None
        if step.id == "zero_mean_unit_variance" and not fixed:
            middle, contrast = 1.0, 4.0  # blobs cover a small part of the image
        elif step.id == "scale_range":
            middle, contrast = 0.5, 0.9
        elif step.id.endswith("zero_mean_unit_variance"):
            spread = float(np.mean(step.kwargs["std"]))
            middle = (middle - float(np.mean(step.kwargs["mean"]))) / spread
            contrast /= spread
        elif step.id == "scale_linear":
            gain = float(np.mean(get("gain", 1.0)))
            middle = middle * gain + float(np.mean(get("offset", 0.0)))
            contrast *= gain
    return middle, contrast


def _table(model: Model, spec: TensorSpec) -> NDArray[np.float32]:
    """A detector's rows: a blob of the scene in each, then empty ones."""
    sizes = [_fixed(axis) for axis in spec.axes]
    source = model.inputs[image_input(model)]
    height, width = (_fixed(axis) for axis in map(source.axis, "yx") if axis)
    centres, radius = blobs((height, width))
    rows = np.zeros([sizes[0], *([1] * (len(sizes) - 1))], np.float32)
    found = min(len(centres), sizes[0])
    if re.search("box", spec.id):
        rows = np.zeros(sizes, np.float32)
        ends = [centres[:, ::-1] - radius[::-1], centres[:, ::-1] + radius[::-1]]
        rows[:found, :4] = np.concatenate(ends, axis=1)[:found]
    elif re.search("score", spec.id):
        rows[:found] = 0.9
    elif re.search("mask", spec.id):
        rows[:found] = 1
    elif re.search("shape", spec.id):
        rows = np.array([height, width], np.float32)
    return rows


def _ratio(source: TensorSpec, spec: TensorSpec, name: str) -> tuple[float, int]:
    """Factor and offset of an output's size along a space axis."""
    before, after = source.axis(name), spec.axis(name)
    if before is None or after is None:
        return 1.0, 0
    if isinstance(after.size, RelativeSize):
        return after.size.scale, round(after.size.offset)
    if not isinstance(after.size, FixedSize):
        return 1.0, 0
    small, large = sorted((_fixed(before), after.size.size))
    if small == large:
        return 1.0, 0
    if not isinstance(before.size, FixedSize):
        raise ValueError(f"'{spec.id}': no stand-in for a map of one size for all")
    if large % small == 0:
        return after.size.size / before.size.size, 0
    return 1.0, after.size.size - before.size.size


def _fixed(axis: Axis) -> int:
    """The size of an axis, or the smallest one that it may have."""
    if isinstance(axis.size, FixedSize):
        return axis.size.size
    return axis.size.min if isinstance(axis.size, SteppedSize) else 1


def _letter(axis: Axis) -> str:
    return axis.name if axis.name in tuple(_ORDER) else "?"


def _is_image(spec: TensorSpec) -> bool:
    return {"y", "x"} <= set(spec.space)


def _lies_on(spec: TensorSpec, main: TensorSpec) -> bool:
    """Whether an input has a pixel for each of the main one's."""
    pairs = [(spec.axis(name), main.axis(name)) for name in "zyx"]
    return all(
        (a is None) == (b is None) and (a is None or b is None or a.size == b.size)
        for a, b in pairs
    )


def image_input(model: Model) -> int:
    """Number of the first input that takes an image."""
    return next(i for i, spec in enumerate(model.inputs) if _is_image(spec))


def white_of(model: Model) -> float:
    """The grey value of white in the images that a network expects."""
    spec = model.inputs[image_input(model)]
    for step in spec.steps:
        gain, mean = (step.kwargs.get(name) for name in ("gain", "mean"))
        if mean is not None and np.mean(mean) > 1:
            return 2 * float(np.mean(mean))
        if gain is not None and np.mean(gain) < 0.1:
            return 255.0
    return 255.0 if "int" in spec.dtype or spec.data_range[1] == 255 else 1.0


def _sum(graph: _Graph, values: Sequence[str]) -> str:
    total = values[0]
    for value in values[1:]:
        total = graph.add(total, value)
    return total


def _times(graph: _Graph, value: str, factor: float) -> str:
    return graph.mul(value, graph.number(np.full((1,) * 5, factor, np.float32)))


# -- how it is written -----------------------------------------------------------------


def _arrangement(letters: str) -> tuple[list[int], int, list[int]]:
    """Order of the axes of ``bczyx``, how many to drop in front, and where to add."""
    lost = [i for i, letter in enumerate(_ORDER) if letter not in letters]
    kept = [_ORDER.index(letter) for letter in letters if letter in _ORDER]
    return (
        [*lost, *kept],
        len(lost),
        [i for i, letter in enumerate(letters) if letter not in _ORDER],
    )


def _intake(spec: TensorSpec) -> tuple[list[int], list[int], list[int]]:
    """Axes of an input to average, the order of those left, and where to add."""
    letters = "".join(_letter(axis) for axis in spec.axes)
    strange = [i for i, letter in enumerate(letters) if letter == "?"]
    left = letters.replace("?", "")
    order = [left.index(letter) for letter in _ORDER if letter in left]
    return strange, order, [i for i, name in enumerate(_ORDER) if name not in left]


class _Onnx:
    """A network in ONNX, operators of version 17."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._given: list[str] = []

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"k{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def _whole(self, values: Sequence[int]) -> str:
        return self._constant(np.array(values, np.int64))

    def take(self, index: int) -> str:
        strange, order, new = _intake(self._model.inputs[index])
        value = f"in{index}"
        if strange:
            value = self._node("ReduceMean", value, axes=strange, keepdims=0)
        value = self._node("Transpose", value, perm=order)
        return self._node("Unsqueeze", value, self._whole(new)) if new else value

    def number(self, values: NDArray[Any]) -> str:
        return self._constant(np.ascontiguousarray(values, np.float32))

    def add(self, a: str, b: str) -> str:
        return self._node("Add", a, b)

    def mul(self, a: str, b: str) -> str:
        return self._node("Mul", a, b)

    def sigmoid(self, a: str) -> str:
        return self._node("Sigmoid", a)

    def mean(self, a: str, axes: Sequence[int]) -> str:
        return self._node("ReduceMean", a, axes=list(axes), keepdims=1)

    def pool(self, a: str, size: Sequence[int]) -> str:
        shape = {"kernel_shape": list(size), "strides": list(size)}
        return self._node("AveragePool", a, **shape)

    def highest(self, a: str, size: Sequence[int]) -> str:
        pads = [n // 2 for n in size] * 2
        return self._node("MaxPool", a, kernel_shape=list(size), pads=pads)

    def repeat(self, a: str, times: Sequence[int]) -> str:
        scales = self._constant(np.array([1, 1, *times], np.float32))
        return self._node(
            "Resize",
            *(a, "", scales),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def crop(self, a: str, axis: int, before: int, after: int) -> str:
        ends = [self._whole([before]), self._whole([-after])]
        return self._node("Slice", a, *ends, self._whole([axis]))

    def expand(self, a: str, shape: Sequence[int]) -> str:
        return self._node("Expand", a, self._whole(shape))

    def arrange(self, a: str, letters: str) -> str:
        order, lost, new = _arrangement(letters)
        value = self._node("Transpose", a, perm=order)
        if lost:
            value = self._node("Squeeze", value, self._whole(range(lost)))
        return self._node("Unsqueeze", value, self._whole(new)) if new else value

    def give(self, a: str) -> None:
        self._given.append(a)

    def save(self, path: Path) -> None:
        from onnx import TensorProto, checker, helper, save

        def declared(name: str, spec: TensorSpec, known: bool) -> Any:
            shape: list[int | str] = []
            for i, axis in enumerate(spec.axes):
                fixed = known and isinstance(axis.size, FixedSize) and axis.name != "b"
                shape.append(_fixed(axis) if fixed else f"{name}_{i}")
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        inputs, outputs = self._model.inputs, self._model.outputs
        # An output may only be as fixed as the image that it is computed from.
        image = inputs[image_input(self._model)]
        sizes = [axis.size for axis in image.axes if axis.name in image.space]
        fixed = all(isinstance(size, FixedSize) for size in sizes)
        graph = helper.make_graph(
            self._nodes,
            "stand_in",
            [declared(f"in{i}", spec, True) for i, spec in enumerate(inputs)],
            [
                declared(name, spec, fixed or self._model.kind in _TABLES)
                for name, spec in zip(self._given, outputs, strict=True)
            ],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        checker.check_model(model)
        save(model, str(path))


class _TorchScript:
    """The same in TorchScript: the text of a ``forward`` that PyTorch compiles."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._lines: list[str] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._given: list[str] = []

    def _line(self, expression: str) -> str:
        name = f"v{len(self._lines)}"
        self._lines.append(f"{name} = {expression}")
        return name

    def take(self, index: int) -> str:
        strange, order, new = _intake(self._model.inputs[index])
        value = self._line(f"in{index}.to(torch.float32)")
        if strange:
            value = self._line(f"torch.mean({value}, {strange})")
        value = self._line(f"{value}.permute({order})")
        for i in new:
            value = self._line(f"{value}.unsqueeze({i})")
        return value

    def number(self, values: NDArray[Any]) -> str:
        name = f"k{len(self._constants)}"
        self._constants[name] = np.ascontiguousarray(values, np.float32)
        return f"self.{name}"

    def add(self, a: str, b: str) -> str:
        return self._line(f"{a} + {b}")

    def mul(self, a: str, b: str) -> str:
        return self._line(f"{a} * {b}")

    def sigmoid(self, a: str) -> str:
        return self._line(f"torch.sigmoid({a})")

    def mean(self, a: str, axes: Sequence[int]) -> str:
        return self._line(f"torch.mean({a}, {list(axes)}, keepdim=True)")

    def pool(self, a: str, size: Sequence[int]) -> str:
        return self._line(f"torch.nn.functional.avg_pool3d({a}, {list(size)})")

    def highest(self, a: str, size: Sequence[int]) -> str:
        pads = [n // 2 for n in size]
        return self._line(f"torch.max_pool3d({a}, {list(size)}, 1, {pads})")

    def repeat(self, a: str, times: Sequence[int]) -> str:
        for axis, count in enumerate(times, start=2):
            if count > 1:
                a = self._line(f"torch.repeat_interleave({a}, {count}, {axis})")
        return a

    def crop(self, a: str, axis: int, before: int, after: int) -> str:
        size = f"{a}.size({axis}) - {before + after}"
        return self._line(f"{a}.narrow({axis}, {before}, {size})")

    def expand(self, a: str, shape: Sequence[int]) -> str:
        return self._line(f"{a}.expand({list(shape)})")

    def arrange(self, a: str, letters: str) -> str:
        order, lost, new = _arrangement(letters)
        value = self._line(f"{a}.permute({order})")
        for _ in range(lost):
            value = self._line(f"{value}.squeeze(0)")
        for i in new:
            value = self._line(f"{value}.unsqueeze({i})")
        return value

    def give(self, a: str) -> None:
        self._given.append(a)

    def save(self, path: Path) -> None:
        import torch

        names = ", ".join(f"in{i}" for i in range(len(self._model.inputs)))
        body = "\n".join(f"    {line}" for line in self._lines)
        # One result alone, several in a tuple: as networks usually have it.
        given = ", ".join(self._given)
        source = f"def forward(self, {names}):\n{body}\n    return {given}\n"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is used
            # A class of its own: PyTorch keeps one forward for each class.
            methods = {"__init__": _with_buffers(torch, self._constants)}
            name = f"StandIn{next(_COUNT)}"
            module: Any = type(name, (torch.jit.ScriptModule,), methods)()
            module.define(source)
            torch.jit.save(module, str(path))


def _with_buffers(torch: Any, values: Mapping[str, NDArray[Any]]) -> Any:
    def init(module: Any) -> None:
        torch.jit.ScriptModule.__init__(module)
        for name, value in values.items():
            module.register_buffer(name, torch.from_numpy(value.copy()))

    return init


# -- what it is given ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image of blobs that a model takes.

    Attributes
    ----------
    inputs : mapping of str to ImageInput or list of float
        For each input of the network, by its id.
    grey : array
        The image that has the blobs: mean over channels, (Y, X) or (Z, Y, X).
    centres : (N, 2) or (N, 3) array
        Centres of the blobs in pixels, along the axes of ``grey``.
    tile : tuple of int or None
        A window size for which there are several windows, where the network leaves a
        choice.
    """

    inputs: Mapping[str, ImageInput | list[float]]
    grey: NDArray[np.float32]
    centres: NDArray[np.float64]
    tile: tuple[int, ...] | None

    @property
    def image(self) -> Any:
        """What a run is given: the image, or all inputs where there are several."""
        return (
            next(iter(self.inputs.values())) if len(self.inputs) == 1 else self.inputs
        )

    @property
    def expected(self) -> int:
        """How many blobs there are."""
        return len(self.centres)


def scene(model: Model, seed: int = 0) -> Scene:
    """Draw an image for a model: bright blobs, none touching, on a dark background.

    It is a bit larger than a window, where the results of windows can be stitched.
    """
    rng = np.random.default_rng(seed)
    spec = model.inputs[image_input(model)]
    axes = [axis for name in "zyx" if (axis := spec.axis(name)) is not None]
    names = [axis.name for axis in axes]
    shape, tile = _sizes(model, spec, axes)
    centres, radius = blobs(shape)
    grey = _drawn(shape, centres, radius) * 0.8 + 0.1
    grey = grey + rng.normal(0, 0.01, shape)
    inputs: dict[str, ImageInput | list[float]] = {}
    shown = grey
    for other in model.inputs:
        if other is spec:
            data = _with_channels(model, other, grey.clip(0, 1) * white_of(model))
            shown = data.reshape(-1, *shape).mean(axis=0, dtype=np.float64)
        elif _is_image(other):
            data = _with_channels(model, other, rng.random(shape))
        else:
            size = math.prod(_fixed(a) for a in other.axes if a.name != "b")
            inputs[other.id] = [round(float(v), 3) for v in rng.random(size)]
            continue
        letters = "".join(names).upper()
        inputs[other.id] = ImageInput(
            data,
            ("C" if data.ndim > len(names) else "") + letters,
            pixel_size=(0.5,) * len(names),
            unit="micrometer",
            name=f"blobs for {other.id}",
        )
    return Scene(inputs, shown.astype(np.float32), centres, tile)


def _with_channels(
    model: Model, spec: TensorSpec, grey: NDArray[np.float64]
) -> NDArray[Any]:
    """The image in each channel, a bit darker in the first and brighter in the last."""
    count = channel_count(model, spec) or 1
    data = grey
    if count > 1:
        gain = np.linspace(0.9, 1.1, count)
        data = gain.reshape(-1, *([1] * grey.ndim)) * grey
    if spec.dtype == "uint8":
        return np.asarray(data.round().clip(0, 255), np.uint8)
    return data.astype(np.float32)


def _sizes(
    model: Model, spec: TensorSpec, axes: Sequence[Axis]
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Sizes of an image that takes a few windows, and the windows' where free."""
    sizes, tile = [], []
    flat = len(axes) == 2
    whole = model.kind in (*_TABLES, "scores", "embedding")
    for axis in axes:
        least, fixed = _fixed(axis), isinstance(axis.size, FixedSize)
        halos = (found.halo for o in model.outputs if (found := o.axis(axis.name)))
        room = 2 * max(halos, default=0) + (72 if flat else 40)
        window = least if fixed else max(least, room)
        if axis.name not in spec.space:  # planes in the place of a batch
            size = 2
        elif axis.name == "z":
            size = min(least if least > 8 or fixed else 19, 32)
        elif axis.name == "y":
            size = window if flat or whole else min(window, 64)
        else:
            size = window if whole else round(window * (1.3 if flat else 1.1))
        if not fixed and not whole:
            size += 3
        sizes.append(size)
        if axis.name in spec.space:
            tile.append(size if axis.name == "z" else window)
    free = not all(isinstance(axis.size, FixedSize) for axis in axes[-2:])
    return tuple(sizes), tuple(tile) if free else None


def blobs(shape: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres of blobs for an image, and their radii along its axes, in pixels."""
    radius = min(7.0, min(shape[-2:]) / 10) if len(shape) == 2 else 5.0
    places = []
    radii = []
    for i, size in enumerate(shape):
        deep = len(shape) == 3 and i == 0
        room = int((size - 2 * radius) // (4 * radius))
        count = 1 if deep else min(max(room, 1), 4)
        edge = size / 2 if count == 1 else 3 * radius
        places.append(np.linspace(edge, size - edge, count) - 0.5)
        radii.append(min(radius, size / 4) if size > 7 or not deep else np.inf)
    centres = np.array(list(itertools.product(*places)))
    rng = np.random.default_rng(len(centres))
    shift = rng.uniform(-0.4, 0.4, centres.shape) * radius
    shift[:, : len(shape) - 2] = 0
    return centres + shift, np.array(radii)


def _drawn(
    shape: Sequence[int], centres: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Smooth blobs of height 1."""
    drawn = np.zeros(shape)
    grids = np.ogrid[tuple(slice(size) for size in shape)]
    radius = float(radii.min())
    for centre in centres:
        away = sum(
            ((grid - c) / r) ** 2
            for grid, c, r in zip(grids, centre, radii, strict=True)
        )
        depth = (np.sqrt(away) - 1) * radius / 0.7
        drawn = np.maximum(drawn, 1 / (1 + np.exp(np.minimum(depth, 50))))
    return drawn
