"""A weights file of Cellpose, versions 1 to 3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.cellpose_network import CellposeNetwork, State
from napari_imagec_ai.library.convert.newer_description import as_newer
from napari_imagec_ai.library.convert.rebuilt import Rebuilt
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.network import Network
from napari_imagec_ai.library.package.output_geometry import Growth, Output, Span
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.system.safe_yaml import read_yaml

_DIAMETER = 30.0
"""Pixels that Cellpose's networks know objects in, unless training says otherwise."""

_LOW, _HIGH = 1.0, 99.0
"""Percentiles that Cellpose makes 0 and 1 of."""

_WORDS = (
    "name",
    "description",
    "authors",
    "maintainers",
    "license",
    "tags",
    "links",
    "git_repo",
)
"""What a folder says of itself that is true of its network, too."""

_CITE = {
    "text": "Stringer et al., Cellpose: a generalist algorithm for cellular "
    "segmentation (2021)",
    "doi": "10.1038/s41592-020-01018-x",
}


def is_cellpose(state: State) -> bool:
    """Whether these are weights of one of its networks, also of version 4."""
    return any(name.startswith("downsample.down.") for name in state) or is_sam(state)


def is_sam(state: State) -> bool:
    """Whether it is the network of version 4, Cellpose-SAM."""
    return any(name.startswith("encoder.patch_embed.") for name in state)


def read_cellpose(path: Path, state: Mapping[str, Any], called: str = "") -> Rebuilt:
    """Rebuild the network of a file.

    Parameters
    ----------
    path : Path
        The file, for its name.
    state : mapping of str to Tensor
        What it holds.
    called : str
        Name of the model, where the file has another.

    Raises
    ------
    ModelError
        If it is a network of another version, or incomplete.
    """
    if is_sam(state):
        raise ModelError(
            f"Expected a network of Cellpose 1 to 3 in '{path.name}', found "
            "Cellpose-SAM (version 4), a vision transformer of 300 million weights; "
            "run it in Cellpose itself, or train a version 3 network with its labels."
        )
    style = re.search(r"style_off", path.name) is None
    module = CellposeNetwork(state, style=style)
    count = module.output.channels_out
    if count != 3:
        raise ModelError(
            f"Expected three outputs (two flows and a probability) in '{path.name}', "
            f"found {count}; a network that restores images is run in Cellpose itself."
        )
    of_nuclei = "nuclei" in f"{path.name} {called}".lower()
    said = [] if style else ["The file's name says that styles are not used."]
    mean = _number(state.get("diam_mean"))
    if mean is None:
        mean = 17.0 if of_nuclei else _DIAMETER
        said.append(f"The file does not tell the diameter; {mean:g} px were taken.")
    trained = _number(state.get("diam_labels"))
    own: dict[str, Any] = {"object_size": mean}
    if trained is not None:
        own["trained_object_size"] = trained
    names = ["cells", "nuclei_optional"][: module.channels]
    names += [f"channel{n}" for n in range(len(names), module.channels)]
    facts = Facts(
        decoder="cellpose",
        classes=("nucleus",) if of_nuclei else ("cell",),
        name=f"Cellpose {path.stem}",
        description=f"Cellpose network converted from '{path.name}'.",
        scaling="percentiles",
        output_channels=("flow_y", "flow_x", "cellprob"),
    )
    return Rebuilt(
        module,
        _network(module),
        facts,
        {"kind": "Cellpose", "file": path.name, "sha256": sha256(path)},
        {
            "cite": [_CITE],
            "preprocessing": _steps(),
            "input_channels": names,
            "own": own,
        },
        said=tuple(said),
    )


def read_cellpose_folder(model: Model, path: Path, state: Mapping[str, Any]) -> Rebuilt:
    """Rebuild the network of a BioImage.IO folder that wraps Cellpose.

    Its code is all of Cellpose and gives labels; it is not needed, and not run.

    Parameters
    ----------
    model : Model
        The folder.
    path, state
        Its weights; see :func:`read_cellpose`.
    """
    rebuilt = read_cellpose(path, state, model.name)
    rdf = as_newer(read_yaml(model.source), model)
    more = {key: rdf[key] for key in _WORDS if rdf.get(key)} | dict(rebuilt.more)
    if rdf.get("cite"):
        more["cite"] = rdf["cite"]
    if rdf.get("id"):
        more["parent"] = {"id": str(rdf["id"])}
    taken = (
        "The folder's own code gives labels of Cellpose; its network alone was taken, "
        "and objects are made of its flows here."
    )
    return replace(rebuilt, more=more, said=(*rebuilt.said, taken))


def _number(value: object) -> float | None:
    if isinstance(value, Tensor) and value.numel() == 1:
        number = float(value)
        return number if 0 < number < 10_000 else None
    return None


def _steps() -> list[dict[str, Any]]:
    to_float = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    limits = {"min_percentile": _LOW, "max_percentile": _HIGH}
    scaled = {"axes": ["y", "x"], "eps": 1e-6} | limits
    return [to_float, {"id": "scale_range", "kwargs": scaled}, to_float]


def _network(module: CellposeNetwork) -> Network:
    step = 2 ** (module.levels - 1)
    least = max(step, 64 // step * step)
    side = max(least, 224 // step * step)
    return Network(
        "bcyx",
        "image",
        (1, module.channels, side, side),
        {axis: Span(least, step) for axis in "yx"},
        (
            Output(
                "output",
                (1, 3, side, side),
                {axis: Growth(1.0, 0) for axis in "yx"},
                "bcyx",
            ),
        ),
    )
