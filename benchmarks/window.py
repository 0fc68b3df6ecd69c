"""How long the window stands still while a slider moves, with the whole dock widget."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.ndimage import gaussian_filter

SIDE, OBJECTS, CLASSES = 2048, 1000, 8
MOVES = 12
LIMIT = 50
"""Milliseconds that no single piece of work in the window's thread should take."""


def table() -> list[str]:
    """The longest piece of work in the window's thread, in milliseconds of its CPU.

    Pictures of the canvas are counted apart: without a graphics card they are painted
    by the processor.
    """
    lines = [
        f"| setting | longest piece | all of a move | above {LIMIT} ms | picture |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as place:
        viewer, widget = _open(Path(place))
        paint = Painting(viewer)
        try:
            for name, slider in (
                ("minimum confidence", widget.class_threshold),
                ("mask threshold", widget.mask_threshold),
            ):
                lines += _rows(name, slider, widget, paint)
        finally:
            viewer.close()
    return lines


class Painting:
    """Seconds of the thread's CPU that napari's canvas was painting.

    Told apart from other work: without a graphics card the processor paints.
    """

    def __init__(self, viewer: Any) -> None:
        self.spent = self.longest = 0.0
        canvas = viewer.window._qt_viewer.canvas.native
        paint = canvas.paintGL

        def timed() -> None:
            begun = time.thread_time()
            paint()
            took = time.thread_time() - begun
            self.spent, self.longest = self.spent + took, max(self.longest, took)

        canvas.paintGL = timed

    def take(self) -> float:
        """Seconds since this was asked last."""
        spent, self.spent = self.spent, 0.0
        return spent


def _open(place: Path) -> tuple[Any, Any]:
    import napari

    from napari_imagec_ai._napari.widget import ClassifierWidget
    from napari_imagec_ai.library.folders import load_model

    model = load_model(_write_model(place / "classes"))
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1366, 720)
    viewer.add_image(_stripes(), name="plate")
    widget = ClassifierWidget(viewer)
    viewer.window.add_dock_widget(widget, name="AI classifier")
    widget.choice.choose_model(model)
    widget.run()
    _until(lambda: not widget.running)
    _pieces(1.0)
    return viewer, widget


def _write_model(folder: Path) -> Path:
    """A network of eight classes, each of which is a range of grey values."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder.mkdir()
    low = np.arange(CLASSES, dtype=np.float32).reshape(1, CLASSES, 1, 1)
    source = helper.make_tensor_value_info("in", TensorProto.FLOAT, ["b", 1, "y", "x"])
    out = ["b", CLASSES, "y", "x"]
    result = helper.make_tensor_value_info("out", TensorProto.FLOAT, out)
    nodes = [
        helper.make_node("Sub", ["in", "low"], ["above"]),
        helper.make_node("Clip", ["above", "zero", "one"], ["part"]),
        helper.make_node("Floor", ["above"], ["whole"]),
        helper.make_node("Abs", ["whole"], ["off"]),
        helper.make_node("Sub", ["part", "off"], ["raw"]),
        helper.make_node("Clip", ["raw", "zero", "one"], ["out"]),
    ]
    constants = [
        numpy_helper.from_array(low, "low"),
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.float32(1), "one"),
    ]
    graph = helper.make_graph(nodes, "ranges", [source], [result], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    save(made, str(folder / "weights.onnx"))
    names = [f"class {i}" for i in range(CLASSES)]

    def space(axis: str, **size: Any) -> dict[str, Any]:
        return {"type": "space", "id": axis, "size": size}

    batch = {"type": "batch"}
    rdf = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Eight classes",
        "description": "ranges of grey values",
        "inputs": [
            {
                "id": "raw",
                "axes": [
                    batch,
                    {"type": "channel", "channel_names": ["grey"]},
                    *(space(axis, min=16, step=16) for axis in "yx"),
                ],
            }
        ],
        "outputs": [
            {
                "id": "classes",
                "axes": [
                    batch,
                    {"type": "channel", "channel_names": names},
                    *(space(axis, tensor_id="raw", axis_id=axis) for axis in "yx"),
                ],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx"}},
        "config": {"napari_imagec_ai": {"decoder": "semantic", "classes": names}},
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    return folder


def _stripes() -> np.ndarray:
    """Blurred discs: the whole number of a value is the class, the rest its map."""
    side = int(np.ceil(np.sqrt(OBJECTS)))
    step = SIDE // side
    yy, xx = np.indices((step, step)) - step / 2
    disc = np.clip(gaussian_filter((np.hypot(yy, xx) < step * 0.35) * 0.98, 2), 0, 0.98)
    image = np.zeros((SIDE, SIDE), np.float32)
    for i in range(OBJECTS):
        y, x = (i // side) * step, (i % side) * step
        image[y : y + step, x : x + step] = disc * (0.6 + 0.4 * (i % 7) / 6)
        image[y : y + step, x : x + step] += i % CLASSES
    return image


def _rows(name: str, slider: Any, widget: Any, paint: Painting) -> list[str]:
    """While the hand moves without a rest, and when it rests after a move."""
    moving: list[list[float]] = []
    paint.take()
    for i in range(3 * MOVES):
        begun = time.thread_time()
        slider.value = 0.5 + 0.02 * (i % 5 + 1)
        moved = time.thread_time() - begun - paint.take()
        moving.append([moved, *_pieces(0.06, paint)])
    picture = paint.longest
    _until(lambda: not widget.tuning.busy and not widget.results.drawing)
    resting: list[list[float]] = []
    for i in range(MOVES):
        slider.value = 0.5 + 0.02 * (i % 5 + 1)
        _pieces(0.15)  # it rests when nothing came for 0.2 s
        paint.take()
        resting.append(_pieces(1.0, paint))
    _until(lambda: not widget.tuning.busy and not widget.results.drawing)
    return [
        _row(f"{name}, moving", moving, picture),
        _row(f"{name}, at rest", resting, paint.longest),
    ]


def _row(name: str, moves: list[list[float]], picture: float) -> str:
    pieces = [piece * 1000 for move in moves for piece in move]
    whole = float(np.median([sum(move) for move in moves])) * 1000
    above = sum(piece > LIMIT for piece in pieces)
    return (
        f"| {name} | {max(pieces):.0f} | {whole:.0f} | {above} | {picture * 1000:.0f} |"
    )


def _pieces(seconds: float, paint: Painting | None = None) -> list[float]:
    """Seconds of the thread's CPU that each turn of the event loop took.

    Without those of pictures, where they are measured apart.
    """
    from qtpy.QtWidgets import QApplication

    end, pieces = time.monotonic() + seconds, []
    while time.monotonic() < end:
        begun = time.thread_time()
        QApplication.processEvents()
        took = time.thread_time() - begun
        pieces.append(took - (0.0 if paint is None else paint.take()))
        time.sleep(0.001)
    return pieces


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not done() and time.monotonic() < end:
        _pieces(0.05)
