"""The demonstration: a bundled model on a bundled image, in a real napari window."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_imagec_ai._napari import remembered
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.writing import write
from napari_imagec_ai.system import child_process

if TYPE_CHECKING:
    from napari_imagec_ai._napari.widget import ClassifierWidget

STEPS = (("nuclei", "nuclei-unet"), ("cells", "cells-yolov5seg"))
"""Sample images, and the models that are run on them, one after the other."""

_PATIENCE = 300.0
"""Seconds that the run may take."""


def run_demo(folder: Path, close: bool = False) -> None:
    """Show the main job.

    Parameters
    ----------
    folder : Path
        Where results are written if napari does not stay open.
    close : bool
        Write a screenshot and the layers' files, and close napari.

    Raises
    ------
    ImagecAIError
        If there is no display, and none can be made.
    """
    if not _has_display():
        _rerun_under_xvfb(folder)
        return
    import napari

    viewer = napari.Viewer(show=not close)
    try:
        widget = open_demo(viewer)
        lines = []
        for sample, model in STEPS:
            with remembered.paused():
                start(widget, sample, model)
                _wait(widget)
            lines.append(f"{sample}: {widget.status.value}")
            if close:
                lines += _write_layers(widget, sample, folder)
        if not close:
            napari.run()
            return
        lines += _write_screenshot(viewer, folder)
        for line in [*lines, f"Written to {folder.resolve()}"]:
            print(line)  # noqa: T201 - this is the command's output
    finally:
        if close:
            viewer.close()


def open_demo(viewer: Any) -> ClassifierWidget:
    """Add the sample images side by side, and the widget, to a viewer."""
    for sample, _ in STEPS:
        viewer.open_sample("napari-imagec-ai", sample)
    first, second = (viewer.layers[sample] for sample, _ in STEPS)
    second.translate = (0, 1.04 * first.extent.world[1, 1])
    viewer.reset_view()
    widget: ClassifierWidget = viewer.window.add_plugin_dock_widget(
        "napari-imagec-ai", "AI classifier"
    )[1]
    return widget


def start(widget: ClassifierWidget, sample: str, model: str) -> None:
    """Run a model of the package on a sample image.

    Raises
    ------
    ImagecAIError
        If the model is not there.
    """
    viewer = widget.viewer
    viewer.layers.selection = {viewer.layers[sample]}
    names = [entry.path.name for entry in widget.entries if entry.problem is None]
    if model not in names:
        raise ImagecAIError(
            f"The demo's model '{model}' is not among the models that were found; run "
            "it from a checkout, or install the package again."
        )
    widget.choose(model)
    widget.run()


def _wait(widget: ClassifierWidget) -> None:
    from qtpy.QtWidgets import QApplication

    deadline = time.monotonic() + _PATIENCE
    while widget.running and time.monotonic() < deadline:
        QApplication.processEvents()
        time.sleep(0.02)
    if widget.results is None:
        raise ImagecAIError(f"The demo did not finish: {widget.status.value}")


def _write_layers(widget: ClassifierWidget, sample: str, folder: Path) -> list[str]:
    """Write the layers of a run, and its table and outlines; gives lines to print."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for layer in widget.results.all_layers if widget.results else []:
        name = layer.name.replace(" ", "_").replace("(", "").replace(")", "")
        files += [Path(path) for path in layer.save(str(folder / name))]
    for suffix in ("csv", "geojson"):
        files.append(write(widget.objects(), folder / f"{sample}.{suffix}"))
    return [f"    {file.name}" for file in files]


def _write_screenshot(viewer: Any, folder: Path) -> list[str]:
    import imageio.v3 as iio

    viewer.window.show()
    _settle()
    viewer.window.resize(1500, 860)
    _settle()
    viewer.fit_to_view()
    _settle()
    picture = viewer.screenshot(canvas_only=False, flash=False)
    iio.imwrite(folder / "screenshot.png", picture)
    return ["    screenshot.png"]


def _settle(rounds: int = 25) -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(rounds):
        QApplication.processEvents()
        time.sleep(0.02)


def _has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    display = os.environ.get("DISPLAY", "")
    return bool(os.environ.get("WAYLAND_DISPLAY")) or (
        display != "" and _answers(display)
    )


def _answers(display: str) -> bool:
    """Whether somebody is behind an X display such as ``:0`` or ``host:10.0``.

    Qt ends the whole program where nobody is, as after a connection was lost.
    """
    host, _, number = display.rpartition(":")
    number = number.partition(".")[0]
    if not number.isdigit():
        return True  # another kind of name: Qt will say
    local = f"/tmp/.X11-unix/X{number}"
    if host in ("", "unix"):
        places: list[Any] = [local, f"\0{local}"]
        return any(_connects(socket.AF_UNIX, place) for place in places)
    try:
        family, *_, place = socket.getaddrinfo(host, 6000 + int(number))[0]
    except (OSError, OverflowError):
        return False
    return _connects(family, place)


def _connects(family: int, place: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as asking:
        asking.settimeout(3)
        return asking.connect_ex(place) == 0


def _rerun_under_xvfb(folder: Path) -> None:
    """Run the same demo under a virtual display, and close it."""
    if shutil.which("xvfb-run") is None:
        raise ImagecAIError(
            "There is no display, and no virtual one can be made; install xvfb (on "
            "Debian: apt-get install xvfb xauth), or run the demo on a desktop."
        )
    command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", sys.executable]
    command += [
        "-P",
        "-m",
        "napari_imagec_ai.cli",
        "demo",
        "--close",
        "-o",
        str(folder),
    ]
    done = subprocess.run(command, check=False, env=child_process.safe_environ())
    if done.returncode:
        raise ImagecAIError(
            f"The demo under a virtual display ended with code {done.returncode}; the "
            "lines above say why."
        )
