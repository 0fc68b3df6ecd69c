"""What a person chose, as lines of Python or as one command: to paste and to run again.

The command says with flags what flags can say, which is found out by reading it again.
Where they cannot, a recipe is written and the command runs that.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.zarr_images import stem_of
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.recipes import flags
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.recipes.recipe_from_flags import recipe_of, told_settings
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.linking.link_settings import Linking
from napari_imagec_ai.run.settings import OF_FILES, RunSettings
from napari_imagec_ai.run.told_settings import settings_of
from napari_imagec_ai.system.own_data import own_data

NO_FILE = "image.tif"
"""Stands in scripts for an image that was not opened from a file."""

_PUBLIC = {"ClassMap", "ClassRule", "Filter", "Linking"}


@dataclass(frozen=True, slots=True)
class Command:
    """A line for a shell.

    Attributes
    ----------
    text : str
        The line.
    recipe : Path or None
        The file that it points at, where flags could not say everything.
    """

    text: str
    recipe: Path | None = None


# -- Python ----------------------------------------------------------------------------


def as_python(recipe: Recipe, image: ImageInput, path: Path | None = None) -> str:
    """A script that repeats a recipe on an image, with the public functions.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    image : ImageInput
        As it is shown: its axes, pixel size and unit are written down.
    path : Path, optional
        Its file; a placeholder stands for it where there is none.
    """
    model = recipe.open_model()
    settings = recipe.decoder_settings(model)
    used: dict[str, str] = {}
    chosen = recipe.predict
    told = _changed(chosen, {"engine", "device", *OF_FILES}) | {"engine": chosen.engine}
    if chosen.device != "auto":
        told["device"] = chosen.device
    for name in ("tile", "halo"):  # one size is for all axes
        if name in told and len(told[name]) == 1:
            told[name] = told[name][0]
    stem = stem_of(path or Path(image.name or NO_FILE))
    lines = [
        f"raw = ai.predict(model, image, {_arguments(told, used)})",
        f"found = ai.decode(raw, {_literal(settings, used)})",
        f"kept = ai.classify(found, {_literal(recipe.classes or ClassMap(), used)})",
        f'write_all(kept, Path("."), {stem!r}, image=image)',
        "print(kept)",
    ]
    where = str(path) if path is not None else NO_FILE
    opened = ["image = ai.ImageInput(", *_opened(image, where, chosen.scene), ")"]
    if path is None:
        opened.insert(0, "# The image was not opened from a file: put its name here.")
    imports = [f"from {module} import {name}" for name, module in sorted(used.items())]
    head = [
        f'"""{recipe.model.name}, as it was chosen in napari-imagec-ai."""',
        "",
        "from pathlib import Path",
        "",
        "import napari_imagec_ai as ai",
        *sorted([*imports, "from napari_imagec_ai.export import write_all"]),
        "",
        f"model = ai.load_model({recipe.model.path!r})",
    ]
    return "\n".join([*head, *opened, *lines]) + "\n"


def _opened(image: ImageInput, path: str, scene: str | None) -> list[str]:
    """Arguments of the image, one a line."""
    facts: dict[str, Any] = {"axes": image.axes, "pixel_size": image.pixel_size}
    facts |= {"unit": image.unit, "name": image.name}
    facts |= {"unsized": image.unsized} if image.unsized else {}
    facts |= {"interval": image.interval} if image.interval else {}
    facts |= {"channel_names": image.channel_names} if image.channel_names else {}
    facts |= {"rgb": True} if image.rgb else {}
    which = f", scene={scene!r}" if scene is not None else ""
    lines = [f"ai.open_image({path!r}, {image.axes!r}{which}).data"]
    lines += [f"{name}={value!r}" for name, value in facts.items()]
    return [f"    {line}," for line in lines]


def _changed(values: BaseModel, but: set[str]) -> dict[str, Any]:
    """Settings that are not as usual, by name."""
    fields = type(values).model_fields
    found = {name: getattr(values, name) for name in fields if name not in but}
    return {
        name: value
        for name, value in found.items()
        if fields[name].is_required() or value != fields[name].get_default()
    }


def _arguments(values: Mapping[str, Any], used: dict[str, str]) -> str:
    return ", ".join(f"{name}={_literal(v, used)}" for name, v in values.items())


def _literal(value: Any, used: dict[str, str]) -> str:
    """A value as Python; notes in ``used`` which classes have to be imported."""
    if isinstance(value, BaseModel):
        name = type(value).__name__
        if name not in _PUBLIC:
            used[name] = type(value).__module__
        prefix = "ai." if name in _PUBLIC else ""
        return f"{prefix}{name}({_arguments(_changed(value, set()), used)})"
    if isinstance(value, tuple):
        inside = "".join(f"{_literal(part, used)}, " for part in value)
        return f"({inside.rstrip()})"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return repr(value)


# -- a command -------------------------------------------------------------------------


def as_command(
    recipe: Recipe,
    path: Path | None = None,
    folder: str = "results",
    recipes: Path | None = None,
) -> Command:
    """A command that repeats a recipe on an image file.

    Parameters
    ----------
    recipe : Recipe
        What to do; its axes, pixel size and unit where the file says others.
    path : Path, optional
        The image; a placeholder stands for it where there is none.
    folder : str
        Where results go.
    recipes : Path, optional
        Folder for a recipe, where flags cannot say everything; by default one in the
        user's data folder.

    Raises
    ------
    ImagecAIError
        If the model is not here, or a recipe has to be written and cannot.
    """
    image = str(path) if path is not None else NO_FILE
    ending = [image, "-o", folder]
    words = _in_flags(recipe, ending)
    if words is not None:
        return Command(_line(["imagec-ai", *words]))
    place = own_data("recipes") if recipes is None else recipes
    digest = hashlib.sha256(recipe.text().encode()).hexdigest()[:8]
    name = "".join(c if c.isalnum() else "-" for c in recipe.model.name.lower())
    saved = recipe.save(place / f"{name}-{digest}.recipe.yaml")
    return Command(_line(["imagec-ai", "run", str(saved), *ending]), saved)


def _line(words: Sequence[str]) -> str:
    if sys.platform == "win32":
        return subprocess.list2cmdline(words)
    return shlex.join(words)


def _in_flags(recipe: Recipe, ending: Sequence[str]) -> list[str] | None:
    """The words of the command; None if they do not say all of the recipe."""
    words = ["predict", recipe.model.path, *ending, *_fed(recipe.predict)]
    words += ["--decoder", recipe.decoder] if recipe.decoder else []
    if recipe.classes is not None:
        words += ["--class-threshold", f"{recipe.classes.class_threshold:g}"]
        words += _followed(recipe.classes.linking)
    words += _settings(recipe)
    try:
        options = flags.parser().parse_args(words)
        read = settings_of(told_settings(options))
        model = load_model(options.model).with_classes(read.classes)
        usual = recipe_of(options, model)
    except ImagecAIError:
        return None
    same = (
        read == recipe.predict
        and usual.decoder == recipe.decoder
        and usual.settings == recipe.settings
        and _threshold_alone(recipe.classes) == _threshold_alone(usual.classes)
        and _linking(recipe.classes) == _linking(usual.classes)
    )
    return words if same else None


def _linking(classes: ClassMap | None) -> Linking | None:
    return classes.linking if classes is not None else None


def _followed(linking: Linking | None) -> list[str]:
    """Flags for objects that are followed through a stack."""
    if linking is None:
        return []
    words = ["--follow", "volumes" if linking.volumes else linking.along]
    if linking.max_distance is not None:
        words += ["--max-distance", f"{linking.max_distance:g}"]
    return words


def _settings(recipe: Recipe) -> list[str]:
    """Flags for settings of the decoder that are not as described."""
    model = recipe.open_model()
    decoder = choose_decoder(model, recipe.decoder)
    described = decoder.defaults(model).model_dump(mode="json")
    words: list[str] = []
    for name, value in recipe.settings.items():
        if value == described[name]:
            continue
        said = ",".join(map(str, value)) if isinstance(value, list) else value
        if name == "mask_threshold":
            words += ["--mask-threshold", str(said)]
        else:
            words += ["--set", f"{name}={said}"]
    return words


def _threshold_alone(classes: ClassMap | None) -> float | None:
    """The class threshold of a map that changes no class; None for any other."""
    if classes is None:
        return None
    plain = [ClassRule(source=r.source, becomes=r.source) for r in classes.rules]
    return classes.class_threshold if list(classes.rules) == plain else None


def _fed(chosen: RunSettings) -> list[str]:
    """Flags for how the network is run."""
    values = _changed(chosen, set())
    words: list[str] = []
    for name, value in values.items():
        flag = flags.flag_of(name)
        if isinstance(value, bool):
            words.append(flag)
        elif name == "planes":
            words += [flag, ",".join(map(_plane, value.items()))]
        elif name == "region":
            box = [f"{axis}={a}:{b}" for axis, (a, b) in value.box.items()]
            words += [flag, ",".join(box)]
        else:
            several = isinstance(value, tuple)
            said = ",".join(map(str, value)) if several else str(value)
            words.append(f"{flag}={said}")  # a value may begin with a dash
    return words


def _plane(named: tuple[str, Any]) -> str:
    axis, span = named
    return (
        f"{axis}={span[0]}-{span[1] - 1}"
        if isinstance(span, tuple)
        else (f"{axis}={span}")
    )
