"""Outputs that are tables of boxes, classes, scores and masks, told by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_imagec_ai.model.description import FixedSize, Model

_WORDS = {
    "scores": {"score", "scores", "confidence", "confidences"},
    "classes": {"class", "classes", "label", "labels"},
    "boxes": {"box", "boxes", "bbox", "bboxes"},
    "masks": {"mask", "masks"},
}
"""Words in names of outputs; ``box_scores`` are scores."""


def gives_tables(model: Model) -> bool:
    """Whether a description has boxes, classes and scores in outputs of their own."""
    named = outputs_by_role(model)
    if "boxes" in named and "scores" in named:
        return True
    axes = [spec.axes for spec in model.outputs]
    table = any(len(a) == 2 and a[1].size == FixedSize(4) for a in axes)
    return table and sum(len(a) == 1 for a in axes) > 1


def outputs_by_role(model: Model) -> dict[str, int]:
    """Outputs by what their names say."""
    return roles_by_name([spec.id for spec in model.outputs])


def roles_by_name(names: Sequence[str]) -> dict[str, int]:
    """Which of some names are those of boxes, classes, scores and masks."""
    found: dict[str, int] = {}
    for number, name in enumerate(names):
        words = set(re.split(r"[^a-z]+", name.lower()))
        role = next((role for role, known in _WORDS.items() if words & known), None)
        if role is not None:
            found.setdefault(role, number)
    return found
