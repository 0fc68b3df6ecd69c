"""A run that is kept to go on with: what the network gave, and the recipe beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.recipes.recipe import ModelRef, Recipe
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.system import own_files

PREDICTION, RECIPE = ".prediction.npz", ".recipe.yaml"
"""What the names of the two files end with."""


@dataclass(frozen=True, slots=True, eq=False)
class SavedRun:
    """What was read back.

    Attributes
    ----------
    prediction : Prediction
        What the network gave.
    recipe : Recipe
        How it ran, and what was made of it; as far as the prediction tells, where no
        recipe lies beside it.
    problem : str
        Why the recipe beside it was not read, as a sentence.
    """

    prediction: Prediction
    recipe: Recipe
    problem: str = ""


def recipe_beside(path: Path) -> Path:
    """Where the recipe of a saved prediction lies."""
    stem = path.name.removesuffix(".npz").removesuffix(".prediction")
    return path.with_name(stem + RECIPE)


def save_run(
    prediction: Prediction, recipe: Recipe, path: Path, *, overwrite: bool = False
) -> list[Path]:
    """Write a prediction, and its recipe beside it.

    Parameters
    ----------
    prediction : Prediction
        What the network gave.
    recipe : Recipe
        How it ran, and what was made of it.
    path : Path
        The file of the prediction.
    overwrite : bool
        Replace also a file at ``path`` that this software did not write; never a
        recipe beside it that is somebody else's.

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    ImagecAIError
        If a file cannot be written, or a place is somebody else's.
    """
    beside = recipe_beside(path)
    with own_files.permitted(overwrite):
        own_files.check([path])  # before the other one is written
    recipe.save(beside)
    prediction.save(path, overwrite=overwrite)
    return [path, beside]


def load_run(path: Path) -> SavedRun:
    """Read a prediction, and the recipe beside it.

    Raises
    ------
    ImagecAIError
        If it is no prediction.
    """
    prediction, beside = Prediction.load(path), recipe_beside(path)
    if not beside.exists():
        return SavedRun(prediction, _as_told_by(prediction))
    try:
        return SavedRun(prediction, Recipe.load(beside))
    except ImagecAIError as error:
        return SavedRun(prediction, _as_told_by(prediction), str(error))


def _as_told_by(prediction: Prediction) -> Recipe:
    """What a prediction itself says of how it was made."""
    model, frame, cut = prediction.model, prediction.frame, prediction.cut
    count = len(prediction.planes)
    spans: dict[str, int | tuple[int, int]] = {
        axis: (begin, begin + size)
        for axis, begin, size in zip(
            frame.axes[:count], frame.origin, frame.shape, strict=False
        )
        if begin
    }
    told: dict[str, Any] = {
        "channels": prediction.channels,
        "planes": spans or None,
        "region": None if cut is None else cut.region,
        "classes": model.classes if model.classes_by_hand else None,
        "object_size": prediction.object_size,
    }
    return Recipe(
        model=ModelRef(name=model.name, version=model.version, path=str(model.path)),
        predict=RunSettings(**told),
    )
