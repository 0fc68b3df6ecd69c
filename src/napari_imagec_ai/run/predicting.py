"""Runs a network over an image, once, and keeps what it said."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import OutOfMemory
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.region import Box, Cut, Region, whole
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.run.boxes.detect_run import OVERLAP, PERCENTILES, DetectRun
from napari_imagec_ai.run.feed.feed import Feed, Planes
from napari_imagec_ai.run.feed.inputs import InputImages, Inputs
from napari_imagec_ai.run.feed.normalize import Normalize
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.planning import RunOptions
from napari_imagec_ai.run.tiles.blending import Seams
from napari_imagec_ai.system import file_changes as filestate
from napari_imagec_ai.system.progress import Progress


def predict(
    model: Model,
    image: InputImages,
    *,
    engine: str | Engine = "auto",
    device: str = "auto",
    tile: int | Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    planes: Planes | None = None,
    scale: float | Sequence[float] | None = None,
    halo: int | Sequence[int] | None = None,
    normalize: Normalize = "as described",
    larger_tiles: bool = True,
    overlap: float = OVERLAP,
    percentiles: tuple[float, float] = PERCENTILES,
    region: Region | Box | None = None,
    classes: Sequence[str] | None = None,
    seams: Seams = "crop",
    memory: float | None = None,
    verify: bool = True,
    dense: Callable[..., DenseRun] = DenseRun,
    progress: Callable[[Progress], None] | None = None,
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
    engine : str or Engine
        ``auto``, ``onnx``, ``torchscript``, or an engine that is open already.
    device : str
        ``auto``, ``cpu``, ``cuda`` ...
    tile : int or sequence of int, optional
        Window size along each space axis of the network; chosen by default.
    channels : sequence of int, optional
        Channel of the image for each channel of the network, -1 for an empty one.
    planes : mapping, optional
        Such as ``{"Z": 3}`` or ``{"T": (0, 10)}``; all planes by default.
    scale : float or sequence of float, optional
        Pixels of the network for each pixel of the image, for all space axes or for
        each. By default the pixel sizes decide, where image and description both have
        one. For detectors: by default an image not much larger than the network's
        window is fitted into one, a larger one is cut into windows at full resolution.
    halo : int or sequence of int, optional
        Pixels that windows overlap at each side; by default as the description says,
        else as far as the network is measured to look.
    normalize : str
        What to do with grey values before the description's own steps:
        ``as described`` (nothing), ``range`` (darkest and brightest pixel), ``type``
        (ends of the integer type) or ``percentiles`` (1 and 99.8 %) to 0 and 1, or to
        the range that the description declares.
    larger_tiles : bool
        Whether a network whose description fixes the window's size is tried, once, with
        larger ones; they are used if its test output and a larger window agree.
    overlap : float
        For detectors: part of a window that it shares with the next one.
    percentiles : tuple of float
        For detectors: grey values that become black and white, where the description
        does not say and the image has not 8 bits.
    region : Region or mapping, optional
        What of the image to run, such as ``{"Y": (0, 512), "X": (100, 612)}``; all by
        default. What is found lies in pixels of the whole image.
    classes : sequence of str, optional
        Names of the network's classes, in its order, instead of what the description
        and the weights say. Their number decides how rows of boxes are read.
    seams : str
        Where windows meet: ``crop`` takes each pixel from the window that sees most
        around it; ``blend`` goes over from one window to the next across their overlap,
        for networks that normalize each window by itself (instance normalization).
    memory : float, optional
        Gigabytes that a run may take: windows are made as large as they allow, and maps
        that take more than a share of them go to the disk. By default by what is free.
    verify : bool
        Whether weights that are not those of the description (by sha256) are refused.
        Without, they run, and the prediction says so.
    dense : callable
        Makes the run of a network that gives maps, such as one that is shared out:
        takes what :class:`napari_imagec_ai.run.maps.dense_run.DenseRun` takes.
    progress : callable, optional
        Called with a :class:`Progress` after each call of the network.

    Raises
    ------
    ModelError, ImageError, EngineError
        If the model cannot run, the image does not fit, or the network fails.
    """
    options = RunOptions(
        engine=engine,
        device=device,
        tile=tile,
        channels=channels,
        planes=planes,
        scale=scale,
        halo=halo,
        normalize=normalize,
        larger_tiles=larger_tiles,
        overlap=overlap,
        percentiles=percentiles,
        region=region,
        classes=classes,
        seams=seams,
        memory=memory,
        verify=verify,
        dense=dense,
    )
    return _drained(_steps(model, image, options), progress)


def predict_iter(
    model: Model,
    image: InputImages,
    *,
    engine: str | Engine = "auto",
    device: str = "auto",
    tile: int | Sequence[int] | None = None,
    channels: Sequence[int] | None = None,
    planes: Planes | None = None,
    scale: float | Sequence[float] | None = None,
    halo: int | Sequence[int] | None = None,
    normalize: Normalize = "as described",
    larger_tiles: bool = True,
    overlap: float = OVERLAP,
    percentiles: tuple[float, float] = PERCENTILES,
    region: Region | Box | None = None,
    classes: Sequence[str] | None = None,
    seams: Seams = "crop",
    memory: float | None = None,
    verify: bool = True,
    dense: Callable[..., DenseRun] = DenseRun,
) -> Generator[Progress, None, Prediction]:
    """Like :func:`predict`, tile by tile.

    Yields a :class:`Progress` before the first and after each call of the network, and
    returns the :class:`Prediction`. The last one is yielded again while a call takes
    long. Closing the generator stops the run, and a call that is under way, too, where
    the engine can do that.
    """
    options = RunOptions(
        engine=engine,
        device=device,
        tile=tile,
        channels=channels,
        planes=planes,
        scale=scale,
        halo=halo,
        normalize=normalize,
        larger_tiles=larger_tiles,
        overlap=overlap,
        percentiles=percentiles,
        region=region,
        classes=classes,
        seams=seams,
        memory=memory,
        verify=verify,
        dense=dense,
    )
    return (yield from _steps(model, image, options))


def _drained(
    steps: Generator[Progress, None, Prediction],
    progress: Callable[[Progress], None] | None,
) -> Prediction:
    """Run to the end; each step is reported once."""
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
    model: Model, image: InputImages, options: RunOptions
) -> Generator[Progress, None, Prediction]:
    options.check(model)
    model = model.with_classes(options.classes)
    inputs, cut = options.inputs(model, image)
    engine = options.open(model)
    try:
        run = options.run(model, inputs, engine)
        before = _states(inputs)
        yield from run.steps()
        run.notices += _changed(inputs, before)
        return _result(run, inputs, cut)
    except MemoryError as error:
        raise OutOfMemory(
            f"There is not enough memory for this run ({error}); choose smaller tiles, "
            "or a part of the image."
        ) from error
    finally:
        if engine is not options.engine:
            engine.close()


def _images(inputs: Inputs) -> list[ImageInput]:
    return [part.image for part in inputs.parts if isinstance(part, Feed)]


def _states(inputs: Inputs) -> list[object]:
    """What changes when somebody writes to the images."""
    return [filestate.state_of(whole(image.data)) for image in _images(inputs)]


def _changed(inputs: Inputs, before: list[object]) -> list[str]:
    """Sentences on images that were written to meanwhile."""
    pairs = zip(_images(inputs), before, _states(inputs), strict=True)
    names = [image.name for image, old, new in pairs if old != new]
    return [filestate.CHANGED.format(name=name) for name in names]


def _result(run: DenseRun | DetectRun, inputs: Inputs, cut: Cut | None) -> Prediction:
    feed = run.feed
    told = run.model.settings.get("assumed")
    told = [str(sentence) for sentence in told] if isinstance(told, list) else []
    engine_told: tuple[str, ...] = getattr(run.engine, "notices", ())
    output: dict[str, Any] = {}
    if isinstance(run, DenseRun):
        done = run.stitcher
        told += done.notices
        output = {"maps": done.maps, "vectors": done.vectors, "place": done.place}
        output |= {"halo": run.measured, "scale": feed.scale}
    else:
        output = {"windows": tuple(run.windows), "layout": run.layout}
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
                (*engine_told, *inputs.assumed, *told, *run.notices)
            )
            if sentence
        ),
        channels=feed.channels,
        image=feed.image,
        cut=cut,
        key=(run.model.path, feed.image.key, object()),
        **output,
    )
