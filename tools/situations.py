"""Pictures of the window in eight situations, to be looked at one by one.

    python tools/situations.py FOLDER [SITUATION ...]

Each at two sizes of the screen, light and dark, and on screens of simple and double
density; ``FOLDER/SITUATION_SIZE_THEME_DENSITY.png``. Needs xvfb-run. Ask of each:
would a biologist know what to do next without reading?
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import screenshots as shots

SIZES = ((1366, 700), (1920, 1010))
"""Of a laptop's screen and a larger one, without a task bar and a window's frame."""

SCREEN = "4000x2200x24"

FOUR = ("nucleus", "lymphocyte", "dividing cell", "debris")

EIGHTY = tuple(f"kind {number}" for number in range(1, 81))

_SIDE = 512

PLUGIN = "napari-imagec-ai"
"""Where the plugin keeps what it remembers, in the person's folder for data."""


def classes_network(path: Path, count: int) -> None:
    """A network whose map of a class is high where the image has that class's grey."""
    from onnx import TensorProto, helper, save

    sizes = ["b", 1, "y", "x"]
    image = helper.make_tensor_value_info("in", TensorProto.FLOAT, sizes)
    maps = helper.make_tensor_value_info(
        "out", TensorProto.FLOAT, ["b", count, "y", "x"]
    )
    greys = (np.arange(count) + 1) / (count + 1)
    width = 0.5 / (count + 1)
    numbers = {"greys": greys, "width": [width], "steep": [3 / width]}
    shapes = {"greys": [1, count, 1, 1], "width": [1], "steep": [1]}
    held = [
        helper.make_tensor(name, TensorProto.FLOAT, shapes[name], values)
        for name, values in numbers.items()
    ]
    steps = [
        ("Sub", ["in", "greys"], "off"),
        ("Abs", ["off"], "far"),
        ("Sub", ["width", "far"], "near"),
        ("Mul", ["near", "steep"], "steeper"),
        ("Sigmoid", ["steeper"], "out"),
    ]
    nodes = [helper.make_node(kind, given, [gives]) for kind, given, gives in steps]
    graph = helper.make_graph(nodes, "classes", [image], [maps], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, str(path))


def classes_model(folder: Path, name: str, classes: tuple[str, ...]) -> None:
    """A model folder for it."""
    import yaml

    folder.mkdir(parents=True)
    classes_network(folder / "weights.onnx", len(classes))
    space = [
        {"type": "space", "id": axis, "size": {"min": 16, "step": 16}} for axis in "yx"
    ]
    of_input = [
        {"type": "space", "id": a, "size": {"tensor_id": "raw", "axis_id": a}}
        for a in "yx"
    ]
    batch = {"type": "batch"}
    grey = {"type": "channel", "channel_names": ["grey"]}
    found = {"type": "channel", "channel_names": list(classes)}
    kind = {"decoder": "semantic", "classes": list(classes)}
    described = {
        "format_version": "0.5.4",
        "type": "model",
        "name": name,
        "description": f"Finds {len(classes)} classes by their grey",
        "authors": [{"name": "napari-imagec-ai"}],
        "license": "MIT",
        "inputs": [{"id": "raw", "axes": [batch, grey, *space]}],
        "outputs": [{"id": "classes", "axes": [batch, found, *of_input]}],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 17}},
        "config": {"napari_imagec_ai": kind},
    }
    text = yaml.safe_dump(described, sort_keys=False)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")


def discs_of(classes: list[int], count: int) -> np.ndarray:
    """Discs of these classes, in rows, each of its class's grey."""
    image = np.zeros((_SIDE, _SIDE), np.float32)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    random = np.random.default_rng(7)
    for number, kind in enumerate(classes):
        row, column = divmod(number, 10)
        cy, cx = np.array((row, column)) * 50 + 28 + random.integers(-6, 7, 2)
        inside = (y - cy) ** 2 + (x - cx) ** 2 < int(random.integers(9, 20)) ** 2
        image[inside] = (kind + 1) / (count + 1)
    return image


# -- situations ------------------------------------------------------------------------

Shoot = Callable[[str, Any], None]


def first_open(theme: str, shoot: Shoot) -> None:
    """What a person sees who opened an image and the widget."""
    viewer, _ = shots.open_window(theme, "nuclei")
    shoot("first_open", viewer)
    viewer.close()


def after_a_run(theme: str, shoot: Shoot) -> None:
    """What a run brings; what is exported; an error."""
    from napari_imagec_ai._napari.form import RESULTS

    viewer, widget = shots.open_window(theme, "nuclei")
    shots.run(widget, "nuclei", "nuclei-unet")
    shoot("after_a_run", viewer)
    widget.form.front = RESULTS
    widget.export_section.folder.value = str(Path.cwd() / f"results {theme}")
    widget.export_section.go.native.click()
    shots.finish(lambda: widget.exporting.busy)
    shoot("export", viewer)
    viewer.close()


def tuning(theme: str, shoot: Shoot) -> None:
    """Four classes, and the filters of one."""
    from napari_imagec_ai.results.filters import Filter

    viewer, widget = shots.open_window(theme)
    viewer.add_image(discs_of([n % 4 for n in range(90)], 4), name="smear")
    widget.choose("four")
    widget.run()
    shots.finish(lambda: widget.running)
    shoot("four_classes", viewer)
    line = widget.classes[0]
    large = Filter(feature="area", minimum=600.0, becomes="large nucleus")
    line.filters.set_filters([large])
    line.fold.setChecked(True)
    widget.tune()
    shots.settle(40)
    shoot("filters", viewer)
    viewer.close()


def eighty_classes(theme: str, shoot: Shoot) -> None:
    """A detector of 80 classes that finds a few."""
    viewer, widget = shots.open_window(theme)
    kinds = [0, 0, 0, 7, 7, 22, 41, 41, 41, 78] * 6
    viewer.add_image(discs_of(kinds, 80), name="street")
    widget.choose("eighty")
    widget.run()
    shots.finish(lambda: widget.running)
    shoot("eighty_classes", viewer)
    viewer.close()


def batch(theme: str, shoot: Shoot) -> None:
    """A folder of images, one of them broken."""
    from napari_imagec_ai.image.samples import sample_path

    viewer, widget = shots.open_window(theme, "nuclei")
    shots.run(widget, "nuclei", "nuclei-unet")
    plate = Path(tempfile.mkdtemp(dir=".")) / "plate"
    plate.mkdir()
    for name in ("A01", "A02", "A03", "B01"):
        shutil.copy(sample_path("nuclei"), plate / f"{name}.tif")
    (plate / "B02.tif").write_bytes(b"half an image")
    widget.repeat.batch.native.click()
    panel = widget.repeating.panel
    assert panel is not None
    panel.images.value, panel.output.value = str(plate), str(plate.parent / "out")
    shots.settle()
    panel.run()
    shots.finish(lambda: panel.running)
    shoot("batch", viewer)
    viewer.close()


def error(theme: str, shoot: Shoot) -> None:
    """Why it cannot run, and a file that is no saved result."""
    from napari_imagec_ai.image.samples import sample_image

    viewer, widget = shots.open_window(theme)
    stain = sample_image("cells").data
    viewer.add_image(np.stack([stain] * 5), name="five stains")
    widget.choose("cells-yolov5seg")
    widget.axes.value = "CYX"
    shoot("error", viewer)
    viewer.close()


SITUATIONS = (first_open, after_a_run, tuning, eighty_classes, batch, error)


# -- all of them -----------------------------------------------------------------------


@contextmanager
def home() -> Iterator[None]:
    """A folder with two models of many classes, and nothing remembered."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_DATA_HOME"] = os.environ["XDG_CACHE_HOME"] = place
        os.environ["NAPARI_CONFIG"] = str(Path(place) / "napari.yaml")
        os.chdir(place)
        classes_model(Path("models") / "four", "Blood smear", FOUR)
        classes_model(Path("models") / "eighty", "Street scenes", EIGHTY)
        yield


def shooter(folder: Path, theme: str, density: str) -> Shoot:
    """Writes a picture at each size."""
    from PIL import Image

    def shoot(name: str, viewer: Any) -> None:
        for width, height in SIZES:
            viewer.window.resize(width, height)
            shots.settle()
            viewer.fit_to_view()
            shots.settle()
            picture = viewer.screenshot(canvas_only=False, flash=False)
            place = folder / f"{name}_{width}_{theme}_{density}x.png"
            Image.fromarray(picture[..., :3]).save(place)
            sys.stdout.write(f"{place.name} {picture.shape[1]}x{picture.shape[0]}\n")

    return shoot


def main(folder: Path, names: list[str]) -> None:
    """Make the pictures of these situations, or all, each density by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    density = os.environ.get("QT_SCALE_FACTOR")
    if density is None:
        for each in ("1", "2"):
            command = ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", sys.executable]
            line = [*command, __file__, str(folder.absolute()), *names]
            told = os.environ | {"QT_SCALE_FACTOR": each}
            subprocess.run(line, check=True, env=told)
        return
    with home():
        for theme in ("light", "dark"):
            for make in SITUATIONS:
                if not names or make.__name__ in names:
                    shutil.rmtree(PLUGIN, ignore_errors=True)  # nothing is remembered
                    make(theme, shooter(folder, theme, density))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
