"""Pre-trained segmentation and detection models on microscopy images, tuned by hand.

Importing this package imports nothing heavy: each name is fetched when it is used. ::

    import napari_imagec_ai as ai

    model = ai.load_model("models/nuclei-unet")
    image = ai.ImageInput(array, axes="YX", pixel_size=(0.5, 0.5), unit="micrometer")
    raw = ai.predict(model, image)  # seconds to hours, once
    objects = ai.decode(raw)  # settings from the description
    kept = ai.classify(objects, class_threshold=0.6)  # as often as you like
    ai.write(kept, "nuclei.geojson")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_imagec_ai.classes import ClassMap, ClassRule, Filter, classify
    from napari_imagec_ai.correction import read_labels, read_outlines
    from napari_imagec_ai.crop import Region
    from napari_imagec_ai.decoders import decode
    from napari_imagec_ai.errors import (
        DecodeError,
        EngineError,
        ImagecAIError,
        ImageError,
        ModelError,
    )
    from napari_imagec_ai.export import write
    from napari_imagec_ai.image import ImageInput
    from napari_imagec_ai.imagefile import open_image
    from napari_imagec_ai.library import ModelEntry, find_models, load_model
    from napari_imagec_ai.model import Model
    from napari_imagec_ai.objects import Objects
    from napari_imagec_ai.package import Packaged, package_model
    from napari_imagec_ai.prediction import Prediction, predict, predict_iter
    from napari_imagec_ai.recipe import Recipe
    from napari_imagec_ai.selftest import TestResult, test_model
    from napari_imagec_ai.session import Session

_HOME = {
    "ClassMap": "classes",
    "ClassRule": "classes",
    "Filter": "classes",
    "classify": "classes",
    "read_labels": "correction",
    "read_outlines": "correction",
    "decode": "decoders",
    "DecodeError": "errors",
    "EngineError": "errors",
    "ImagecAIError": "errors",
    "ImageError": "errors",
    "ModelError": "errors",
    "write": "export",
    "ImageInput": "image",
    "open_image": "imagefile",
    "ModelEntry": "library",
    "find_models": "library",
    "load_model": "library",
    "Model": "model",
    "Objects": "objects",
    "Packaged": "package",
    "package_model": "package",
    "Prediction": "prediction",
    "predict": "prediction",
    "predict_iter": "prediction",
    "Recipe": "recipe",
    "Region": "crop",
    "TestResult": "selftest",
    "test_model": "selftest",
    "Session": "session",
}

__all__ = [
    "ClassMap",
    "ClassRule",
    "DecodeError",
    "EngineError",
    "Filter",
    "ImageError",
    "ImageInput",
    "ImagecAIError",
    "Model",
    "ModelEntry",
    "ModelError",
    "Objects",
    "Packaged",
    "Prediction",
    "Recipe",
    "Region",
    "Session",
    "TestResult",
    "classify",
    "decode",
    "find_models",
    "load_model",
    "open_image",
    "package_model",
    "predict",
    "predict_iter",
    "read_labels",
    "read_outlines",
    "test_model",
    "write",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
