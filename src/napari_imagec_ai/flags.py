"""The flags of the command line, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.version import version

N = TypeVar("N", int, float)

MOST_CLASSES = 10_000
"""More classes than these no network has: it is a slip of the hand."""

if TYPE_CHECKING:
    from napari_imagec_ai.model import Model
    from napari_imagec_ai.recipe import Recipe

ENGINES = ("auto", "onnx", "torchscript")
EXPORT_HELP = (
    "some of labels,csv,geojson (these by default, where they fit), ometiff, imagej, "
    "omezarr, parquet, rois, coco, yolo, overlay, report"
)


_INPUT: Any = {
    "action": "append",
    "default": [],
    "metavar": "NAME=FILE",
    "help": "what goes to another input of the network: a file, or numbers",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong in a sentence."""
        raise ImagecAIError(f"{message}; see '{self.prog} --help'.")


def parser() -> argparse.ArgumentParser:
    """All commands with their flags; ``name`` is the command."""
    parser = Parser(
        prog="imagec-ai",
        description="Run pre-trained segmentation models on microscopy images.",
    )
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(
        dest="name", required=True, metavar="COMMAND", parser_class=Parser
    )
    _add_models(commands)
    _add_test(commands)
    _add_predict(commands)
    _add_decode(commands)
    _add_run(commands)
    _add_package(commands)
    install = commands.add_parser("install", help="unpack a model package")
    install.add_argument("package", metavar="ZIP")
    install.add_argument("--models", metavar="DIR", help="the models folder")
    demo = commands.add_parser("demo", help="a bundled model on a bundled image")
    demo.add_argument("-o", "--output", metavar="DIR", default="demo-result")
    demo.add_argument(
        "--close", action="store_true", help="write the results and close napari"
    )
    return parser


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="list models")
    models.add_argument("folders", nargs="*", metavar="DIR")
    models.add_argument("--json", action="store_true")


_UNVERIFIED: dict[str, Any] = {
    "action": "store_true",
    "help": "run weights that are not those of the description (sha256)",
}


def _add_test(commands: Any) -> None:
    test = commands.add_parser("test", help="run a model's published test tensors")
    test.add_argument("model", metavar="MODEL")
    test.add_argument("--engine", default="all", choices=("all", *ENGINES[1:]))
    test.add_argument("--unverified", **_UNVERIFIED)
    test.add_argument("--json", action="store_true")


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser("predict", help="run a model on images")
    predict.add_argument("model", metavar="MODEL")
    predict.add_argument("images", nargs="+", metavar="IMAGE")
    predict.add_argument("-o", "--output", metavar="DIR", required=True)
    predict.add_argument("--engine", default="auto", choices=ENGINES)
    predict.add_argument("--device", default="auto")
    predict.add_argument("--unverified", **_UNVERIFIED)
    predict.add_argument("--axes", help="of the images, such as ZYX")
    predict.add_argument("--pixel-size", metavar="SIZES", help="of it, such as 0.5,0.5")
    predict.add_argument("--unit", help="of the pixel size, such as micrometer")
    predict.add_argument("--channels", help="of the image for the model's, as 0,2")
    predict.add_argument("--planes", help="to run, as Z=3 or T=0-9; all by default")
    predict.add_argument(
        "--region", help="part of the image, as Y=0:512,X=100:612; all by default"
    )
    predict.add_argument("--tile", metavar="PIXELS", help="window size")
    predict.add_argument(
        "--fixed-tiles", action="store_true", help="no larger ones than described"
    )
    predict.add_argument("--halo", metavar="PIXELS", help="overlap of windows")
    predict.add_argument(
        "--seams",
        choices=("crop", "blend"),
        default="crop",
        help="how windows meet; blend: for networks with instance normalization",
    )
    predict.add_argument(
        "--memory", type=float, metavar="GB", help="that a run may take"
    )
    predict.add_argument("--scale", help="of the image for the network: 0.5 is half")
    predict.add_argument(
        "--normalize",
        choices=("range", "percentiles", "type"),
        help="grey values to 0..1 before the description's own steps",
    )
    predict.add_argument(
        "--classes",
        metavar="NAMES",
        help="of the network, instead of what it says: round,rod or their number",
    )
    predict.add_argument("--input", **_INPUT)
    predict.add_argument("--overlap", type=float, help="of detectors: part of a window")
    predict.add_argument("--percentiles", metavar="LOW,HIGH", help="black and white")
    predict.add_argument("--save-prediction", action="store_true")
    _add_tuning(predict)


def _add_decode(commands: Any) -> None:
    decode = commands.add_parser("decode", help="tune a saved prediction")
    decode.add_argument("prediction", metavar="PREDICTION")
    decode.add_argument("-o", "--output", metavar="DIR", required=True)
    _add_tuning(decode)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="repeat a recipe on images")
    run.add_argument("recipe", metavar="RECIPE")
    run.add_argument("images", nargs="+", metavar="IMAGE")
    run.add_argument("-o", "--output", metavar="DIR", required=True)
    run.add_argument("--unverified", **_UNVERIFIED)
    run.add_argument("--axes", help="of the images, such as ZYX")
    run.add_argument("--input", **_INPUT)
    spread = run.add_mutually_exclusive_group()
    spread.add_argument(
        "--workers", type=int, metavar="N", help="processes; by default as many as fit"
    )
    spread.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster")
    run.add_argument("--again", action="store_true", help="also images that are done")
    run.add_argument(
        "--no-summary",
        dest="summary",
        action="store_false",
        help="no tables over all images and no contact sheet",
    )
    run.add_argument(
        "--split-above",
        type=int,
        metavar="PIXELS",
        help="images of more pixels are run in blocks, on all workers",
    )
    run.add_argument(
        "--scratch",
        metavar="DIR",
        help="for blocks; all workers see it (-o by default)",
    )
    run.add_argument("--export", metavar="NAMES", help=EXPORT_HELP)
    run.add_argument("--json", action="store_true")


def _add_package(commands: Any) -> None:
    package = commands.add_parser("package", help="make a model folder of bare weights")
    package.add_argument("weights", nargs="+", metavar="WEIGHTS")
    package.add_argument("-o", "--output", metavar="FOLDER", help="models/NAME else")
    package.add_argument("--decoder", default="", metavar="NAME")
    package.add_argument("--classes", metavar="NAMES", help="of objects, as cell,rod")
    package.add_argument("--name", default="", dest="title", metavar="TEXT")
    package.add_argument("--description", default="")
    package.add_argument("--license", default="", help="SPDX identifier, as MIT")
    package.add_argument("--author", action="append", default=[], metavar="NAME")
    package.add_argument("--axes", default="", help="of the input: bcyx, bczyx")
    package.add_argument("--input-shape", metavar="SIZES", help="as 1,1,256,256")
    package.add_argument(
        "--output-channels", metavar="NAMES", help="as foreground,boundary"
    )
    package.add_argument(
        "--scaling",
        default="",
        metavar="NAME",
        help="of grey values in training: none, percentiles, range, zero-mean, bytes",
    )
    package.add_argument("--pixel-size", metavar="UM", help="in training: 0.5 or 2,1,1")
    package.add_argument("--image", help="an example; a bundled one by default")
    package.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the decoder, such as mask_threshold=0.4",
    )
    package.add_argument("--replace", action="store_true", help="an older folder")
    package.add_argument("--json", action="store_true")


def _add_tuning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decoder", metavar="NAME")
    parser.add_argument("--mask-threshold", type=float, metavar="X")
    parser.add_argument("--class-threshold", type=float, metavar="X")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting of the decoder, such as activation=sigmoid",
    )
    parser.add_argument("--export", metavar="NAMES", help=EXPORT_HELP)
    parser.add_argument("--json", action="store_true")


# -- meaning ---------------------------------------------------------------------------


def recipe_of(options: argparse.Namespace, model: Model) -> Recipe:
    """The recipe that the tuning flags ask for."""
    from napari_imagec_ai import recipe
    from napari_imagec_ai.classes import ClassMap
    from napari_imagec_ai.decoders import (
        choose_decoder,
        settings_with,
        starting_settings,
    )

    decoder = choose_decoder(model, options.decoder)
    settings = starting_settings(decoder, model)
    if options.mask_threshold is not None:
        if "mask_threshold" not in decoder.settings.model_fields:
            raise ImagecAIError(
                f"The decoder '{decoder.name}' has no mask threshold; leave it out."
            )
        settings = settings_with(settings, {"mask_threshold": options.mask_threshold})
    settings = settings_with(settings, dict(map(_pair, options.set)))
    threshold = options.class_threshold
    if threshold is None:
        threshold = recipe.class_threshold(model)
    elif not 0 <= threshold <= 1:
        raise ImagecAIError(
            f"Expected a class threshold from 0 to 1, found {threshold:g}."
        )
    return recipe.Recipe(
        model=recipe.describe_model(model),
        decoder=decoder.name,
        settings=settings.model_dump(mode="json"),
        classes=ClassMap.identity(model.classes, threshold),
    )


def exports(text: str | None) -> tuple[str, ...] | None:
    """The formats that were asked for; None: all that fit."""
    from napari_imagec_ai.export import EXPORTS

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


def feeding(options: argparse.Namespace) -> dict[str, Any]:
    """How the network is fed, as far as flags say it."""
    chosen: dict[str, Any] = {"seams": options.seams}
    if options.memory is not None:
        if not options.memory > 0:
            raise ImagecAIError(
                f"Expected gigabytes above 0 for --memory, found {options.memory:g}."
            )
        chosen["memory"] = options.memory
    for name, number, example in (
        ("tile", int, "512 or 64,256,256"),
        ("halo", int, "32 or 8,32,32"),
        ("channels", int, "0,2"),
        ("scale", float, "0.5 or 1,0.5,0.5"),
        ("pixel_size", float, "0.5,0.5"),
    ):
        if (text := getattr(options, name)) is not None:
            chosen[name] = _numbers(text, number, example)
    if options.fixed_tiles:
        chosen["larger_tiles"] = False
    for name in ("overlap", "normalize"):
        if (value := getattr(options, name)) is not None:
            chosen[name] = value
    if options.percentiles is not None:
        pair = _numbers(options.percentiles, float, "0,99.8")
        if len(pair) != 2:
            raise ImagecAIError(
                f"Expected two percentiles such as 0,99.8, found "
                f"'{options.percentiles}'."
            )
        chosen["percentiles"] = pair
    return chosen | _in_words(options)


def _in_words(options: argparse.Namespace) -> dict[str, Any]:
    """What flags say that are more than numbers."""
    from napari_imagec_ai.crop import region_from_text
    from napari_imagec_ai.feed import planes_from_text

    chosen: dict[str, Any] = {}
    if options.region is not None:
        chosen["region"] = region_from_text(options.region)
    if options.classes is not None:
        chosen["classes"] = class_names(options.classes)
    if options.planes is not None:
        chosen["planes"] = planes_from_text(options.planes, "TZ")
    if options.unit is not None:
        chosen["unit"] = options.unit
    return chosen


def class_names(text: str) -> tuple[str, ...]:
    """Names of classes, or numbers in their place where only a number is given.

    Raises
    ------
    ImagecAIError
        If it is neither.
    """
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if len(words) == 1 and words[0].isdigit():
        count = int(words[0])
        words = tuple(f"class {number}" for number in range(1, count + 1))
    if not 0 < len(words) <= MOST_CLASSES:
        raise ImagecAIError(
            f"Expected names of classes such as round,rod, or their number from 1 to "
            f"{MOST_CLASSES}, found '{text}'."
        )
    return words


def packaging(options: argparse.Namespace) -> dict[str, Any]:
    """What a person tells about bare weights, as far as flags say it."""
    from napari_imagec_ai.imagefile import open_image

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
