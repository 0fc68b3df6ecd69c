"""The command line: the same corridor, with flags.

Exit codes: 0 done, 1 the user's input (one sentence on stderr), 2 a bug. Progress goes
to stderr, and only where a person looks on; stdout holds the result.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_imagec_ai.errors import ImagecAIError, shown
from napari_imagec_ai.recipes import flags, recipe_from_flags, terminal
from napari_imagec_ai.recipes.in_words import in_words
from napari_imagec_ai.system import own_files

if TYPE_CHECKING:
    from napari_imagec_ai.run.published_tests import TestResult


_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    terminal.prepare()
    try:
        options = flags.parser().parse_args(argv)
        code: int = COMMANDS[options.name](options)
    except ImagecAIError as error:
        print(f"imagec-ai: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("imagec-ai: stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        return 0
    except Exception as error:  # noqa: BLE001 - where a bug becomes an exit code
        words = in_words(error)
        if words is not None:
            print(f"imagec-ai: {words}", file=sys.stderr)
            return 1
        traceback.print_exc()
        print("imagec-ai: this is a bug; please report it.", file=sys.stderr)
        return 2
    return code


# -- commands --------------------------------------------------------------------------


def _models(options: argparse.Namespace) -> int:
    from napari_imagec_ai.decoders.registry import guess_decoder
    from napari_imagec_ai.library.folders import find_models

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
                "note": entry.note,
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
        terminal.say(f"{row['name']} ({row['kind']}): {state}")
        terminal.say(f"    {row['path']}")
        if row["note"]:
            terminal.say(f"    {row['note']}")
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
    from napari_imagec_ai.library.folders import load_model
    from napari_imagec_ai.library.selftest import keep_results, test_model

    model = load_model(options.model)
    results = test_model(model, options.engine, verify=options.verify is not False)
    keep_results(model, results)
    if options.json:
        print(json.dumps([_test_row(result) for result in results], indent=1))
    else:
        for result in results:
            word = "passed" if result.passed else f"FAILED: {result.problem}"
            error = result.max_abs_error
            off = "" if error is None else f", largest difference {error:.2g}"
            off = f", {result.compared}" if result.compared else off
            terminal.say(
                f"{result.engine} ({result.device or '-'}) {result.output}{off}: {word}"
            )
    return 0 if all(result.passed for result in results) else 1


def _predict(options: argparse.Namespace) -> int:
    from napari_imagec_ai.library.folders import load_model
    from napari_imagec_ai.run.told_settings import settings_of

    settings = settings_of(recipe_from_flags.told_settings(options))
    model = load_model(options.model).with_classes(settings.classes)
    terminal.remember_named(model, settings.engine, settings.device)
    made = recipe_from_flags.recipe_of(options, model)
    made = made.model_copy(update={"predict": settings})
    return _each_image(options, made, options.save_prediction)


def _run(options: argparse.Namespace) -> int:
    from napari_imagec_ai.recipes.batch.run_batch import expand, sensible_workers
    from napari_imagec_ai.recipes.recipe import Recipe
    from napari_imagec_ai.run.told_settings import settings_of

    workers = options.workers
    if workers is None:
        images = expand(options.images, options.scene, Path(options.output))
        workers = sensible_workers(len(images))
    if workers < 1:
        raise ImagecAIError(f"Expected 1 worker or more, found {workers}.")
    recipe = Recipe.load(options.recipe)
    told = recipe_from_flags.told_settings(options)
    told.pop("axes", None)  # of this batch, and no part of the recipe
    if "object_size" in told:
        told["scale"] = None  # the recipe's own is no longer meant
        recipe = recipe.for_other_images()
    settings = settings_of(told, recipe.predict)
    recipe = recipe.model_copy(update={"predict": settings})
    terminal.ask_before(recipe, options.trust)
    return _each_image(
        options,
        recipe,
        resumable=True,
        workers=workers,
        scheduler=options.scheduler,
        # One that a run wrote may be written again; one of a person's own stays.
        sources=() if own_files.is_ours(Path(options.recipe)) else (options.recipe,),
    )


def _each_image(
    options: argparse.Namespace,
    recipe: Any,
    save: bool = False,
    *,
    resumable: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    sources: Sequence[str] = (),
) -> int:
    from napari_imagec_ai.export.summary.all_images import names as summary_names
    from napari_imagec_ai.recipes.batch.run_batch import Batch, expand, run_batch

    images = expand(options.images, recipe.predict.scene, Path(options.output))
    if len(images) > 1 and "object_size" in recipe.used.found:
        size = recipe.predict.object_size
        told = size if isinstance(size, str) else f"{size:g} pixels"
        _log.warning(
            "The object size of the recipe (%s) was found on the image that it was "
            "made with; --object-size auto looks at each image.",
            told,
        )
    batch = Batch(
        recipe=recipe,
        folder=Path(options.output),
        exports=recipe_from_flags.exports(options.export),
        axes=options.axes,
        beside=recipe_from_flags.other_inputs(options),
        save_prediction=save,
        resumable=resumable and len(images) > 1,
        again=resumable and options.again,
        summary=options.summary and len(images) > 1,
        overwrite=options.overwrite,
        sources=tuple(map(Path, sources)),
        **(recipe_from_flags.sharing(options) if resumable else {}),
    )
    failed: list[str] = []
    for outcome in run_batch(
        batch, images, workers=workers, scheduler=scheduler, progress=_bar()
    ):
        if outcome.report is not None:
            _print_report(outcome.report, options.json)
            continue
        if len(images) == 1:
            raise ImagecAIError(outcome.problem)
        failed.append(outcome.image.name)
        said = shown(f"imagec-ai: {outcome.image.name}: {outcome.problem}")
        print(said, file=sys.stderr)
    if batch.summary and not options.json:
        there = [batch.folder / name for name in summary_names(len(images))]
        terminal.say(f"all {len(images)} images together:")
        for file in filter(Path.exists, there):
            terminal.say(f"    {file}")
    if failed:
        raise ImagecAIError(
            f"{len(failed)} of {len(images)} images failed: {', '.join(failed)}."
        )
    return 0


def _decode(options: argparse.Namespace) -> int:
    from napari_imagec_ai.recipes.runner import report_on, write_results
    from napari_imagec_ai.results.prediction import Prediction

    prediction = Prediction.load(options.prediction)
    made = recipe_from_flags.recipe_of(options, prediction.model)
    exports = recipe_from_flags.exports(options.export)
    started = time.perf_counter()
    result = made.tune(prediction)
    seconds = time.perf_counter() - started
    stem = (
        Path(options.prediction).name.removesuffix(".npz").removesuffix(".prediction")
    )
    with own_files.permitted(options.overwrite, [Path(options.prediction)]):
        files = write_results(
            result, made, Path(options.output), stem, exports, prediction.image
        )
    report = report_on(
        options.prediction,
        prediction,
        result,
        made.decoder or "",
        seconds,
        files,
        exports,
    )
    # The network ran when the prediction was made, and not now.
    report |= {"network_calls": 0, "network_seconds": 0}
    _print_report(report, options.json)
    return 0


def _install(options: argparse.Namespace) -> int:
    from napari_imagec_ai.library.folders import install
    from napari_imagec_ai.library.zoo import install_from_zoo, is_zoo_id

    if not is_zoo_id(options.package):
        terminal.say(install(options.package, options.models))
        return 0

    terminal.say(install_from_zoo(options.package, options.models, _tell_fetching))
    return 0


def _tell_fetching(sentence: str) -> None:
    """What is fetched from where is said before; progress where a person looks on."""
    passing, looks_on = sentence.startswith("Fetching"), sys.stderr.isatty()
    if looks_on or not passing:
        # As wide as a line, so that it covers what passed before.
        words = f"{shown(sentence):<79}" if looks_on else shown(sentence)
        end = "\r" if passing else "\n"
        print(words, end=end, file=sys.stderr, flush=True)


def _zoo(options: argparse.Namespace) -> int:
    from napari_imagec_ai.library.zoo import drained
    from napari_imagec_ai.library.zoo_models import reading_zoo

    words = " ".join(options.words)
    models = drained(reading_zoo(), _tell_fetching)
    found = [model for model in models if model.fits(words)]
    if options.json:
        print(json.dumps([model.as_values() for model in found], indent=1))
        return 0
    for model in found:
        terminal.say(f"{model.id}: {model.name}")
        way = {"no": "does not run", "unknown": ""}.get(
            model.outlook.way, f"runs {model.outlook.way}"
        )
        told = f"{way}. {model.outlook.why}" if way else model.outlook.why
        terminal.say(f"    {told} Licence: {model.license or 'not named'}.")
    if not found:
        print(f"No model of the zoo matches '{words}'.", file=sys.stderr)
    return 0


def _package(options: argparse.Namespace) -> int:
    from napari_imagec_ai.library.package.package_model import package_model

    made = package_model(
        options.weights, options.output, **recipe_from_flags.packaging(options)
    )
    if options.json:
        print(json.dumps({"folder": str(made.folder), **made.as_values()}))
        return 0
    terminal.say(made.folder)
    for sentence in made.sentences():
        terminal.say(f"    {sentence}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from napari_imagec_ai.library.convert.convert_model import convert_model

    def tick(sentence: str) -> None:
        if sys.stderr.isatty():
            print(f"{shown(sentence)} ...", file=sys.stderr, flush=True)

    made = convert_model(
        options.source,
        options.output,
        options.trust_code,
        replace=options.replace,
        untested=options.untested,
        python=options.python,
        progress=tick,
    )
    if options.json:
        print(json.dumps({"folder": str(made.folder), **made.as_values()}))
        return 0
    terminal.say(made.folder)
    for sentence in made.sentences():
        terminal.say(f"    {sentence}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from napari_imagec_ai._napari.demo import run_demo

    run_demo(Path(options.output), close=options.close)
    return 0


def _samples(options: argparse.Namespace) -> int:
    from napari_imagec_ai.image.samples import write_samples

    for path in write_samples(Path(options.output)):
        terminal.say(str(path))
    return 0


COMMANDS = {
    "models": _models,
    "test": _test,
    "predict": _predict,
    "decode": _decode,
    "run": _run,
    "install": _install,
    "zoo": _zoo,
    "package": _package,
    "convert": _convert,
    "demo": _demo,
    "samples": _samples,
}


# -- output ----------------------------------------------------------------------------


def _bar() -> Any:
    """A progress callback that writes to stderr, where a person looks on."""
    if not sys.stderr.isatty():
        return None

    def show(image: Path, progress: Any) -> None:
        end = "\n" if progress.done == progress.total else ""
        text = f"\r{shown(image.name)}: {progress.done}/{progress.total} tiles"
        print(text, end=end, file=sys.stderr, flush=True)

    return show


def _test_row(result: TestResult) -> dict[str, Any]:
    """What came of a test, as it is promised; more only where there is more to say."""
    row = asdict(result)
    if not result.compared:
        del row["compared"]
    return row


def _print_report(report: dict[str, Any], as_json: bool) -> None:
    for sentence in report["warnings"]:
        said = shown(f"imagec-ai: {report['image']}: {sentence}")
        print(said, file=sys.stderr)
    if as_json:
        # The means of each class are for the table over all images.
        told = {name: value for name, value in report.items() if name != "measured"}
        print(json.dumps(told), flush=True)
        return
    counts = ", ".join(f"{n} {name}" for name, n in report["classes"].items())
    found = counts or ("no objects" if report["classes"] else report["decoder"])
    terminal.say(
        f"{report['image']}: {found} "
        f"({report['engine']} on {report['device']}, {report['total_seconds']:.2f} s)"
    )
    for sentence in report["assumed"]:
        if sentence in report["warnings"]:
            continue
        terminal.say(f"    assumed: {sentence}")
    for file in report["files"]:
        terminal.say(f"    {file}")


if __name__ == "__main__":
    sys.exit(main())
