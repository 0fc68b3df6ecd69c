"""What the outputs of a network mean, read from what its description says.

The rules go from certain to likely: what is declared, shapes and names of tensors, then
words. None is about a single model; ``unknown`` is better than a wrong guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from napari_imagec_ai.model.class_names import each_named
from napari_imagec_ai.model.description import (
    FixedSize,
    Kind,
    Model,
    RelativeSize,
    TensorSpec,
)

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
_EDGE = "boundar*|borders?|contours?|outlines?|(?<!cutting )edges?"
# Names of channels, or BiaPy's letters; "distance to the boundary" is a distance.
_ROLES = {
    "distance": "^d[bcn]?$|dist|distances?|sdf|sdt",
    "background": "backgrounds?|bg|outside",
    "boundary": f"^c$|{_EDGE}",
    "centre": "^p$|points?|cent(?:er|re|roid)s?|seeds?|markers?",
    "foreground": "^f$|foregrounds?|fg|inside|interior|objects?",
}
_MAX_CHANNELS = 1 << 16
_OBJECTS = {"foreground", "boundary", "distance"}
_DECODED: dict[str, Kind] = {
    "stardist_postprocessing": "stardist",
    "cellpose_flow_dynamics": "cellpose",
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
    "nucleus": "nucle(?:us|i|ar)", "mitochondrion": "mito|mitochondri*",
    "spot": "spots?|puncta*", "filament": "filament*", "vesicle": "vesicles?",
    "neuron": "neuron*|neurites?", "bacterium": r"bacteri*|e\. ?coli", "axon": "axons?",
    "oocyte": "oocytes?", "cyst": "cysts?", "cell": "cells?|cellular",
    "fibre": "fib(?:re|er)s?", "leaf": "leaf|leaves", "organoid": "organoids?",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Roles:
    """Channels of the main output by meaning; assumed: by custom, no name says it."""

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
    # This architecture is trained with the border before the object.
    "three_class, dpn": Roles(2, 1, background=0, assumed=True),
    "foreground, several": Roles(1, background=0, assumed=True),  # A softmax.
    "boundary, several": Roles(boundary=1, background=0, assumed=True),
}


def main_output(model: Model) -> TensorSpec:
    """The output that the kind speaks of: the first that is an image, or the first."""
    images = (tensor for tensor in model.outputs if len(tensor.space) > 1)
    return (*images, *model.outputs, TensorSpec("", ()))[0]


def channel_count(model: Model, tensor: TensorSpec) -> int | None:
    """Number of channels, also where it is given by an input's; None if not fixed."""
    axis = tensor.axis("c")
    if axis is None or not isinstance(size := axis.size, RelativeSize):
        count: float = tensor.channels or 0
    else:
        inputs = (t.axis(size.axis) for t in model.inputs if t.id == size.tensor)
        there = next(inputs, None)
        if size.scale == 0:  # whatever the input has
            count = size.offset
        elif there is None or not isinstance(there.size, FixedSize):
            return None
        else:
            count = size.scale * there.size.size + size.offset
    # More is a slip of the description, and would become as many names of classes.
    return round(count) if 0 < count <= _MAX_CHANNELS else None


def _says(text: str, words: str) -> bool:
    """Whether a `_plain` text has one of the words."""
    return bool(re.search(r"\b(?:" + words.replace("*", r"\w*") + r")\b", text))


def _plain(*texts: str) -> str:
    """Lower case, ``BoundaryModel`` and ``super-res`` taken apart, texts kept apart."""
    text = " . ".join(texts)
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})", " ", text)
    return re.sub(r"[\s_/-]+", " ", text).lower().strip()


class _Look:
    """A model as the rules look at it: plain texts, and the main output."""

    def __init__(self, model: Model) -> None:
        self.model, self.main = model, main_output(model)
        self.main_id = _plain(self.main.id)
        self.channels = channel_count(model, self.main)
        self.steps = {step.id for step in self.main.steps}
        self.name, self.description = _plain(model.name), _plain(model.description)
        # A section of the config that a framework reads says as much as its tag.
        tool = model.settings.get("decoder", "")
        self.tags = _plain(*model.tags, *map(str, model.hints), str(tool))
        self.title = f"{self.name} . {self.tags}"
        self.inputs = _plain(*(f"{t.id} . {t.description}" for t in model.inputs))
        self.results = _plain(*(f"{t.id} . {t.description}" for t in model.outputs))
        self.all = " . ".join((self.title, self.results, self.description))
        # Labels are whole numbers that count far, or have no channels and such a name.
        bare = self.main.axis("c") is None
        named = bare and _says(self.main_id, "masks|labels?|instances?")
        whole = _says(self.main.dtype, "u?int(?:16|32|64)")
        self.labels = self.channels == 1 and (named or whole)


def infer_kind(model: Model) -> Kind:
    """What the outputs mean, as far as the description tells; else ``unknown``."""
    if not model.outputs:
        return "unknown"
    for key in ("kind", "decoder"):
        if (word := model.settings.get(key)) in get_args(Kind):
            return cast("Kind", word)
    look = _Look(model)
    rules = (_tools, _boxes, _named, _image, _segmentation)
    return next(filter(None, (rule(look) for rule in rules)), "unknown")


def _tools(look: _Look) -> Kind | None:
    """Networks with outputs of their own; where wrapped, they may give labels."""
    # What makes objects of such outputs. Their type and channels are then the labels'.
    for step in look.steps & _DECODED.keys():
        return _DECODED[step]
    if _says(look.inputs, "prompt*"):
        return "promptable"
    features = _says(look.main_id, "embeddings?|features?")
    if features or _says(look.title, "embeddings?|feature extract*|image encoder"):
        return "embedding"
    if _says(look.title, "prompt*|segment anything"):
        return "promptable"
    # It ends in ids, one channel for each class of objects.
    if _says(look.title, "instan ?seg*") and (look.channels or 1) <= 2:
        return "labels"
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
        tools = "yolo*|detectron*|r ?cnn|mask ?rcnn|object detection"
        if not _says(look.all, tools) or all(len(t.axes) < 3 for t in tables):
            return None
    masks = len(tables) < len(outputs) or _says(look.results, "masks?")
    return "boxes_masks" if masks and len(outputs) > 1 else "boxes"


def _named(look: _Look) -> Kind | None:
    """Every channel has a name that says what it means."""
    found = _find_roles(look.model)
    if "?" in found or look.labels:
        return None
    if found.keys() >= _OBJECTS:
        return "foreground_boundary_distance"
    if {"foreground", "boundary"} <= found.keys():
        return "three_class" if "background" in found else "foreground_boundary"
    if "foreground" in found:  # Centres and distances refine it; it is enough alone.
        return "foreground"
    return "boundary" if "boundary" in found else None


def _image(look: _Look) -> Kind | None:
    """An image of the same scene, or one row of numbers for it."""
    if len(look.main.axes) < 3 and {a.name for a in look.main.axes} <= {"b", "c", "i"}:
        return "scores"
    # The first text that has only one of both purposes. The description comes last: it
    # also tells what was done to the data and what the result is good for.
    for text in (look.name, look.tags, look.results, look.description):
        if _says(text, _IMAGE) != _says(text, _SEGMENT):
            return "image" if _says(text, _IMAGE) else None
    axes = (a.size for a in look.main.axes if a.name in look.main.space)
    grows = any(isinstance(size, RelativeSize) and size.scale > 1 for size in axes)
    return "image" if grows and not _says(look.all, _SEGMENT) else None


def _segmentation(look: _Look) -> Kind | None:
    """Maps of objects: by the number of channels, then by words."""
    words, count = look.all, look.channels or 1
    maps = {"binarize", "sigmoid", "softmax"} & look.steps or look.main.dtype == "bool"
    if not maps and not _says(words, f"{_SEGMENT}|{_EDGE}|membranes?|cell walls?"):
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
    parted = f"instances|instance segment*|watershed|touching|{_EDGE}"
    apart = _says(words, parted) and "softmax" not in look.steps
    if count == 2:  # To tell objects apart takes a boundary; else it is a softmax.
        return "foreground_boundary" if apart else "foreground"
    # A sigmoid leaves the channels independent: they are no classes.
    if apart and ("sigmoid" in look.steps or _says(words, _ROLES["distance"])):
        return "foreground_boundary_distance"
    return "multi_class" if _says(words, "semantic|multi ?class*") else "three_class"


def _is_boundary(look: _Look) -> bool:
    """Whether a single map shows the borders of objects instead of their inside."""
    said = f"{look.title} . {look.results}"
    if _says(look.name, f"{_NOUNS['nucleus']}|{_NOUNS['mitochondrion']}"):
        return _says(said, "boundar*")  # Membranes are those around them.
    # Nervous tissue is full of neurites: in one map only membranes tell them apart.
    if _says(look.name, "neurons?|neurites?") and _says(look.all, "electron|[st]?em"):
        return True
    # PlantSeg parts tissue by the cells' boundaries.
    edge = f"{_EDGE}|membranes?|cell walls?|plantseg"
    return _says(said, edge) or _says(look.description, "boundar*|cell walls?")


def infer_classes(model: Model) -> tuple[str, ...]:
    """Names of the classes of objects, () if unknown; the model has its ``kind``.

    Where ``config`` has none, those of channels but the background, or one noun.
    """
    for listed in (model.settings.get("classes"), model.hints.get("classes")):
        if isinstance(listed, list) and listed:
            return each_named(listed)[0]
    if model.kind in ("image", "embedding", "boxes", "boxes_masks"):
        rows = model.outputs if "boxes" in model.kind else ()
        names = next((t.channel_names for t in rows if t.channel_names), ())
        return tuple(name for name in names if not _BOX_COLUMN.fullmatch(_plain(name)))
    if model.kind == "stardist" and (several := _star_classes(model)):
        return several
    if model.kind == "labels" and (layers := _layers(model)):
        return layers
    if model.kind not in ("multi_class", "scores"):
        texts = map(_plain, (model.name, " . ".join(model.tags), model.description))
        found = (n for t in texts for n, words in _NOUNS.items() if _says(t, words))
        return (next(found, "object"),)
    main, background = main_output(model), channel_roles(model).background
    names = main.channel_names
    if _are_numbered(names):
        # With a background channel, the number of a class is that of its channel.
        first = int(background is None)
        names = tuple(
            f"class {n + first}" for n in range(channel_count(model, main) or 0)
        )
    return tuple(name for index, name in enumerate(names) if index != background)


def naming(model: Model) -> str:
    """A sentence on classes that the description gives no name of their own."""
    for listed in (model.settings.get("classes"), model.hints.get("classes")):
        if isinstance(listed, list) and listed:
            return each_named(listed)[1]
    return ""


def _star_classes(model: Model) -> tuple[str, ...]:
    """Classes of a StarDist network that has several; () if it has none."""
    hints = model.hints.get("stardist")
    config = hints.get("config") if isinstance(hints, Mapping) else None
    count = config.get("n_classes") if isinstance(config, Mapping) else None
    if not isinstance(count, int) or not 0 < count <= _MAX_CHANNELS:
        return ()
    # Where every channel has a name, those of the classes come last.
    names = [name for t in model.outputs for name in t.channel_names][-count:]
    if len(names) == count and not _are_numbered(tuple(names)):
        return tuple(names)
    return tuple(f"class {n + 1}" for n in range(count))


def _layers(model: Model) -> tuple[str, ...]:
    """Classes of ids in several channels, one for each; () if there is one channel."""
    main = main_output(model)
    count, names = channel_count(model, main) or 1, main.channel_names
    if count < 2:
        return ()
    if len(names) == count and not _are_numbered(names):
        return names
    told = _plain(model.name, *model.tags, *map(str, model.hints))
    if count == 2 and _says(told, "instan ?seg*"):
        return ("nucleus", "cell")  # in this order, always
    return tuple(f"class {n + 1}" for n in range(count))


def channel_roles(model: Model) -> Roles:
    """Channels by their names, or by custom where those lack what ``kind`` needs."""
    several = (channel_count(model, main_output(model)) or 1) > 1
    dpn = _says(_plain(model.name, *model.tags), "dpn*")
    keys = [f"{model.kind}, dpn"] * dpn + [f"{model.kind}, several"] * several
    custom = next((_CUSTOM[k] for k in (*keys, model.kind) if k in _CUSTOM), Roles())
    get = (found := _find_roles(model)).get
    needed = {role for role in _OBJECTS if getattr(custom, role) is not None}
    if custom == Roles() or not found or not needed <= found.keys():
        return custom
    return Roles(get("foreground"), get("boundary"), get("background"), get("distance"))


def _find_roles(model: Model) -> dict[str, int]:
    """Channels by what their names say, ``?`` where that is nothing; {} if unnamed."""
    names = (main := main_output(model)).channel_names
    if _are_numbered(names):
        code = re.search(r"representation:? ((\w+ \+ )+\w+)", _plain(model.description))
        names = tuple(code[1].split("+")) if code else (main.id,)
    if len(names) != channel_count(model, main):
        return {}
    roles = ((r for r in _ROLES if _says(_plain(n), _ROLES[r])) for n in names)
    meant = [next(role, "?") for role in roles]
    if len(meant) > 1 and meant.count("?") == 1 and "foreground" not in meant:
        # "background, nucleus, border": the one that is left is the object.
        meant[meant.index("?")] = "foreground"
    return {role: meant.index(role) for role in meant}


def _are_numbered(names: tuple[str, ...]) -> bool:
    """Whether these names of channels only count; also if there are none."""
    return all(_NUMBERED.fullmatch(_plain(name)) for name in names)


def gives_numbers(model: Model) -> bool:
    """Whether an output has the number of a class at each pixel, in one channel."""
    told = model.settings.get("numbers")
    if isinstance(told, bool):
        return told
    main = main_output(model)
    whole = re.fullmatch(r"u?int\d+|bool", main.dtype) is not None
    bytes_ = main.data_range == (0.0, 255.0)
    one = channel_count(model, main) == 1
    return model.kind == "multi_class" and whole and one and not bytes_


DETECTORS = ("boxes", "boxes_masks")
"""Kinds whose output is read window by window."""
