"""What became of one image of a batch, as far as a summary needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.image.zarr_images import stem_of
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.results.scores import Scores


@dataclass(frozen=True, slots=True)
class Line:
    """One image.

    Attributes
    ----------
    image : Path
        Its file.
    report : mapping
        What its run said of it; empty where it failed.
    problem : str
        Why it failed, in words.
    thumbnail : Path or None
        A small picture of it.
    """

    image: Path
    report: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    thumbnail: Path | None = None

    def file(self, suffix: str) -> Path | None:
        """The file that was written for this image and ends so."""
        ending = f"{stem_of(self.image)}{suffix}"
        for name in self.report.get("files", ()):
            if Path(name).name == ending:
                return Path(name)
        return None

    @property
    def classes(self) -> dict[str, dict[str, float]]:
        """By class, what :func:`measured` gave."""
        counts = self.report.get("classes", {})
        known = self.report.get("measured", {})
        return {name: {"count": n, **known.get(name, {})} for name, n in counts.items()}


def measured(result: Result) -> dict[str, dict[str, float]]:
    """By class, the measurements that a summary has of it.

    Means and totals of the areas (in pixels, and in the image's unit where it has one)
    and the mean confidence; nothing of a class without objects. Of scores, the score.
    """
    if isinstance(result, Scores):
        mean = result.values.reshape(-1, len(result.classes)).mean(axis=0)
        return {
            name: {"score": float(value)}
            for name, value in zip(result.classes, mean, strict=True)
        }
    if not isinstance(result, Objects):
        return {}
    areas = {
        name: np.asarray(column, np.float64)
        for name, column in result.features.items()
        if name == "area" or name.startswith("area_")
    }
    found = {}
    for number, name in enumerate(result.classes):
        mine = result.class_id == number
        if mine.any():
            found[name] = _of_one(areas, result.confidence, mine)
    return found


def _of_one(
    areas: Mapping[str, NDArray[np.float64]],
    confidence: NDArray[np.float32],
    mine: NDArray[np.bool_],
) -> dict[str, float]:
    told = {}
    for column, values in areas.items():
        told[f"mean_{column}"] = float(values[mine].mean())
        told[f"total_{column}"] = float(values[mine].sum())
    told["mean_confidence"] = float(confidence[mine].mean(dtype=np.float64))
    return told
