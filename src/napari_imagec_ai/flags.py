"""The flags of the command line, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.version import version

N = TypeVar("N", int, float)

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


def _add_test(commands: Any) -> None:
    test = commands.add_parser("test", help="run a model's published test tensors")
    test.add_argument("model", metavar="MODEL")
    test.add_argument("--engine", default="all", choices=("all", *ENGINES[1:]))
    test.add_argument("--json", action="store_true")


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser("predict", help="run a model on images")
    predict.add_argument("model", metavar="MODEL")
    predict.add_argument("images", nargs="+", metavar="IMAGE")
    predict.add_argument("-o", "--output", metavar="DIR", required=True)
    predict.add_argument("--engine", default="auto", choices=ENGINES)
    predict.add_argument("--device", default="auto")
    predict.add_argument("--axes", help="of the images, such as ZYX")
    predict.add_argument("--channels", help="of the image for the model's, as 0,2")
    predict.add_argument("--planes", help="to run, as Z=3 or T=0-9; all by default")
    predict.add_argument("--tile", metavar="PIXELS", help="window size")
    predict.add_argument(
        "--fixed-tiles", action="store_true", help="no larger ones than described"
    )
    predict.add_argument("--halo", metavar="PIXELS", help="overlap of windows")
    predict.add_argument("--scale", help="of the image for the network: 0.5 is half")
    predict.add_argument(
        "--normalize",
        choices=("range", "percentiles", "type"),
        help="grey values to 0..1 before the description's own steps",
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
    run.add_argument("--axes", help="of the images, such as ZYX")
    run.add_argument("--input", **_INPUT)
    spread = run.add_mutually_exclusive_group()
    spread.add_argument(
        "--workers", type=int, metavar="N", help="processes; by default as many as fit"
    )
    spread.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster")
    run.add_argument("--again", action="store_true", help="also images that are done")
    run.add_argument("--export", metavar="NAMES", help=EXPORT_HELP)
    run.add_argument("--json", action="store_true")


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
    chosen: dict[str, Any] = {}
    for name, number, example in (
        ("tile", int, "512 or 64,256,256"),
        ("halo", int, "32 or 8,32,32"),
        ("channels", int, "0,2"),
        ("scale", float, "0.5 or 1,0.5,0.5"),
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
    if options.planes is not None:
        from napari_imagec_ai.feed import planes_from_text

        chosen["planes"] = planes_from_text(options.planes, "TZ")
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
