"""Writes the description that bare weights lack, as the content of ``rdf.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.registry import get_decoder
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import DecodeError, ModelError
from napari_imagec_ai.library.package.facts import Facts, Scaling, identifier, title
from napari_imagec_ai.library.package.network import Growth, Network, Output, probe
from napari_imagec_ai.library.undescribed import bare_model
from napari_imagec_ai.model.description import Kind
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.system.safe_yaml import read_yaml

FORMAT = "0.5.4"

Rdf = dict[str, Any]

_USUAL_SCALING: dict[str, Scaling] = {
    "stardist": "percentiles",
    "cellpose": "percentiles",
}
"""What networks of a family are trained with, where all are."""

_KINDS_OF_MAPS: dict[int, Kind] = {
    1: "foreground",
    2: "foreground_boundary",
    3: "three_class",
}
"""Usual meaning of the channels of a U-Net, by their number."""

_CHANNELS = {
    "foreground": ("foreground",),
    "foreground_boundary": ("foreground", "boundary"),
    "three_class": ("background", "foreground", "boundary"),
}

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
            f"'{path.name}' is no YOLO export, so it does not tell what it gives; say "
            f"it with --decoder: {', '.join(decoders())}."
        ) from error
    rdf: Rdf = read_yaml(model.source)
    own = rdf["config"]["napari_imagec_ai"]
    named = list(own["classes"])
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
    for output in rdf["outputs"]:
        _name_axes(output, (*_BOXES[own["layout"]], *_of_rows(own["layout"], classes)))
    return {
        "inputs": rdf["inputs"],
        "outputs": rdf["outputs"],
        "weights": {},
        "config": _config(facts, "yolo", own["kind"], classes),
    }


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
    kind, names = _meaning(network, facts)
    sizes = facts.pixel_sizes(network.space)
    source = identifier(network.name or "image")
    taken = [source]
    outputs = []
    for number, output in enumerate(network.outputs):
        name = identifier(output.name or f"output{number}", taken)
        taken.append(name)
        outputs.append(_output(network, output, name, source, kind, names, sizes))
    return {
        "inputs": [_input(network, source, facts, sizes)],
        "outputs": outputs,
        "weights": {},
        "config": _config(facts, facts.decoder, kind, _classes(facts, kind, names)),
    }


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
    return {
        "id": name,
        "description": "Grey values as they come",
        "axes": axes,
        "preprocessing": _steps(scaling, network),
    }


def _steps(scaling: str, network: Network) -> list[Rdf]:
    to_float = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    space = list(network.space)
    wide = {"axes": space, "eps": 1e-6}
    ends = {"percentiles": (1.0, 99.8), "range": (0.0, 100.0)}
    step: Rdf | None = None
    if scaling in ends:
        low, high = ends[scaling]
        more = {"min_percentile": low, "max_percentile": high}
        step = {"id": "scale_range", "kwargs": wide | more}
    elif scaling == "zero-mean":
        step = {"id": "zero_mean_unit_variance", "kwargs": wide}
    elif scaling == "bytes":
        step = {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}}
    return [to_float, step, to_float] if step else [to_float]


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
    for at, axis in enumerate(network.axes):
        size = output.shape[at]
        if axis == "b":
            axes.append({"type": "batch"})
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


# -- meaning ---------------------------------------------------------------------------


def _meaning(network: Network, facts: Facts) -> tuple[str, tuple[str, ...]]:
    """Kind of the outputs, and names of the main output's channels."""
    get_decoder(facts.decoder)
    if facts.decoder == "rcnn":
        masks = any(len(output.shape) > 2 for output in network.outputs)
        return "boxes_masks" if masks else "boxes", ()
    maps = [output for output in network.outputs if output.growth]
    if not maps and facts.decoder != "scores":
        shapes = ", ".join(str(output.shape) for output in network.outputs)
        raise ModelError(
            f"The decoder '{facts.decoder}' expects a map of the image, found outputs "
            f"of the shapes {shapes}; choose another decoder."
        )
    main = (maps or network.outputs)[0]
    at = network.axes.find("c") if main.growth else len(main.shape) - 1
    count = main.shape[at] if at >= 0 else 1
    names = facts.output_channels
    if names and len(names) != count:
        raise ModelError(
            f"The network's output has {count} channels, but {len(names)} names were "
            f"given ({', '.join(names)}); give one for each."
        )
    if facts.decoder == "unet":
        return _of_unet(count, names)
    if facts.decoder == "semantic":
        return "multi_class", names or _of_classes(facts, count)
    if facts.decoder == "cellpose" and not names and count >= 3:
        flows = ("flow_z", "flow_y", "flow_x")[-(count - 1) :]
        names = (*flows, "cellprob") if count <= 4 else ()
    if facts.decoder == "stardist" and not names:
        names = ("probability", *(f"distance{i}" for i in range(count - 1)))
    if facts.decoder == "scores" and not names:
        names = facts.classes if len(facts.classes) == count else ()
    kind = facts.decoder if facts.decoder in get_args(Kind) else "unknown"
    return kind, names


def _of_unet(count: int, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if names:
        said = set(names)
        if {"foreground", "boundary"} <= said:
            distances = "distance" in said
            three = "background" in said
            kind = "foreground_boundary" if not three else "three_class"
            return "foreground_boundary_distance" if distances else kind, names
        return "boundary" if "foreground" not in said else "foreground", names
    if count not in _KINDS_OF_MAPS:
        raise ModelError(
            f"The network's output has {count} channels; say what they are, such as "
            "--output-channels foreground,boundary,distance."
        )
    kind = _KINDS_OF_MAPS[count]
    return kind, _CHANNELS[kind]


def _of_classes(facts: Facts, count: int) -> tuple[str, ...]:
    """Channels of a network that tells the class of each pixel, background first."""
    if len(facts.classes) == count - 1:
        return ("background", *facts.classes)
    if len(facts.classes) == count:
        return facts.classes
    raise ModelError(
        f"The network tells {count} classes of pixels, but {len(facts.classes)} were "
        f"named; name {count - 1} where the first is the background, else {count}."
    )


def _classes(facts: Facts, kind: str, names: Sequence[str]) -> tuple[str, ...]:
    if facts.classes or kind == "image":
        return facts.classes
    if kind == "scores":
        return tuple(names)
    return ("object",)
