"""Packages of ZEN and arivis: ``.czann`` and ``.czseg``, zips around an ONNX network.

Beside the network (``ID.model``) lies what it is for: ``ID.json`` in a ``.czann``,
``ID.xml`` in a ``.czseg``. The description that we need is written from that, and from
the shapes of the network's tensors.

Source of the formats: https://pypi.org/project/czmodel and its documentation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import parse_rdf

SUFFIXES = (".czann", ".czseg")
"""Of the packages."""

_LARGEST = 1 << 20
"""Bytes of what is said of a network; no such text is longer."""

_SEGMENT = ("singleclasssemantic", "multiclasssemantic")
_BACKGROUND = ("background", "bg")

_METRE = 1e6
"""Micrometres."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What a package says of its network.

    Attributes
    ----------
    name, kind : str
        Name of the model, and what it does: ``SingleClassSemanticSegmentation`` ...
    classes : tuple of str
        One for each channel of the output, the background among them.
    halo : tuple of int
        Pixels at each side of a window that are worth less, along y and x.
    by_type : bool
        Whether grey values are divided by the highest value of the image's type.
    pixel_size : tuple of float
        Along y and x in micrometres; empty where it is unknown.
    bgr : bool
        Whether three channels are blue, green and red.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    halo: tuple[int, int]
    by_type: bool = True
    pixel_size: tuple[float, ...] = ()
    bgr: bool = False


def network_in(folder: Path, package: Path) -> Path:
    """The network of a package that was unpacked into a folder.

    Raises
    ------
    ModelError
        If there is not exactly one.
    """
    networks = sorted(folder.glob("*.model"))
    if len(networks) != 1:
        raise ModelError(
            f"'{package.name}' holds {len(networks)} networks (*.model), where one was "
            "expected; export it again."
        )
    return networks[0]


def description(folder: Path, package: Path) -> bytes:
    """What an ``rdf.yaml`` would say of a package that was unpacked into a folder.

    Parameters
    ----------
    folder : Path
        With the package's files at its top.
    package : Path
        The package, for messages.

    Raises
    ------
    ModelError
        If it is no such package, or its network does something that nothing here reads.
    """
    network = network_in(folder, package)
    told = _told(network, package)
    rdf = _described(told, *_shapes(network, package), package)
    rdf["weights"] = {"onnx": {"source": network.name}}
    text = yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True)
    return text.encode()


def package_model(folder: Path, package: Path) -> Model:
    """The model of a package that was unpacked into a folder."""
    source = description(folder, package)
    return replace(parse_rdf(source, folder / "rdf.yaml"), path=package.resolve())


# -- what is told ----------------------------------------------------------------------


def _told(network: Path, package: Path) -> _Told:
    for suffix, read in ((".json", _from_json), (".xml", _from_xml)):
        path = network.with_suffix(suffix)
        if not path.is_file():
            continue
        source = path.read_bytes()
        if len(source) > _LARGEST or b"<!DOCTYPE" in source or b"<!ENTITY" in source:
            raise ModelError(
                f"'{path.name}' in '{package.name}' is no description of a network; "
                "it was left alone."
            )
        try:
            return read(source)
        except (ValueError, KeyError, TypeError, ElementTree.ParseError) as error:
            raise ModelError(
                f"'{path.name}' in '{package.name}' cannot be read ({error}); export "
                "the model again."
            ) from error
    raise ModelError(
        f"'{package.name}' does not say what its network is for: there is no "
        f"'{network.stem}.json' or '.xml' in it; export the model again."
    )


def _from_json(source: bytes) -> _Told:
    found = json.loads(source.decode("utf-8-sig"))
    if not isinstance(found, Mapping):
        raise ValueError("it is no mapping")
    overlap = found.get("MinOverlap") or [0, 0]
    scaling = found.get("Scaling")
    sizes: tuple[float, ...] = ()
    if isinstance(scaling, Sequence) and len(scaling) >= 2 and min(scaling[:2]) > 0:
        sizes = (float(scaling[1]) * _METRE, float(scaling[0]) * _METRE)
    return _Told(
        name=str(found.get("ModelName") or ""),
        kind=str(found["Type"]),
        classes=tuple(map(str, found.get("Classes") or ())),
        # The overlap is that of two windows: half of it at each side.
        halo=(int(overlap[0]) // 2, int(overlap[-1]) // 2),
        pixel_size=sizes,
    )


def _from_xml(source: bytes) -> _Told:
    root = ElementTree.fromstring(source)
    items = [item.get("Name") for item in root.findall("TrainingClasses/Item")]
    border = int(root.findtext("BorderSize") or 0)
    pixels = [item.get("PixelType") or "" for item in root.findall("Channels/Item")]
    scaled = (root.findtext("ScaleInputsByBitdepth") or "true").strip().lower()
    return _Told(
        name=root.findtext("ModelName") or "",
        kind="SingleClassSemanticSegmentation",
        classes=tuple(name for name in items if name),
        halo=(border, border),
        by_type=scaled == "true",
        bgr=any(word.startswith("Bgr") for word in pixels),
    )


# -- the description -------------------------------------------------------------------


def _shapes(weights: Path, package: Path) -> tuple[list[int | None], list[int | None]]:
    """Sizes of the input and of the output; None where they are free."""
    import onnx

    try:
        graph = onnx.load(str(weights), load_external_data=False).graph
        if len(graph.input) < 1 or len(graph.output) != 1:
            raise ValueError(f"it has {len(graph.output)} outputs")
        weighed = {tensor.name for tensor in graph.initializer}
        source = next(value for value in graph.input if value.name not in weighed)
        found = [
            [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
            for value in (source, graph.output[0])
        ]
    except Exception as error:  # those of onnx and protobuf have no common root
        raise ModelError(
            f"The network in '{package.name}' cannot be read ({error}); export the "
            "model again."
        ) from error
    return found[0], found[1]


def _described(
    told: _Told, source: list[int | None], result: list[int | None], package: Path
) -> dict[str, Any]:
    kind, decoder, names, classes = _meaning(told, result, package)
    space = _places(source, package)
    colours = ["blue", "green", "red"] if told.bgr else ["red", "green", "blue"]
    count = source[space["c"]] or 1
    channels = colours if count == 3 else [f"c{i}" for i in range(count)]
    own: dict[str, Any] = {"decoder": decoder, "kind": kind, "classes": list(classes)}
    own |= {"normalize": "type"} if told.by_type else {}
    image: dict[str, Any] = {
        "id": "image",
        "axes": _axes(source, space, channels, told, halo=False),
        "preprocessing": [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}],
    }
    if told.by_type:
        image["data"] = {"type": "float32", "range": [0.0, 1.0]}
    output = {
        "id": "output",
        "axes": _axes(result, space, list(names), told, halo=True),
    }
    name = told.name or package.stem
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": name,
        "description": f"{told.kind} from '{package.name}'.",
        "inputs": [image],
        "outputs": [output],
        "config": {"napari_imagec_ai": own},
    }


def _meaning(
    told: _Told, result: Sequence[int | None], package: Path
) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Kind, decoder, names of the output's channels, and of the classes."""
    word = told.kind.lower()
    if word.startswith("regression"):
        count = result[-1] or 1
        return "image", "image", tuple(f"c{i}" for i in range(count)), ()
    if not word.startswith(_SEGMENT):
        raise ModelError(
            f"'{package.name}' is a model for '{told.kind}', which cannot be run here; "
            "choose one for semantic segmentation or regression."
        )
    count = result[-1] or len(told.classes)
    names = told.classes
    if len(names) != count:
        raise ModelError(
            f"'{package.name}' names {len(names)} classes ({', '.join(names)}), but "
            f"its network gives {count} channels; export the model again."
        )
    at = next((i for i, n in enumerate(names) if n.lower() in _BACKGROUND), 0)
    classes = tuple(name for i, name in enumerate(names) if i != at)
    if len(classes) == 1:  # one kind of object, and what is none
        roles = tuple("background" if i == at else "foreground" for i in range(count))
        return "foreground", "unet", roles, classes
    channels = tuple("background" if i == at else n for i, n in enumerate(names))
    return "multi_class", "semantic", channels, classes


def _places(source: Sequence[int | None], package: Path) -> dict[str, int]:
    """Where each axis is; such networks have their channels last."""
    if len(source) == 4:
        return {"b": 0, "y": 1, "x": 2, "c": 3}
    raise ModelError(
        f"The network in '{package.name}' takes {len(source)} axes, where an image "
        "(batch, y, x, channels) was expected; export it for planes."
    )


def _axes(
    sizes: Sequence[int | None],
    places: Mapping[str, int],
    channels: list[str],
    told: _Told,
    *,
    halo: bool,
) -> list[dict[str, Any]]:
    axes: list[dict[str, Any]] = []
    for axis in sorted(places, key=lambda name: places[name]):
        if axis == "b":
            axes.append({"type": "batch"})
        elif axis == "c":
            axes.append({"type": "channel", "channel_names": channels})
        else:
            size = sizes[places[axis]] or {"min": 64, "step": 32}
            value: dict[str, Any] = {"type": "space", "id": axis, "size": size}
            number = "yx".index(axis)
            if told.pixel_size:
                value |= {"scale": told.pixel_size[number], "unit": "micrometer"}
            if halo:
                value["halo"] = told.halo[number]
            axes.append(value)
    return axes
