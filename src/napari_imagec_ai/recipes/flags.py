"""The commands and their flags; what flags mean, `recipe_from_flags` knows.

Those of a run, such as ``--device``, are made of the fields of :class:`.RunSettings`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, Literal, NoReturn, get_args, get_origin

from pydantic.fields import FieldInfo

from napari_imagec_ai.engines.registry import engine_names
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.run.settings import RunSettings, about
from napari_imagec_ai.system.version import version

EXPORT_HELP = (
    "some of labels,csv,geojson (these by default, where they fit), ometiff, imagej, "
    "omezarr, parquet, rois, coco, yolo, overlay, tracks, tracklabels, report"
)


_INPUT: Any = {
    "action": "append",
    "default": [],
    "metavar": "NAME=FILE",
    "help": "what goes to another input of the network: a file, or numbers",
}

_OVERWRITE: dict[str, Any] = {
    "action": "store_true",
    "help": "replace files in -o that this software did not write; never the images",
}

_NO_SUMMARY: dict[str, Any] = {
    "dest": "summary",
    "action": "store_false",
    "help": "of several images, no tables over all of them (summary.csv, objects.csv) "
    "and no contact sheet",
}

_MODEL = "name of a model in the library, folder, rdf.yaml, zip, or bare YOLO export"
_IMAGES = "image files, a folder of them, or a pattern in quotes: 'plate/*.tif'"
_OUTPUT = "folder for the results; it is made"
_JSON = "for other programs: one object a line"


_MISSING = {
    "COMMAND": "Expected a command, found none; 'imagec-ai --help' lists them, and "
    "'imagec-ai predict nuclei-unet image.tif -o results' is one.",
    "-o/--output": "Expected a folder for the results, found none; say it with -o, as "
    "in '-o results', which is made.",
}
"""What to do about arguments that are missing."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong in a sentence."""
        missing = message.partition("arguments are required: ")[2]
        for name, words in _MISSING.items():
            if name in missing:
                raise ImagecAIError(words)
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
    install = commands.add_parser(
        "install", help="unpack a model package, or fetch one"
    )
    install.add_argument(
        "package",
        metavar="ZIP|ZOO-ID",
        help="a package as bioimage.io gives it, or an id such as affable-shark, which "
        "is fetched",
    )
    install.add_argument(
        "--models", metavar="DIR", help="into this folder; your own by default"
    )
    zoo = commands.add_parser(
        "zoo", help="list the models of the BioImage Model Zoo; goes online"
    )
    zoo.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="of name, description, tags or authors",
    )
    zoo.add_argument("--json", action="store_true", help="as JSON")
    _add_convert(commands)
    demo = commands.add_parser("demo", help="a bundled model on a bundled image")
    demo.add_argument(
        "-o", "--output", metavar="DIR", default="demo-result", help="where to write"
    )
    demo.add_argument(
        "--close", action="store_true", help="write the results and close napari"
    )
    samples = commands.add_parser(
        "samples", help="write images to try: one, a stack, a film, a plate"
    )
    samples.add_argument(
        "-o", "--output", metavar="DIR", default=".", help="where to write"
    )
    return parser


def _add_convert(commands: Any) -> None:
    convert = commands.add_parser(
        "convert", help="make a model folder of what other software saved"
    )
    convert.add_argument(
        "source",
        metavar="SOURCE",
        help="StarDist folder, Cellpose file, BioImage.IO folder with a state "
        "dict or Keras weights, Keras file, best.pt of YOLO, SavedModel, torch.export "
        "archive",
    )
    convert.add_argument(
        "-o", "--output", metavar="DIR", help="the new folder; in ./models by default"
    )
    convert.add_argument(
        "--trust-code",
        action="store_true",
        help="run Python code of the source, once, to build its network",
    )
    convert.add_argument(
        "--python",
        metavar="PROGRAM",
        help="a Python of yours that has what the source needs, such as ultralytics",
    )
    convert.add_argument(
        "--untested",
        action="store_true",
        help="write it although it does not give what its folder published",
    )
    convert.add_argument(
        "--replace", action="store_true", help="a model folder that is there already"
    )
    convert.add_argument("--json", action="store_true", help="one object")


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="list models, and what cannot run")
    models.add_argument(
        "folders", nargs="*", metavar="DIR", help="the library's folders by default"
    )
    models.add_argument("--json", action="store_true", help="a list of objects")


def flag_of(name: str) -> str:
    """The flag of a setting of the run."""
    field = RunSettings.model_fields[name]
    return about(field, "flag") or "--" + name.replace("_", "-")


def _add_settings(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Flags for settings of the run; what nobody says is None."""
    for name in names:
        field = RunSettings.model_fields[name]
        kind: dict[str, Any] = {"dest": name, "help": _help(field)}
        if isinstance(field.default, bool):
            kind |= {"action": "store_const", "const": not field.default}
        elif name == "engine":
            kind["choices"] = ("auto", *engine_names())
        elif get_origin(field.annotation) is Literal:
            choices = get_args(field.annotation)
            kind["choices"] = [choice.replace(" ", "-") for choice in choices]
        parser.add_argument(flag_of(name), **kind)


def _help(field: FieldInfo) -> str:
    if instead := about(field, "flag_help"):
        return str(instead)
    example = about(field, "example")
    told = (field.description or "").rstrip(".").replace("%", "%%")
    shown = f" ({example})" if example and example not in told else ""
    return f"{told[:1].lower()}{told[1:]}{shown}"


def _add_test(commands: Any) -> None:
    test = commands.add_parser("test", help="run a model's published test tensors")
    test.add_argument("model", metavar="MODEL", help=_MODEL)
    test.add_argument("--engine", default="all", choices=("all", *engine_names()))
    _add_settings(test, ["verify"])
    test.add_argument("--json", action="store_true", help="a list of objects")


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser("predict", help="run a model on images")
    predict.add_argument("model", metavar="MODEL", help=_MODEL)
    predict.add_argument("images", nargs="+", metavar="IMAGE", help=_IMAGES)
    predict.add_argument("-o", "--output", metavar="DIR", required=True, help=_OUTPUT)
    _add_settings(predict, RunSettings.model_fields)
    predict.add_argument("--input", **_INPUT)
    predict.add_argument(
        "--save-prediction",
        action="store_true",
        help="keep what the network said, to be tuned with 'imagec-ai decode'",
    )
    predict.add_argument("--overwrite", **_OVERWRITE)
    predict.add_argument("--no-summary", **_NO_SUMMARY)
    _add_tuning(predict)


def _add_decode(commands: Any) -> None:
    decode = commands.add_parser("decode", help="tune a saved prediction")
    decode.add_argument(
        "prediction",
        metavar="PREDICTION",
        help="STEM.prediction.npz, written by 'imagec-ai predict --save-prediction'",
    )
    decode.add_argument("-o", "--output", metavar="DIR", required=True, help=_OUTPUT)
    decode.add_argument("--overwrite", **_OVERWRITE)
    _add_tuning(decode)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="repeat a recipe on images")
    run.add_argument(
        "recipe",
        metavar="RECIPE",
        help="saved in the widget, or the STEM.recipe.yaml beside a result",
    )
    run.add_argument("images", nargs="+", metavar="IMAGE", help=_IMAGES)
    run.add_argument("-o", "--output", metavar="DIR", required=True, help=_OUTPUT)
    _add_settings(run, ["verify", "scene", "object_size"])
    run.add_argument(
        "--trust",
        action="store_true",
        help="run the recipe's model even if it is a program (TorchScript)",
    )
    run.add_argument("--axes", help="of the images, such as ZYX")
    run.add_argument("--input", **_INPUT)
    spread = run.add_mutually_exclusive_group()
    spread.add_argument(
        "--workers", type=int, metavar="N", help="processes; by default as many as fit"
    )
    spread.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster")
    run.add_argument("--overwrite", **_OVERWRITE)
    run.add_argument("--again", action="store_true", help="also images that are done")
    run.add_argument("--no-summary", **_NO_SUMMARY)
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
    run.add_argument("--json", action="store_true", help=_JSON)


def _add_package(commands: Any) -> None:
    package = commands.add_parser("package", help="make a model folder of bare weights")
    package.add_argument(
        "weights",
        nargs="+",
        metavar="WEIGHTS",
        help="ONNX or TorchScript; both formats of one network, too",
    )
    package.add_argument("-o", "--output", metavar="FOLDER", help="models/NAME else")
    package.add_argument(
        "--decoder",
        default="",
        metavar="NAME",
        help="what the output is: unet, semantic, stardist, cellpose, rcnn, "
        "affinities, labels, image, scores; YOLO exports need none",
    )
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
        help="of grey values in training: none, percentiles, range, zero-mean, bytes, "
        "bit-depth, imagenet",
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
    package.add_argument("--json", action="store_true", help=_JSON)


def _add_tuning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--decoder",
        metavar="NAME",
        help="read the output in another way: unet, yolo, ...",
    )
    parser.add_argument(
        "--mask-threshold", type=float, metavar="X", help="which pixels are foreground"
    )
    parser.add_argument(
        "--class-threshold", type=float, metavar="X", help="which objects count"
    )
    parser.add_argument(
        "--follow",
        choices=("time", "depth", "volumes"),
        help="number what is one through the planes; volumes: make it one object",
    )
    parser.add_argument(
        "--max-distance",
        type=float,
        metavar="PIXELS",
        help="follow by distance, not by overlap: how far objects move at most",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting of the decoder, such as activation=sigmoid",
    )
    parser.add_argument("--export", metavar="NAMES", help=EXPORT_HELP)
    parser.add_argument("--json", action="store_true", help=_JSON)
