"""What the outputs of a network mean, read from what its description says.

Weights are never opened. The rules go from what is certain to what is likely: what the
description declares, then the shape and the names of its tensors, then its words. No
rule knows a single model. Where nothing is known the kind is ``unknown``: asking the
person is better than a wrong guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import cast, get_args

from napari_imagec_ai.model import FixedSize, Kind, Model, RelativeSize, TensorSpec

# Lists of words as `_says` takes them: ``|`` between words, ``*`` for any ending.
_IMAGE = (
    # Restoration: the same scene with fewer faults.
    "restor*|denois*|deconvol*|deblur*|inpaint*|super ?res*|upsampl*|n2v2?|noise ?2 ?*"
    "|resolution enhanc*|(?:image|volumetric|isotropic|light ?field) reconstruct*"
    # The same scene as another microscope or dye would show it.
    "|(?:virtual|artificial|in silico|digital) (?:stain|label)*|image (?:to )?image"
    "|image translation|label free prediction|painting|w?gan|pix2pix"
    # One scene taken apart, or spots turned into a density.
    "|unmix*|splitting|decomposition|density (?:map )?estimation"
)
_SEGMENT = "segment*|masks?|foreground"
_EDGE = "boundar*|borders?|contours?|outlines?|edges?"
_DISTANCE = "dist|distances?|sdf|sdt"
_DETECTOR = "yolo*|detectron*|r ?cnn|mask ?rcnn|object detection"
_NUCLEUS = "nucle(?:us|i|ar)"
# What the name of a channel says, by word or by the letter that BiaPy has for it. The
# order counts: "distance to the boundary" is a distance.
_ROLES = {
    "distance": f"d[bcn]?|{_DISTANCE}",
    "background": "backgrounds?|bg|outside",
    "boundary": f"c|{_EDGE}",
    "centre": "p|points?|cent(?:er|re|roid)s?|seeds?|markers?",
    "foreground": "f|foregrounds?|fg|inside|interior|objects?",
}
_NUMBERED = re.compile(
    r"(channels?|ch|c|class(es)?|predictions?|outputs?|out|features?|flow|prob(ability)?"
    r"|masks?|labels?|raw|gray|unknown)? ?\d*"
)
_BOX_COLUMN = re.compile(
    r"[xywh]\d?|[bc][xywh]|[xy] ?c|[xy] ?(center|min|max)|width|height|left|top|right"
    r"|bottom|obj|objectness|conf|confidence|score|angle|(mask|coef\w*|proto)s? ?\d*"
)
# Parts of cells first: a text that names both tells with the cell where they are.
_NOUNS = {
    "nucleus": _NUCLEUS, "mitochondrion": "mito|mitochondri*", "spot": "spots?|puncta*",
    "filament": "filament*", "vesicle": "vesicles?", "axon": "axons?",
    "neuron": "neuron*|neurites?", "bacterium": r"bacteri*|e\. ?coli", "cyst": "cysts?",
    "oocyte": "oocytes?", "cell": "cells?|cellular", "fibre": "fib(?:re|er)s?",
    "gland": "glands?", "leaf": "leaf|leaves", "organoid": "organoids?",
    "spheroid": "spheroids?", "colony": "colony|colonies", "organelle": "organelles?",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Roles:
    """Which channel of the main output means what; None where no channel does.

    ``assumed`` is True where this is the custom of such networks, False where names say
    it or there is no other choice.
    """

    foreground: int | None = None
    boundary: int | None = None
    background: int | None = None
    distance: int | None = None
    assumed: bool = False


_CUSTOM = {  # Among classes that exclude each other, number 0 is what is no object.
    "foreground": Roles(0),
    "boundary": Roles(boundary=0),
    "foreground_boundary": Roles(0, 1, assumed=True),
    "foreground_boundary_distance": Roles(0, 1, distance=2, assumed=True),
    "three_class": Roles(1, 2, background=0, assumed=True),
    "multi_class": Roles(background=0, assumed=True),
}
_SOFTMAX = {  # Kinds of a single class, where the output has several channels.
    "foreground": Roles(1, background=0, assumed=True),
    "boundary": Roles(boundary=1, background=0, assumed=True),
}


def main_output(model: Model) -> TensorSpec:
    """The output that the kind speaks of: the first that is an image, or the first."""
    images = (tensor for tensor in model.outputs if len(tensor.space) > 1)
    return next(images, model.outputs[0])


def channel_count(model: Model, tensor: TensorSpec) -> int | None:
    """Number of channels, also where it is given by an input's; None if not fixed."""
    axis = tensor.axis("c")
    if axis is None or not isinstance(size := axis.size, RelativeSize):
        return tensor.channels
    there = next((t.axis(size.axis) for t in model.inputs if t.id == size.tensor), None)
    if there is None or not isinstance(there.size, FixedSize):
        return None
    return round(size.scale * there.size.size + size.offset)


@cache
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + words.replace("*", r"\w*") + r")\b")


def _says(text: str, words: str) -> bool:
    """Whether a `_plain` text has one of the words."""
    return _pattern(words).search(text) is not None


def _plain(*texts: str) -> str:
    """Lower case, ``BoundaryModel`` and ``super-res`` taken apart, texts kept apart."""
    text = " . ".join(texts)
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", text)
    return re.sub(r"[\s_/-]+", " ", text).lower().strip()


class _Look:
    """A model as the rules look at it: plain texts, and the main output."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.main = main_output(model)
        self.main_id = _plain(self.main.id)
        self.channels = channel_count(model, self.main)
        self.steps = {step.id for step in self.main.steps}
        self.name, self.description = _plain(model.name), _plain(model.description)
        # A section of the config that a framework reads says as much as its tag.
        self.tags = _plain(*model.tags, *map(str, model.hints))
        self.title = f"{self.name} . {self.tags}"
        self.inputs = _plain(*(f"{t.id} . {t.description}" for t in model.inputs))
        self.results = _plain(*(f"{t.id} . {t.description}" for t in model.outputs))
        self.all = " . ".join((self.title, self.results, self.description))
        # Labels are whole numbers that count far, or have no channels and such a name.
        integer = re.fullmatch(r"u?int(16|32|64)", self.main.dtype) is not None
        named = not self.main.axis("c") and _says(
            self.main_id, "masks|labels?|instances?"
        )
        self.labels = self.channels == 1 and (integer or named)


# -- kind ------------------------------------------------------------------------------


def infer_kind(model: Model) -> Kind:
    """What the outputs mean, as far as the description tells; else ``unknown``."""
    if not model.outputs:
        return "unknown"
    look = _Look(model)
    rules = (_declared, _tools, _boxes, _named, _spaceless, _image, _segmentation)
    answers = (rule(look) for rule in rules)
    return next((kind for kind in answers if kind is not None), "unknown")


def _declared(look: _Look) -> Kind | None:
    """The description says it to this package."""
    words = (look.model.settings.get(key) for key in ("kind", "decoder"))
    return next((cast("Kind", word) for word in words if word in get_args(Kind)), None)


def _tools(look: _Look) -> Kind | None:
    """Networks with outputs of their own; where wrapped, they may give labels."""
    if _says(look.inputs, "prompt*"):
        return "promptable"
    features = _says(look.main_id, "embeddings?|features?")
    if features or _says(look.title, "embeddings?|feature extract*|image encoder"):
        return "embedding"
    if _says(look.title, "prompt*|segment anything"):
        return "promptable"
    if _says(look.title, "star ?dist*"):
        return "labels" if look.labels else "stardist"
    # Flows and a probability are three channels, in 3D four.
    flows = _says(_plain(look.main.id, *look.main.channel_names), r"flows?\d*")
    if (flows or _says(look.title, "cell ?pose*")) and (look.channels or 3) > 2:
        return "cellpose"
    return None


def _boxes(look: _Look) -> Kind | None:
    """Tables of boxes, by name or from a detector; masks are one more output."""
    outputs, yolo = look.model.outputs, _says(look.title, "yolo*")
    # YOLO's rows are a table also where the description calls their axes y and x.
    tables = [t for t in outputs if len(t.space) < 2 or (yolo and not t.axis("c"))]
    if not any(_says(_plain(t.id), "b?box(?:es)?|detections?") for t in tables):
        rows = any(len(t.axes) > 2 for t in tables)
        if not rows or not _says(look.all, _DETECTOR):
            return None
    masks = any(
        t not in tables or _says(_plain(t.id), "masks?|proto*") for t in outputs
    )
    return "boxes_masks" if masks and len(outputs) > 1 else "boxes"


def _named(look: _Look) -> Kind | None:
    """Every channel has a name that says what it means."""
    names = _channel_names(look.model)
    found = _find_roles(names)
    if "?" in found or len(names) != look.channels or look.labels:
        return None
    if "foreground" in found and "boundary" in found:
        if "distance" in found:
            return "foreground_boundary_distance"
        return "three_class" if "background" in found else "foreground_boundary"
    # Centres and distances refine a foreground, which is enough without them.
    if "foreground" in found:
        return "foreground"
    return "boundary" if "boundary" in found else None


def _spaceless(look: _Look) -> Kind | None:
    """One row of numbers for the whole image."""
    row = {axis.name for axis in look.main.axes} <= {"b", "c", "i"}
    return "scores" if row and len(look.main.axes) < 3 else None


def _image(look: _Look) -> Kind | None:
    """An image of the same scene: the first text that has only one of both purposes.

    What a model is for stands in its name and tags; a description also tells what was
    done to the data and what the result is good for.
    """
    for text in (look.name, look.tags, look.results, look.description):
        if _says(text, _IMAGE) != _says(text, _SEGMENT):
            return "image" if _says(text, _IMAGE) else None
    sizes = (axis.size for axis in look.main.axes if axis.name in look.main.space)
    grows = any(isinstance(size, RelativeSize) and size.scale > 1 for size in sizes)
    return "image" if grows and not _says(look.all, _SEGMENT) else None


def _segmentation(look: _Look) -> Kind | None:
    """Maps of objects: by the number of channels, then by words."""
    words, count = look.all, look.channels or 1
    binary = look.main.dtype == "bool" or "binarize" in look.steps
    if not binary and not _says(words, f"{_SEGMENT}|{_EDGE}|membranes?|cell walls?"):
        return None
    if look.labels:
        return "labels"
    if count == 1:
        return "boundary" if _is_boundary(look) else "foreground"
    # Affinities need one channel for each axis; the tag alone is often a copied one.
    if _says(words, "affinit*") and count >= len(look.main.space):
        return "affinities"
    if count > 3 or not _are_numbered(look.main.channel_names):
        return "multi_class"
    apart = "softmax" not in look.steps and _says(
        words, f"instances?|watershed|touching|{_EDGE}"
    )
    if count == 2:  # To tell objects apart takes a boundary; else it is a softmax.
        return "foreground_boundary" if apart else "foreground"
    # A sigmoid leaves the channels independent: they are no classes.
    if apart and ("sigmoid" in look.steps or _says(words, _DISTANCE)):
        return "foreground_boundary_distance"
    return "multi_class" if _says(words, "semantic|multi ?class*") else "three_class"


def _is_boundary(look: _Look) -> bool:
    """Whether a single map shows the borders of objects instead of their inside."""
    said = f"{look.title} . {look.results}"
    if _says(look.name, _NUCLEUS):  # Membranes are those of another structure.
        return _says(said, "boundar*")
    # Nervous tissue is full of neurites: in one map only membranes tell them apart.
    if _says(look.all, "neurons?|neurites?") and _says(look.all, "electron|[st]?em"):
        return True
    # PlantSeg parts tissue by the cells' boundaries.
    edge = f"{_EDGE}|membranes?|cell walls?|plantseg"
    return _says(said, edge) or _says(look.description, "boundar*|cell walls?")


# -- classes and channels --------------------------------------------------------------


def infer_classes(model: Model) -> tuple[str, ...]:
    """Names of the classes of objects, for a model that has its ``kind``.

    What the ``config`` lists; else the names of the channels of kinds with several
    classes, without the background of ``multi_class``; ``class 1`` and so on where they
    only count; () for boxes whose classes have no names; one noun for any other kind.
    """
    for value in (model.settings.get("classes"), model.hints.get("classes")):
        if isinstance(value, list) and value:
            return tuple(map(str, value))
    if not model.outputs:
        return ()
    if model.kind in ("boxes", "boxes_masks"):
        names = next((t.channel_names for t in model.outputs if t.channel_names), ())
        return tuple(name for name in names if not _BOX_COLUMN.fullmatch(_plain(name)))
    if model.kind not in ("multi_class", "scores"):
        texts = map(_plain, (model.name, " . ".join(model.tags), model.description))
        found = (n for t in texts for n, words in _NOUNS.items() if _says(t, words))
        return (next(found, "object"),)
    main = main_output(model)
    background = channel_roles(model).background
    names = main.channel_names
    if _are_numbered(names):
        # With a background channel, the number of a class is that of its channel.
        first = 1 if background is None else 0
        count = channel_count(model, main) or 0
        names = tuple(f"class {first + index}" for index in range(count))
    return tuple(name for index, name in enumerate(names) if index != background)


def channel_roles(model: Model) -> Roles:
    """Which channel of the main output means what, for a model that has its ``kind``.

    By the channels' names where they say all that the kind needs, else by custom; empty
    for kinds whose channels have no such meaning.
    """
    if not model.outputs or model.kind not in _CUSTOM:
        return Roles()
    custom = _CUSTOM[model.kind]
    if (channel_count(model, main_output(model)) or 1) > 1:
        custom = _SOFTMAX.get(model.kind, custom)
    names = _channel_names(model)
    if _are_numbered(names):
        return custom
    found = _find_roles(names)
    fields = ("foreground", "boundary", "background", "distance")
    named = Roles(**{role: found[role] for role in fields if role in found})
    for role in ("foreground", "boundary", "distance"):
        if getattr(custom, role) is not None and role not in found:
            return custom
    return named


def _channel_names(model: Model) -> tuple[str, ...]:
    """Names of the main output's channels, or what stands for them elsewhere."""
    main = main_output(model)
    if not _are_numbered(main.channel_names):
        return main.channel_names
    letters = re.search(
        r"\brepresentation ?:? ((?:[a-z]{1,2} ?\+ ?)+[a-z]{1,2})\b",
        _plain(model.description),
    )
    if letters is not None:
        return tuple(letters[1].split("+"))
    return (main.id,) if channel_count(model, main) == 1 else main.channel_names


def _find_roles(names: Iterable[str]) -> dict[str, int]:
    """Channels by what their names say; ``?`` is one whose name says nothing."""
    meant = [
        next((role for role, words in _ROLES.items() if _says(name, words)), "?")
        for name in map(_plain, names)
    ]
    if len(meant) > 1 and meant.count("?") == 1 and "foreground" not in meant:
        # "background, nucleus, border": the one that is left is the object.
        meant[meant.index("?")] = "foreground"
    return {role: meant.index(role) for role in meant}


def _are_numbered(names: Iterable[str]) -> bool:
    """Whether these names of channels only count; also if there are none."""
    return all(_NUMBERED.fullmatch(_plain(name)) for name in names)
