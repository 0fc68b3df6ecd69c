"""Asks once before a model that is a program runs.

TorchScript is a program: whoever made the file decides what it does. Naming a model in
code or on the command line is an answer already; in a window, where a model may have
come with a folder of others, a person is asked once for each file. What was answered is
kept by the file's sha256, so a copy of it is not asked about again, and a file that has
changed is.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from napari_imagec_ai.engines.opening_weights import candidates
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.library.folders import bundled_models
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.system.own_data import own_data
from napari_imagec_ai.system.taking_turns import turn
from napari_imagec_ai.system.whole_files import replace_text

PROGRAMS = ("torchscript",)
"""Weights formats that are programs."""

_log = logging.getLogger(__name__)


def question(model: Model, engine: str = "auto", device: str = "auto") -> str | None:
    """What to ask a person before a model runs; None where there is nothing to ask.

    Parameters
    ----------
    model : Model
        Which model.
    engine, device : str
        See :func:`napari_imagec_ai.engines.opening_weights.open_engine`.
    """
    path = _program(model, engine, device)
    if path is None or _is_trusted(path):
        return None
    return (
        f"'{path.name}' of '{model.name}' is a program (TorchScript), and it runs for "
        "the first time here. Run it only if you trust whom it comes from."
    )


def question_of_file(framework: str, path: Path) -> str | None:
    """The same for a file that no description names yet.

    Parameters
    ----------
    framework : str
        Its weights format.
    path : Path
        The file.
    """
    path = path.resolve()
    if framework not in PROGRAMS or not path.is_file() or _is_trusted(path):
        return None
    return (
        f"'{path.name}' is a program (TorchScript), and it runs here for the first "
        "time. Run it only if you trust whom it comes from."
    )


def remember(model: Model, engine: str = "auto", device: str = "auto") -> None:
    """Do not ask about this file again."""
    path = _program(model, engine, device)
    if path is not None:
        remember_file(path, model.name)


def remember_file(path: Path, name: str = "") -> None:
    """Do not ask about this file again, nor about a copy of it.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Of the model; for people who read what is kept.
    """
    path = path.resolve()
    try:
        known_as = sha256(path)
        with turn(_place()):
            known = _read()
            known[known_as] = {"model": name or path.stem}
            text = json.dumps(known, indent=1, ensure_ascii=False)
            replace_text(_place(), text, private=True)
    except (ImagecAIError, OSError) as error:  # then it is asked again
        _log.info("the answer is not kept: %s", error)


def _program(model: Model, engine: str, device: str) -> Path | None:
    """The file that would run, if it is a program; what cannot run is none."""
    try:
        name = candidates(model, engine, device)[0]
    except (ImagecAIError, IndexError):
        return None
    path = model.weights[name].file.path
    return path.resolve() if name in PROGRAMS and path is not None else None


def _is_trusted(path: Path) -> bool:
    """Whether a person said so, or it came along with the package: by its content."""
    known = _read()
    try:
        found = sha256(path)
        return found in known or found in _bundled()
    except OSError:
        return False


def _bundled() -> set[str]:
    return {
        sha256(path)
        for path in bundled_models().glob("*/*")
        if path.suffix in (".pt", ".pth", ".torchscript")
    }


def _place() -> Path:
    return own_data("trusted.json")


def _read() -> dict[str, dict[str, Any]]:
    try:
        known = json.loads(_place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {sha: about for sha, about in known.items() if isinstance(about, dict)}
