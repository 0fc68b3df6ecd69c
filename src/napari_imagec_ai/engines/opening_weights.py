"""Opens the weights of a model: which of them, with what, and in which process."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.filled_batch import with_full_batches
from napari_imagec_ai.engines.registry import BUILT_IN, engine_names, opener
from napari_imagec_ai.engines.speed import by_speed
from napari_imagec_ai.errors import EngineError, ModelError
from napari_imagec_ai.model.description import FileRef, Model
from napari_imagec_ai.model.weights import check_weights, mismatch, verify_hash
from napari_imagec_ai.system import threads

_log = logging.getLogger(__name__)

ISOLATED = "IMAGEC_AI_ISOLATED"
"""Environment variable: 1 runs every network in a process of its own, 0 none."""


def open_engine(
    model: Model,
    engine: str = "auto",
    device: str = "auto",
    *,
    verify: bool = True,
    isolated: bool | None = None,
) -> Engine:
    """Open a model's weights.

    Parameters
    ----------
    model : Model
        Which model.
    engine : str
        A weights format, or ``auto`` for the one that was measured to be the fastest,
        else the first that the model has and whose runtime is installed.
    device : str
        ``auto``, ``cpu``, or another device of the runtime, such as ``cuda``.
    verify : bool
        Compare the file with the description's sha256 first. Without, a file that is
        another one runs, and the prediction says so.
    isolated : bool, optional
        Whether the network runs in a process of its own, so that a crash of the runtime
        is an error and no more. By default as the environment variable
        ``IMAGEC_AI_ISOLATED`` says (0 or 1), else TorchScript and GPUs do.

    Raises
    ------
    ModelError
        If the model cannot run, or its weights are not those described.
    EngineError
        If the engine is unknown, its runtime is missing, or the file does not open.
    """
    names = candidates(model, engine, device)
    for name in names:
        weights = model.weights[name]
        opener(name)
        if verify:
            verify_hash(weights)
        if weights.file.path is None:  # only weights that are there are named
            raise ModelError(f"The {name} weights of '{model.name}' are not there.")
        try:
            opened = _open(name, weights.file.path, device, isolated)
        except ImportError as error:
            # A missing runtime is the one reason to try the next format.
            if name == names[-1]:
                raise EngineError(
                    f"'{model.name}' has {name} weights, but their runtime is not "
                    f"installed ({error}); install it with pip."
                ) from error
            _log.info("no runtime for %s: %s", name, error)
            continue
        changed = None if verify else mismatch(weights)
        if changed is not None:
            opened.notices = (changed,)
        return opened
    raise EngineError(f"'{model.name}' has no weights that an engine can open.")


def open_file(
    name: str, path: Path, device: str = "auto", *, isolated: bool | None = None
) -> Engine:
    """Open a weights file that no description names.

    Parameters
    ----------
    name : str
        The weights format.
    path : Path
        The file.
    device : str
        See :func:`open_engine`.
    isolated : bool, optional
        See :func:`open_engine`.

    Raises
    ------
    ModelError
        If it is not what its suffix says.
    """
    weights = check_weights(name, FileRef(path.name, path=path))
    if weights.problem is not None:
        problem = weights.problem[:1].upper() + weights.problem[1:]
        raise ModelError(f"{problem}.")
    return _open(name, path, device, isolated)


def _open(name: str, path: Path, device: str, isolated: bool | None) -> Engine:
    """Open weights, here or in another process."""
    if _isolates(name, device, isolated):
        from napari_imagec_ai.engines.process import ProcessEngine

        try:
            apart: Engine = ProcessEngine(name, path, device, threads.limit())
            return with_full_batches(apart)
        except OSError as error:
            _log.warning("no process could be started for the network: %s", error)
    return with_full_batches(opener(name)(path, device))


_preferred: list[bool] = []
"""Where nothing else is said: whether networks run in a process of their own."""


def prefer_isolated(isolated: bool | None) -> None:
    """Say how networks run that are opened from now on, where nothing else says it.

    Parameters
    ----------
    isolated : bool or None
        As for :func:`open_engine`; None: by engine and device.
    """
    _preferred[:] = [] if isolated is None else [isolated]


def preferred_isolated() -> bool | None:
    """What :func:`prefer_isolated` was told."""
    return _preferred[0] if _preferred else None


def _isolates(name: str, device: str, asked: bool | None) -> bool:
    """Whether a network runs in a process of its own.

    Where it costs next to nothing and there is something to win: TorchScript is a
    program, and drivers of GPUs crash. ONNX Runtime on the processor checks what it
    gets, opens in a few milliseconds, and need not be started anew for that.
    """
    if asked is None:
        told = os.environ.get(ISOLATED, "").strip().lower()
        if told in ("0", "1"):
            asked = told == "1"
    if asked is None:
        asked = preferred_isolated()
    if asked is not None:
        return asked
    if name == "onnx":
        from napari_imagec_ai.engines.onnx import accelerates

        return accelerates(device)
    return name == "torchscript" and name in BUILT_IN


def candidates(model: Model, engine: str = "auto", device: str = "auto") -> list[str]:
    """Weights formats that may be opened, in the order in which they are tried.

    Parameters
    ----------
    model : Model
        Which model.
    engine, device : str
        See :func:`open_engine`.

    Raises
    ------
    ModelError
        If the model cannot run, or not with this engine.
    EngineError
        If the engine is unknown.
    """
    if engine == "auto":
        if model.problems:
            raise ModelError(f"'{model.name}' cannot run. {model.problem}")
        added = [n for n in engine_names() if n not in BUILT_IN and n in model.weights]
        return list(dict.fromkeys([*by_speed(model, device), *added]))
    opener(engine)
    weights = model.weights.get(engine)
    if weights is None:
        raise ModelError(
            f"'{model.name}' has no {engine} weights, but "
            f"{', '.join(model.weights) or 'none at all'}; choose another engine."
        )
    if weights.problem is not None and engine in BUILT_IN:
        problem = weights.problem[:1].upper() + weights.problem[1:]
        raise ModelError(f"'{model.name}' cannot run with {engine}. {problem}.")
    if model.problems:
        raise ModelError(f"'{model.name}' cannot run. {model.problem}")
    return [engine]
