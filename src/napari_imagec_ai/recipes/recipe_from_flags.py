"""What the flags of a command ask for: a recipe, and how the network is fed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.run.settings import RunSettings

if TYPE_CHECKING:
    import argparse

    from napari_imagec_ai.model.description import Model
    from napari_imagec_ai.recipes.recipe import Recipe
    from napari_imagec_ai.results.linking.link_settings import Linking

N = TypeVar("N", int, float)


def recipe_of(options: argparse.Namespace, model: Model) -> Recipe:
    """The recipe that the tuning flags ask for."""
    from napari_imagec_ai.decoders.decoder import settings_with
    from napari_imagec_ai.decoders.registry import (
        choose_decoder,
        class_threshold,
    )
    from napari_imagec_ai.recipes import recipe
    from napari_imagec_ai.results.class_map import ClassMap

    decoder = choose_decoder(model, options.decoder)
    settings = decoder.defaults(model)
    if options.mask_threshold is not None:
        if "mask_threshold" not in decoder.settings.model_fields:
            raise ImagecAIError(
                f"The decoder '{decoder.name}' has no mask threshold; leave it out."
            )
        settings = settings_with(settings, {"mask_threshold": options.mask_threshold})
    settings = settings_with(settings, dict(map(_pair, options.set)))
    threshold = options.class_threshold
    if threshold is None:
        threshold = class_threshold(model, decoder)
    elif not 0 <= threshold <= 1:
        raise ImagecAIError(
            f"Expected a class threshold from 0 to 1, found {threshold:g}."
        )
    return recipe.Recipe(
        model=recipe.describe_model(model),
        decoder=decoder.name,
        settings=settings.model_dump(mode="json"),
        classes=ClassMap.identity(model.classes, threshold).model_copy(
            update={"linking": _linking(options.follow, options.max_distance)}
        ),
    )


def _linking(follow: str | None, farthest: float | None) -> Linking | None:
    """How objects are followed through a stack, as flags say it."""
    from napari_imagec_ai.results.linking.link_settings import Linking

    if farthest is not None and not 0 < farthest < math.inf:
        raise ImagecAIError(
            f"Expected pixels above 0 for --max-distance, found {farthest:g}."
        )
    if follow is None:
        if farthest is not None:
            raise ImagecAIError(
                "--max-distance says how far followed objects move; add --follow time "
                "or --follow depth."
            )
        return None
    along = "depth" if follow == "volumes" else follow
    return Linking(along=along, max_distance=farthest, volumes=follow == "volumes")


def exports(text: str | None) -> tuple[str, ...] | None:
    """The formats that were asked for; None: all that fit."""
    from napari_imagec_ai.export.writing import EXPORTS

    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in EXPORTS]
    if unknown:
        raise ImagecAIError(
            f"There is no export '{unknown[0]}'; choose from {', '.join(EXPORTS)}."
        )
    return names


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ImagecAIError(f"Expected NAME=VALUE, found '{text}'.")
    return name.strip(), value.strip()


def _numbers(text: str, number: Callable[[str], N], example: str) -> tuple[N, ...]:
    try:
        return tuple(number(part) for part in text.split(","))
    except ValueError:
        raise ImagecAIError(
            f"Expected numbers such as {example}, found '{text}'."
        ) from None


def told_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of the run, as far as flags say them, as they were written."""
    given = {name: getattr(options, name, None) for name in RunSettings.model_fields}
    return {name: value for name, value in given.items() if value is not None}


def packaging(options: argparse.Namespace) -> dict[str, Any]:
    """What a person tells about bare weights, as far as flags say it."""
    from napari_imagec_ai.image.opening_files import open_image

    names = ("decoder", "description", "license", "axes", "scaling", "replace")
    told = {name: getattr(options, name) for name in names} | {"name": options.title}
    told["authors"], told["settings"] = options.author, dict(map(_pair, options.set))
    for name in ("classes", "output_channels"):
        parts = (getattr(options, name) or "").split(",")
        told[name] = [part.strip() for part in parts if part.strip()]
    if options.input_shape is not None:
        told["input_shape"] = _numbers(options.input_shape, int, "1,1,256,256")
    if options.pixel_size is not None:
        told["pixel_size"] = _numbers(options.pixel_size, float, "0.5 or 2,0.5,0.5")
    if options.image is not None:
        told["image"] = open_image(options.image)
    return told


def sharing(options: argparse.Namespace) -> dict[str, Any]:
    """When and where large images are run in blocks."""
    chosen: dict[str, Any] = {"in_blocks": True}
    if options.split_above is not None:
        if options.split_above < 1:
            raise ImagecAIError(
                "Expected pixels above 0 for --split-above, found "
                f"{options.split_above}."
            )
        chosen["split_above"] = options.split_above
    if options.scratch is not None:
        chosen["scratch"] = Path(options.scratch)
    return chosen


def other_inputs(options: argparse.Namespace) -> dict[str, Any]:
    """What goes to the inputs beside the image: files, or numbers."""
    given: dict[str, Any] = {}
    for name, value in map(_pair, options.input):
        try:
            given[name] = [float(part) for part in value.split(",")]
        except ValueError:
            given[name] = Path(value)
    return given
