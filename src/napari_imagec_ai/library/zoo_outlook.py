"""Foretells of a description alone whether its model will run here, and how."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import RUNNABLE, Model
from napari_imagec_ai.model.rdf import parse_rdf

_NOWHERE = Path(os.devnull) / "rdf.yaml"
"""No file lies beside it."""

Way = Literal["as it is", "after converting", "no", "unknown"]

_FORMATS = {"onnx": "ONNX", "torchscript": "TorchScript"}

_PROGRAMS = {
    "PredictorAdaptor": "it segments what is clicked at (micro-sam), and not images",
    "MobileSAMEncoder": "it gives numbers for another program (micro-sam)",
    "CellposeSAMWrapper": "Cellpose-SAM runs in Cellpose itself",
    "Empanada2DInference": "it is a whole program, not a network",
}
"""Callables that are no networks, and why they cannot be converted."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Whether a model will run here.

    Attributes
    ----------
    way : str
        ``as it is``, ``after converting``, ``no``, or ``unknown`` until its
        description is read.
    why : str
        How, or why not, as a sentence.
    """

    way: Way
    why: str


def outlook(rdf: Mapping[str, Any]) -> Outlook:
    """Look at a description; files need not be there.

    Parameters
    ----------
    rdf : mapping
        As :func:`.read_yaml` gives it.
    """
    if not isinstance(rdf.get("weights"), Mapping):
        return Outlook("unknown", "Known once its description was read.")
    source = json.dumps(rdf, ensure_ascii=False, default=str).encode(errors="replace")
    try:
        model = parse_rdf(source, _NOWHERE)
    except ModelError as error:
        return Outlook("no", str(error))
    other = _other_problem(model)
    if other:
        return Outlook("no", other)
    runs = [_FORMATS[name] for name in RUNNABLE if name in model.weights]
    if runs:
        return Outlook("as it is", f"It has {' and '.join(runs)} weights.")
    return _converted(rdf["weights"])


def _other_problem(model: Model) -> str:
    """The first problem that has nothing to do with files that are not here yet."""
    of_weights = [entry.problem or "" for entry in model.weights.values()]
    told = {f"{sentence[:1].upper()}{sentence[1:]}." for sentence in of_weights}
    return next((one for one in model.problems if one not in told), "")


def _converted(weights: Mapping[str, Any]) -> Outlook:
    entry = weights.get("pytorch_state_dict")
    if isinstance(entry, Mapping):
        return _of_state_dict(entry)
    if "keras_hdf5" in weights or "keras_v3" in weights:
        return Outlook("after converting", "Keras opens it once, and writes ONNX.")
    if "tensorflow_saved_model_bundle" in weights:
        return Outlook(
            "after converting",
            "That needs a Python of yours with tensorflow and tf2onnx, once.",
        )
    found = ", ".join(map(str, weights)) or "none"
    return Outlook("no", f"Its weights are of another kind ({found[:80]}).")


def _of_state_dict(entry: Mapping[str, Any]) -> Outlook:
    told = entry.get("architecture")
    package = ""
    if isinstance(told, Mapping):
        name = str(told.get("callable"))
        package = str(told.get("import_from") or "").partition(".")[0]
    else:
        place, _, name = str(told).replace(".py:", ":").rpartition(":")
        if not place:
            package, name = name.partition(".")[0], name.rpartition(".")[2]
    if name in _PROGRAMS:
        return Outlook("no", f"{_PROGRAMS[name][:1].upper()}{_PROGRAMS[name][1:]}.")
    if name == "CellPoseWrapper":
        return Outlook("after converting", "Its network is Cellpose's, built anew.")
    if package:
        return Outlook(
            "after converting", f"That needs the Python package {package}, once."
        )
    return Outlook(
        "after converting",
        "Its own Python code builds the network once; you are asked before it runs.",
    )
