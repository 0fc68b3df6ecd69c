"""Exports that give a map of classes, or scores of the whole image, and no boxes."""

from __future__ import annotations

from typing import Any

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.trial import Trial

_BACKGROUND = ("background", "bg", "_background_")

_SCALE = {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0.0}}
"""As the exporter's own predictor does it."""


def describe(name: str, trial: Trial) -> dict[str, Any] | None:
    """Describe an export whose task is another one than finding boxes.

    Parameters
    ----------
    name : str
        Of the file.
    trial : Trial
        What it took and gave.

    Returns
    -------
    dict or None
        Outputs and config of a description; None for exports of boxes.

    Raises
    ------
    ModelError
        If the task is known, but the output is not as it should be.
    """
    if trial.told.task == "semantic":
        return _of_classes(name, trial)
    if trial.told.task == "classify":
        return _of_scores(name, trial)
    if trial.told.task == "depth":
        return _of_image(name, trial)
    return None


def preprocessing(trial: Trial) -> list[dict[str, Any]]:
    """Steps for the grey values; whole numbers are taken as they come."""
    return [] if trial.dtype.startswith(("int", "uint")) else [_SCALE]


def _of_classes(name: str, trial: Trial) -> dict[str, Any]:
    array = trial.outputs[0]
    space = _space(trial)
    names = list(trial.told.names)
    background = next((i for i, n in enumerate(names) if n.lower() in _BACKGROUND), -1)
    classes = [n for i, n in enumerate(names) if i != background]
    scores = array.ndim == 4 and array.shape[1] > 1
    spatial = tuple(array.shape[-2:]) == trial.window
    if (
        array.ndim not in (3, 4)
        or not spatial
        or (scores and names and array.shape[1] != len(names))
    ):
        raise _strange(name, trial, "a number of a class, or a score of each class")
    axes: list[dict[str, Any]] = [{"type": "batch"}]
    if array.ndim == 4:
        axes.append({"type": "channel", "size": int(array.shape[1])})
    own: dict[str, Any] = {"background": background, "numbers": not scores}
    data = {"type": str(array.dtype)}
    output = {"id": "output0", "axes": [*axes, *space], "data": data}
    return {
        "outputs": [output],
        "config": _config(name, trial, "semantic", "multi_class", classes, own),
    }


def _of_scores(name: str, trial: Trial) -> dict[str, Any]:
    array = trial.outputs[0]
    names = list(trial.told.names)
    if array.ndim != 2 or (names and array.shape[1] != len(names)):
        raise _strange(name, trial, "one score for each class")
    channel = {"type": "channel", "size": int(array.shape[1])}
    own = {"fitted": True}
    return {
        "outputs": [{"id": "output0", "axes": [{"type": "batch"}, channel]}],
        "config": _config(name, trial, "scores", "scores", names, own),
    }


def _of_image(name: str, trial: Trial) -> dict[str, Any]:
    array = trial.outputs[0]
    if array.ndim not in (3, 4) or tuple(array.shape[-2:]) != trial.window:
        raise _strange(name, trial, "a value for each pixel")
    axes: list[dict[str, Any]] = [{"type": "batch"}]
    if array.ndim == 4:
        axes.append({"type": "channel", "size": int(array.shape[1])})
    return {
        "outputs": [{"id": trial.told.task, "axes": [*axes, *_space(trial)]}],
        "config": _config(name, trial, "image", "image", [], {}),
    }


def _space(trial: Trial) -> list[dict[str, Any]]:
    sizes = zip("yx", trial.window, strict=True)
    return [{"type": "space", "id": axis, "size": size} for axis, size in sizes]


def _config(
    name: str,
    trial: Trial,
    decoder: str,
    kind: str,
    classes: list[str],
    own: dict[str, Any],
) -> dict[str, Any]:
    height, width = trial.window
    sentence = (
        f"'{name}' has no description: a window of {width} x {height} pixels, "
        f"{trial.channels} channel{'s' * (trial.channels != 1)} and the task "
        f"'{trial.told.task}' were read from the file."
    )
    values = {"decoder": decoder, "kind": kind, "classes": classes, **own}
    return {"napari_imagec_ai": {**values, "assumed": [sentence]}}


def _strange(name: str, trial: Trial, expected: str) -> ModelError:
    shapes = ", ".join(str(list(array.shape)) for array in trial.outputs)
    names = len(trial.told.names)
    return ModelError(
        f"'{name}' was exported for the task '{trial.told.task}' with {names} names of "
        f"classes: expected {expected}, found outputs {shapes}; export it again."
    )
