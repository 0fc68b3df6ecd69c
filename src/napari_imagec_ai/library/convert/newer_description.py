"""A description of an older format, written as format 0.5 has it.

Tensors come from what was read of them (:class:`.Model`), words from the description
itself; parts that format 0.5 has no place for are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_imagec_ai.library.package.description import FORMAT
from napari_imagec_ai.library.package.facts import identifier, title
from napari_imagec_ai.model.description import (
    Axis,
    FixedSize,
    FreeSize,
    Model,
    RelativeSize,
    Step,
    SteppedSize,
    TensorSpec,
)
from napari_imagec_ai.model.rdf_axes import sequence

Rdf = dict[str, Any]

_WORDS = {"b": "batch", "c": "channel", "t": "time", "i": "index"}

_KEPT = (
    "authors",
    "maintainers",
    "packaged_by",
    "license",
    "tags",
    "links",
    "git_repo",
    "timestamp",
    "config",
)
"""Parts that both formats write the same way."""

_VALUES = ("gain", "offset", "mean", "std")

_PERSON = ("name", "affiliation", "email", "github_user", "orcid")


def as_newer(rdf: Mapping[str, Any], model: Model) -> Rdf:
    """The description in format 0.5, without weights and test tensors' hashes.

    Parameters
    ----------
    rdf : mapping
        The description as it is written; of format 0.5 it is given back.
    model : Model
        The same, read.
    """
    if model.format_version.startswith("0.5"):
        return dict(rdf)
    ids: dict[str, str] = {}
    for spec in (*model.inputs, *model.outputs):
        ids[spec.id] = identifier(spec.id, list(ids.values()))
    found = _words(rdf, model)
    inputs = {spec.id: spec for spec in model.inputs}
    for side, specs in (("inputs", model.inputs), ("outputs", model.outputs)):
        found[side] = []
        for spec in specs:
            tensor = _tensor(spec, ids, inputs, side == "outputs")
            if spec.test_tensor is not None and spec.test_tensor.path is not None:
                tensor["test_tensor"] = {
                    "source": _beside(spec.test_tensor.path, model)
                }
            found[side].append(tensor)
    return found


def _words(rdf: Mapping[str, Any], model: Model) -> Rdf:
    """All but the tensors."""
    found: Rdf = {
        "format_version": FORMAT,
        "type": "model",
        "name": title(model.name),
        "description": model.description or title(model.name),
    }
    if model.version:
        found["version"] = model.version
    found |= {key: rdf[key] for key in _KEPT if rdf.get(key)}
    for key in ("authors", "maintainers", "packaged_by"):
        if key in found:
            found[key] = [_person(entry) for entry in sequence(found[key])]
    cited = [_citation(entry) for entry in sequence(rdf.get("cite"))]
    found["cite"] = [entry for entry in cited if len(entry) > 1]
    # The format wants an address for each; words alone stay words.
    for entry in cited:
        if len(entry) == 1:
            found["description"] += f" Cite: {entry['text']}"
    # Both were read from words of the old format, some of which are gone.
    config = dict(found.get("config") or {})
    meant: Rdf = {"kind": model.kind} if model.kind != "unknown" else {}
    meant |= {"classes": list(model.classes)} if model.classes else {}
    config["napari_imagec_ai"] = meant | dict(model.settings)
    found["config"] = config
    if model.documentation is not None and model.documentation.suffix == ".md":
        found["documentation"] = _beside(model.documentation, model)
    if model.cover is not None:
        found["covers"] = [_beside(model.cover, model)]
    return found


def _beside(path: Path, model: Model) -> str:
    return path.relative_to(model.folder).as_posix()


def _citation(entry: Any) -> Rdf:
    """What was cited; a DOI or address that is none becomes part of the text."""
    told = entry if isinstance(entry, Mapping) else {"text": str(entry)}
    text = str(told.get("text") or "")
    doi = str(told.get("doi") or "").removeprefix("https://doi.org/")
    url = str(told.get("url") or "")
    if doi.startswith("http") and not url:
        doi, url = "", doi
    found: Rdf = {"text": text}
    if re.fullmatch(r"10\.[0-9]{4}.+", doi):
        found["doi"] = doi
    elif doi:
        found["text"] = f"{text} ({doi})"
    if re.match(r"https?://.+", url):
        found["url"] = url
    elif url:
        found["text"] = f"{found['text']} ({url})"
    return found


def _person(entry: Any) -> Rdf:
    if not isinstance(entry, Mapping):
        return {"name": str(entry)}
    person = {key: entry[key] for key in _PERSON if entry.get(key)}
    return person | {"name": str(entry.get("name", "")).replace("/", " ")}


def _tensor(
    spec: TensorSpec,
    ids: Mapping[str, str],
    inputs: Mapping[str, TensorSpec],
    output: bool,
) -> Rdf:
    found: Rdf = {"id": ids[spec.id]}
    if spec.description:
        found["description"] = spec.description[:128]
    found["axes"] = [_axis(axis, spec, ids, inputs, output) for axis in spec.axes]
    data: Rdf = {"type": spec.dtype}
    if spec.dtype == "bool":
        data["values"] = [False, True]
    elif any(value is not None for value in spec.data_range):
        data["range"] = list(spec.data_range)
    found["data"] = data
    steps = [step for one in spec.steps for step in _steps(one, spec, ids)]
    if steps:
        found["postprocessing" if output else "preprocessing"] = steps
    return found


def _axis(
    axis: Axis,
    spec: TensorSpec,
    ids: Mapping[str, str],
    inputs: Mapping[str, TensorSpec],
    output: bool,
) -> Rdf:
    if axis.name == "b":
        return {"type": "batch"}
    if axis.name == "c":
        return {"type": "channel", "channel_names": _channels(axis, spec, inputs)}
    kind = {"t": "time", "i": "index"}.get(axis.name, "space")
    found: Rdf = {"type": kind, "id": _word(axis.name)}
    return found | _sized(axis, ids, inputs, output)


def _sized(
    axis: Axis, ids: Mapping[str, str], inputs: Mapping[str, TensorSpec], output: bool
) -> Rdf:
    size = axis.size
    if isinstance(size, SteppedSize):
        return {"size": {"min": size.min, "step": size.step}}
    if isinstance(size, FreeSize):
        return {"size": {"min": 1} if output else {"min": 1, "step": 1}}
    if isinstance(size, FixedSize):
        # Only what follows an input may have a halo.
        source = _same_size(axis, size.size, inputs) if output and axis.halo else None
        if source is None:
            return {"size": size.size}
        size = RelativeSize(source, axis.name, 1.0, 0.0)
    other = inputs.get(size.tensor)
    if other is None or other.axis(size.axis) is None:  # an axis that is new
        return {"size": round(size.offset) or 1}
    at: Rdf = {"tensor_id": ids[size.tensor], "axis_id": _word(size.axis)}
    if size.offset:
        at["offset"] = round(size.offset)
    found: Rdf = {"size": at}
    # Sizes are physical there: half the pixels are of twice the size.
    if size.scale != 1 and axis.name not in "ti":
        found["scale"] = 1 / size.scale
    return found | ({"halo": axis.halo} if axis.halo else {})


def _word(name: str) -> str:
    return _WORDS.get(name, name)


def _same_size(axis: Axis, size: int, inputs: Mapping[str, TensorSpec]) -> str | None:
    for name, spec in inputs.items():
        other = spec.axis(axis.name)
        if other is not None and other.size == FixedSize(size):
            return name
    return None


def _channels(
    axis: Axis, spec: TensorSpec, inputs: Mapping[str, TensorSpec]
) -> list[str]:
    if axis.channel_names:
        return list(axis.channel_names)
    size = axis.size
    if isinstance(size, RelativeSize) and size.tensor in inputs:
        other = inputs[size.tensor].axis(size.axis)
        if other is not None and isinstance(other.size, FixedSize):
            size = FixedSize(round(other.size.size * size.scale + size.offset))
    if isinstance(size, SteppedSize | FreeSize | RelativeSize):
        size = FixedSize(getattr(size, "min", 1))
    return [f"channel{number}" for number in range(max(1, size.size))]


def _steps(step: Step, spec: TensorSpec, ids: Mapping[str, str]) -> Iterator[Rdf]:
    """One step as format 0.5 has it; names that it does not know stay as they are."""
    kwargs = dict(step.kwargs)
    mode = kwargs.pop("mode", None)
    name = step.id
    listed = [
        key for key in ("gain", "offset", "mean", "std") if _many(kwargs.get(key))
    ]
    if name == "zero_mean_unit_variance" and mode == "fixed":
        name = "fixed_zero_mean_unit_variance"
        kwargs.pop("eps", None)
    if name in ("scale_linear", "fixed_zero_mean_unit_variance"):
        kwargs.pop("axes", None)
        if listed:
            kwargs["axis"] = "channel"
        else:
            for key in _VALUES:
                if isinstance(kwargs.get(key), Sequence):
                    kwargs[key] = kwargs[key][0]
    elif "axes" in kwargs:
        letters = "".join(kwargs["axes"]) if isinstance(kwargs["axes"], str) else None
        names = list(letters) if letters is not None else list(kwargs["axes"])
        if mode == "per_dataset" and "b" not in names:
            names = ["b", *names]
        kwargs["axes"] = [_word(str(axis)) for axis in names]
    if kwargs.get("reference_tensor") is not None:
        told = str(kwargs["reference_tensor"])
        kwargs["reference_tensor"] = ids.get(told, told)
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    yield {"id": name, "kwargs": kwargs} if kwargs else {"id": name}


def _many(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 1
