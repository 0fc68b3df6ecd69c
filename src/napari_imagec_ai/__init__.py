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

import os
import sys


def _leave_this_folder() -> None:
    """Look for no modules in the current folder, where this is the program that runs.

    A file beside the images may have the name of one of Python's modules; ``python -m``
    and an empty part of PYTHONPATH, as a colon too many makes it, look there first.
    """
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    by_name = program == "-m" and f" -m {__name__}" in " ".join(sys.orig_argv)
    if by_name and not sys.flags.safe_path:
        sys.path[:1] = []
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if (by_name or program.startswith("imagec-ai")) and not all(
        map(os.path.isabs, named)
    ):
        here, ours = os.getcwd(), os.path.dirname(os.path.dirname(__file__))
        sys.path[:] = [place for place in sys.path if place not in ("", here)] + [ours]


_leave_this_folder()

from importlib import import_module  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from napari_imagec_ai.decoders.decoding import decode
    from napari_imagec_ai.errors import (
        DecodeError,
        EngineError,
        ImagecAIError,
        ImageError,
        ModelError,
    )
    from napari_imagec_ai.export.tables import table
    from napari_imagec_ai.export.writing import write
    from napari_imagec_ai.image.image_input import ImageInput
    from napari_imagec_ai.image.opening_files import open_image
    from napari_imagec_ai.image.region import Region
    from napari_imagec_ai.library.convert.convert_model import convert_model
    from napari_imagec_ai.library.folders import ModelEntry, find_models, load_model
    from napari_imagec_ai.library.package.model_folder import Packaged
    from napari_imagec_ai.library.package.package_model import package_model
    from napari_imagec_ai.library.selftest import test_model
    from napari_imagec_ai.model.description import Model
    from napari_imagec_ai.recipes.recipe import Recipe
    from napari_imagec_ai.recipes.session import Session
    from napari_imagec_ai.results.class_map import ClassMap, ClassRule
    from napari_imagec_ai.results.classifying import classify
    from napari_imagec_ai.results.correction.read_back import read_labels, read_outlines
    from napari_imagec_ai.results.filters import Filter
    from napari_imagec_ai.results.linking.assign_tracks import link
    from napari_imagec_ai.results.linking.link_settings import Linking
    from napari_imagec_ai.results.objects import Objects
    from napari_imagec_ai.results.prediction import Prediction
    from napari_imagec_ai.run.predicting import predict, predict_iter
    from napari_imagec_ai.run.published_tests import TestResult

_HOME = {
    "ClassMap": "results.class_map",
    "ClassRule": "results.class_map",
    "Filter": "results.filters",
    "classify": "results.classifying",
    "Linking": "results.linking.link_settings",
    "link": "results.linking.assign_tracks",
    "read_labels": "results.correction.read_back",
    "read_outlines": "results.correction.read_back",
    "decode": "decoders.decoding",
    "DecodeError": "errors",
    "EngineError": "errors",
    "ImagecAIError": "errors",
    "ImageError": "errors",
    "ModelError": "errors",
    "write": "export.writing",
    "ImageInput": "image.image_input",
    "open_image": "image.opening_files",
    "table": "export.tables",
    "ModelEntry": "library.folders",
    "find_models": "library.folders",
    "load_model": "library.folders",
    "Model": "model.description",
    "Objects": "results.objects",
    "Packaged": "library.package.model_folder",
    "convert_model": "library.convert.convert_model",
    "package_model": "library.package.package_model",
    "Prediction": "results.prediction",
    "predict": "run.predicting",
    "predict_iter": "run.predicting",
    "Recipe": "recipes.recipe",
    "Region": "image.region",
    "TestResult": "run.published_tests",
    "test_model": "library.selftest",
    "Session": "recipes.session",
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
    "Linking",
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
    "convert_model",
    "decode",
    "find_models",
    "link",
    "load_model",
    "open_image",
    "package_model",
    "predict",
    "predict_iter",
    "read_labels",
    "read_outlines",
    "table",
    "test_model",
    "write",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
