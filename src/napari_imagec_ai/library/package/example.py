"""An example image for a packaged network: test tensors, and a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.decoders.decoding import decode
from napari_imagec_ai.decoders.plausible import diameters
from napari_imagec_ai.decoders.registry import class_threshold
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.numbers import white
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.export.overlay import as_png, overlay
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.model.description import Model, TensorSpec
from napari_imagec_ai.model.kinds import DETECTORS
from napari_imagec_ai.model.steps.steps import make_transform
from napari_imagec_ai.results.classifying import classify
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.letterbox import FILL, fit
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.run.boxes.detect_run import network_window
from napari_imagec_ai.run.feed.feed import Feed, clean, plan_feed
from napari_imagec_ai.run.feed.normalize import normalizing
from napari_imagec_ai.run.feed.number_types import type_steps, with_range
from napari_imagec_ai.run.predicting import predict
from napari_imagec_ai.run.tiles.window_limits import window_sizes

Array = NDArray[Any]

_WINDOW = {2: 256, 3: 64}
"""Side of the test tensors, by number of space axes, where the network leaves it."""

_ENOUGH = 8
"""Fewer objects tell nothing of the sizes that a network knows."""

_MARGIN = 1.5
"""Networks know sizes a little beyond those of one example."""

_MOST = 512
"""Side of the part of the example that the picture shows."""


def fitting(model: Model, image: ImageInput | None) -> ImageInput:
    """The person's example, or a bundled one with as many channels as needed."""
    if image is not None:
        return image
    spec = model.inputs[0]
    if model.kind in DETECTORS:
        return sample_image("cells")
    sample = sample_image("nuclei_stack" if "z" in spec.space else "nuclei")
    count = spec.channels or 1
    if count in (1, 3):
        return sample
    # A network of several channels gets the same in each: it is a test, no more.
    data = np.stack([np.asarray(sample.data)] * count)
    return ImageInput(data, f"C{sample.axes}", sample.pixel_size, sample.unit, "sample")


def test_tensors(
    model: Model, engine: Engine, image: ImageInput
) -> tuple[Array, list[Array]]:
    """The network's input as it is published, and what comes out.

    Parameters
    ----------
    model : Model
        The description, without tests.
    engine : Engine
        Its weights, opened.
    image : ImageInput
        The example; its middle plane is cut or filled up to a window.

    Returns
    -------
    tensor, outputs
        Before the description's preprocessing, and after its postprocessing, float32
        or whole numbers.
    """
    spec = model.inputs[0]
    feed = plan_feed(spec, image, scale=1.0)
    middle = tuple(len(span) // 2 for span in feed.ranges)
    plane, _ = clean(feed.read(middle), image.name)
    if model.kind in DETECTORS:
        plane = _letterboxed(model, image, plane) * np.float32(_white(model, engine))
    else:
        plane = _cut(plane, _window(spec, feed))
        asked = _asked(engine)
        first, _ = type_steps(spec, asked, image.data.dtype, plane)
        if not first and model.settings.get("normalize") == "type":
            first = normalizing("type", with_range(spec, asked), image.data.dtype)
        plane = make_transform(first, plane, feed.letters)(plane)
    tensor = np.ascontiguousarray(feed.to_network(plane), np.float32)
    prepare = make_transform(spec.steps, tensor, spec.letters, {})
    outputs = engine.run([prepare(tensor)])
    if len(outputs) != len(model.outputs):
        raise ModelError(
            f"The network gave {len(outputs)} outputs and then {len(model.outputs)}; "
            "export it so that their number is always the same."
        )
    if not all(array.size for array in outputs):
        raise ModelError(
            f"The network finds nothing in '{image.name}', so there is nothing to test "
            "with; give an example that has objects (--image)."
        )
    return tensor, [
        _storable(
            make_transform(out.steps, array, out.letters, {spec.id: tensor})(array)
        )
        for out, array in zip(model.outputs, outputs, strict=True)
    ]


def _white(model: Model, engine: Engine) -> float:
    """The brightest value that a detector takes where its description scales none."""
    steps = model.inputs[0].steps
    if any(step.id != "ensure_dtype" for step in steps):
        return 1.0
    if model.inputs[0].data_range[1] == 255:
        return 255.0
    return white(_asked(engine))


def _asked(engine: Engine) -> str:
    """Type of numbers that the network takes."""
    return engine.dtypes[0] if engine.dtypes else "float32"


def _storable(array: Array) -> Array:
    """In a type that the format knows."""
    known = array.dtype.kind in "iu" or array.dtype in (np.float32, np.float64)
    return np.ascontiguousarray(array if known else array.astype(np.float32))


def _window(spec: TensorSpec, feed: Feed) -> tuple[int, ...]:
    """Sizes for the test: near the usual, as the network takes them."""
    sizes = []
    for name in feed.space.lower():
        least, step = window_sizes(spec, name)
        wanted = min(_WINDOW[len(feed.space)], feed.image.size(name.upper()))
        more = max(0, wanted - least) // step if step else 0
        sizes.append(least + more * step)
    return tuple(sizes)


def _cut(plane: Array, window: tuple[int, ...]) -> Array:
    """The middle of a plane or volume, mirrored where it is too small."""
    for axis, size in enumerate(window, start=1):
        have = plane.shape[axis]
        if have < size:
            width = [(0, 0)] * plane.ndim
            width[axis] = (0, size - have)
            plane = np.pad(plane, width, "symmetric")
        else:
            first = (have - size) // 2
            plane = np.take(plane, range(first, first + size), axis)
    return plane


def _letterboxed(model: Model, image: ImageInput, plane: Array) -> Array:
    """A detector's window, from 0 to 1, as in a run."""
    shape = (plane.shape[-2], plane.shape[-1])
    window = network_window(model, shape)
    low, high = np.percentile(plane, (0, 99.8))
    if image.data.dtype == np.uint8:
        low, high = 0.0, 255.0
    plane = np.clip((plane - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    size = min(1.0, 2 * min(window) / max(shape))  # the part that one window takes
    part = (math.ceil(shape[0] * size), math.ceil(shape[1] * size))
    piece = np.ascontiguousarray(plane[:, : part[0], : part[1]])
    return fit((0, 0), part, window).apply(piece, FILL)


def picture(model: Model, image: ImageInput) -> tuple[bytes, Prediction, Any]:
    """Run the packaged model on a part of the example.

    Returns
    -------
    png, prediction, result
        The part beside the same with what was found.
    """
    small = _part(image, 64 if "z" in model.inputs[0].space else _MOST)
    raw = predict(model, small)
    result = decode(raw)
    if isinstance(result, Objects):  # as many as the widget will count
        result = classify(result, class_threshold=class_threshold(model))
    plain = overlay(_nothing(raw.frame), small, _MOST).picture
    if isinstance(result, Objects):
        found = overlay(result, small, _MOST).picture
    elif isinstance(result, Images):
        found = _grey(next(iter(result.maps.values())), plain.shape[:2])
    else:
        found = plain
    return as_png(np.hstack([plain, found])), raw, result


def object_sizes(prediction: Prediction, result: Any) -> list[float] | None:
    """Least, usual and largest diameter of the objects, in pixels of the network.

    None where there are too few to tell.
    """
    if not isinstance(result, Objects) or len(result) < _ENOUGH:
        return None
    scale = prediction.scale
    gain = math.prod(scale) ** (1 / len(scale)) if scale else 1.0
    low, middle, high = np.percentile(diameters(result) * gain, (10, 50, 90))
    if not low > 0:
        return None
    found = (low / _MARGIN, middle, high * _MARGIN)
    return [float(f"{size:.3g}") for size in found]


def _nothing(frame: Frame) -> Objects:
    """No objects, for the image alone."""
    flat = len(frame.space)
    return Objects(
        frame,
        np.zeros(0, np.int32),
        np.zeros(0, np.int32),
        np.zeros(0, np.float32),
        np.zeros((0, 2 * flat), np.float32),
        ("object",),
        np.zeros(frame.shape, np.int32),
    )


def _part(image: ImageInput, side: int) -> ImageInput:
    """The middle of the image, of the middle point in time."""
    index: list[Any] = []
    axes = image.axes
    for axis, size in zip(axes, image.shape, strict=True):
        if axis == "T":
            index.append(size // 2)
        elif axis in "YX":
            first = max(0, (size - side) // 2)
            index.append(slice(first, first + min(side, size)))
        else:
            index.append(slice(None))
    return ImageInput(
        np.asarray(image.data[tuple(index)]),
        axes.replace("T", ""),
        image.pixel_size,
        image.unit,
        image.name,
        image.rgb,
    )


def _grey(values: Array, shape: tuple[int, int]) -> Array:
    """One channel of an image that the network gave, as a picture of that size."""
    plane = np.asarray(values, np.float32).reshape(-1, *values.shape[-2:])[0]
    low, high = np.percentile(plane, (0.5, 99.8))
    scaled = np.clip((plane - low) / max(float(high - low), 1e-12), 0, 1) * 255
    resized = cv2.resize(scaled, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.repeat(resized.astype(np.uint8)[..., None], 3, axis=-1)


def save(path: Path, array: Array) -> None:
    """Write a test tensor."""
    np.save(path, array)
