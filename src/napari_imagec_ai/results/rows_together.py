"""Rows of several results in one table, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_imagec_ai.results.objects import Objects

_EACH = ("id", "class_id", "confidence", "boxes", "planes")


def rows_together(several: Sequence[Objects]) -> dict[str, Any]:
    """What :class:`Objects` are made of, but for frame, classes and pixels.

    Parameters
    ----------
    several : sequence of Objects
        At least one. Ids and numbers of classes stay as they are.

    Returns
    -------
    dict
        Fields by name: those of each object, the columns that all have, and each
        assumption once.
    """
    columns = [
        name
        for name in several[0].features
        if all(name in each.features for each in several)
    ]
    fields: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in several])
        for name in _EACH
    }
    features = {
        name: np.concatenate([each.features[name] for each in several])
        for name in columns
    }
    assumed = tuple(dict.fromkeys(said for each in several for said in each.assumed))
    return fields | {"features": features, "assumed": assumed}
