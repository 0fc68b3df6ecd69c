"""Weights without a description: exports of detectors tell enough to run.

The description that is missing is written in memory, from the shapes of the network's
tensors and from what the exporter put into the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening_weights import open_file
from napari_imagec_ai.errors import EngineError, ImagecAIError, ModelError
from napari_imagec_ai.library import undescribed_maps, undescribed_rcnn
from napari_imagec_ai.library.trial import Trial, try_out
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import parse_rdf
from napari_imagec_ai.results.window_results import Layout
from napari_imagec_ai.run.boxes.yolo_rows import find_layout

SUFFIXES = {
    ".onnx": "onnx",
    ".pt": "torchscript",
    ".pth": "torchscript",
    ".torchscript": "torchscript",
}
"""Weight formats by suffix."""

_CHANNELS = {1: ["grey"], 3: ["red", "green", "blue"]}

_HEAD = {
    "format_version": "0.5.4",
    "type": "model",
    "description": "Weights without a description.",
}


def bare_model(path: Path) -> Model:
    """Describe an export of YOLO or Mask R-CNN that has no description.

    Parameters
    ----------
    path : Path
        An ``.onnx`` file or a TorchScript archive. It is opened and run once.

    Raises
    ------
    ModelError
        If it cannot be opened, or its outputs have no known layout.
    """
    if path.suffix.lower() == ".pt2":
        raise ModelError(
            f"'{path.name}' is a file of torch.export; make a model folder of it with "
            "'imagec-ai convert'."
        )
    framework = SUFFIXES[path.suffix.lower()]
    engine = open_file(framework, path)  # what it says needs no more words
    try:
        trial = try_out(engine)
        rdf = _described(path, engine, trial)
    except ImagecAIError as error:
        raise ModelError(
            f"'{path.name}' has no description, and is no export of YOLO or Mask R-CNN "
            "that tells enough about itself; make a model folder of it with 'imagec-ai "
            f"package {path.name} --decoder unet', or what else its output is. {error}"
        ) from error
    finally:
        engine.close()
    head = {"weights": {framework: {"source": path.name}}, **_HEAD, "name": path.stem}
    source = yaml.safe_dump(head | rdf, sort_keys=False).encode()
    return replace(parse_rdf(source, path.parent / "rdf.yaml"), path=path.resolve())


def _described(path: Path, engine: Engine, trial: Trial) -> dict[str, Any]:
    """Inputs, outputs and config of a description."""
    maps = undescribed_maps.describe(path.name, trial)
    if maps is not None:
        steps = undescribed_maps.preprocessing(trial)
        return {"inputs": [{**_image(trial, ()), "preprocessing": steps}], **maps}
    tables = _described_tables(path, engine, trial)
    if tables is not None:
        return tables
    layout = find_layout(None, trial.outputs, engine.metadata, trial.window)
    return _of_boxes(path, trial, layout)


def _described_tables(
    path: Path, engine: Engine, trial: Trial
) -> dict[str, Any] | None:
    """A description, if these are the tables of a Mask R-CNN network."""
    if trial.axes[-1] != "x":
        return None
    names = engine.output_names
    given, outputs = trial.shape, trial.outputs
    describe = undescribed_rcnn.describe
    found = describe(path.name, given, False, outputs, names)
    if found is None:
        return None
    if trial.sizes:  # such networks count their classes from 0
        found["config"]["napari_imagec_ai"]["first_class"] = 0
    elif engine.window is None:
        other = (*given[:-2], given[-2] - 64, given[-1] - 32)
        try:
            engine.run([np.zeros(other, trial.dtype)])
        except EngineError:
            pass
        else:
            found = describe(path.name, given, True, outputs, names) or found
    (image,) = found["inputs"]
    image = {**image, "id": trial.name or image["id"], "data": {"type": trial.dtype}}
    return {**found, "inputs": [image, *_sizes(trial)]}


def _image(trial: Trial, colours: Sequence[str]) -> dict[str, Any]:
    """The image's input."""
    sizes = dict(zip(trial.axes, trial.shape, strict=True))
    names = list(colours) or _CHANNELS.get(trial.channels)
    names = names or [f"c{i}" for i in range(trial.channels)]
    known: dict[str, dict[str, Any]] = {
        "b": {"type": "batch"},
        "c": {"type": "channel", "channel_names": names},
    }
    axes = [
        known.get(axis, {"type": "space", "id": axis, "size": sizes[axis]})
        for axis in trial.axes
    ]
    data = {"type": trial.dtype}
    return {"id": trial.name or "images", "axes": axes, "data": data}


def _sizes(trial: Trial) -> list[dict[str, Any]]:
    """Inputs for the size of the image: given by themselves."""
    return [
        {
            "id": name,
            "axes": [{"type": "batch"}, {"type": "channel", "size": count}],
            "optional": True,
        }
        for name, count in trial.sizes
    ]


def _of_boxes(path: Path, trial: Trial, layout: Layout) -> dict[str, Any]:
    height, width = trial.window
    # Networks of the family that has a row for each cell take bytes, blue first.
    bytes_ = any("YOLOX" in sentence for sentence in layout.assumed)
    colours = ["blue", "green", "red"] if bytes_ and trial.channels == 3 else []
    image = _image(trial, colours)
    if bytes_:
        image["data"] = {"type": trial.dtype, "range": [0.0, 255.0]}
    what = {1: "grey", 3: "RGB"}.get(trial.channels, f"{trial.channels} channel")
    what = "BGR" if colours else what
    sentence = (
        f"'{path.name}' has no description: a window of {width} x {height} {what} "
        f"pixels and the layout '{layout.name}' were read from the file."
    )
    more = ["Grey values were given as 0 to 255, blue first."] if bytes_ else []
    outputs = [_tensor(i, array, layout) for i, array in enumerate(trial.outputs)]
    return {
        "inputs": [image, *_sizes(trial)],
        "outputs": outputs,
        "config": {
            "napari_imagec_ai": {
                "decoder": "yolo",
                "kind": "boxes" if layout.prototypes is None else "boxes_masks",
                "classes": list(layout.names),
                "layout": layout.name,
                "extra": _extra(layout),
                "assumed": [sentence, *more],
            }
        },
    }


def _extra(layout: Layout) -> list[str]:
    """Names of the numbers behind the scores of the classes."""
    if layout.angles:
        return ["angle"]
    count, numbers = layout.points
    names = layout.point_names or [f"point{n + 1}" for n in range(count)]
    return [f"{name}_{axis}" for name in names for axis in ("x", "y", "sure")[:numbers]]


def _tensor(number: int, array: Any, layout: Layout) -> dict[str, Any]:
    axes: list[dict[str, Any]] = [{"type": "batch"}]
    if number == layout.prototypes:
        axes += [{"type": "channel", "size": int(array.shape[1])}]
        axes += [
            {"type": "space", "id": name, "size": int(size)}
            for name, size in zip("yx", array.shape[2:], strict=True)
        ]
    else:
        kinds: tuple[str, ...] = (
            ("index", "channel") if layout.rows_first else ("channel", "index")
        )
        if number != layout.rows:  # grids that the rows were made from
            kinds = ("index",) * (array.ndim - 1)
        axes += [
            {"type": kind, "size": int(size)}
            for kind, size in zip(kinds, array.shape[1:], strict=True)
        ]
    return {"id": f"output{number}", "axes": axes}
