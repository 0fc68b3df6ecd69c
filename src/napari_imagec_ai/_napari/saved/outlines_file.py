"""Outlines that were exported as GeoJSON, or come from QuPath: a layer a class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_imagec_ai._napari.layers.from_napari import COLOURS, placed
from napari_imagec_ai._napari.layers.marks import METADATA
from napari_imagec_ai._napari.saved.image_of_result import Found, image_named
from napari_imagec_ai.errors import ImagecAIError

LayerData = tuple[Any, dict[str, Any], str]

SUFFIX = ".geojson"

_POINTS = 3
"""Corners that an outline has at least."""


@dataclass(slots=True)
class _Class:
    """Outlines of one class, with a row of the table for each."""

    colour: str
    rings: list[NDArray[Any]] = field(default_factory=list)
    planes: list[dict[str, int]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def layers_of(path: Path, layers: Any) -> tuple[list[LayerData], str]:
    """Shapes layers of a file, and a sentence where their image is in doubt.

    Parameters
    ----------
    path : Path
        The file.
    layers : LayerList or None
        Of the viewer: the image that the outlines lie on is looked for in them.

    Raises
    ------
    ImagecAIError
        If it holds no outlines.
    """
    stem = path.name[: -len(SUFFIX)]
    try:
        features = _features(json.loads(path.read_text(encoding="utf-8-sig")))
        classes = _by_class(features)
    except OSError as error:
        raise ImagecAIError(
            f"Could not read '{path.name}': {error.strerror or error}."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ImagecAIError(
            f"Expected outlines as GeoJSON in '{path.name}', found something else "
            f"({type(error).__name__}); export it again."
        ) from error
    if not classes:
        raise ImagecAIError(
            f"Expected outlines in '{path.name}', found none; export it again."
        )
    image = image_named(layers, stem) if layers is not None else None
    axes = _axes(classes, image)
    usual = {} if image is None else placed(image.source, ())
    found: list[LayerData] = [
        (
            [
                _with_planes(*each, axes)
                for each in zip(one.rings, one.planes, strict=True)
            ],
            {
                **usual,
                "name": f"{name} outlines ({stem})",
                "shape_type": "polygon",
                "edge_color": one.colour,
                "face_color": "transparent",
                "edge_width": 1,
                "features": pd.DataFrame(one.rows).fillna(np.nan),
                "metadata": {METADATA: {}},
            },
            "shapes",
        )
        for name, one in classes.items()
    ]
    return found, "" if image is None else image.doubt


def _features(data: Any) -> list[dict[str, Any]]:
    """What may be a list, a collection, or one feature."""
    found = data.get("features", [data]) if isinstance(data, dict) else data
    if not isinstance(found, list):
        raise TypeError("no features")
    return found


def _by_class(features: list[dict[str, Any]]) -> dict[str, _Class]:
    classes: dict[str, _Class] = {}
    for number, feature in enumerate(features, start=1):
        told = feature.get("properties") or {}
        kind = told.get("classification") or {}
        name = str(kind.get("name") or "object")
        usual = COLOURS[len(classes) % len(COLOURS)]
        mine = classes.setdefault(name, _Class(_colour(kind.get("color"), usual)))
        geometry = feature["geometry"]
        plane = geometry.get("plane") or {}
        row = {"index": _number(feature.get("id"), number), "class": name}
        row |= _measured(told.get("measurements"))
        for ring in _rings(geometry):
            mine.rings.append(ring)
            mine.planes.append({axis: int(plane.get(axis, 0)) for axis in "tz"})
            mine.rows.append(row)
    return {name: one for name, one in classes.items() if one.rings}


def _colour(told: Any, usual: str) -> str:
    """Red, green and blue as in ``#00c2ff``; the usual colour for anything else."""
    try:
        return f"#{bytes(told[:3]).hex()}" if len(told) >= len("rgb") else usual
    except (TypeError, ValueError):
        return usual


def _number(told: Any, usual: int) -> int:
    """The id of an object; QuPath has others than numbers."""
    return told if isinstance(told, int) and told > 0 else usual


def _measured(told: Any) -> dict[str, float]:
    """Measurements, as QuPath writes them: a mapping, or a list of names and values."""
    if isinstance(told, list):
        told = {one["name"]: one["value"] for one in told}
    return {
        str(name): np.nan if value is None else float(value)
        for name, value in (told or {}).items()
    }


def _rings(geometry: dict[str, Any]) -> Iterator[NDArray[Any]]:
    """Outer outlines (y, x); pixel centres lie at integers here."""
    parts = geometry["coordinates"]
    if geometry["type"] == "Polygon":
        parts = [parts]
    elif geometry["type"] != "MultiPolygon":
        return
    for part in parts:
        ring = np.asarray(part[0], float)[:, 1::-1] - 0.5
        ring = ring[:-1] if np.array_equal(ring[0], ring[-1]) else ring
        if len(ring) >= _POINTS and np.isfinite(ring).all():
            yield ring


def _axes(classes: dict[str, _Class], image: Found | None) -> str:
    """Axes along which there are planes: those of the image, or that are used."""
    if image is not None:
        return image.source.image.frame.axes[:-2].lower()
    used = {
        axis
        for one in classes.values()
        for plane in one.planes
        for axis, position in plane.items()
        if position
    }
    return "".join(axis for axis in "tz" if axis in used)


def _with_planes(ring: NDArray[Any], plane: dict[str, int], axes: str) -> NDArray[Any]:
    first = [plane[axis] for axis in axes]
    return np.hstack([np.tile(np.asarray(first, float), (len(ring), 1)), ring])
