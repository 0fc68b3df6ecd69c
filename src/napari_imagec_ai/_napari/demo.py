"""The demonstration: a bundled model on a bundled image, in a real napari window."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export import write

if TYPE_CHECKING:
    from napari_imagec_ai._napari.widget import ClassifierWidget

MODEL = "nuclei-unet"
SAMPLE = "nuclei"

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
    widget = open_demo(viewer)
    if not close:
        napari.run()
        return
    try:
        for line in write_demo(viewer, widget, folder):
            print(line)  # noqa: T201 - this is the command's output
    finally:
        viewer.close()


def open_demo(viewer: Any) -> ClassifierWidget:
    """Add the sample image and the widget to a viewer, and start the run."""
    viewer.open_sample("napari-imagec-ai", SAMPLE)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-imagec-ai", "AI classifier"
    )
    chosen: ClassifierWidget = widget
    for i, entry in enumerate(chosen._entries):
        if entry.path.name == MODEL and entry.problem is None:
            chosen.model.value = i
            break
    else:
        raise ImagecAIError(
            f"The demo's model '{MODEL}' is not among the models that were found; run "
            "it from a checkout, or install the package again."
        )
    chosen.run()
    return chosen


def write_demo(viewer: Any, widget: ClassifierWidget, folder: Path) -> list[str]:
    """Wait for the run, and write a screenshot and the layers; gives lines to print."""
    import imageio.v3 as iio
    from qtpy.QtWidgets import QApplication

    application = QApplication.instance()
    deadline = time.monotonic() + _PATIENCE
    while widget._worker is not None and time.monotonic() < deadline:
        application.processEvents()
        time.sleep(0.02)
    if widget.results is None or widget.session is None:
        raise ImagecAIError(f"The demo did not finish: {widget.status.value}")
    folder.mkdir(parents=True, exist_ok=True)
    viewer.window.show()
    _settle(application)
    viewer.window.resize(1360, 860)
    _settle(application)
    viewer.fit_to_view()
    _settle(application)
    picture = viewer.screenshot(canvas_only=False, flash=False)
    iio.imwrite(folder / "screenshot.png", picture)
    lines = [f"{widget.status.value}", f"Written to {folder.resolve()}:"]
    files = [folder / "screenshot.png"]
    for layer in widget.results.all_layers:
        name = layer.name.replace(" ", "_").replace("(", "").replace(")", "")
        files += [Path(path) for path in layer.save(str(folder / name))]
    objects = widget.session.objects(widget._settings(), widget._class_map())  # type: ignore[arg-type]
    files += [
        write(objects, folder / f"{SAMPLE}.{suffix}") for suffix in ("csv", "geojson")
    ]
    return [*lines, *(f"    {file.name}" for file in files)]


def _settle(application: Any, rounds: int = 25) -> None:
    for _ in range(rounds):
        application.processEvents()
        time.sleep(0.02)


def _has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _rerun_under_xvfb(folder: Path) -> None:
    """Run the same demo under a virtual display, and close it."""
    if shutil.which("xvfb-run") is None:
        raise ImagecAIError(
            "There is no display, and no virtual one can be made; install xvfb (on "
            "Debian: apt-get install xvfb xauth), or run the demo on a desktop."
        )
    command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", sys.executable, "-m"]
    command += ["napari_imagec_ai.cli", "demo", "--close", "-o", str(folder)]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise ImagecAIError(
            f"The demo under a virtual display ended with code {done.returncode}; the "
            "lines above say why."
        )
