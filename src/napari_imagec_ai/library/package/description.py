"""Writes the description that bare weights lack, as the content of ``rdf.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.registry import get_decoder
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import DecodeError, ModelError
from napari_imagec_ai.library.package.facts import Facts, Scaling, identifier, title
from napari_imagec_ai.library.package.grey_values import scaling_steps
from napari_imagec_ai.library.package.meaning import (
    classes_of,
    meaning_of,
    output_names,
)
from napari_imagec_ai.library.package.network import Network, probe
from napari_imagec_ai.library.package.output_geometry import Growth, Output
from napari_imagec_ai.library.undescribed import bare_model
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.system.safe_yaml import read_yaml

FORMAT = "0.5.4"

Rdf = dict[str, Any]

_USUAL_SCALING: dict[str, Scaling] = {
    "stardist": "percentiles",
    "cellpose": "percentiles",
}
"""What networks of a family are trained with, where all are."""

_BOXES = {
    "objectness": ("cx", "cy", "w", "h", "objectness"),
    "scores": ("cx", "cy", "w", "h"),
    "end_to_end": ("x0", "y0", "x1", "y1", "score", "label"),
}


def describe(path: Path, engine: Engine, facts: Facts) -> Rdf:
    """The content of ``rdf.yaml``, without tests and files.

    Parameters
    ----------
    path : Path
        The weights.
    engine : Engine
        The same, opened.
    facts : Facts
        What a person says of them.

    Raises
    ------
    ModelError, DecodeError
        If what was told does not fit the weights.
    """
    if facts.decoder in ("", "yolo"):
        return _headed(path, facts, _of_detector(path, facts))
    return described(path, probe(engine, facts), facts)


def described(path: Path, network: Network, facts: Facts) -> Rdf:
    """Like :func:`describe`, of a network whose sizes are known."""
    return _headed(path, facts, _of_network(network, facts))


def _headed(path: Path, facts: Facts, rdf: Rdf) -> Rdf:
    decoder = get_decoder(rdf["config"]["napari_imagec_ai"]["decoder"])
    name = facts.name or path.stem
    head = {
        "format_version": FORMAT,
        "type": "model",
        "name": title(name),
        "description": facts.description or f"{title(name)}: {decoder.title}.",
        "version": "1.0",
        "authors": [{"name": author} for author in facts.authors],
        "license": facts.license or None,
        "tags": [rdf["config"]["napari_imagec_ai"]["decoder"]],
    }
    return {key: value for key, value in head.items() if value} | rdf


def _config(facts: Facts, decoder: str, kind: str, classes: Sequence[str]) -> Rdf:
    settings = dict(facts.settings)
    own = dict(settings)
    threshold = own.pop("class_threshold", None)
    model = get_decoder(decoder).settings()
    chosen = settings_with(model, own).model_dump(mode="json")
    values: Rdf = {"decoder": decoder, "kind": kind, "classes": list(classes)}
    values |= {name: chosen[name] for name in own}
    if threshold is not None:
        try:
            values["class_threshold"] = min(max(float(threshold), 0.0), 1.0)
        except ValueError:
            raise DecodeError(
                f"Expected a class threshold from 0 to 1, found '{threshold}'."
            ) from None
    return {"napari_imagec_ai": values}


# -- detectors -------------------------------------------------------------------------


def _of_detector(path: Path, facts: Facts) -> Rdf:
    """A YOLO export tells all but what a person wants to call things."""
    try:
        model = bare_model(path)
    except ModelError as error:
        if facts.decoder:
            raise
        from napari_imagec_ai.decoders.registry import decoders

        raise ModelError(
            "The network is no YOLO export, so it does not tell what it gives; say it "
            f"with --decoder: {', '.join(decoders())} (unet where pixels are "
            "foreground or boundary, semantic where they are of classes)."
        ) from error
    rdf: Rdf = read_yaml(model.source)
    own = rdf["config"]["napari_imagec_ai"]
    if len(rdf["inputs"]) > 1:
        others = ", ".join(f"'{entry['id']}'" for entry in rdf["inputs"][1:])
        raise ModelError(
            f"'{path.name}' takes {others} beside the image, which a model folder "
            "cannot have a test for yet; run the file itself: it needs no folder."
        )
    named = list(own.get("classes", ()))
    if facts.classes and len(facts.classes) != len(named):
        raise ModelError(
            f"The network has {len(named)} classes ({', '.join(named)}), but "
            f"{len(facts.classes)} names were given ({', '.join(facts.classes)}); give "
            "one for each, in this order."
        )
    classes = facts.classes or tuple(named)
    if facts.pixel_size:
        sizes = facts.pixel_sizes("yx")
        for axis in rdf["inputs"][0]["axes"][2:]:
            axis |= {"scale": sizes[axis["id"]], "unit": "micrometer"}
    if own["decoder"] != "yolo":
        told = dict(own, classes=list(classes))
        told.pop("assumed", None)
        return {**_tensors(rdf), "weights": {}, "config": {"napari_imagec_ai": told}}
    for output in rdf["outputs"]:
        rows = (*_BOXES[own["layout"]], *_of_rows(own["layout"], classes))
        _name_axes(output, (*rows, *own.get("extra", ())))
    return {
        **_tensors(rdf),
        "weights": {},
        "config": _config(facts, "yolo", own["kind"], classes),
    }


def _tensors(rdf: Rdf) -> Rdf:
    return {side: rdf[side] for side in ("inputs", "outputs")}


def _of_rows(layout: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Classes that have a column each."""
    return () if layout == "end_to_end" else tuple(classes)


def _name_axes(output: Rdf, columns: Sequence[str]) -> None:
    """Give channels names, and axes that only count ids of their own."""
    rows = not any(axis["type"] == "space" for axis in output["axes"])
    count = 0
    for axis in output["axes"]:
        if axis["type"] == "index":
            axis["id"] = "candidate" if not count else f"index{count}"
            count += 1
        elif axis["type"] == "channel":
            size = axis.pop("size")
            words = columns if rows else ()
            axis["channel_names"] = _names(words, size, "mask" if rows else "proto")


def _names(words: Sequence[str], size: int, rest: str) -> list[str]:
    found: list[str] = []
    for word in words[:size]:
        found.append(identifier(word, found))
    more = size - len(found)
    return found + [f"{rest}{i}" for i in range(more)]


# -- maps ------------------------------------------------------------------------------


def _of_network(network: Network, facts: Facts) -> Rdf:
    if facts.decoder == "rcnn":  # tables, whatever their sizes are
        tables = tuple(replace(output, growth={}) for output in network.outputs)
        network = replace(network, outputs=tables)
    kind, names, facts = meaning_of(network, facts)
    sizes = facts.pixel_sizes(network.space)
    source = identifier(network.name or "image")
    taken = [source]
    outputs = []
    said = output_names(network, facts)
    for number, output in enumerate(network.outputs):
        name = identifier(said[number] or f"output{number}", taken)
        taken.append(name)
        outputs.append(_output(network, output, name, source, kind, names, sizes))
    return {
        "inputs": [_input(network, source, facts, sizes)],
        "outputs": outputs,
        "weights": {},
        "config": _own(network, facts, kind, names),
    }


def _own(network: Network, facts: Facts, kind: str, names: Sequence[str]) -> Rdf:
    """What the description says to this package."""
    config = _config(facts, facts.decoder, kind, classes_of(facts, kind, names))
    values = config["napari_imagec_ai"]
    if facts.scaling in ("bit-depth", "imagenet"):
        values["normalize"] = "type"
    if network.assumed:
        values["assumed"] = list(network.assumed)
    return config


def _input(network: Network, name: str, facts: Facts, sizes: dict[str, float]) -> Rdf:
    axes: list[Rdf] = []
    for axis, size in zip(network.axes, network.shape, strict=True):
        if axis == "b":
            axes.append({"type": "batch"})
        elif axis == "c":
            axes.append({"type": "channel", "channel_names": _names((), size, "c")})
        elif axis == "t":
            axes.append({"type": "time", "id": "t", "size": size})
        else:
            span = network.spans[axis]
            values: Rdf = {"type": "space", "id": axis, "size": span.least}
            if span.step:
                values["size"] = {"min": span.least, "step": span.step}
            axes.append(values | _scaled(sizes, axis))
    scaling = facts.scaling or _USUAL_SCALING.get(facts.decoder, "none")
    found: Rdf = {
        "id": name,
        "description": "Grey values as they come",
        "axes": axes,
        "preprocessing": scaling_steps(scaling, network),
    }
    if network.dtype.startswith(("uint", "int")):
        found["data"] = {"type": network.dtype}
    elif scaling in ("bit-depth", "imagenet"):
        found["data"] = {"type": "float32", "range": [0.0, 1.0]}
    return found


def _output(
    network: Network,
    output: Output,
    name: str,
    source: str,
    kind: str,
    names: Sequence[str],
    sizes: dict[str, float],
) -> Rdf:
    axes: list[Rdf] = []
    if not output.growth:
        if kind in DETECTORS:
            return {"id": name, "axes": _rows(name, output.shape)}
        return {"id": name, "axes": _table(name, output.shape)}
    for at, axis in enumerate(output.axes):
        size = output.shape[at]
        if axis == "b":
            axes.append({"type": "batch"})
        elif axis == "z" and axis not in output.growth:
            axes.append({"type": "space", "id": "z", "size": size})
        elif axis == "c":
            fitting = names if len(names) == size else ()
            axes.append(
                {"type": "channel", "channel_names": _names(fitting, size, name)}
            )
        elif axis == "t":
            axes.append({"type": "time", "id": "t", "size": size})
        else:
            axes.append(_space(network, axis, size, output.growth[axis], source, sizes))
    return {"id": name, "axes": axes}


def _space(
    network: Network,
    axis: str,
    size: int,
    growth: Growth,
    source: str,
    sizes: dict[str, float],
) -> Rdf:
    values: Rdf = {"type": "space", "id": axis, "size": size}
    if network.spans[axis].step:
        values["size"] = {"tensor_id": source, "axis_id": axis}
        if growth.offset:
            values["size"]["offset"] = growth.offset
    # The format gives sizes in physical units: half the pixels are of twice the size.
    scale = sizes.get(axis, 1.0) / growth.factor
    if sizes or scale != 1.0:
        values["scale"] = scale
    return values | ({"unit": "micrometer"} if sizes else {})


def _scaled(sizes: dict[str, float], axis: str) -> Rdf:
    return {"scale": sizes[axis], "unit": "micrometer"} if sizes else {}


def _table(name: str, shape: Sequence[int]) -> list[Rdf]:
    """Axes of what is no map: rows of numbers."""
    axes: list[Rdf] = []
    for at, size in enumerate(shape):
        if at == 0 and size == 1 and len(shape) > 1:
            axes.append({"type": "batch"})
        elif at == len(shape) - 1 and len(shape) > 1 and len(axes) == 1 and at == 1:
            axes.append({"type": "channel", "channel_names": _names((), size, name)})
        else:
            axes.append({"type": "index", "id": f"index{at}", "size": size})
    return axes


def _rows(name: str, shape: Sequence[int]) -> list[Rdf]:
    """Axes of a table with one row for each object, as Mask R-CNN gives them."""
    rows: list[Rdf] = [{"type": "index", "id": "object", "size": {"min": 1}}]
    if len(shape) == 4 and shape[1] == 1:
        rows.append({"type": "channel", "channel_names": [name]})
    elif len(shape) == 2:
        return [*rows, {"type": "channel", "channel_names": _names((), shape[1], name)}]
    if len(shape) > 2:
        for axis, size in zip("yx", shape[-2:], strict=True):
            rows.append({"type": "space", "id": axis, "size": size})
    return rows
