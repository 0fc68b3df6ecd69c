"""What the widget says about a model."""

from __future__ import annotations

from html import escape

from napari_imagec_ai.library import ModelEntry
from napari_imagec_ai.model import FixedSize, Model, SteppedSize, TensorSpec
from napari_imagec_ai.scores import Scores

GIVES = {
    "foreground": "objects (foreground map)",
    "foreground_boundary": "objects (foreground and boundary maps)",
    "three_class": "objects (inside and border maps)",
    "foreground_boundary_distance": "objects (foreground, boundary, distance)",
    "boundary": "objects between boundaries",
    "multi_class": "a class for each pixel",
    "affinities": "affinities of neighbouring pixels",
    "labels": "labels",
    "stardist": "star-convex objects",
    "cellpose": "flows",
    "boxes": "boxes",
    "boxes_masks": "boxes with masks",
    "image": "an image",
    "scores": "scores of the whole image",
    "embedding": "numbers for other networks",
    "promptable": "masks of prompts",
    "unknown": "an output of unknown meaning",
}
"""Kinds of models in words."""


def card(entry: ModelEntry | None) -> str:
    """A model's card as HTML, or a word on what to do without one."""
    if entry is None:
        return "Put a model folder (rdf.yaml with weights) into ./models, and refresh."
    model = entry.model
    problem = (
        "" if entry.problem is None else f"<b>Cannot run.</b> {escape(entry.problem)}"
    )
    if model is None:
        return problem
    lines = [
        problem,
        f"<i>{escape(model.description)}</i>" if model.description else "",
    ]
    lines.append(
        f"Takes {describe_input(model.inputs[0])}; gives {GIVES[model.kind]}. "
        f"Weights: {', '.join(model.runnable) or 'none that run here'}."
    )
    facts = [model.license, ", ".join(name for name in model.authors if name)]
    lines.append(escape(" - ".join(fact for fact in facts if fact)))
    return "<br>".join(line for line in lines if line)


def score_lines(scores: Scores, most: int = 10) -> str:
    """The highest scores as HTML, the highest first; for the first plane."""
    values = scores.values.reshape(-1, scores.values.shape[-1])[0]
    order = values.argsort()[::-1][:most]
    lines = [f"{escape(scores.classes[i])}: {values[i]:.3g}" for i in order]
    if len(values) > most:
        lines.append(f"and {len(values) - most} more")
    return "<br>".join(["<b>Scores</b>", *lines])


def describe_input(spec: TensorSpec) -> str:
    """An input in words, such as '1-channel 2D images, 64 px and up in steps of 16'."""
    dimensions = "3D volumes" if "z" in spec.space else "2D images"
    channels = f"{spec.channels}-channel " if spec.channels is not None else ""
    size = next((axis.size for axis in spec.axes if axis.name == "x"), None)
    if isinstance(size, FixedSize):
        return f"{channels}{dimensions}, in tiles of {size.size} px"
    if isinstance(size, SteppedSize):
        return f"{channels}{dimensions}, {size.min} px and up in steps of {size.step}"
    return f"{channels}{dimensions}"


def citation(model: Model) -> str:
    """How the authors want to be cited, one reference a line."""
    return "\n".join(model.citation)
