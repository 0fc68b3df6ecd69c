"""A TensorFlow SavedModel, written as ONNX by a Python of the person's that has it.

TensorFlow and tf2onnx run in a process of their own (:mod:`.sandbox`), and only for
this: what is written needs neither. A SavedModel is a program, which may read and write
files; where nothing keeps it from that, the person is asked first.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.library.convert.cases import (
    Case,
    largest_difference,
    read_cases,
)
from napari_imagec_ai.library.convert.conversion import Conversion, Tick
from napari_imagec_ai.library.convert.described_folder import (
    DescribedFolder,
    weights_file,
)
from napari_imagec_ai.library.convert.other_python import OtherPython, find_python
from napari_imagec_ai.library.convert.rebuilt import OPSET, TOLERANCE
from napari_imagec_ai.library.convert.sandbox import (
    bubblewrap,
    guards,
    run_alone,
)
from napari_imagec_ai.library.package.description import Rdf, described
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.network import probe
from napari_imagec_ai.library.zips import unpack
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.run.published_tests import (
    prepared,
    published_inputs,
    published_outputs,
)
from napari_imagec_ai.system.safe_yaml import read_yaml

FORMAT = "tensorflow_saved_model_bundle"
"""What descriptions call it."""

FILE = "saved_model.pb"

_NEEDED = ("tensorflow", "tf2onnx")
_SIZES = {4: (1, 128, 192, 1), 5: (1, 16, 64, 96, 1)}
"""Of examples, by the number of axes, where the network leaves them open."""

_AXES = {4: "byxc", 5: "bzyxc"}
_MOST_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """How a person wants it converted.

    Attributes
    ----------
    trust_code : bool
        Whether it may run where nothing keeps it from the person's files.
    python : path or None
        A Python that has TensorFlow and tf2onnx.
    tick : callable
        Gets a sentence before each step; may raise to stop.
    """

    trust_code: bool
    python: str | Path | None
    tick: Tick


def read_saved_model(folder: Path, scratch: Path, asked: Asked) -> Conversion:
    """Write a network as ONNX that comes without any description.

    Parameters
    ----------
    folder, scratch : Path
        The SavedModel, and an empty folder.
    asked : Asked
        How.

    Raises
    ------
    ModelError
        If no Python has TensorFlow and tf2onnx, they cannot write it, or the ONNX file
        gives something else.
    """
    onnx, cases, checked = _export(folder, {}, asked)
    weights = scratch / "weights.onnx"
    weights.write_bytes(onnx)
    shape = cases[0][0][0].shape
    decoder, meant = _decoder(cases)
    facts = Facts(decoder=decoder, name=folder.name, axes=_AXES[len(shape)])
    digest = sha256(folder / FILE)
    source = {"kind": "SavedModel", "file": folder.name, "sha256": digest}

    def describe(weights: Path, engine: Engine) -> Rdf:
        rdf = described(weights, probe(engine, facts), facts)
        rdf["config"]["napari_imagec_ai"]["converted_from"] = source
        return rdf

    said = f"The SavedModel does not say what the output means; {meant}."
    return Conversion({"onnx": weights}, describe, checked, (said,))


def read_saved_model_folder(
    model: Model, scratch: Path, asked: Asked
) -> DescribedFolder:
    """Write the network of a BioImage.IO folder as ONNX; see above."""
    package = weights_file(model, FORMAT)
    place = scratch / "saved"
    unpack(package, place)
    found = sorted(place.rglob(FILE))
    if not found:
        raise ModelError(
            f"Expected a SavedModel ({FILE}) in '{package.name}', found none; download "
            "the whole model again."
        )
    arrays = {
        f"input{n}": array
        for n, array in enumerate(prepared(model, published_inputs(model)))
    }
    if len(arrays) > 1:
        raise ModelError(
            f"Expected a SavedModel that takes one image, found {len(arrays)} inputs; "
            f"{by_hand(package.name)}."
        )
    for n, array in enumerate(published_outputs(model)):
        arrays[f"expected{n}"] = array
    onnx, _, checked = _export(found[0].parent, arrays, asked)
    rdf = read_yaml(model.source)
    return DescribedFolder(model, FORMAT, "SavedModel", rdf, onnx, b"", checked)


def by_hand(name: str) -> str:
    """The commands that do the same, as a part of a sentence."""
    return (
        "in an environment with tensorflow and tf2onnx, run python -m tf2onnx.convert "
        f"--saved-model {name} --output weights.onnx, then 'imagec-ai package "
        "weights.onnx'"
    )


def _decoder(cases: Sequence[Case]) -> tuple[str, str]:
    """What the output is, as far as its values tell; and in words."""
    (given,), (output, *_) = cases[0]
    if output.ndim != given.ndim:
        return "scores", "it is no map, so one row of scores for an image was assumed"
    inside = all(y.min() >= 0.0 and y.max() <= 1.0 for _, (y, *_) in cases)
    if inside and output.shape[-1] <= _MOST_CHANNELS:
        return "unet", "it lies between 0 and 1, so objects were assumed"
    return "image", "it is shown as an image ('decoder' in rdf.yaml)"


def _python(folder: Path, asked: Asked) -> OtherPython:
    found = find_python(_NEEDED, asked.python)
    if found is None:
        raise ModelError(
            f"'{folder.name}' holds a TensorFlow network; {by_hand(folder.name)}. Or "
            "name a python that has both (--python, or Preferences > Plugin "
            "Preferences in napari), and it is done for you."
        )
    if not asked.trust_code and bubblewrap() is None:
        raise ModelError(
            f"'{folder.name}' holds a TensorFlow network, which is a program, and this "
            "system has no bubblewrap to keep it from your files; if you trust it, say "
            f"so (--trust-code), or {by_hand(folder.name)}."
        )
    return found


def _export(
    folder: Path, published: Mapping[str, NDArray[Any]], asked: Asked
) -> tuple[bytes, list[Case], tuple[str, ...]]:
    """ONNX, what TensorFlow gives, and sentences: what was compared."""
    python = _python(folder, asked)
    asked.tick("Opening the network in TensorFlow")
    script = resources("napari_imagec_ai.library.convert") / "saved_model_alone.py"
    answer = run_alone(
        script.read_text(encoding="utf-8"),
        _job(folder, published),
        [folder.resolve()],
        lambda: asked.tick("Writing ONNX"),
        python,
    )
    found = _read(answer, folder)
    onnx, told = found["onnx"].tobytes(), json.loads(found["told"].tobytes())
    cases = read_cases(found)
    asked.tick("Comparing with TensorFlow")
    expected = f"Expected ONNX that gives what TensorFlow gives for '{folder.name}'"
    try:
        off = largest_difference(onnx, cases)
    except EngineError as error:
        raise ModelError(f"{expected}, found one that does not run: {error}") from error
    if not off <= TOLERANCE:  # nor where it is no number
        raise ModelError(
            f"{expected}, found one that is off by {off:.3g}; export it where it was "
            "trained."
        )
    checked = (
        f"The network gives what TensorFlow {told['tensorflow']} gives (largest "
        f"difference {off:.1g})."
    )
    return onnx, cases, (checked, guards())


def _job(folder: Path, published: Mapping[str, NDArray[Any]]) -> bytes:
    job = {
        "path": str(folder.resolve()),
        "sizes": {str(rank): sizes for rank, sizes in _SIZES.items()},
        "opset": OPSET,
    }
    arrays: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(array) for name, array in published.items()
    }
    arrays["job"] = np.frombuffer(json.dumps(job).encode(), np.uint8)
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def _read(answer: bytes, folder: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(answer), allow_pickle=False) as archive:
            found = dict(archive)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"TensorFlow gave nothing for '{folder.name}'; {by_hand(folder.name)}."
        ) from error
    if "problem" in found:
        problem = found["problem"].tobytes().decode(errors="replace").rstrip(". ")
        shown = "".join(c if c.isprintable() else " " for c in problem)
        raise ModelError(
            f"Expected a SavedModel of one image that tf2onnx can write in "
            f"'{folder.name}', found one that it cannot ({shown}); "
            f"{by_hand(folder.name)}."
        )
    return found
