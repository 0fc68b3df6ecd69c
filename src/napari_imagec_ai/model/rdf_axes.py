"""Axes and sizes as descriptions write them: words and lists, or one entry each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import (
    Axis,
    AxisSize,
    FixedSize,
    FreeSize,
    RelativeSize,
    SteppedSize,
    TensorSpec,
)

_LARGEST = 1 << 16
"""Elements along an axis; no network has so large a window."""

_AXIS_LETTERS = {
    "batch": "b",
    "channel": "c",
    "time": "t",
    "index": "i",
}


def lettered_axes(entry: Mapping[str, Any], axes: str, where: str) -> Iterator[Axis]:
    """Axes of formats 0.3 and 0.4: a word and parallel lists."""
    shape = entry.get("shape")
    halo = sequence(entry.get("halo"))
    for index, letter in enumerate(axes):
        yield Axis(
            name=letter,
            size=_listed_size(shape, index, letter, len(axes), where),
            halo=_integer(halo[index], where) if index < len(halo) else 0,
        )


def _listed_size(
    shape: Any, index: int, letter: str, length: int, where: str
) -> AxisSize:
    if isinstance(shape, list) and len(shape) == length:
        # Some old descriptions write -1 or null for "any".
        if letter == "b" or shape[index] is None or shape[index] == -1:
            return FreeSize()
        return FixedSize(_integer(shape[index], where))
    if isinstance(shape, Mapping) and "reference_tensor" in shape:
        scale, offset = (
            _at(shape.get("scale"), index, where, 1.0),
            _at(shape.get("offset"), index, where, 0.0),
        )
        # Format 0.4: size = scale * reference + 2 * offset; no scale, new axis.
        if not scale:
            return FixedSize(round(2 * offset))
        return RelativeSize(str(shape["reference_tensor"]), letter, scale, 2 * offset)
    if isinstance(shape, Mapping) and "min" in shape:
        if letter == "b":
            return FreeSize()
        smallest = _integer(_at(shape["min"], index, where, 1.0), where)
        step = _integer(_at(shape.get("step"), index, where, 0.0), where)
        return SteppedSize(smallest, step) if step else FixedSize(smallest)
    if shape is None:
        return FreeSize()
    raise ModelError(
        f"{where} has no usable 'shape': expected {length} sizes, or min and step, or "
        f"a reference tensor with scale and offset, found {shape!r:.80}."
    )


def described_axis(axis: Mapping[str, Any], where: str) -> Axis:
    """One axis of format 0.5."""
    kind = str(axis.get("type", "space"))
    name = _AXIS_LETTERS.get(kind) or str(axis.get("id") or "x")
    names = tuple(str(name) for name in sequence(axis.get("channel_names")))
    size = axis.get("size")
    return Axis(
        name=name,
        size=FixedSize(len(names)) if names else _described_size(size, axis, where),
        halo=_integer(axis.get("halo") or 0, where),
        pixel_size=_number(axis.get("scale") or 1.0, where),
        unit=None if axis.get("unit") is None else str(axis["unit"]),
        channel_names=names,
    )


def _described_size(size: Any, axis: Mapping[str, Any], where: str) -> AxisSize:
    if size is None or (axis.get("type") == "batch"):
        return FreeSize()
    if isinstance(size, Mapping):
        if "tensor_id" in size or "axis_id" in size:
            reference = str(size.get("axis_id", axis.get("id", "x")))
            return RelativeSize(
                str(size.get("tensor_id", "input")),
                _AXIS_LETTERS.get(reference, reference),
                1.0,
                _number(size.get("offset") or 0, where),
            )
        if "step" in size:
            smallest = _integer(size.get("min", 1), where)
            step = _integer(size["step"] or 0, where)
            return SteppedSize(smallest, step) if step else FixedSize(smallest)
        return FreeSize()
    return FixedSize(_integer(size, where))


def resolve_sizes(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], list[str]]:
    """Follow references of sizes to the input where they end.

    A reference may lead to another output, which refers to an input. Format 0.5 gives
    sizes in physical units: pixel sizes are folded into the scales.

    Returns
    -------
    inputs, outputs, problems
        And sentences on references that lead nowhere.
    """
    by_id = {tensor.id: tensor for tensor in (*outputs, *inputs)}
    problems: list[str] = []

    def follow(axis: Axis, seen: tuple[tuple[str, str], ...]) -> Axis:
        size = axis.size
        if not isinstance(size, RelativeSize):
            return axis
        at = (size.tensor, size.axis)
        reference = by_id.get(size.tensor)
        other = reference.axis(size.axis) if reference is not None else None
        if reference is not None and other is None:
            return axis  # a new axis, whose size is whatever comes out
        if other is None or at in seen:
            problems.append(_lost(axis, size, by_id, at in seen))
            return axis
        scale = size.scale * other.pixel_size / axis.pixel_size
        end = follow(other, (*seen, at)).size
        if isinstance(end, RelativeSize):
            offset = scale * end.offset + size.offset
            found: AxisSize = RelativeSize(
                end.tensor, end.axis, scale * end.scale, offset
            )
        elif isinstance(end, FixedSize) and reference in outputs:
            found = FixedSize(round(scale * end.size + size.offset))
        else:
            found = dataclasses.replace(size, scale=scale)
        return dataclasses.replace(axis, size=found)

    def followed(tensor: TensorSpec) -> TensorSpec:
        axes = tuple(follow(axis, ((tensor.id, axis.name),)) for axis in tensor.axes)
        return dataclasses.replace(tensor, axes=axes)

    resolved = tuple(map(followed, inputs)), tuple(map(followed, outputs))
    return *resolved, list(dict.fromkeys(problems))


def with_qupath_sizes(
    inputs: tuple[TensorSpec, ...], config: Mapping[str, Any]
) -> tuple[TensorSpec, ...]:
    """Pixel sizes that a description tells QuPath, where no axis has any.

    Such as InstanSeg's ``config.qupath.axes``: ``role`` x or y, ``step`` and ``unit``.
    """
    told = {}
    for entry in sequence(mapping(config.get("qupath")).get("axes")):
        axis = mapping(entry)
        step, unit = axis.get("step"), axis.get("unit")
        if isinstance(step, (int, float)) and 0 < step < math.inf and unit:
            told[str(axis.get("role"))] = (float(step), str(unit))
    if not {"x", "y"} <= told.keys():
        return inputs
    if any(axis.unit for tensor in inputs for axis in tensor.axes):
        return inputs

    def sized(axis: Axis) -> Axis:
        if axis.name not in told:
            return axis
        step, unit = told[axis.name]
        return dataclasses.replace(axis, pixel_size=step, unit=unit)

    return tuple(
        dataclasses.replace(tensor, axes=tuple(map(sized, tensor.axes)))
        if len(tensor.space) > 1
        else tensor
        for tensor in inputs
    )


def with_colours(
    inputs: tuple[TensorSpec, ...], config: Mapping[str, Any]
) -> tuple[TensorSpec, ...]:
    """Names of three channels, where only their order was told: ``BGR``.

    As ``channel_order`` in ``config.napari_imagec_ai``, or as detectron2's settings
    have it: ``config.detectron2.INPUT.FORMAT``.
    """
    own = mapping(config.get("napari_imagec_ai"))
    other = mapping(config.get("detectron2"))
    told = own.get("channel_order") or mapping(other.get("INPUT")).get("FORMAT")
    if str(told).upper() != "BGR":
        return inputs

    def named(axis: Axis) -> Axis:
        if axis.name != "c" or axis.size != FixedSize(3):
            return axis
        return dataclasses.replace(axis, channel_names=("blue", "green", "red"))

    return tuple(
        dataclasses.replace(tensor, axes=tuple(map(named, tensor.axes)))
        for tensor in inputs
    )


def _lost(
    axis: Axis, size: RelativeSize, known: Mapping[str, TensorSpec], circle: bool
) -> str:
    what = (
        f"The size of axis '{axis.name:.40}' refers to axis '{size.axis:.40}' of "
        f"'{size.tensor:.40}'"
    )
    if circle:
        return f"{what}, which leads back to it; correct the description."
    return (
        f"{what}, which is not there (tensors: {', '.join(known):.200}); correct the "
        "description."
    )


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, if it is a mapping; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: Any) -> list[Any]:
    """The value, if it is a list; else an empty one."""
    return value if isinstance(value, list) else []


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ModelError(
            f"{where}: expected a number, found {value!r:.40}; correct the description."
        )
    return number


def _integer(value: Any, where: str) -> int:
    number = _number(value, where)
    if not number.is_integer() or not 0 <= number <= _LARGEST:
        raise ModelError(
            f"{where}: expected a whole number from 0 to {_LARGEST}, found "
            f"{value!r:.40}; correct the description."
        )
    return int(number)


def _at(values: Any, index: int, where: str, default: float) -> float:
    if not isinstance(values, list) or index >= len(values) or values[index] is None:
        return (
            default
            if values is None or isinstance(values, list)
            else _number(values, where)
        )
    return _number(values[index], where)
