"""Runs a network over an image, once, and keeps what it said."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any

from napari_imagec_ai.engines.engine import Engine, completed
from napari_imagec_ai.engines.opening_weights import open_engine
from napari_imagec_ai.errors import ModelError, OutOfMemory
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.region import Cut, whole
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import naming
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.run.boxes.detect_run import DetectRun
from napari_imagec_ai.run.feed.doubts import doubts
from napari_imagec_ai.run.feed.feed import Feed
from napari_imagec_ai.run.feed.inputs import InputImages, Inputs
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.planning import plan_feeding, plan_run, plan_scale
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.run.size.choose import Choice
from napari_imagec_ai.run.told_settings import settings_of, takes_settings
from napari_imagec_ai.system.file_changes import CHANGED, state_of
from napari_imagec_ai.system.progress import Progress, bar


@takes_settings
def predict(
    model: Model,
    image: InputImages,
    settings: RunSettings | None = None,
    *,
    progress: Callable[[Progress], None] | bool | None = None,
    **chosen: Any,
) -> Prediction:
    """Run a network over an image.

    Parameters
    ----------
    model : Model
        From :func:`napari_imagec_ai.load_model`.
    image : ImageInput, mapping or sequence
        Any axes; axes that the network does not have are run plane by plane. For a
        network with several inputs one image (or numbers) for each, by the input's name
        or in order.
    settings : RunSettings, optional
        How it is run; as usual by default.
    progress : callable or bool, optional
        Called with a :class:`Progress` after each call of the network. True: a bar is
        shown.
    **chosen
        Fields of :class:`~napari_imagec_ai.run.settings.RunSettings` by name, such as
        ``tile=512``, in the place of those in ``settings``; ``engine`` may also be an
        engine that is open already.

    Raises
    ------
    ModelError, ImageError, EngineError
        If the model cannot run, the image or a setting does not fit, or the network
        fails.
    """
    return drained(_asked(model, image, settings, chosen, DenseRun), progress)


@takes_settings
def predict_iter(
    model: Model,
    image: InputImages,
    settings: RunSettings | None = None,
    **chosen: Any,
) -> Generator[Progress, None, Prediction]:
    """Like :func:`predict`, tile by tile.

    Yields a :class:`Progress` before the first and after each call of the network, and
    returns the :class:`Prediction`. The last one is yielded again while a call takes
    long. Closing the generator stops the run, and a call that is under way, too, where
    the engine can do that.
    """
    return (yield from _asked(model, image, settings, chosen, DenseRun))


def predict_as(
    dense: Callable[..., DenseRun],
    model: Model,
    image: InputImages,
    settings: RunSettings | None = None,
    *,
    progress: Callable[[Progress], None] | bool | None = None,
    **chosen: Any,
) -> Prediction:
    """Like :func:`predict`, with another kind of run of networks that give maps.

    Parameters
    ----------
    dense : callable
        Makes that run, such as one that is shared out: takes what
        :class:`~napari_imagec_ai.run.maps.dense_run.DenseRun` takes.
    model, image, settings, progress, **chosen
        See :func:`predict`.
    """
    return drained(_asked(model, image, settings, chosen, dense), progress)


def _asked(
    model: Model,
    image: InputImages,
    settings: RunSettings | None,
    chosen: dict[str, Any],
    dense: Callable[..., DenseRun],
) -> Generator[Progress, None, Prediction]:
    """The steps of a run, from what its caller gave."""
    _check_is_model(model)
    strange = [name for name in chosen if name not in RunSettings.model_fields]
    if strange:
        raise TypeError(f"predict() got an unexpected keyword argument '{strange[0]}'")
    engine = chosen.get("engine", "")
    opened = None if isinstance(engine, str) else engine
    told = {name: chosen[name] for name in chosen if name != "engine" or opened is None}
    return _steps(model, image, settings_of(told, settings), opened, dense)


def _check_is_model(model: object) -> None:
    if isinstance(model, Model):
        return
    named = isinstance(model, (str, os.PathLike))
    told = repr(model) if named else type(model).__name__
    raise ModelError(
        f"Expected a Model, found {told:.80}; read it with load_model(...) first."
    )


def drained(
    steps: Generator[Progress, None, Prediction],
    progress: Callable[[Progress], None] | bool | None,
) -> Prediction:
    """Run to the end; each step is reported once."""
    if isinstance(progress, bool):
        progress = bar() if progress else None
    last: Progress | None = None
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            result: Prediction = stop.value
            return result
        if progress is not None and step != last:
            last = step
            progress(step)


def _steps(
    model: Model,
    image: InputImages,
    settings: RunSettings,
    opened: Engine | None,
    dense: Callable[..., DenseRun],
) -> Generator[Progress, None, Prediction]:
    model = model.with_classes(settings.classes)
    inputs, cut = plan_feeding(model, image, settings)
    if opened is not None:
        engine = completed(opened)
    else:
        chosen = (settings.engine, settings.device)
        engine = open_engine(model, *chosen, verify=settings.verify)
    try:
        choice = plan_scale(model, inputs, engine, settings)
        if choice.scale is not None:
            settings = settings.model_copy(update={"scale": choice.scale})
            inputs, cut = plan_feeding(model, image, settings)
        run = plan_run(model, inputs, engine, settings, dense)
        before = _states(inputs)
        yield from run.steps()
        run.notices += _changed(inputs, before)
        return _result(run, inputs, cut, choice)
    except MemoryError as error:
        raise OutOfMemory(
            f"There is not enough memory for this run ({error}); choose smaller tiles, "
            "or a part of the image."
        ) from error
    finally:
        if opened is None:
            engine.close()


def _images(inputs: Inputs) -> list[ImageInput]:
    return [part.image for part in inputs.parts if isinstance(part, Feed)]


def _states(inputs: Inputs) -> list[object]:
    """What changes when somebody writes to the images."""
    return [state_of(whole(image.data)) for image in _images(inputs)]


def _changed(inputs: Inputs, before: list[object]) -> list[str]:
    """Sentences on images that were written to meanwhile."""
    pairs = zip(_images(inputs), before, _states(inputs), strict=True)
    names = [image.name for image, old, new in pairs if old != new]
    return [CHANGED.format(name=name) for name in names]


def _result(
    run: DenseRun | DetectRun, inputs: Inputs, cut: Cut | None, choice: Choice
) -> Prediction:
    feed = run.feed
    doubted = doubts(run.model, feed.image, feed.channels)
    told = run.model.settings.get("assumed")
    told = [str(sentence) for sentence in told] if isinstance(told, list) else []
    if not run.model.classes_by_hand:
        told.append(naming(run.model))
    output: dict[str, Any] = {}
    if isinstance(run, DenseRun):
        done = run.stitcher
        told += done.notices
        output = {"maps": done.maps, "vectors": done.vectors, "place": done.place}
        output |= {"halo": run.tiling.measured, "scale": feed.scale}
    else:
        output = {"windows": tuple(run.windows), "layout": run.layout}
        output |= {"scale": run.places[0][0].gain}
        told += run.layout.assumed if run.layout is not None else ()
    return Prediction(
        model=run.model,
        frame=feed.frame,
        space=feed.space,
        engine=run.engine.name,
        device=run.engine.device,
        network_seconds=run.seconds,
        network_calls=run.calls,
        assumed=tuple(
            sentence
            for sentence in dict.fromkeys(
                (
                    *doubted,
                    *run.engine.notices,
                    *inputs.assumed,
                    *choice.sentences,
                    *told,
                    *run.notices,
                )
            )
            if sentence
        ),
        channels=feed.channels,
        image=feed.image,
        cut=cut,
        object_size=choice.object_size,
        doubts=doubted,
        key=(run.model.path, feed.image.key, object()),
        **output,
    )
