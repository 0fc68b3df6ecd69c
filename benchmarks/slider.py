"""How soon layers show a moved threshold, in a real napari window."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.filters import Filter
from napari_imagec_ai.run.settings import RunSettings

MODEL = Path(__file__).resolve().parents[1] / "models" / "nuclei-unet"
MOVES = 30
SCENES = ((512, 1.0), (2048, 1.42), (2048, 1.0))
"""Sides of images, and how much larger than in the sample their nuclei are."""


def table() -> list[str]:
    """Median time of a move, until the Labels layer holds the new result."""
    lines = [
        "| image | objects | mask threshold | at rest | class threshold | filter |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    return lines + [_row(_tiled(side, zoom), side) for side, zoom in SCENES]


def _tiled(side: int, zoom: float) -> np.ndarray:
    """The sample next to itself, until the image is full."""
    sample = np.asarray(sample_image().data)
    if zoom != 1:
        sample = cv2.resize(sample, None, fx=zoom, fy=zoom)
    times = -(-side // sample.shape[0])
    return np.tile(sample, (times, times))[:side, :side]


def _row(image: np.ndarray, side: int) -> str:
    import napari

    from napari_imagec_ai._napari.layers.from_napari import take
    from napari_imagec_ai._napari.layers.result_layers import ResultLayers

    session = Session(ai.load_model(MODEL))
    for _ in session.run(ai.ImageInput(image, "YX"), RunSettings()):
        pass
    viewer = napari.Viewer(show=True)
    try:
        source = take(viewer.add_image(image, name="nuclei"), "YX")
        shown = ResultLayers(viewer, source)
        settings, names = session.defaults, session.model.classes

        def show(class_map: ClassMap, moving: bool = False, **changes: Any) -> None:
            changed = settings_with(settings, changes)
            result: Any = session.result(changed, class_map, moving=moving)
            shown.show(result, outlines=False)

        usual = ClassMap.identity(names)
        show(usual)
        thresholds = np.linspace(0.3, 0.7, MOVES).tolist()
        mask = _median(lambda v: show(usual, True, mask_threshold=v), thresholds)
        rest = _median(lambda v: show(usual, mask_threshold=v), thresholds)
        show(usual)
        classes = _median(lambda v: show(ClassMap.identity(names, v)), thresholds)
        areas = np.linspace(0, 400, MOVES).tolist()
        filters = _median(lambda v: show(_larger(names, v)), areas)
        decoded: Any = session.decoded
        return (
            f"| {side} x {side} | {len(decoded)} | {mask:.0f} ms | {rest:.0f} ms | "
            f"{classes:.0f} ms | {filters:.0f} ms |"
        )
    finally:
        viewer.close()
        session.close()


def _larger(names: tuple[str, ...], area: float) -> ClassMap:
    """Objects of at least this area."""
    large = (Filter(feature="area", minimum=area),)
    rules = [ClassRule(source=name, becomes=name, filters=large) for name in names]
    return ClassMap(rules=tuple(rules))


def _median(move: Callable[[float], None], values: list[float]) -> float:
    """Median time of the moves, in milliseconds."""
    return 1000 * statistics.median(_times(move, values))


def _times(move: Callable[[float], None], values: list[float]) -> Iterator[float]:
    from qtpy.QtWidgets import QApplication

    for value in values:
        started = time.perf_counter()
        move(value)
        yield time.perf_counter() - started
        QApplication.instance().processEvents()
