"""Predictions on disk: one file, a zip of arrays, without the image's pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.image.region import Cut, Region
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import parse_rdf
from napari_imagec_ai.results.letterbox import Letterbox
from napari_imagec_ai.results.prediction_check import check_prediction
from napari_imagec_ai.results.window_results import Candidates, Layout, WindowResult
from napari_imagec_ai.system.contents import check_is_file
from napari_imagec_ai.system.whole_files import replace_whole

FORMAT = 2
"""Version of the file's layout."""

_PLAIN = ("space", "engine", "device", "network_seconds", "network_calls")


class _Run(TypedDict):
    """The plain values of a prediction."""

    space: str
    engine: str
    device: str
    network_seconds: float
    network_calls: int


# What a file says is believed only where it has the type that was written.
_RUN = TypeAdapter(_Run)
_FRAME = TypeAdapter(Frame)
_LAYOUT = TypeAdapter(Layout)
_BOX = TypeAdapter(Letterbox)
_WORDS = TypeAdapter(tuple[str, ...])
_COUNTS = TypeAdapter(tuple[int, ...])
_SIZES = TypeAdapter(tuple[float, ...])
_SIZE = TypeAdapter(float | None)
_CORE = TypeAdapter(tuple[tuple[int, int], tuple[int, int]])

_COLUMNS = ("boxes", "confidence", "class_id", "coefficients")
_SOME = ("pictures", "rotated", "points")
"""Columns that only some networks give."""


def write_prediction(fields: Mapping[str, Any], path: Path) -> None:
    """Write the fields of a prediction; see :class:`Prediction`, which saves itself.

    Parameters
    ----------
    fields : mapping of str to object
        All of them, by name.
    path : Path
        The file.
    """
    model: Model = fields["model"]
    cut: Cut | None = fields["cut"]
    layout: Layout | None = fields["layout"]
    windows: Sequence[WindowResult] = fields["windows"]
    meta = {name: fields[name] for name in _PLAIN} | {
        "format": FORMAT,
        "rdf": str(model.path.absolute()),
        "frame": asdict(fields["frame"]),
        "outputs": list(fields["maps"]),
        "vectors": list(fields["vectors"]),
        "assumed": list(fields["assumed"]),
        "channels": list(fields["channels"]),
        "classes": _told_classes(model),
        "scale": list(fields["scale"]),
        "object_size": fields["object_size"],
        "doubts": list(fields["doubts"]),
        "cut": None if cut is None else _cut_meta(cut),
        "layout": None if layout is None else asdict(layout),
        "windows": [_window_meta(window) for window in windows],
    }
    arrays: dict[str, Any] = {
        f"map{i}": values for i, values in enumerate(fields["maps"].values())
    }
    for i, values in enumerate(fields["vectors"].values()):
        arrays[f"vector{i}"] = values
    for i, window in enumerate(windows):
        for name in _COLUMNS:
            arrays[f"window{i}_{name}"] = getattr(window.found, name)
        if window.prototypes is not None:
            arrays[f"window{i}_prototypes"] = window.prototypes
        for name in _SOME:
            if getattr(window.found, name) is not None:
                arrays[f"window{i}_{name}"] = getattr(window.found, name)
    arrays["rdf"] = np.frombuffer(model.source, np.uint8)
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            # Before 2.1 numpy takes `allow_pickle` for one more array to write.
            np.savez(stream, **arrays)

    replace_whole(path, write)


def read_prediction(path: Path) -> dict[str, Any]:
    """Read what was written; gives the fields of a prediction.

    Raises
    ------
    ImageError
        If it is no such file, or one of a later version.
    """
    try:
        check_is_file(path)
        # Opened here, as numpy forgets to close a file that turns out to be damaged.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            meta = json.loads(stored["meta"].tobytes())
            if meta["format"] <= FORMAT:
                fields = _fields(meta, stored)
                check_prediction(fields)
                return fields
    except FileNotFoundError as error:
        raise ImageError(
            f"There is no file '{path}'; give one that 'imagec-ai predict "
            "--save-prediction' wrote."
        ) from error
    except Exception as error:  # those of damaged zips and arrays have no common root
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if "allow_pickle" in reason:  # numpy's advice, for whatever it does not know
            reason = "neither a zip of arrays nor an array"
        raise ImageError(
            f"'{path}' is not a saved prediction ({reason}); give a file that "
            "'imagec-ai predict --save-prediction' wrote."
        ) from error
    raise ImageError(
        f"'{path.name}' was written by a later version (layout {meta['format']}, known "
        f"is {FORMAT}); update napari-imagec-ai."
    )


def _fields(meta: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    cut = meta.get("cut")
    layout = meta["layout"]
    return dict(
        model=parse_rdf(stored["rdf"].tobytes(), Path(meta["rdf"])).with_classes(
            meta.get("classes")
        ),
        frame=_frame(meta["frame"]),
        cut=None if cut is None else _cut(cut),
        maps={
            name: _native(stored[f"map{i}"]) for i, name in enumerate(meta["outputs"])
        },
        vectors={
            name: _native(stored[f"vector{i}"])
            for i, name in enumerate(meta.get("vectors", ()))
        },
        windows=tuple(
            _window(entry, i, stored) for i, entry in enumerate(meta["windows"])
        ),
        layout=None if layout is None else _LAYOUT.validate_python(layout),
        assumed=_WORDS.validate_python(meta["assumed"]),
        channels=_COUNTS.validate_python(meta["channels"]),
        scale=_SIZES.validate_python(meta.get("scale", ())),
        object_size=_SIZE.validate_python(meta.get("object_size")),
        doubts=_WORDS.validate_python(meta.get("doubts", ())),
        **_RUN.validate_python({name: meta[name] for name in _PLAIN}),
    )


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as a prediction has them and compiled loops need; others as they are."""
    if values.dtype.kind != "f":
        return values  # refused when it is checked
    with np.errstate(over="ignore"):
        native: NDArray[Any] = values.astype(np.float32, copy=False)
    return native


def _frame(meta: dict[str, Any]) -> Frame:
    return _FRAME.validate_python(meta)


def _cut_meta(cut: Cut) -> dict[str, Any]:
    return {
        "region": cut.region.model_dump(mode="json"),
        "whole": asdict(cut.whole),
        "begin": list(cut.begin),
    }


def _cut(meta: dict[str, Any]) -> Cut:
    region = Region.model_validate(meta["region"])
    return Cut(region, _frame(meta["whole"]), _COUNTS.validate_python(meta["begin"]))


def _told_classes(model: Model) -> list[str] | None:
    """Classes that a person told; None: those of the description."""
    return list(model.classes) if model.classes_by_hand else None


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
    columns: dict[str, Any] = {column: stored[name + column] for column in _COLUMNS}
    columns |= {column: stored.get(name + column) for column in _SOME}
    y, x = (slice(*part) for part in _CORE.validate_python(entry["core"]))
    return WindowResult(
        plane=_COUNTS.validate_python(entry["plane"]),
        box=_BOX.validate_python(entry["box"]),
        core=(y, x),
        found=Candidates(**columns),
        prototypes=stored.get(name + "prototypes"),
    )
