"""What the outputs of a network mean: by the decoder, their number and their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from napari_imagec_ai.decoders.registry import get_decoder
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.network import Network
from napari_imagec_ai.library.package.output_geometry import Output
from napari_imagec_ai.model.description import Kind

_KINDS_OF_MAPS: dict[int, Kind] = {
    1: "foreground",
    2: "foreground_boundary",
    3: "three_class",
}
"""Usual meaning of the channels of a U-Net, by their number."""

_CHANNELS = {
    "foreground": ("foreground",),
    "foreground_boundary": ("foreground", "boundary"),
    "three_class": ("background", "foreground", "boundary"),
}

_RAYS = (32, 64, 96, 128, 16, 8)
"""Usual numbers of distances of StarDist networks."""


def meaning_of(network: Network, facts: Facts) -> tuple[str, tuple[str, ...], Facts]:
    """Kind of the outputs, names of the main output's channels, and what was told.

    Parameters
    ----------
    network : Network
        As it was found out.
    facts : Facts
        What a person told; what follows for the decoder's settings is added.

    Raises
    ------
    ModelError
        If what was told does not fit.
    """
    get_decoder(facts.decoder)
    if facts.decoder == "rcnn":
        masks = any(len(output.shape) > 2 for output in network.outputs)
        return "boxes_masks" if masks else "boxes", (), facts
    maps = [output for output in network.outputs if output.growth]
    if not maps and facts.decoder != "scores":
        shapes = ", ".join(str(output.shape) for output in network.outputs)
        raise ModelError(
            f"The decoder '{facts.decoder}' expects a map of the image, found outputs "
            f"of the shapes {shapes}; choose another decoder."
        )
    main = (maps or network.outputs)[0]
    count = main.channels if main.growth else main.shape[-1] if main.shape else 1
    if facts.decoder != "image" and "z" in main.axes and "z" not in network.spans:
        raise ModelError(
            f"The network gives a volume {main.shape} for a plane, which only the "
            "decoder 'image' takes; choose it (--decoder image)."
        )
    names = facts.output_channels
    if names and len(names) != count:
        raise ModelError(
            f"The network's output has {count} channels, but {len(names)} names were "
            f"given ({', '.join(names)}); give one for each."
        )
    if facts.decoder == "unet":
        return *_of_unet(main, count, names), facts
    if facts.decoder == "semantic":
        return _of_semantic(main, count, names, facts)
    if facts.decoder == "stardist":
        return _of_stardist(network, maps, names, facts)
    if facts.decoder == "cellpose" and not names and count >= 3:
        flows = ("flow_z", "flow_y", "flow_x")[-(count - 1) :]
        names = (*flows, "cellprob") if count <= 4 else ()
    if facts.decoder == "scores" and not names:
        names = facts.classes if len(facts.classes) == count else ()
    kind = facts.decoder if facts.decoder in get_args(Kind) else "unknown"
    return kind, names, facts


def _with_settings(facts: Facts, **found: Any) -> Facts:
    """What was found out becomes a setting, unless a person told it."""
    return replace(facts, settings={**found, **facts.settings})


def _of_semantic(
    main: Output, count: int, names: tuple[str, ...], facts: Facts
) -> tuple[str, tuple[str, ...], Facts]:
    kept = tuple(n for n in facts.classes if n.strip().lower() != "background")
    whole = not main.dtype.startswith("float") or len(kept) > 1
    if count == 1 and whole and not names:  # an argmax: numbers of classes
        facts = replace(facts, classes=kept or ("object",))
        return "multi_class", (), _with_settings(facts, numbers=True, background=0)
    return "multi_class", names or _of_classes(facts, count), facts


def _of_stardist(
    network: Network, maps: Sequence[Output], names: tuple[str, ...], facts: Facts
) -> tuple[str, tuple[str, ...], Facts]:
    """A probability, distances, and classes with the background where there are any."""
    told = len(facts.classes)
    if len(maps) == 1:
        count = maps[0].channels
        if not names:
            names = ("probability", *(f"distance{i}" for i in range(count - 1)))
        rays = count - 1 - (told + 1)
        usual = rays in _RAYS and count - 1 not in _RAYS
        if told > 1 and usual and "class_channels" not in facts.settings:
            facts = _with_settings(facts, rays=rays, class_channels=told + 1)
        return "stardist", names, facts
    roles = _star_roles(network)
    classes = [o for o, r in zip(network.outputs, roles, strict=True) if r == "class"]
    if not classes:
        return "stardist", ("probability",) if maps[0].channels == 1 else (), facts
    count = classes[0].channels - 1
    if told not in (0, count):
        raise ModelError(
            f"The network tells {count} classes besides the background, but {told} "
            f"were named ({', '.join(facts.classes)}); name {count}."
        )
    rays = next(
        (
            o.channels
            for o, r in zip(network.outputs, roles, strict=True)
            if r == "dist"
        ),
        0,
    )
    if not told:
        numbered = tuple(f"class {n + 1}" for n in range(count))
        facts = replace(facts, classes=numbered)
    return "stardist", (), _with_settings(facts, rays=rays, class_channels=count + 1)


def _star_roles(network: Network) -> list[str]:
    """What each output is: ``prob``, ``dist`` or ``class``; empty for what is none."""
    outputs = network.outputs
    several = [o for o in outputs if o.growth and o.channels > 1]
    named = [o for o in several if "class" in o.name.lower()]
    sums = [o for o in several if o.exclusive]
    classes = (named or sums)[:1] if len(several) > 1 else []
    roles = []
    for output in outputs:
        if not output.growth:
            roles.append("")
        elif output.channels == 1:
            roles.append("prob")
        else:
            roles.append("class" if output in classes else "dist")
    return roles


def output_names(network: Network, facts: Facts) -> list[str]:
    """Names of the outputs: the file's, or what they are where that must be told."""
    names = [output.name for output in network.outputs]
    roles = _star_roles(network) if facts.decoder == "stardist" else []
    if "class" in roles:  # decoders find it by its name
        return [r if r and r not in n else n for r, n in zip(roles, names, strict=True)]
    return names


def _of_unet(
    main: Output, count: int, names: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    if names:
        said = set(names)
        if {"foreground", "boundary"} <= said:
            distances = "distance" in said
            three = "background" in said
            kind = "foreground_boundary" if not three else "three_class"
            return "foreground_boundary_distance" if distances else kind, names
        return "boundary" if "foreground" not in said else "foreground", names
    if count == 2 and main.exclusive:
        return "foreground", ("background", "foreground")
    if count not in _KINDS_OF_MAPS:
        raise ModelError(
            f"The network's output has {count} channels; say what they are, such as "
            "--output-channels foreground,boundary,distance."
        )
    kind = _KINDS_OF_MAPS[count]
    return kind, _CHANNELS[kind]


def _of_classes(facts: Facts, count: int) -> tuple[str, ...]:
    """Channels of a network that tells the class of each pixel, background first."""
    if len(facts.classes) == count - 1:
        return ("background", *facts.classes)
    if len(facts.classes) == count:
        return facts.classes
    raise ModelError(
        f"The network tells {count} classes of pixels, but {len(facts.classes)} were "
        f"named; name {count - 1} where the first is the background, else {count}."
    )


def classes_of(facts: Facts, kind: str, names: Sequence[str]) -> tuple[str, ...]:
    """Names of the classes of objects."""
    if facts.classes or kind == "image":
        return facts.classes
    if kind == "scores":
        return tuple(names)
    return ("object",)
