"""The command line: the same corridor, with flags.

Exit codes: 0 done, 1 the user's input (one sentence on stderr), 2 a bug. Progress goes
to stderr, and only where a person looks on; stdout holds the result.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.version import version

ENGINES = ("auto", "onnx", "torchscript")
EXPORT_HELP = "such as labels,csv,geojson; by default all that the objects have"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ImagecAIError(f"{message}; see '{self.prog} --help'.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    try:
        options = _parser().parse_args(argv)
        code: int = options.command(options)
    except ImagecAIError as error:
        print(f"imagec-ai: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("imagec-ai: stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        return 0
    except Exception:  # noqa: BLE001 - the one place where a bug becomes an exit code
        traceback.print_exc()
        print("imagec-ai: this is a bug; please report it.", file=sys.stderr)
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="imagec-ai",
        description="Run pre-trained segmentation models on microscopy images.",
    )
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(
        dest="name", required=True, metavar="COMMAND", parser_class=_Parser
    )
    _add_models(commands)
    _add_test(commands)
    _add_predict(commands)
    _add_decode(commands)
    _add_run(commands)
    install = commands.add_parser("install", help="unpack a model package")
    install.add_argument("package", metavar="ZIP")
    install.add_argument("--models", metavar="DIR", help="the models folder")
    install.set_defaults(command=_install)
    demo = commands.add_parser("demo", help="a bundled model on a bundled image")
    demo.add_argument("-o", "--output", metavar="DIR", default="demo-result")
    demo.add_argument(
        "--close", action="store_true", help="write the results and close napari"
    )
    demo.set_defaults(command=_demo)
    return parser


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="list models")
    models.add_argument("folders", nargs="*", metavar="DIR")
    models.add_argument("--json", action="store_true")
    models.set_defaults(command=_models)


def _add_test(commands: Any) -> None:
    test = commands.add_parser("test", help="run a model's published test tensors")
    test.add_argument("model", metavar="MODEL")
    test.add_argument("--engine", default="all", choices=("all", *ENGINES[1:]))
    test.add_argument("--json", action="store_true")
    test.set_defaults(command=_test)


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser("predict", help="run a model on images")
    predict.add_argument("model", metavar="MODEL")
    predict.add_argument("images", nargs="+", metavar="IMAGE")
    predict.add_argument("-o", "--output", metavar="DIR", required=True)
    predict.add_argument("--engine", default="auto", choices=ENGINES)
    predict.add_argument("--device", default="auto")
    predict.add_argument("--axes", help="of the images, such as ZYX")
    predict.add_argument("--channels", help="of the image for the model's, as 0,2")
    predict.add_argument("--tile", type=int, metavar="PIXELS")
    predict.add_argument("--scale", type=float, help="of detectors: 0.5 is half")
    predict.add_argument("--overlap", type=float, help="of detectors: part of a window")
    predict.add_argument("--percentiles", metavar="LOW,HIGH", help="black and white")
    predict.add_argument("--save-prediction", action="store_true")
    _add_tuning(predict)
    predict.set_defaults(command=_predict)


def _add_decode(commands: Any) -> None:
    decode = commands.add_parser("decode", help="tune a saved prediction")
    decode.add_argument("prediction", metavar="PREDICTION")
    decode.add_argument("-o", "--output", metavar="DIR", required=True)
    _add_tuning(decode)
    decode.set_defaults(command=_decode)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="repeat a recipe on images")
    run.add_argument("recipe", metavar="RECIPE")
    run.add_argument("images", nargs="+", metavar="IMAGE")
    run.add_argument("-o", "--output", metavar="DIR", required=True)
    run.add_argument("--axes", help="of the images, such as ZYX")
    run.add_argument("--export", metavar="NAMES", help=EXPORT_HELP)
    run.add_argument("--json", action="store_true")
    run.set_defaults(command=_run)


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


# -- commands --------------------------------------------------------------------------


def _models(options: argparse.Namespace) -> int:
    from napari_imagec_ai.decoders import guess_decoder
    from napari_imagec_ai.library import find_models

    rows = []
    for entry in find_models(*options.folders):
        model = entry.model
        decoder = guess_decoder(model) if model is not None else None
        rows.append(
            {
                "name": entry.name,
                "path": str(entry.path),
                "format_version": model.format_version if model else None,
                "weights": list(model.weights) if model else [],
                "usable": entry.problem is None,
                "problem": entry.problem,
                "decoder": decoder.name if decoder is not None else None,
                "kind": model.kind if model else "unknown",
                "classes": list(model.classes) if model else [],
                "inputs": [_tensor(spec) for spec in model.inputs] if model else [],
                "outputs": [_tensor(spec) for spec in model.outputs] if model else [],
            }
        )
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        state = "ready" if row["usable"] else f"cannot run. {row['problem']}"
        print(f"{row['name']} ({row['kind']}): {state}\n    {row['path']}")
    if not rows:
        print("No models found; put model folders into ./models.", file=sys.stderr)
    return 0


def _tensor(spec: Any) -> dict[str, Any]:
    """Axes and sizes of a tensor, as plain values."""
    return {
        "id": spec.id,
        "axes": spec.letters,
        "shape": [_size(axis.size) for axis in spec.axes],
    }


def _size(size: Any) -> Any:
    values = asdict(size)
    if set(values) == {"size"}:
        return values["size"]
    return values or None


def _test(options: argparse.Namespace) -> int:
    from napari_imagec_ai.library import load_model
    from napari_imagec_ai.selftest import test_model

    results = test_model(load_model(options.model), options.engine)
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=1))
    else:
        for result in results:
            word = "passed" if result.passed else f"FAILED: {result.problem}"
            error = result.max_abs_error
            off = "" if error is None else f", largest difference {error:.2g}"
            print(
                f"{result.engine} ({result.device or '-'}) {result.output}{off}: {word}"
            )
    return 0 if all(result.passed for result in results) else 1


def _predict(options: argparse.Namespace) -> int:
    from napari_imagec_ai import recipe
    from napari_imagec_ai.library import load_model

    model = load_model(options.model)
    made = _recipe(options, model)
    made = made.model_copy(
        update={
            "predict": recipe.PredictSettings(
                engine=options.engine,
                device=options.device,
                tile=None if options.tile is None else (options.tile,),
                channels=_numbers(options.channels),
                **_detecting(options),
            )
        }
    )
    return _each_image(options, model, made, options.save_prediction)


def _run(options: argparse.Namespace) -> int:
    from napari_imagec_ai.recipe import Recipe

    recipe = Recipe.load(options.recipe)
    return _each_image(options, recipe.open_model(), recipe, False)


def _each_image(
    options: argparse.Namespace, model: Any, recipe: Any, save: bool
) -> int:
    from napari_imagec_ai.runner import Runner

    images = [Path(image) for image in options.images]
    stems = [image.stem for image in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ImagecAIError(
            f"Two images are named '{twice[0]}', so their files would be the same; run "
            "them into different folders."
        )
    exports = _exports(options.export)
    failed = 0
    with Runner(model, recipe) as runner:
        for image in images:
            try:
                report = runner.run_file(
                    image,
                    Path(options.output),
                    exports,
                    axes=options.axes,
                    save_prediction=save,
                    progress=_bar(image.name),
                )
            except ImagecAIError as error:
                if len(images) == 1:
                    raise
                failed += 1
                print(f"imagec-ai: {image.name}: {error}", file=sys.stderr)
            else:
                _print_report(report, options.json)
    if failed:
        raise ImagecAIError(f"{failed} of {len(images)} images failed.")
    return 0


def _decode(options: argparse.Namespace) -> int:
    from napari_imagec_ai.prediction import Prediction
    from napari_imagec_ai.runner import report_on, write_results

    prediction = Prediction.load(options.prediction)
    made = _recipe(options, prediction.model)
    exports = _exports(options.export)
    started = time.perf_counter()
    objects = made.tune(prediction)
    seconds = time.perf_counter() - started
    stem = (
        Path(options.prediction).name.removesuffix(".npz").removesuffix(".prediction")
    )
    files = write_results(objects, made, Path(options.output), stem, exports)
    report = report_on(
        options.prediction, prediction, objects, made.decoder or "", seconds, files
    )
    _print_report(report, options.json)
    return 0


def _install(options: argparse.Namespace) -> int:
    from napari_imagec_ai.library import install

    print(install(options.package, options.models))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from napari_imagec_ai._napari.demo import run_demo

    run_demo(Path(options.output), close=options.close)
    return 0


# -- options and output ----------------------------------------------------------------


def _recipe(options: argparse.Namespace, model: Any) -> Any:
    """The recipe that the tuning flags ask for."""
    from napari_imagec_ai import recipe
    from napari_imagec_ai.classes import ClassMap
    from napari_imagec_ai.decoders import choose_decoder, settings_with

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


def _exports(text: str | None) -> tuple[str, ...] | None:
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


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ImagecAIError(
            f"Expected channel numbers such as 0,2, found '{text}'."
        ) from None


def _detecting(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of detectors that were given."""
    chosen = {
        name: getattr(options, name)
        for name in ("scale", "overlap")
        if getattr(options, name) is not None
    }
    if options.percentiles is not None:
        try:
            low, high = (float(part) for part in options.percentiles.split(","))
        except ValueError:
            raise ImagecAIError(
                f"Expected two percentiles such as 0,99.8, found "
                f"'{options.percentiles}'."
            ) from None
        chosen["percentiles"] = (low, high)
    return chosen


def _bar(name: str) -> Any:
    """A progress callback that writes to stderr, where a person looks on."""
    if not sys.stderr.isatty():
        return None

    def show(progress: Any) -> None:
        end = "\n" if progress.done == progress.total else ""
        text = f"\r{name}: {progress.done}/{progress.total} tiles"
        print(text, end=end, file=sys.stderr, flush=True)

    return show


def _print_report(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report), flush=True)
        return
    counts = ", ".join(f"{n} {name}" for name, n in report["classes"].items())
    print(
        f"{report['image']}: {counts or 'no objects'} "
        f"({report['engine']} on {report['device']}, {report['total_seconds']:.2f} s)"
    )
    for sentence in report["assumed"]:
        print(f"    assumed: {sentence}")
    for file in report["files"]:
        print(f"    {file}")


if __name__ == "__main__":
    sys.exit(main())
