"""What the widget's workers do: run a network, decode; no window is known here."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from napari_imagec_ai._napari.layers import drawn_layers, lazy_labels, traced
from napari_imagec_ai.decoders.decoder import Settings, settings_with
from napari_imagec_ai.decoders.decoding import run_decoder
from napari_imagec_ai.decoders.registry import get_decoder
from napari_imagec_ai.errors import DecodeError, ImagecAIError, WeightsError
from napari_imagec_ai.export.pace import Pace, Stopped
from napari_imagec_ai.export.writing import write_all
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.opening_files import open_image
from napari_imagec_ai.library.folders import install, user_models
from napari_imagec_ai.library.package.model_folder import Packaged
from napari_imagec_ai.library.selftest import keep_results, test_model
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.recipes.in_words import in_words
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.recipes.saved_run import SavedRun, load_run, save_run
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.calibration import (
    MASK_THRESHOLDS,
    Calibration,
    Truth,
    calibrate,
)
from napari_imagec_ai.results.class_map import ClassMap
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.part_to_whole import in_part
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.run.feed.inputs import InputImages
from napari_imagec_ai.run.published_tests import TestResult
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.system.progress import Progress

_T = TypeVar("_T")

_LIVE_PIXELS = 1 << 21
"""Up to this many pixels are tuned on the spot, larger results by a worker."""

_SAY_OVERWRITE = re.compile(r", or say --overwrite [^.;]*")

_TICK = ", or let other files be replaced, too"
"""What a person does here instead of a flag of the command line."""

_LIVE_WINDOWS = 2
"""The same for detectors, in windows of the network."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a worker brings back; errors are sentences, since workers raise errors."""

    prediction: Prediction | None = None
    result: Result | None = None
    problem: str = ""
    other_weights: bool = False


def run(
    session: Session,
    images: InputImages,
    predicted: RunSettings,
    settings: Settings,
    class_map: ClassMap,
) -> Generator[Progress, None, TaskResult]:
    """Predict and decode; what a person can mend comes back as a value."""
    try:
        prediction = yield from session.run(images, predicted)
        result = session.result(settings, class_map)
        _ready(result)
    except ImagecAIError as error:
        other = isinstance(error, WeightsError)
        return TaskResult(problem=str(error), other_weights=other)
    return TaskResult(prediction, result)


def tune(
    session: Session, settings: Settings, class_map: ClassMap, moving: bool = False
) -> TaskResult:
    """Decode and classify what was predicted; quickly, while a setting is moving."""
    try:
        result = session.result(settings, class_map, moving=moving)
        _ready(result)
        if not moving and isinstance(result, Objects):
            _trace(result)
    except ImagecAIError as error:
        return TaskResult(problem=str(error))
    return TaskResult(result=result)


def glimpse(
    session: Session,
    settings: Settings,
    class_map: ClassMap,
    box: tuple[tuple[int, int], ...],
    index: tuple[int, ...],
    step: int,
) -> TaskResult:
    """Decode and classify the part of a large result that is looked at."""
    try:
        return TaskResult(result=session.part(settings, class_map, box, index, step))
    except ImagecAIError as error:
        return TaskResult(problem=str(error))


def _ready(result: Result) -> None:
    """Do in the worker what would hold up the window that shows a large result."""
    if isinstance(result, Objects) and lazy_labels.is_lazy(result):
        lazy_labels.pyramid_of(result)


def _trace(objects: Objects) -> None:
    """Trace outlines here, where the window does not wait for them."""
    flat = len(objects.space) == 2 and objects.has_pixels
    if flat and len(objects) <= drawn_layers.MAX_SHAPES:
        traced.polygons(objects)


def is_small(prediction: Prediction) -> bool:
    """Whether a result can be tuned between two pictures of the screen."""
    pixels = sum(values.size for values in prediction.maps.values())
    return pixels <= _LIVE_PIXELS and len(prediction.windows) <= _LIVE_WINDOWS


def calibrated(
    session: Session, settings: Settings, class_map: ClassMap, truth: Truth
) -> Calibration | str:
    """Thresholds that meet what a person knows, or a sentence why there are none."""
    prediction = session.prediction
    if prediction is None:
        return "Run the network first; then thresholds can be found."

    def decode(mask: float | None) -> Objects:
        changed = {} if mask is None else {"mask_threshold": mask}
        tried = settings_with(settings, changed)
        found = run_decoder(session.decoder, prediction, tried)
        if not isinstance(found, Objects):
            raise DecodeError(f"'{session.model.name}' gives no objects to count.")
        if prediction.cut is not None:
            return in_part(found, prediction.cut.begin, prediction.frame.shape)
        return found

    start = settings.model_dump().get("mask_threshold")
    masks = (None,) if start is None else MASK_THRESHOLDS
    try:
        return calibrate(decode, class_map, truth, masks, start)
    except ImagecAIError as error:
        return str(error)


def tested(model: Model) -> list[TestResult] | str:
    """What came out of a model's own test, or a sentence why it cannot be tested.

    It is kept with the model, for the list.
    """
    try:
        results = test_model(model)
    except ImagecAIError as error:
        return str(error)
    keep_results(model, results)
    return results


def installed(package: Path) -> Path | str:
    """The folder that a model package was unpacked to, or why it was not."""
    try:
        return install(package)
    except ImagecAIError as error:
        return str(error)


def told(
    steps: Callable[..., Generator[Progress, None, _T]], *arguments: Any
) -> Generator[Progress, None, _T | str]:
    """What steps end with, or a sentence where a person can mend what went wrong."""
    try:
        return (yield from steps(*arguments))
    except (ImagecAIError, OSError) as error:
        return in_words(error) or str(error)


def exported(
    objects: Objects,
    folder: Path,
    stem: str,
    words: Sequence[str],
    image: ImageInput | None,
    recipe: str,
    overwrite: bool,
    pace: Pace,
) -> list[Path] | str:
    """The files that were written of a result, or why none was."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write_all(
            objects,
            folder,
            stem,
            words,
            image,
            recipe,
            overwrite=overwrite,
            pace=pace,
        )
    except Stopped:
        done = ", ".join(path.name for path in pace.written)
        return (
            f"Cancelled. {f'Written before: {done}.' if done else 'No file changed.'}"
        )
    except (ImagecAIError, OSError) as error:
        return _SAY_OVERWRITE.sub(_TICK, in_words(error) or str(error))


def scene(path: Path, number: int) -> ImageInput | str:
    """One image of a file that holds several, or why it cannot be opened."""
    try:
        return open_image(path, scene=number)
    except ImagecAIError as error:
        return str(error)


def loaded(path: Path) -> SavedRun | str:
    """A run that was saved, or why it cannot be read."""
    try:
        return load_run(path)
    except ImagecAIError as error:
        return str(error)


def saved(
    prediction: Prediction, recipe: Recipe, path: Path, overwrite: bool
) -> list[Path] | str:
    """The files that a run was saved in, or why it was not."""
    try:
        return save_run(prediction, recipe, path, overwrite=overwrite)
    except (ImagecAIError, OSError) as error:
        return in_words(error) or str(error)


def converted(
    source: Path, trust_code: bool, python: str | None = None
) -> Packaged | str:
    """The model folder that was made of what another program saved, or why not."""
    # Brings torch, which takes seconds: a widget that converts nothing opens without.
    from napari_imagec_ai.library.convert.convert_model import convert_model
    from napari_imagec_ai.library.convert.other_python import prefer_python
    from napari_imagec_ai.library.convert.sources import source_name

    target = user_models() / source_name(source)
    if target.resolve() == source.resolve():  # it was installed there
        target = target.with_name(f"{target.name}-converted")
    try:
        prefer_python(python)
        return convert_model(source, target, trust_code)
    except ImagecAIError as error:
        return str(error)


def maps(session: Session) -> Images | str:
    """What the network gave, as images, or a sentence why there are none."""
    if session.prediction is None:
        return "Run the network first; then its maps can be shown."
    decoder = get_decoder("image")
    try:
        found = decoder.decode(session.prediction, decoder.settings())
    except ImagecAIError as error:
        return str(error)
    if not isinstance(found, Images):
        return f"'{session.model.name}' gives no maps."
    return found
