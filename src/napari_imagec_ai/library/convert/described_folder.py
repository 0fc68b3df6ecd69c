"""A BioImage.IO folder whose network was written anew, made a folder of its own.

What the source says of itself is taken along; what it published must come out again.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.library.convert.newer_description import as_newer
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.library.package.model_folder import Packaged, check_place
from napari_imagec_ai.library.package.onnx_file import opset
from napari_imagec_ai.library.selftest import test_model
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.system import whole_files

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
class DescribedFolder:
    """A folder that was read and whose network was written as ONNX.

    Attributes
    ----------
    model : Model
        The source.
    format, kind : str
        Which of its weights, and what they are in words.
    rdf : dict
        Its description.
    onnx : bytes
        The network.
    torchscript : bytes
        The same; empty where PyTorch cannot write it.
    said : tuple of str
        Sentences: what else was checked, and what protected while code ran.
    """

    model: Model
    format: str
    kind: str
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
        file = self.model.weights[self.format].file
        config = dict(rdf.get("config") or {})
        own = dict(config.get("napari_imagec_ai") or {})
        own["converted_from"] = {
            "kind": self.kind,
            "id": str(self.rdf.get("id") or ""),
            "file": Path(file.source).name,
            "sha256": file.sha256 or (sha256(file.path) if file.path else ""),
        }
        rdf["config"] = config | {"napari_imagec_ai": own}
        text = yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True)
        (folder / "rdf.yaml").write_text(text, encoding="utf-8")
        said = _tested(load_model(folder), untested)
        if not self.torchscript and self.format == "pytorch_state_dict":
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


def weights_file(model: Model, name: str) -> Path:
    """One file of weights, the one that is described.

    Parameters
    ----------
    model : Model
        Of a folder.
    name : str
        Which of its weights, such as ``keras_hdf5``.

    Raises
    ------
    ModelError
        If it is missing, or another.
    """
    file = model.weights[name].file
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
    return file.path


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
