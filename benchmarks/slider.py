"""How soon layers show a moved threshold, in a real napari window."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.samples import sample_image

MODELS = Path(__file__).resolve().parents[1] / "models"
MOVES = 30


def table() -> list[str]:
    """Median time of a move, until the layers hold the new result."""
    head = "| image | objects | mask threshold | class threshold | with outlines |"
    lines = [head, "| --- | ---: | ---: | ---: | ---: |"]
    sample = np.asarray(sample_image().data)
    for side in (512, 1024):
        lines.append(_row(np.tile(sample, (side // 512, side // 512)), side))
    return lines


def _row(image: np.ndarray, side: int) -> str:
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=True)
    try:
        viewer.add_image(image, name="nuclei")
        widget: Any = viewer.window.add_plugin_dock_widget(
            "napari-imagec-ai", "AI classifier"
        )[1]
        paths = [entry.path for entry in widget._entries]
        widget.model.value = paths.index((MODELS / "nuclei-unet").resolve())
        widget.run()
        application = QApplication.instance()
        while widget._worker is not None:
            application.processEvents()
            time.sleep(0.01)

        def move(slider: Any, show: Callable[[], None]) -> float:
            times = []
            for value in np.linspace(0.3, 0.7, MOVES):
                with slider.changed.blocked():
                    slider.value = float(value)
                started = time.perf_counter()
                show()
                times.append(time.perf_counter() - started)
                application.processEvents()
            return 1000 * statistics.median(times)

        mask = move(widget.mask_threshold, widget._tune)
        classes = move(widget.class_threshold, widget._tune)
        both = move(widget.class_threshold, widget._tune_outlines)
        count = len(widget.session.decoded)
        return (
            f"| {side} x {side} | {count} | {mask:.0f} ms | {classes:.0f} ms | "
            f"{both:.0f} ms |"
        )
    finally:
        viewer.close()
