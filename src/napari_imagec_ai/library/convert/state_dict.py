"""A BioImage.IO folder whose weights are a PyTorch state dict, made to run by itself.

The network is code: of a stranger, in the folder, or of an installed package. It is run
once, alone (:mod:`.sandbox`), to write the network as ONNX and TorchScript; what comes
back is data.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.library.convert.architecture import (
    Architecture,
    read_architecture,
)
from napari_imagec_ai.library.convert.newer_description import as_newer
from napari_imagec_ai.library.convert.rebuilt import OPSET
from napari_imagec_ai.library.convert.sandbox import (
    SECONDS,
    guards,
    memory_limit,
    run_alone,
)
from napari_imagec_ai.library.convert.torch_file import read_state
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.library.package.model_folder import Packaged, check_place
from napari_imagec_ai.library.package.onnx_file import opset
from napari_imagec_ai.library.selftest import test_model
from napari_imagec_ai.model.description import FixedSize, Model
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.run.published_tests import prepared, published_inputs
from napari_imagec_ai.system import whole_files
from napari_imagec_ai.system.safe_yaml import read_yaml

FORMAT = "pytorch_state_dict"

_TAKEN_ALONG = (
    "inputs",
    "outputs",
    "covers",
    "documentation",
    "attachments",
    "test_inputs",
    "test_outputs",
    "sample_inputs",
    "sample_outputs",
    "icon",
)
"""Parts of a description whose files go into the new folder."""

_OF_THE_OLD = ("id", "id_emoji", "uploader", "version_comment", "run_mode")
"""What is true of the source alone."""


@dataclass(frozen=True, slots=True, eq=False)
class StateDictFolder:
    """A folder that was read and whose network was written as ONNX.

    Attributes
    ----------
    model : Model
        The source.
    rdf : dict
        Its description.
    onnx : bytes
        The network.
    torchscript : bytes
        The same; empty where PyTorch cannot write it.
    said : tuple of str
        Sentences: what protected while the code ran.
    """

    model: Model
    rdf: Mapping[str, Any]
    onnx: bytes
    torchscript: bytes
    said: tuple[str, ...]

    def make(self, target: Path, replace: bool, untested: bool) -> Packaged:
        """Write the new folder; see :func:`.convert_model`."""
        check_place(target, [self.model.folder], replace)
        checked: list[str] = []

        def write(fresh: Path) -> None:
            checked.append(self._fill(fresh, untested))

        whole_files.replace_folder(target, write, lambda _: True)
        return Packaged(target, load_model(target), None, (), (*checked, *self.said))

    def _fill(self, folder: Path, untested: bool) -> str:
        rdf = as_newer(self.rdf, self.model)
        rdf = {k: v for k, v in rdf.items() if k not in _OF_THE_OLD}
        for path in _named_files([rdf.get(k) for k in _TAKEN_ALONG], self.model.folder):
            place = folder / path.relative_to(self.model.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
        rdf["weights"] = self._weights(folder)
        if self.rdf.get("id"):
            rdf["parent"] = {"id": str(self.rdf["id"])}
        file = self.model.weights[FORMAT].file
        config = dict(rdf.get("config") or {})
        own = dict(config.get("napari_imagec_ai") or {})
        own["converted_from"] = {
            "kind": "PyTorch state dict",
            "id": str(self.rdf.get("id") or ""),
            "file": Path(file.source).name,
            "sha256": file.sha256 or (sha256(file.path) if file.path else ""),
        }
        rdf["config"] = config | {"napari_imagec_ai": own}
        text = yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True)
        (folder / "rdf.yaml").write_text(text, encoding="utf-8")
        said = _tested(load_model(folder), untested)
        if not self.torchscript:
            return f"{said} PyTorch could not write it as TorchScript."
        return said

    def _weights(self, folder: Path) -> dict[str, Any]:
        onnx = folder / "weights.onnx"
        onnx.write_bytes(self.onnx)
        written: dict[str, Any] = {"onnx": _entry(onnx, opset_version=opset(onnx))}
        if self.torchscript:
            script = folder / "weights.pt"
            script.write_bytes(self.torchscript)
            version = importlib.metadata.version("torch").partition("+")[0]
            written["torchscript"] = _entry(script, pytorch_version=version)
        return written


def _entry(path: Path, **more: Any) -> dict[str, Any]:
    return {"source": path.name, "sha256": sha256(path)} | more


def read_state_dict_folder(
    model: Model, trust_code: bool, tick: Any
) -> StateDictFolder:
    """Build the network of a folder and write it as ONNX.

    Parameters
    ----------
    model : Model
        Whose only usable weights are a state dict.
    trust_code : bool
        Whether code that lies in the folder may run.
    tick : callable
        Gets a sentence before each step; may raise to stop.

    Raises
    ------
    ModelError
        If the code may not run, or fails, or the weights do not fit it.
    """
    rdf = read_yaml(model.source)
    entry = rdf["weights"][FORMAT]
    file = model.weights[FORMAT].file
    if file.path is None:
        raise ModelError(
            f"Expected the weights '{file.source}' in the model folder, found none; "
            "download the whole model."
        )
    if file.sha256 and sha256(file.path) != file.sha256.lower():
        raise ModelError(
            f"'{file.path.name}' is not the file that the description means (sha256 "
            "differs); download the model again."
        )
    made = read_architecture(entry, model.folder)
    if made.file is not None and not trust_code:
        raise ModelError(
            f"Building this network runs Python code of its folder once: "
            f"{made.shown()}; read it, and if you trust it, say so (--trust-code)."
        )
    if made.missing:
        names = " ".join(made.missing)
        raise ModelError(
            f"The network's code needs {', '.join(made.missing)}, which is not "
            f"installed here; install it (pip install {names}) and convert again."
        )
    read_state(file.path)  # a whole pickled program is refused in words
    tick("Building the network")
    answer = run_alone(
        _script(),
        _job(model, made, file.path),
        [model.folder],
        lambda: tick("Building the network"),
    )
    said = (guards(),) if made.file is not None else ()
    return StateDictFolder(model, rdf, *_networks_in(answer), said)


def _script() -> str:
    source = resources("napari_imagec_ai.library.convert") / "build_alone.py"
    return source.read_text(encoding="utf-8")


def _job(model: Model, made: Architecture, weights: Path) -> bytes:
    inputs = prepared(model, published_inputs(model))
    names = [f"input{n}" for n in range(len(inputs))]
    outputs = [f"output{n}" for n in range(len(model.outputs))]
    dynamic = {
        name: {
            str(at): f"{name}_{axis.name}"
            for at, axis in enumerate(spec.axes)
            if not isinstance(axis.size, FixedSize)
        }
        for name, spec in [
            *zip(names, model.inputs, strict=True),
            *zip(outputs, model.outputs, strict=True),
        ]
    }
    job = {
        "memory": memory_limit(),
        "seconds": int(SECONDS),
        "file": str(made.file.resolve()) if made.file else "",
        "module": made.module,
        "callable": made.callable,
        "kwargs": dict(made.kwargs),
        "inputs": len(inputs),
        "input_names": names,
        "output_names": outputs,
        "dynamic": {name: axes for name, axes in dynamic.items() if axes},
        "opset": OPSET,
    }
    try:
        told = json.dumps(job).encode()
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"Expected plain values as the architecture's kwargs, found others "
            f"({error}); correct the description."
        ) from error
    packed = io.BytesIO()
    arrays: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(array)
        for name, array in zip(names, inputs, strict=True)
    }
    arrays["job"] = np.frombuffer(told, np.uint8)
    arrays["state"] = np.frombuffer(weights.read_bytes(), np.uint8)
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def _networks_in(answer: bytes) -> tuple[bytes, bytes]:
    """What came back: ONNX, and TorchScript where there is any."""
    try:
        with np.load(io.BytesIO(answer), allow_pickle=False) as archive:
            return archive["onnx"].tobytes(), archive["torchscript"].tobytes()
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise ModelError(
            "The code of the network gave no ONNX file; export it by hand."
        ) from error


def _named_files(values: Any, folder: Path) -> Iterator[Path]:
    """Files inside the folder that a part of the description names."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            yield from _named_files(value, folder)
    elif isinstance(values, str) and 0 < len(values) < 200 and "\n" not in values:
        path = folder / values
        inside = path.resolve().is_relative_to(folder.resolve())
        if inside and path.is_file() and path.suffix not in (".py", ".pt", ".pth"):
            yield path


def _tested(model: Model, untested: bool) -> str:
    """Whether the new folder gives what the old one published."""
    if model.problems:
        raise ModelError(f"'{model.name}' cannot run. {model.problem}")
    try:
        results = test_model(model)
    except EngineError as error:
        raise ModelError(f"The converted network does not run: {error}") from error
    failed = [result for result in results if not result.passed]
    if failed and not untested:
        raise ModelError(
            "The converted network does not give what the folder published: "
            f"{failed[0].problem} To have it all the same, untested, say so "
            "(--untested)."
        )
    if failed:
        return f"NOT TESTED: {failed[0].problem}"
    largest = max((r.max_abs_error or 0.0 for r in results), default=0.0)
    return (
        f"The published test tensors are reproduced (largest difference {largest:.1g})."
    )
