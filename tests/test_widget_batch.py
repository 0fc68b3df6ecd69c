"""The panel for many images: the same as the command line, beside a living window."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import CountingEngine, discs
from scipy.ndimage import gaussian_filter

from napari_imagec_ai import cli
from napari_imagec_ai.recipes import runner
from napari_imagec_ai.recipes.recipe import Recipe

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A folder of three images, one that cannot be read, and one that is no image."""
    folder = tmp_path / "plate one"
    folder.mkdir()
    for i, radius in enumerate((9, 11, 13)):
        labels = discs((64, 64), [(20, 20), (44, 44)], (radius, radius))
        pixels = gaussian_filter((labels > 0) * 0.96 + 0.02, 1).astype(np.float32)
        tifffile.imwrite(folder / f"well{i}.tif", pixels)
    (folder / "broken.tif").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either", encoding="utf-8")
    return folder


def batch(widget: Any) -> Any:
    widget.repeat.batch.native.click()
    return widget.repeating.panel


def end(qtbot: Any, panel: Any) -> None:
    qtbot.waitUntil(lambda: not panel.running, timeout=30_000)


def test_a_folder_gives_what_the_command_line_gives(
    qtbot: Any, open_widget: Open, plate: Path, tmp_path: Path
) -> None:
    viewer, widget = open_widget(tifffile.imread(plate / "well0.tif"))
    widget.mask_threshold.value = 0.3
    panel = batch(widget)
    assert not panel.run_button.enabled
    assert "Choose a folder" in panel.status.value
    panel.images.value = str(plate)
    assert panel.found.value == "4 images."
    panel.output.value = str(tmp_path / "panel")
    for word, box in panel.formats.items():
        box.value = word in ("csv", "labels")
    panel.run_button.native.click()
    # The window goes on: layers come and thresholds move while the batch runs.
    viewer.add_image(np.zeros((8, 8)))
    widget.class_threshold.value = 0.9
    end(qtbot, panel)
    assert "3 of 4 images done, 1 failed" in panel.status.value
    (failure,) = [panel.failures.item(i).text() for i in range(panel.failures.count())]
    assert failure.startswith("broken.tif: ")

    widget.class_threshold.value = 0.5
    widget.repeating.save(tmp_path / "same.yaml")
    images = sorted(map(str, plate.glob("well*.tif")))
    words = ["run", str(tmp_path / "same.yaml"), *images]
    words += ["-o", str(tmp_path / "line"), "--workers", "1", "--export", "csv,labels"]
    assert cli.main(words) == 0
    for i in range(3):
        name = f"well{i}.objects.csv"
        ours = (tmp_path / "panel" / name).read_bytes()
        assert ours.count(b"\n") == 1 + 2
        assert ours == (tmp_path / "line" / name).read_bytes()
    assert not list((tmp_path / "panel").glob("*.geojson"))


def test_a_batch_is_cancelled_within_an_image_and_goes_on_from_there(
    qtbot: Any,
    open_widget: Open,
    plate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go, second = threading.Event(), threading.Event()

    class Slow(CountingEngine):
        def run(self, inputs: Any) -> list[Any]:
            if self.calls == 1:
                second.set()
                assert go.wait(20)
            return super().run(inputs)

    (plate / "broken.tif").unlink()
    monkeypatch.setattr(runner, "open_engine", lambda *a, **k: Slow())
    _, widget = open_widget()
    widget.assumptions.halo.value = 8  # measuring it would call the network, too
    panel = batch(widget)
    panel.images.value = str(plate)
    panel.output.value = str(tmp_path / "out")
    panel.run()
    qtbot.waitUntil(
        lambda: second.is_set() and panel.progress.value == 1, timeout=30_000
    )
    assert not panel.run_button.enabled
    panel.cancel_button.native.click()
    go.set()
    end(qtbot, panel)
    assert panel.status.value.startswith("Cancelled: 1 of 3 images done")
    assert len(list((tmp_path / "out").glob("*.objects.csv"))) == 1
    panel.run()
    end(qtbot, panel)
    assert "3 of 3 images done (1 of them before)" in panel.status.value


def test_what_is_missing_or_wrong_is_said_beside_run(
    open_widget: Open, plate: Path, tmp_path: Path
) -> None:
    _, widget = open_widget()
    panel = batch(widget)
    panel.images.value = f"{plate}; {plate / 'well1.tif'}"
    assert panel.found.value == "4 images."
    assert panel.output.value == str(plate / "results")
    assert panel.run_button.enabled
    for box in panel.formats.values():
        box.value = False
    assert "Choose a format" in panel.status.value
    other = tmp_path / "other"
    other.mkdir()
    tifffile.imwrite(other / "well1.tif", np.zeros((8, 8), np.uint8))
    panel.images.value = f"{plate}; {other}"
    assert "Two images are named 'well1'" in panel.status.value
    assert not panel.run_button.enabled


def test_results_beside_the_images_are_no_images(
    qtbot: Any, open_widget: Open, plate: Path
) -> None:
    (plate / "broken.tif").unlink()
    tifffile.imwrite(plate / "odd.ome.tif", np.zeros((32, 32), np.float32))
    _, widget = open_widget()
    panel = batch(widget)
    panel.images.value = str(plate)
    panel.output.value = str(plate)
    panel.run()
    end(qtbot, panel)
    assert len(list(plate.glob("*.labels.tif"))) == 4
    panel.look()
    assert panel.found.value == "4 images."


def test_a_window_that_is_closed_ends_its_batch(
    qtbot: Any, open_widget: Open, plate: Path, tmp_path: Path
) -> None:
    viewer, widget = open_widget()
    panel = batch(widget)
    panel.images.value = str(plate)
    panel.output.value = str(tmp_path / "out")
    panel.run()
    stop = panel._stop
    viewer.close()
    qtbot.waitUntil(stop.asked.is_set, timeout=30_000)


def test_a_folder_that_is_gone_is_said_beside_run(
    open_widget: Open, plate: Path
) -> None:
    _, widget = open_widget(tifffile.imread(plate / "well0.tif"))
    panel = batch(widget)
    panel.images.value = str(plate)
    assert panel.run_button.enabled
    plate.rename(plate.with_name("elsewhere"))
    panel.images.value = f"{plate};"
    assert not panel.run_button.enabled
    assert f"'{plate}' is not there" in panel.status.value


def test_another_scene_of_each_file_is_chosen(
    qtbot: Any, open_widget: Open, tmp_path: Path
) -> None:
    pixels = gaussian_filter(
        (discs((64, 64), [(20, 20), (44, 44)], (9, 9)) > 0) * 0.96 + 0.02, 1
    ).astype(np.float32)
    with tifffile.TiffWriter(tmp_path / "dish.ome.tif", ome=True) as file:
        file.write(pixels * 0 + 0.01, metadata={"axes": "YX", "Name": "empty"})
        file.write(pixels, metadata={"axes": "YX", "Name": "full"})
    _, widget = open_widget(pixels)
    widget.mask_threshold.value = 0.3
    panel = batch(widget)
    panel.images.value = str(tmp_path / "dish.ome.tif")
    panel.scene.value = "full"
    panel.output.value = str(tmp_path / "out")
    panel.run_button.native.click()
    end(qtbot, panel)
    table = (tmp_path / "out" / "dish.ome.objects.csv").read_text(encoding="utf-8")
    assert table.count("\n") == 1 + 2


def test_images_with_a_warning_are_listed_at_the_end(
    qtbot: Any, open_widget: Open, plate: Path, tmp_path: Path
) -> None:
    known = {"domain": {"polarity": "bright on dark", "colours": "grey"}}
    first = tifffile.imread(plate / "well0.tif")
    _, widget = open_widget(first, config={"napari_imagec_ai": known})
    for name in ("well1.tif", "well2.tif", "broken.tif"):
        (plate / name).unlink()
    tifffile.imwrite(plate / "stained.tif", 1 - first)
    panel = batch(widget)
    panel.images.value = str(plate)
    panel.output.value = str(tmp_path / "panel")
    panel.run_button.native.click()
    end(qtbot, panel)
    assert "2 of 2 images done" in panel.status.value
    assert "1 with a warning: see below" in panel.status.value
    said = [panel.failures.item(i).text() for i in range(panel.failures.count())]
    assert all(sentence.startswith("stained.tif: ") for sentence in said)
    assert said


def test_what_is_not_there_is_not_counted(open_widget: Open, tmp_path: Path) -> None:
    _, widget = open_widget(np.zeros((32, 32), np.float32))
    panel = batch(widget)
    panel.images.value = str(tmp_path / "plaet")
    assert panel.found.value == "0 images; not there: plaet."
    (tmp_path / "empty").mkdir()
    panel.images.value = str(tmp_path / "empty")
    assert f"no images in '{tmp_path / 'empty'}'" in panel.status.value


def test_an_automatic_size_is_found_on_each_image(
    qtbot: Any, open_widget: Open, tmp_path: Path
) -> None:
    known = {"object_size": [10, 20, 40]}
    plate = tmp_path / "plate"
    plate.mkdir()
    for name, radius in {"small": 8, "large": 32}.items():
        pixels = discs((256, 256), [(64, 64), (64, 190), (190, 64)], (radius,) * 3) > 0
        soft = gaussian_filter(pixels * 0.96 + 0.02, 1).astype(np.float32)
        tifffile.imwrite(plate / f"{name}.tif", soft)
    first = tifffile.imread(plate / "small.tif")
    _, widget = open_widget(first, config={"napari_imagec_ai": known})
    widget.run()
    qtbot.waitUntil(lambda: not widget.running, timeout=30_000)
    found = widget.recipe()
    assert found.used.found == ("object_size",)
    panel = batch(widget)
    panel.images.value = str(plate)
    panel.output.value = str(tmp_path / "panel")
    panel.run_button.native.click()
    end(qtbot, panel)
    sizes = {
        name: Recipe.load(
            tmp_path / "panel" / f"{name}.recipe.yaml"
        ).predict.object_size
        for name in ("small", "large")
    }
    assert sizes["small"] == found.predict.object_size
    assert sizes["large"] != sizes["small"]
