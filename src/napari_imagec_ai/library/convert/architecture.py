"""The network that a description names beside a state dict: which code it is."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.weights import sha256

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Architecture:
    """Python code that makes a network.

    Attributes
    ----------
    callable : str
        Name of the class or function.
    kwargs : dict
        What it is called with.
    file : Path or None
        Code of a stranger, in the model folder.
    module : str
        Module of an installed package, where ``file`` is None.
    imports : tuple of str
        Packages that the code asks for, beside Python's own.
    """

    callable: str
    kwargs: Mapping[str, Any]
    file: Path | None
    module: str
    imports: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed."""
        return tuple(n for n in self.imports if importlib.util.find_spec(n) is None)

    def shown(self) -> str:
        """What a person should know before it is run."""
        if self.file is None:
            return f"{self.callable} of the installed package {self.module}"
        asked = ", ".join(self.imports) or "nothing else"
        return (
            f"{self.callable} in {self.file.name} (sha256 {sha256(self.file)[:16]}..., "
            f"imports {asked})"
        )


def read_architecture(entry: Mapping[str, Any], folder: Path) -> Architecture:
    """Of one ``pytorch_state_dict`` entry, of any format version.

    Raises
    ------
    ModelError
        If there is none, its file is missing, or not the one described.
    """
    told = entry.get("architecture")
    kwargs = entry.get("kwargs") or {}
    wanted = entry.get("architecture_sha256")
    if isinstance(told, Mapping):
        kwargs = told.get("kwargs") or kwargs
        wanted = told.get("sha256") or wanted
        name, source = str(told.get("callable") or ""), told.get("source")
        module = str(told.get("import_from") or "")
    elif isinstance(told, str):
        source, _, name = told.rpartition(":")
        module = "" if source.endswith(".py") else source
        if not source:
            module, _, name = told.rpartition(".")
    else:
        raise ModelError(
            "Expected the architecture of the network beside its state dict, found "
            "none in the description; export the network as ONNX."
        )
    if not name.isidentifier() or not isinstance(kwargs, Mapping):
        raise ModelError(
            f"Expected the name of a class or function for the architecture, found "
            f"'{name}'; correct the description."
        )
    if module:
        words = module.split(".")
        if not all(word.isidentifier() for word in words):
            raise ModelError(
                f"Expected the name of a module for the architecture, found "
                f"'{module}'; correct the description."
            )
        return Architecture(name, dict(kwargs), None, module, (words[0],))
    path = _file(folder, str(source or ""))
    if wanted and sha256(path) != str(wanted).lower():
        raise ModelError(
            f"'{path.name}' is not the file that the description means (sha256 "
            "differs); download the model again."
        )
    return Architecture(name, dict(kwargs), path, "", _imports(path, folder))


def _file(folder: Path, source: str) -> Path:
    # Zoo packages name their files by address, but hold them under the last word.
    name = source.rpartition("/")[2] if "://" in source else source
    path = folder / name
    inside = path.resolve().is_relative_to(folder.resolve())
    if not name or not inside or not path.is_file():
        raise ModelError(
            f"Expected the architecture's code '{name or source}' in the model folder, "
            "found none; download the whole model."
        )
    if path.stat().st_size > _MOST_BYTES:
        raise ModelError(f"'{name}' is too large to be the code of a network.")
    return path


def _imports(path: Path, folder: Path) -> tuple[str, ...]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(
            f"Expected Python code in '{path.name}', found something else ({error})."
        ) from error
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    beside = {other.stem for other in folder.glob("*.py")}
    return tuple(sorted(found - set(sys.stdlib_module_names) - beside))
