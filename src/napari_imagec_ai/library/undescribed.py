"""Weights without a description: exports of detectors tell enough to run.

The description that is missing is written in memory, from the shapes of the network's
tensors and from what the exporter put into the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening import open_file
from napari_imagec_ai.errors import EngineError, ImagecAIError, ModelError
from napari_imagec_ai.library import undescribed_rcnn as mask_rcnn
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import parse_rdf
from napari_imagec_ai.results.window_results import Layout
from napari_imagec_ai.run.boxes import yolo_metadata
from napari_imagec_ai.run.boxes import yolo_rows as candidates

SUFFIXES = {
    ".onnx": "onnx",
    ".pt": "torchscript",
    ".pth": "torchscript",
    ".torchscript": "torchscript",
}
"""Weight formats by suffix."""

_SIDES = (640, 320, 416, 512, 1024, 1280, 256)
"""Windows to try where a file does not tell, the usual one first."""


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
    framework = SUFFIXES[path.suffix.lower()]
    try:
        engine = open_file(framework, path)
        try:
            given, outputs = _try(engine)
            tables = _described_tables(path, engine, given, outputs)
            if tables is None:
                told = engine_metadata(engine)
                layout = candidates.find_layout(None, outputs, told)
        finally:
            engine.close()
    except ImagecAIError as error:
        raise ModelError(
            f"'{path.name}' has no description and tells too little about itself. "
            f"{error} Put an rdf.yaml beside it, and give the folder."
        ) from error
    head = {"weights": {framework: {"source": path.name}}, **_HEAD, "name": path.stem}
    if tables is None:
        side = (given[-2], given[-1])
        rdf = head | _description(path, side, outputs, layout)
    else:
        rdf = head | tables
    source = yaml.safe_dump(rdf, sort_keys=False).encode()
    return replace(parse_rdf(source, path.parent / "rdf.yaml"), path=path.resolve())


def engine_metadata(engine: Engine) -> dict[str, str]:
    """What the exporter wrote into the file; empty where the engine cannot say."""
    found: dict[str, str] = getattr(engine, "metadata", {})
    return found


def _described_tables(
    path: Path, engine: Engine, given: tuple[int, ...], outputs: list[Any]
) -> dict[str, Any] | None:
    """A description, if these are the tables of a Mask R-CNN network."""
    names: tuple[str, ...] = getattr(engine, "output_names", ())
    found = mask_rcnn.describe(path.name, given, False, outputs, names)
    if found is None or getattr(engine, "window", None) is not None:
        return found
    other = (*given[:-2], given[-2] - 64, given[-1] - 32)
    try:
        engine.run([np.zeros(other, np.float32)])
    except EngineError:
        return found
    return mask_rcnn.describe(path.name, given, True, outputs, names)


def _try(engine: Engine) -> tuple[tuple[int, ...], list[Any]]:
    """Run the network on a black window of the size that it takes."""
    told = yolo_metadata.window(engine_metadata(engine))
    fixed = getattr(engine, "window", None)
    tried = [side for side in (fixed, told) if side is not None]
    tried += [(side, side) for side in _SIDES]
    problem: EngineError | None = None
    for side in dict.fromkeys(tried):
        for shape in ((1, 3, *side), (3, *side)):
            try:
                return shape, engine.run([np.zeros(shape, np.float32)])
            except EngineError as error:
                problem = problem or error
    raise problem or EngineError("The network takes no window that was tried.")


def _description(
    path: Path,
    side: tuple[int, int],
    outputs: list[Any],
    layout: Layout,
) -> dict[str, Any]:
    sizes = dict(zip("yx", side, strict=True))
    space = [{"type": "space", "id": a, "size": n} for a, n in sizes.items()]
    names = ["red", "green", "blue"]
    sentence = (
        f"'{path.name}' has no description: a window of {side[1]} x {side[0]} RGB "
        f"pixels and the layout '{layout.name}' were read from the file."
    )
    channel = {"type": "channel", "channel_names": names}
    return {
        "inputs": [{"id": "images", "axes": [{"type": "batch"}, channel, *space]}],
        "outputs": [_tensor(i, array, layout) for i, array in enumerate(outputs)],
        "config": {
            "napari_imagec_ai": {
                "decoder": "yolo",
                "kind": "boxes" if layout.prototypes is None else "boxes_masks",
                "classes": list(layout.names),
                "layout": layout.name,
                "assumed": [sentence],
            }
        },
    }


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
            ("channel", "index") if layout.name == "scores" else ("index", "channel")
        )
        if number != layout.rows:  # grids that the rows were made from
            kinds = ("index",) * (array.ndim - 1)
        axes += [
            {"type": kind, "size": int(size)}
            for kind, size in zip(kinds, array.shape[1:], strict=True)
        ]
    return {"id": f"output{number}", "axes": axes}
