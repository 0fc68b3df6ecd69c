"""Filters: conditions on an object's columns, and the class that they give.

Any column can be filtered by; a new one is measured in :mod:`.measure`, whole and, for
results on the disk, summed block by block.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.objects import Objects


class Filter(BaseModel):
    """A condition on an object, and the class of those that meet it.

    Attributes
    ----------
    feature : str
        Column of the table, such as ``area``, ``circularity`` or ``confidence``.
    minimum, maximum : float
        The object meets it if its value lies between them, both included.
    becomes : str or None
        Class of the objects that meet it; empty: as the rule says; None: they go.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str
    minimum: float = -math.inf
    maximum: float = math.inf
    becomes: str | None = ""

    def meets(self, objects: Objects) -> NDArray[np.bool_]:
        """Which objects meet the condition.

        Raises
        ------
        DecodeError
            If the table has no such column.
        """
        values = (
            objects.confidence
            if self.feature == "confidence"
            else objects.features.get(self.feature)
        )
        if values is None:
            raise DecodeError(
                f"There is no column '{self.feature}' to filter by; choose one of "
                f"confidence, {', '.join(objects.features)}."
            )
        return np.asarray((values >= self.minimum) & (values <= self.maximum))
