"""Run in a process of its own: every switch, again and again, in a window that paints.

What may go wrong here ends the program, so it cannot be a test by itself.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

CYCLES = 1


def spin(seconds: float = 0.12) -> None:
    """Let the window paint."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def run(widget: Any) -> None:
    """Run the network to its end."""
    widget.run()
    end = time.monotonic() + 60
    while widget.running and time.monotonic() < end:
        spin(0.02)
    assert not widget.running, widget.status.value
    spin(0.4)


def switch(widget: Any) -> None:
    """Tick everything off and on again, in another order each time."""
    boxes = [row.keep for row in widget.classes]
    options = widget.layer_options
    boxes += [options.outlines, options.boxes, options.points]
    for cycle in range(CYCLES):
        for i in range(len(boxes)):
            box = boxes[(i + cycle) % len(boxes)]
            box.native.click()
            spin(0.3)
            box.native.click()
            spin(0.3)
        for row in widget.classes:
            row.keep.native.click()
        spin(0.4)
        for row in widget.classes:
            row.keep.native.click()
        spin(0.4)


def remove(viewer: Any, image: Any) -> None:
    """Take away layers of each kind, one by one and together, as a person does."""
    for layer in [one for one in viewer.layers if one is not image][::2]:
        viewer.layers.remove(layer)
        spin()
    viewer.layers.selection = {one for one in viewer.layers if one is not image}
    viewer.layers.remove_selected()
    spin(0.3)


def main() -> None:
    """Images of both kinds, flat and in 3D display."""
    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.window.show()
    spin(0.3)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-imagec-ai", "AI classifier"
    )
    widget.choose("tiny")
    flat = np.full((64, 64), 0.05, np.float32)
    flat[8:24, 8:24] = flat[36:56, 30:54] = 0.95
    stack = np.stack([flat, flat[::-1], flat.T])
    for data in (flat, stack):
        image = viewer.add_image(data, name=f"image {data.ndim}")
        viewer.layers.selection.active = image
        spin()
        run(widget)
        switch(widget)
        viewer.dims.ndisplay = 3
        viewer.mouse_over_canvas = True  # and it did not move since
        spin(0.3)
        switch(widget)
        viewer.dims.ndisplay = 2
        remove(viewer, image)
        run(widget)
    viewer.layers.clear()
    spin(0.3)
    sys.stdout.write("survived\n")
    viewer.close()


if __name__ == "__main__":
    sys.exit(main())
