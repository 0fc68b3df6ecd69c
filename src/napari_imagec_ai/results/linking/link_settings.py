"""How objects are followed from plane to plane: what a person chooses."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Along = Literal["time", "depth"]

AXES = {"time": "T", "depth": "Z"}
"""The axis that objects are followed along, by its word."""


class Linking(BaseModel):
    """How objects of a stack's planes are followed.

    Attributes
    ----------
    along : "time" or "depth"
        Through the times of a film, or through the planes of a volume that was
        segmented plane by plane.
    min_overlap : float
        Objects of two planes are one if this share of the smaller one, or more, lies
        in the other; above 0, up to 1. Not looked at where ``max_distance`` is given.
    max_distance : float or None
        Instead: pixels that an object moves at most from one plane to the next. Takes
        the package laptrack.
    max_gap : int
        Planes in which an object may be missing.
    divisions : bool
        An object may become two; both begin tracks of their own, with that of the
        first as ``parent_track``. Through time only.
    volumes : bool
        What is one becomes one object, a volume. Through depth only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    along: Along = "time"
    min_overlap: float = Field(0.2, gt=0, le=1)
    max_distance: float | None = Field(None, gt=0)
    max_gap: int = Field(1, ge=0, le=100)
    divisions: bool = False
    volumes: bool = False
