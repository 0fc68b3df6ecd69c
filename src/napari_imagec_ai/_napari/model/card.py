"""What the widget says about a model."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from napari_imagec_ai._napari.form_words import in_form_words
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.folders import ModelEntry
from napari_imagec_ai.library.selftest import Verdict
from napari_imagec_ai.model.description import FixedSize, Model, SteppedSize, TensorSpec
from napari_imagec_ai.model.domain import domain_of
from napari_imagec_ai.model.object_size import known_sizes
from napari_imagec_ai.run.published_tests import TestResult

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

GROUPS = {
    "Objects": (
        "foreground",
        "foreground_boundary",
        "three_class",
        "foreground_boundary_distance",
        "boundary",
        "affinities",
        "labels",
        "stardist",
        "cellpose",
        "boxes_masks",
    ),
    "Boxes": ("boxes",),
    "Classes of pixels": ("multi_class",),
    "Images": ("image",),
    "Scores": ("scores", "embedding"),
}
"""What models give, as the list is grouped."""

OTHER = "Other"

_POLARITY = {
    "bright on dark": "bright objects on dark",
    "dark on bright": "dark objects on bright",
}

_LONGEST = 200
"""Letters of a sentence from a description that has any length."""

MOST_NAMES = 6
"""Names of channels that are listed; the others are counted."""


def group(entry: ModelEntry) -> str:
    """The group of the list that a model belongs to."""
    kind = entry.model.kind if entry.model is not None else "unknown"
    return next((name for name, kinds in GROUPS.items() if kind in kinds), OTHER)


def fits(entry: ModelEntry, words: str) -> bool:
    """Whether all words that a person searches for are in a model's description."""
    model = entry.model
    parts = [entry.name, entry.path.name, group(entry)]
    if model is not None:
        parts += [model.description, *model.tags, *model.authors, GIVES[model.kind]]
    text = " ".join(parts).lower()
    return all(word in text for word in words.lower().split())


def names(entries: Sequence[ModelEntry]) -> list[str]:
    """Names of models for a list, each of them once.

    Models of one name get as much of their folders as tells them apart; so does one
    that is called as a group is.
    """
    found = []
    for entry in entries:
        name = entry.name
        same = [other.path for other in entries if other.name == name]
        alone = len(same) == 1 and name not in (*GROUPS, OTHER)
        found.append(name if alone else f"{name} ({_apart(entry.path, same)})")
    return found


def _apart(path: Path, others: Sequence[Path]) -> str:
    """The end of a path that no other one has: ``best``, else ``models/best``."""
    for length in range(1, len(path.parts)):
        end = path.parts[-length:]
        if sum(other.parts[-length:] == end for other in others) == 1:
            return "/".join(end)
    return str(path)


FAILED = "This model failed its own test: what it finds may be wrong."

TESTED = {
    "passed": "Its own test: passed.",
    "failed": "<b>Its own test: failed.</b> It may be run all the same.",
    "": "Its own test: not run yet.",
}
"""What is known of a model's own test, as HTML."""


def card(entry: ModelEntry | None, tested: Verdict = "") -> str:
    """A model in short as HTML, or a word on what to do without one."""
    if entry is None:
        return (
            "There is no model yet: install or import one, or put a model folder "
            "(rdf.yaml with weights) into ./models."
        )
    model = entry.model
    problem = ""
    if entry.problem is not None:
        problem = f"<b>Cannot run.</b> {escape(in_form_words(entry.problem))}"
    if model is None:
        return problem
    reached = measured(entry)
    known = [made_for(model), f"Measured: {reached}." if reached else ""]
    lines = [
        f"<b>{escape(model.name)}</b>",
        escape(" ".join(part for part in known if part)),
        problem,
        f"<b>Another model.</b> {escape(entry.note)}" if entry.note else "",
        f"<i>{escape(model.description)}</i>" if model.description else "",
    ]
    lines.append(
        f"Takes {describe_input(model.inputs[0])}; gives {GIVES[model.kind]}. "
        f"Weights: {', '.join(model.runnable) or 'none that run here'}."
    )
    if entry.problem is None:
        lines.append(TESTED[tested])
    return "<br>".join(line for line in lines if line)


def measured(entry: ModelEntry) -> str:
    """What its description says was reached on images with truth; empty: nothing."""
    told = entry.model.settings.get("measured") if entry.model is not None else None
    return told[:_LONGEST] if isinstance(told, str) else ""


def made_for(model: Model) -> str:
    """The images that a model is for, as its description tells; empty: it does not."""
    try:
        looks, sizes = domain_of(model), known_sizes(model)
    except ModelError:
        return ""  # a run says what is wrong
    parts = [_POLARITY.get(looks.polarity or "", "")]
    if looks.colours is not None:
        parts.append(f"in {looks.colours}")
    if sizes is not None:
        span = f"{sizes.least:.0f} to {sizes.most:.0f} pixels across"
        parts.append(f"{'' if any(parts) else 'objects '}{span} (others are resized)")
    told = ", ".join(part for part in parts if part)
    return f"For {told}." if told else ""


def details(entry: ModelEntry | None) -> str:
    """Everything else about a model as HTML."""
    model = entry.model if entry is not None else None
    if entry is None or model is None:
        return ""
    facts = {
        "Name": model.name,
        "Version": model.version,
        "Authors": ", ".join(name for name in model.authors if name),
        "Licence": model.license,
        "Cite": " ".join(model.citation),
        "Tags": ", ".join(model.tags),
        "Takes": "; ".join(_tensor(spec) for spec in model.inputs),
        "Gives": "; ".join(_tensor(spec) for spec in model.outputs),
        "Classes": ", ".join(model.classes),
        "Weights": ", ".join(_weights(model)),
        "Folder": str(entry.path),
    }
    return "<br>".join(
        f"<b>{name}:</b> {escape(words)}" for name, words in facts.items() if words
    )


def _tensor(spec: TensorSpec) -> str:
    named = list(spec.channel_names[:MOST_NAMES])
    more = len(spec.channel_names) - len(named)
    named += [f"{more} more"] if more else []
    names = f" ({', '.join(named)})" if named else ""
    if not spec.space:
        return f"'{spec.id}': numbers{names}"
    return f"'{spec.id}': {describe_input(spec)}{names}"


def _weights(model: Model) -> list[str]:
    found = []
    for name, weights in model.weights.items():
        path = weights.file.path
        there = path is not None and Path(path).is_file()
        size = f" ({_size(Path(path).stat().st_size)})" if there and path else ""
        problem = " - cannot run here" if weights.problem is not None else ""
        found.append(f"{name}{size}{problem}")
    return found


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def tested_lines(results: Sequence[TestResult]) -> str:
    """What came out of a model's own test, as HTML; one line an engine and output."""
    lines = []
    for one in results:
        what = f"'{one.output}' " if one.output else ""
        if one.passed:
            said = f"{what}is as published (largest difference {one.max_abs_error:.2g})"
        else:
            said = f"<b>{escape(one.problem or f'{what}is not as published')}</b>"
        lines.append(f"{escape(one.engine)}: {said}")
    return "<br>".join(lines)


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
