"""Predictions on disk: one file, a zip of arrays, without the image's pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai import files
from napari_imagec_ai.candidates import Candidates, Layout
from napari_imagec_ai.detection import WindowResult
from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image import Frame
from napari_imagec_ai.letterbox import Letterbox
from napari_imagec_ai.prediction import Prediction
from napari_imagec_ai.rdf import parse_rdf

FORMAT = 2
"""Version of the file's layout."""

_PLAIN = ("space", "engine", "device", "network_seconds", "network_calls")

_COLUMNS = ("boxes", "confidence", "class_id", "coefficients")


def write_prediction(prediction: Prediction, path: Path) -> None:
    """Write a prediction; see :meth:`Prediction.save`."""
    layout = prediction.layout
    meta = {name: getattr(prediction, name) for name in _PLAIN} | {
        "format": FORMAT,
        "rdf": str(prediction.model.path.absolute()),
        "frame": asdict(prediction.frame),
        "outputs": list(prediction.maps),
        "vectors": list(prediction.vectors),
        "assumed": list(prediction.assumed),
        "channels": list(prediction.channels),
        "scale": list(prediction.scale),
        "layout": None if layout is None else asdict(layout),
        "windows": [_window_meta(window) for window in prediction.windows],
    }
    arrays: dict[str, NDArray[Any]] = {
        f"map{i}": values for i, values in enumerate(prediction.maps.values())
    }
    for i, values in enumerate(prediction.vectors.values()):
        arrays[f"vector{i}"] = values
    for i, window in enumerate(prediction.windows):
        for name in _COLUMNS:
            arrays[f"window{i}_{name}"] = getattr(window.found, name)
        if window.prototypes is not None:
            arrays[f"window{i}_prototypes"] = window.prototypes
        if window.found.pictures is not None:
            arrays[f"window{i}_pictures"] = window.found.pictures
    arrays["rdf"] = np.frombuffer(prediction.model.source, np.uint8)
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)

    files.replace_whole(path, write)


def read_prediction(path: Path) -> Prediction:
    """Read a prediction; see :meth:`Prediction.load`."""
    try:
        # Opened here, as numpy forgets to close a file that turns out to be damaged.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes())
            if meta["format"] <= FORMAT:
                return _prediction(meta, stored)
    except Exception as error:  # those of damaged zips and arrays have no common root
        raise ImageError(
            f"'{path}' is not a saved prediction ({error}); give a file that "
            "'imagec-ai predict --save-prediction' wrote."
        ) from error
    raise ImageError(
        f"'{path.name}' was written by a later version (layout {meta['format']}, known "
        f"is {FORMAT}); update napari-imagec-ai."
    )


def _prediction(meta: dict[str, Any], stored: Mapping[str, Any]) -> Prediction:
    frame = meta["frame"]
    for name in ("shape", "pixel_size", "origin"):
        frame[name] = tuple(frame[name])
    layout = meta["layout"]
    if layout is not None:
        layout["names"], layout["assumed"] = (
            tuple(layout["names"]),
            tuple(layout["assumed"]),
        )
    return Prediction(
        model=parse_rdf(stored["rdf"].tobytes(), Path(meta["rdf"])),
        frame=Frame(**frame),
        maps={name: stored[f"map{i}"] for i, name in enumerate(meta["outputs"])},
        vectors={
            name: stored[f"vector{i}"] for i, name in enumerate(meta.get("vectors", ()))
        },
        windows=tuple(
            _window(entry, i, stored) for i, entry in enumerate(meta["windows"])
        ),
        layout=None if layout is None else Layout(**layout),
        assumed=tuple(meta["assumed"]),
        channels=tuple(meta["channels"]),
        scale=tuple(meta.get("scale", ())),
        **{name: meta[name] for name in _PLAIN},
    )


def _window_meta(window: WindowResult) -> dict[str, Any]:
    return {
        "plane": list(window.plane),
        "box": asdict(window.box),
        "core": [[part.start, part.stop] for part in window.core],
    }


def _window(
    entry: dict[str, Any], number: int, stored: Mapping[str, Any]
) -> WindowResult:
    name = f"window{number}_"
    y, x = (slice(*part) for part in entry["core"])
    return WindowResult(
        plane=tuple(entry["plane"]),
        box=Letterbox(**{key: tuple(value) for key, value in entry["box"].items()}),
        core=(y, x),
        found=Candidates(
            **{column: stored[name + column] for column in _COLUMNS},
            pictures=stored.get(name + "pictures"),
        ),
        prototypes=stored.get(name + "prototypes"),
    )
