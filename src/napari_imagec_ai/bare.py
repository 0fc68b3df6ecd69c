"""Weights without a description: a YOLO export tells enough about itself to run.

The description that is missing is written in memory, from the shapes of the network's
tensors and from what the exporter put into the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_imagec_ai import candidates
from napari_imagec_ai.candidates import Layout
from napari_imagec_ai.engines import Engine, open_file
from napari_imagec_ai.errors import EngineError, ImagecAIError, ModelError
from napari_imagec_ai.model import Model
from napari_imagec_ai.rdf import parse_rdf

SUFFIXES = {
    ".onnx": "onnx",
    ".pt": "torchscript",
    ".pth": "torchscript",
    ".torchscript": "torchscript",
}
"""Weight formats by suffix."""

_SIDES = (640, 320, 416, 512, 1024, 1280, 256)
"""Windows to try where a file does not tell, the usual one first."""


def bare_model(path: Path) -> Model:
    """Describe a YOLO export that has no description.

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
            side, outputs = _try(engine)
            layout = candidates.find_layout(None, outputs, engine_metadata(engine))
        finally:
            engine.close()
    except ImagecAIError as error:
        raise ModelError(
            f"'{path.name}' has no description and tells too little about itself. "
            f"{error} Put an rdf.yaml beside it, and give the folder."
        ) from error
    rdf = _description(path, framework, side, outputs, layout)
    source = yaml.safe_dump(rdf, sort_keys=False).encode()
    return replace(parse_rdf(source, path.parent / "rdf.yaml"), path=path.resolve())


def engine_metadata(engine: Engine) -> dict[str, str]:
    """What the exporter wrote into the file; empty where the engine cannot say."""
    found: dict[str, str] = getattr(engine, "metadata", {})
    return found


def _try(engine: Engine) -> tuple[tuple[int, int], list[Any]]:
    """Run the network on a black window of the size that it takes."""
    told = candidates.told_window(engine_metadata(engine))
    fixed = getattr(engine, "window", None)
    tried = [side for side in (fixed, told) if side is not None]
    tried += [(side, side) for side in _SIDES]
    problem: EngineError | None = None
    for side in dict.fromkeys(tried):
        try:
            return side, engine.run([np.zeros((1, 3, *side), np.float32)])
        except EngineError as error:
            problem = problem or error
    raise problem or EngineError("The network takes no window that was tried.")


def _description(
    path: Path,
    framework: str,
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
        "format_version": "0.5.4",
        "type": "model",
        "name": path.stem,
        "description": "Weights without a description.",
        "inputs": [{"id": "images", "axes": [{"type": "batch"}, channel, *space]}],
        "outputs": [_tensor(i, array, layout) for i, array in enumerate(outputs)],
        "weights": {framework: {"source": path.name}},
        "config": {
            "napari_imagec_ai": {
                "decoder": "yolo",
                "kind": "boxes" if layout.prototypes is None else "boxes_masks",
                "classes": list(layout.names),
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
        kinds = (
            ("channel", "index") if layout.name == "scores" else ("index", "channel")
        )
        axes += [
            {"type": kind, "size": int(size)}
            for kind, size in zip(kinds, array.shape[1:], strict=True)
        ]
    return {"id": f"output{number}", "axes": axes}
