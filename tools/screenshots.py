"""Make the pictures of the documentation, each of them from a real napari window.

    tools/with_display.sh python tools/screenshots.py [NAME ...]

Needs a display of at least 1600 x 1000 pixels. Settings and what is kept about models
go into a temporary folder; pictures into ``docs/images``, with 256 colours.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_imagec_ai._napari.widget import ClassifierWidget

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"

WIDTH, HEIGHT, DOCK = 1360, 880, 360

Scene = Callable[[Any, Any], None]


# -- the window ------------------------------------------------------------------------


def settle(rounds: int = 25) -> None:
    """Let Qt draw."""
    from qtpy.QtWidgets import QApplication

    for _ in range(rounds):
        QApplication.processEvents()
        time.sleep(0.02)


def finish(*busy: Callable[[], bool]) -> None:
    """Wait for what is under way."""
    deadline = time.monotonic() + 300
    while any(one() for one in busy) and time.monotonic() < deadline:
        settle(2)
    settle()


def open_window(theme: str, *samples: str) -> tuple[Any, Any]:
    """A window with sample images and the widget, as wide as on a laptop."""
    import napari
    from qtpy.QtCore import Qt

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.theme = theme
    for sample in samples:
        viewer.open_sample("napari-imagec-ai", sample)
    dock, widget = viewer.window.add_plugin_dock_widget(
        "napari-imagec-ai", "AI classifier"
    )
    viewer.window.show()
    settle()
    viewer.window.resize(WIDTH, HEIGHT)
    settle()
    viewer.window._qt_window.resizeDocks([dock], [DOCK], Qt.Orientation.Horizontal)
    viewer.fit_to_view()
    settle()
    return viewer, widget


def run(widget: ClassifierWidget, sample: str, model: str) -> None:
    """Run a bundled model on a sample image."""
    from napari_imagec_ai._napari.demo import start

    start(widget, sample, model)
    finish(lambda: widget.running)


def fold(widget: ClassifierWidget, *shown: Any) -> None:
    """Bring the tab of these sections to the front, and open them."""
    pages = (
        (widget.model_section, widget.image_section, widget.assumptions),
        (widget.thresholds, widget.calibration, widget.class_section),
        (widget.layer_options, widget.export_section, widget.repeat),
    )
    for tab, sections in enumerate(pages):
        if shown[0] in sections:
            widget.form.front = tab
    for section in shown:
        section.button.setChecked(True)
    settle()


def save(name: str, picture: Any) -> None:
    """Write a picture with 256 colours: small, and text stays sharp."""
    import numpy as np
    from PIL import Image

    flat = Image.fromarray(np.asarray(picture)[..., :3]).quantize(256, dither=0)
    IMAGES.mkdir(parents=True, exist_ok=True)
    place = IMAGES / f"{name}.png"
    flat.save(place, optimize=True)
    sys.stdout.write(f"{place.relative_to(ROOT)}: {place.stat().st_size // 1000} kB\n")


def shoot(name: str, viewer: Any) -> None:
    """The whole window."""
    settle()
    save(name, viewer.screenshot(canvas_only=False, flash=False))


def shoot_part(name: str, *parts: Any) -> None:
    """Some sections of the widget, one below the other."""
    import numpy as np

    settle()
    pictures = [_pixels(part.native.grab()) for part in parts]
    width = max(picture.shape[1] for picture in pictures)
    background = pictures[0][0, -1]
    padded = []
    for picture in pictures:
        canvas = np.empty((picture.shape[0], width, 3), np.uint8)
        canvas[:] = background
        canvas[:, : picture.shape[1]] = picture
        padded.append(canvas)
    whole = np.concatenate(padded)
    edge = np.empty((whole.shape[0] + 12, width + 12, 3), np.uint8)
    edge[:] = background
    edge[6:-6, 6:-6] = whole
    save(name, edge)


def _pixels(grabbed: Any) -> Any:
    import numpy as np
    from qtpy.QtGui import QImage

    image = grabbed.toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    rows = rows.reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


# -- the pictures ----------------------------------------------------------------------


def first_run(theme: str) -> Callable[[], None]:
    """What a person sees first, and what a run gives."""

    def make() -> None:
        viewer, widget = open_window(theme, "nuclei")
        widget.choose("nuclei-unet")
        if theme == "dark":
            shoot("first_open_dark", viewer)
        run(widget, "nuclei", "nuclei-unet")
        fold(widget, widget.thresholds)
        shoot(f"nuclei_{theme}", viewer)
        viewer.close()

    return make


def classes_and_filters(theme: str) -> Callable[[], None]:
    """Two classes, one of them sorted by its shape, and the table of the objects."""

    def make() -> None:
        from napari_imagec_ai.results.filters import Filter

        viewer, widget = open_window(theme, "cells")
        run(widget, "cells", "cells-yolov5seg")
        line = widget.classes[0]
        small = Filter(feature="area", maximum=800.0, becomes="small round")
        line.filters.set_filters([small])
        line.target.value = line.otherwise.value = "round"
        line.fold.setChecked(True)
        fold(widget, widget.thresholds)
        widget.tune()
        widget.showing.show_table()
        settle(40)
        viewer.fit_to_view()
        shoot(f"classes_{theme}", viewer)
        shoot_part(f"classes_section_{theme}", widget.class_section)
        viewer.close()

    return make


def sections() -> None:
    """Sections of the widget by themselves."""
    viewer, widget = open_window("dark", "cells")
    widget.choose("cells-yolov5seg")
    widget.choice.about.button.setChecked(True)
    widget.choice.test.native.click()
    finish(lambda: widget.model_actions.busy)
    fold(widget, widget.model_section)
    details = widget.choice.details
    details.value = details.value.replace(str(ROOT), "~/napari-imagec-ai")
    shoot_part("model_card", widget.model_section)
    widget.choice.about.button.setChecked(False)
    run(widget, "cells", "cells-yolov5seg")
    fold(widget, widget.assumptions)
    shoot_part("told_and_assumed", widget.assumptions)
    fold(widget, widget.thresholds)
    widget.thresholds.more.button.setChecked(True)
    shoot_part("thresholds", widget.thresholds)
    fold(widget, widget.calibration)
    widget.calibration.known.value = 85
    widget.calibration.go.native.click()
    finish(lambda: widget.calibrating.jobs.busy)
    shoot_part("calibrate", widget.calibration)
    fold(widget, widget.export_section)
    shoot_part("repeat", widget.repeat)
    widget.export_section.folder.value = "plate-1/results"
    shoot_part("export", widget.export_section)
    viewer.close()


def cannot_run() -> None:
    """Why Run is off, said beside it."""
    import numpy as np

    from napari_imagec_ai.image.samples import sample_image

    viewer, widget = open_window("light")
    stain = sample_image("cells").data
    stains = np.stack([np.rot90(stain, turns) for turns in range(5)])
    viewer.add_image(stains, name="five stains")
    viewer.fit_to_view()
    widget.choose("cells-yolov5seg")
    widget.axes.value = "CYX"
    fold(widget, widget.image_section)
    shoot("cannot_run", viewer)
    viewer.close()


def batch() -> None:
    """A folder of images, one of them broken."""
    import shutil

    from napari_imagec_ai.image.samples import sample_path

    viewer, widget = open_window("dark", "nuclei")
    run(widget, "nuclei", "nuclei-unet")
    with tempfile.TemporaryDirectory() as place:
        plate = Path(place) / "plate"
        plate.mkdir()
        for row in "AB":
            for column in range(1, 5):
                shutil.copy(sample_path("nuclei"), plate / f"{row}{column:02}.tif")
        (plate / "B03.tif").write_bytes(b"half an image")
        os.chdir(place)
        widget.repeat.batch.native.click()
        panel = widget.repeating.panel
        assert panel is not None
        panel.images.value, panel.output.value = "plate", "results"
        settle()
        panel.run()
        finish(lambda: panel.running)
        shoot("batch", viewer)
        os.chdir(ROOT)
    viewer.close()


PICTURES: dict[str, Callable[[], None]] = {
    "nuclei_dark": first_run("dark"),
    "nuclei_light": first_run("light"),
    "classes_dark": classes_and_filters("dark"),
    "classes_light": classes_and_filters("light"),
    "sections": sections,
    "cannot_run": cannot_run,
    "batch": batch,
}


def main(names: list[str]) -> None:
    """Make the pictures of these names, or all."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["XDG_DATA_HOME"] = os.environ["XDG_CACHE_HOME"] = home
        os.environ["NAPARI_CONFIG"] = str(Path(home) / "napari.yaml")
        os.chdir(ROOT)
        for name in names or list(PICTURES):
            PICTURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
