"""Reads ``rdf.yaml``: any 0.3 to 0.5 format version becomes one :class:`Model`.

Lenient on what running does not need, exact on what it does. Reading never runs code,
never opens weights and never goes online. The formats are those of
https://github.com/bioimage-io/spec-bioimage-io.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model import kinds
from napari_imagec_ai.model.description import (
    RUNNABLE,
    FileRef,
    Model,
    Step,
    TensorSpec,
    Weights,
)
from napari_imagec_ai.model.rdf_axes import (
    described_axis,
    lettered_axes,
    mapping,
    resolve_sizes,
    sequence,
    with_colours,
    with_qupath_sizes,
)
from napari_imagec_ai.model.steps import arguments
from napari_imagec_ai.model.steps.steps import step_problem
from napari_imagec_ai.model.weights import check_weights
from napari_imagec_ai.system.contents import read_small
from napari_imagec_ai.system.safe_yaml import MAX_BYTES, read_yaml

_MAX_AXES, _MAX_NAME = 8, 200
"""Networks have up to six axes; longer names are cut."""


def find_rdf(folder: Path) -> Path | None:
    """The description of a model folder, or None.

    ``rdf.yaml``, ``rdf.yml``, ``bioimageio.yaml``, ``*.rdf.yaml`` and
    ``*.bioimageio.yaml`` are looked for in this order; the first one is the folder's
    model.
    """
    for pattern in ("rdf.yaml", "rdf.yml", "bioimageio.yaml"):
        if (folder / pattern).is_file():
            return folder / pattern
    for pattern in ("*.rdf.yaml", "*.bioimageio.yaml"):
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        if found:
            return found[0]
    return None


def read_rdf(path: Path) -> Model:
    """Read one description.

    Parameters
    ----------
    path : Path
        The description itself.

    Returns
    -------
    Model
        With ``problems`` where it cannot be run.

    Raises
    ------
    ModelError
        If it is no description of a model.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(
                f"'{path.name}' has {path.stat().st_size} bytes; a model description "
                "is far smaller. Choose another file."
            )
        source = read_small(path, MAX_BYTES)
    except OSError as error:
        raise ModelError(
            f"Could not read '{path}': {error.strerror or error}."
        ) from error
    return parse_rdf(source, path)


def parse_rdf(source: bytes, path: Path) -> Model:
    """Like :func:`read_rdf`, for a description that was read already.

    Parameters
    ----------
    source : bytes
        The description.
    path : Path
        Where it was read from; files that it names are looked for beside it.
    """
    rdf = _parse_yaml(source, path)
    if rdf.get("type", "model") != "model":
        raise ModelError(
            f"'{path.name}' describes a {rdf['type']!s:.40}, not a model; choose a "
            "folder whose rdf.yaml has 'type: model'."
        )
    version = str(rdf.get("format_version", ""))
    folder = path.resolve().parent
    inputs, outputs, lost = _tensors(rdf, version, folder, path)
    inputs = with_qupath_sizes(inputs, mapping(rdf.get("config")))
    inputs = with_colours(inputs, mapping(rdf.get("config")))
    weights = _weights(rdf, folder)
    model = Model(
        name=str(rdf.get("name") or path.parent.name)[:_MAX_NAME],
        folder=folder,
        path=path.resolve(),
        format_version=version,
        inputs=inputs,
        outputs=outputs,
        weights=weights,
        version="" if rdf.get("version") is None else str(rdf["version"]),
        description=str(rdf.get("description") or ""),
        hints=mapping(rdf.get("config")),
        authors=_names(rdf.get("authors")),
        citation=tuple(_citations(rdf.get("cite"))),
        license=str(rdf.get("license") or ""),
        tags=tuple(str(tag) for tag in sequence(rdf.get("tags"))),
        cover=next(
            (c for c in (_inside(folder, s) for s in sequence(rdf.get("covers"))) if c),
            None,
        ),
        documentation=_inside(folder, rdf.get("documentation")),
        problems=(*_problems(weights, inputs, outputs), *lost),
        source=source,
    )
    kind = kinds.infer_kind(model)
    model = dataclasses.replace(model, kind=kind)
    return dataclasses.replace(model, classes=kinds.infer_classes(model))


def _parse_yaml(source: bytes, path: Path) -> dict[str, Any]:
    try:
        data = read_yaml(source)
    except ValueError as error:
        raise ModelError(
            f"'{path.name}' is not valid YAML ({error}); correct it or download the "
            "model again."
        ) from error
    if not isinstance(data, dict):
        raise ModelError(
            f"'{path.name}' is no model description: expected a mapping with 'inputs', "
            f"'outputs' and 'weights', found a {type(data).__name__}."
        )
    return data


# -- tensors ---------------------------------------------------------------------------


def _tensors(
    rdf: Mapping[str, Any], version: str, folder: Path, path: Path
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], list[str]]:
    sides = []
    for side in ("inputs", "outputs"):
        entries = sequence(rdf.get(side))
        if not entries or not all(isinstance(entry, Mapping) for entry in entries):
            raise ModelError(
                f"'{path.name}' has no usable '{side}': expected a list of tensor "
                "descriptions. Correct the file or choose another model."
            )
        tests = sequence(rdf.get(f"test_{side}"))
        sides.append(
            tuple(
                _tensor(
                    entry,
                    side,
                    folder,
                    tests[index] if index < len(tests) else entry.get("test_tensor"),
                    f"{path.name}, {side}[{index}]",
                )
                for index, entry in enumerate(entries)
            )
        )
    return resolve_sizes(sides[0], sides[1])


def _tensor(
    entry: Mapping[str, Any], side: str, folder: Path, test: Any, where: str
) -> TensorSpec:
    axes = entry.get("axes")
    if isinstance(axes, (str, list)) and len(axes) > _MAX_AXES:
        raise ModelError(
            f"{where} has {len(axes)} axes, where at most {_MAX_AXES} were expected; "
            "correct the description."
        )
    if isinstance(axes, str):
        parsed = tuple(lettered_axes(entry, axes, where))
    elif isinstance(axes, list) and all(isinstance(axis, Mapping) for axis in axes):
        parsed = tuple(described_axis(axis, where) for axis in axes)
    else:
        raise ModelError(
            f"{where} has no usable 'axes': expected text such as 'bcyx' or a list of "
            f"axis descriptions, found {axes!r:.60}."
        )
    names = [axis.name for axis in parsed if axis.name != "i"]
    if len(set(names)) != len(names):
        raise ModelError(
            f"{where} has two axes of one name among '{''.join(names):.60}'; correct "
            "the ids of its axes."
        )
    data = entry.get("data")
    data = mapping(data[0] if isinstance(data, list) and data else data)
    steps = entry.get("preprocessing" if side == "inputs" else "postprocessing")
    return TensorSpec(
        id=str(entry.get("id") or entry.get("name") or side[:-1])[:_MAX_NAME],
        axes=parsed,
        dtype=str(entry.get("data_type") or data.get("type") or "float32"),
        data_range=_range(entry.get("data_range") or data.get("range")),
        steps=tuple(_step(step, where) for step in sequence(steps)),
        description=str(entry.get("description") or ""),
        optional=bool(entry.get("optional", False)),
        test_tensor=_file_ref(folder, test),
    )


def _step(step: Any, where: str) -> Step:
    if not isinstance(step, Mapping) or not (step.get("id") or step.get("name")):
        raise ModelError(
            f"{where} has a processing step without a name: {step!r:.80}. Correct the "
            "description."
        )
    name = str(step.get("id") or step["name"])[:_MAX_NAME]
    return Step(name, dict(mapping(step.get("kwargs"))))


# -- weights and files -----------------------------------------------------------------


def _weights(rdf: Mapping[str, Any], folder: Path) -> dict[str, Weights]:
    weights = {}
    for name, entry in mapping(rdf.get("weights")).items():
        if not isinstance(entry, Mapping):
            continue
        framework = "torchscript" if name == "pytorch_script" else str(name)
        file = _file_ref(folder, entry)
        if file is not None:
            beside = _file_ref(folder, entry.get("external_data"))
            weights[framework] = check_weights(framework, file, beside)
    return weights


def _problems(
    weights: Mapping[str, Weights],
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
) -> tuple[str, ...]:
    problems = []
    if not weights:
        problems.append(
            "The description names no weights; add an entry 'onnx' or 'torchscript'."
        )
    elif not any(entry.problem is None for entry in weights.values()):
        # Where a runnable format is there but broken, that is what to mend first.
        broken = [e for e in weights.values() if e.format in RUNNABLE]
        for entry in broken or list(weights.values())[:1]:
            sentence = entry.problem or ""
            problems.append(sentence[:1].upper() + sentence[1:] + ".")
    for tensor in (*inputs, *outputs):
        for step in tensor.steps:
            names = [axis.name for axis in tensor.axes]
            found = (
                step_problem(step),
                arguments.range_problem(step),
                arguments.axes_problem(step, names),
            )
            problems += [problem for problem in found if problem is not None]
            named = step.kwargs.get("reference_tensor")
            if named is not None and named not in {spec.id for spec in inputs}:
                problems.append(
                    f"Step '{step.id}' refers to the tensor '{named!s:.40}', which is "
                    "none of its inputs; correct the description."
                )
    return tuple(problems)


def _file_ref(folder: Path, entry: Any) -> FileRef | None:
    sha = None
    if isinstance(entry, Mapping):
        sha = None if entry.get("sha256") is None else str(entry["sha256"]).lower()
        entry = entry.get("source")
    if not isinstance(entry, str) or not entry:
        return None
    return FileRef(entry, sha, _inside(folder, entry))


def _inside(folder: Path, source: Any) -> Path | None:
    """The named file, only if it really lies inside the folder."""
    if isinstance(source, Mapping):
        source = source.get("source")
    if not isinstance(source, str) or not source or "\0" in source:
        return None
    # A package that was downloaded keeps addresses in its description: the file is
    # then beside it, under the last part of the address.
    name = (
        source.split("?")[0].rstrip("/").split("/")[-1] if "://" in source else source
    )
    try:
        path = (folder / name).resolve()
        if path.is_relative_to(folder) and path.is_file():
            return path
    except (OSError, RuntimeError, ValueError):
        return None
    return None


# -- texts -----------------------------------------------------------------------------


def _range(value: Any) -> tuple[float | None, float | None]:
    if not isinstance(value, list) or len(value) != 2:
        return (None, None)
    low, high = (_finite(v) for v in value)
    return (low, high)


def _finite(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _names(value: Any) -> tuple[str, ...]:
    return tuple(
        str(entry.get("name") or "") if isinstance(entry, Mapping) else str(entry)
        for entry in sequence(value)
    )


def _citations(value: Any) -> Iterator[str]:
    for entry in sequence(value):
        if isinstance(entry, Mapping):
            parts = (entry.get("text"), entry.get("doi") or entry.get("url"))
            yield ", ".join(str(part) for part in parts if part)
