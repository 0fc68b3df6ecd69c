"""Files that only the readers of napari's plugins open."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from npe2 import DynamicPlugin, PluginManager
from scenes import maps, pairs

import napari_imagec_ai as ai

Answer = Callable[[str], list[Any]]
STACK = np.arange(3 * 4 * 5 * 6, dtype=np.uint16).reshape(3, 4, 5, 6)
SCENE = maps(pairs(), "foreground")[0]


@pytest.fixture
def plugin() -> Iterator[Callable[[Answer], None]]:
    """A plugin whose reader gives layers for files that end in .scope."""
    made: list[DynamicPlugin] = []

    def install(answer: Answer, pattern: str = "*.scope") -> None:
        one = DynamicPlugin("scope-reader", plugin_manager=PluginManager.instance())
        one.register()
        made.append(one)

        @one.contribute.reader(filename_patterns=[pattern])
        def get_reader(path: str) -> Any:
            return lambda paths: answer(paths[0] if isinstance(paths, list) else paths)

    yield install
    for one in made:
        one.cleanup()


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    path = tmp_path / "Größe 1.scope"
    path.write_bytes(b"a format of its own")
    return path


SAID = "'Größe 1.scope' was opened by the reader of 'scope-reader'."


def test_axes_pixel_size_and_unit_are_taken_from_the_reader(
    plugin: Any, scope: Path
) -> None:
    meta = {
        "channel_axis": 1,
        "scale": (2.0, 0.5, 0.25),
        "units": ("um", "um", "um"),
        "axis_labels": ("z", "y", "x"),
        "name": ["a", "b", "c", "d"],
    }
    plugin(lambda _: [(STACK, meta, "image")])
    image = ai.open_image(scope)
    assert (image.axes, image.pixel_size) == ("ZCYX", (2.0, 0.5, 0.25))
    assert (image.unit, image.name) == ("micrometer", "Größe 1")
    assert image.assumed == (SAID,)
    np.testing.assert_array_equal(image.read("YX", {"Z": 2, "C": 1}), STACK[2, 1])


def test_images_of_one_size_become_channels(plugin: Any, scope: Path) -> None:
    meta = {"scale": (2, 0.5, 0.5), "units": "nm", "axis_labels": ("t", "y", "x")}
    plugin(
        lambda _: [
            (STACK[0], meta),
            (STACK[1].astype(float), meta, "image"),
            (np.zeros((2, 2)), {}, "points"),
        ]
    )
    image = ai.open_image(scope)
    assert (image.axes, image.shape) == ("CTYX", (2, 4, 5, 6))
    assert (image.pixel_size, image.unit) == ((0.5, 0.5), "nanometer")
    np.testing.assert_array_equal(image.read("YX", {"T": 3, "C": 1}), STACK[1, 3])


def test_of_images_of_other_sizes_the_first_is_taken_and_said(
    plugin: Any, scope: Path
) -> None:
    label = {"name": "overview"}
    plugin(lambda _: [(STACK[0, 0], label), (STACK[0, 0, :3], {})])
    image = ai.open_image(scope)
    assert (image.axes, image.shape) == ("YX", (5, 6))
    assert "2 images" in image.assumed[1]
    assert "'overview'" in image.assumed[1]


def test_levels_colours_and_axes_that_nobody_says(plugin: Any, scope: Path) -> None:
    colours = np.zeros((4, 5, 6, 3), np.uint8)
    plugin(lambda _: [([colours, colours[:, ::2, ::2]], {"multiscale": True})])
    image = ai.open_image(scope)
    assert (image.axes, image.shape, image.rgb) == ("ZYXC", (4, 5, 6, 3), True)
    assert "does not say what its axes are: ZYX was taken" in image.assumed[1]
    assert ai.open_image(scope, "TYXC").axes == "TYXC"
    with pytest.raises(ai.ImageError, match="has 4 dimensions"):
        ai.open_image(scope, "YX")


def test_an_axis_of_one_position_that_nobody_names_goes(
    plugin: Any, scope: Path
) -> None:
    plugin(lambda _: [(np.zeros((1, 5, 6, 3), np.uint8), {})])
    image = ai.open_image(scope)
    assert (image.axes, image.shape, image.assumed) == ("YXC", (5, 6, 3), (SAID,))


def test_five_dimensions_without_names_are_to_be_named(
    plugin: Any, scope: Path
) -> None:
    plugin(lambda _: [(STACK[None].repeat(2, 0), {})])
    with pytest.raises(ai.ImageError, match="name them, such as --axes TCZYX"):
        ai.open_image(scope)
    assert ai.open_image(scope, "TCZYX").axes == "TCZYX"


def test_a_reader_that_fails_is_named(plugin: Any, scope: Path) -> None:
    def broken(_: str) -> list[Any]:
        raise RuntimeError("no licence\nand more")

    plugin(broken)
    expected = r"the reader of 'scope-reader' failed \(no licence\); expected TIFF"
    with pytest.raises(ai.ImageError, match=expected):
        ai.open_image(scope)


def test_what_no_reader_opens_is_told_in_a_sentence(plugin: Any, scope: Path) -> None:
    plugin(lambda _: [(None,)])
    with pytest.raises(ai.ImageError, match="found no image in it"):
        ai.open_image(scope)
    with pytest.raises(ai.ImageError, match="or what an installed reader of napari"):
        ai.open_image(scope.rename(scope.with_suffix(".unheard")))


def test_a_tiff_of_another_kind_is_left_to_plugins(plugin: Any, tmp_path: Path) -> None:
    path = tmp_path / "odd.tif"
    path.write_bytes(b"II*\0nonsense")
    with pytest.raises(ai.ImageError, match="it may be damaged"):
        ai.open_image(path)
    plugin(lambda _: [(STACK[0, 0], {})], "*.tif")
    assert "was opened by the reader of" in ai.open_image(path).assumed[0]


def test_no_script_is_run(tmp_path: Path) -> None:
    script = tmp_path / "image.py"
    script.write_text("raise SystemExit('I was run')")
    with pytest.raises(ai.ImageError, match="has no known image format"):
        ai.open_image(script)


def test_a_batch_of_what_napari_opens(
    make_model: Any, tmp_path: Path, run_cli: Any
) -> None:
    grey = np.rint(SCENE * 255).astype(np.uint8)
    iio.imwrite(tmp_path / "scene.gif", grey)
    tifffile.imwrite(tmp_path / "same.tif", grey)
    folder = make_model()
    argv = ("predict", folder, tmp_path / "scene.gif", "-o", "out", "--json")
    code, out, err = run_cli(*argv, "--normalize", "range")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["objects"] == 6
    assert "'scene.gif' was opened by the reader of 'napari'." in report["assumed"]


def test_readers_are_found_without_napari(tmp_path: Path) -> None:
    script = (
        "import sys, napari_imagec_ai as ai\n"
        "try:\n    ai.open_image(sys.argv[1])\n"
        "except ai.ImageError:\n    pass\n"
        "assert 'npe2' in sys.modules\n"
        "assert not {'napari', 'qtpy'} & set(sys.modules)\n"
    )
    (tmp_path / "a.unheard").touch()
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.unheard")], check=True
    )
