"""Files that hold several images: which one is taken is said, and can be chosen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

import napari_imagec_ai as ai
from napari_imagec_ai.image import opening_files
from napari_imagec_ai.recipes.batch.run_batch import expand

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["small", "large"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Files are read at once, or where they are needed."""
    if request.param == "large":
        monkeypatch.setattr(opening_files, "_LARGE", 0)
    return str(request.param)


def plane(value: int) -> np.ndarray:
    return np.full((5, 6), value, np.uint8)


@pytest.fixture
def positions(tmp_path: Path) -> Path:
    """Three positions; only the second has a pixel size."""
    path = tmp_path / "dish.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for number, name in enumerate(("left", "middle", "right")):
            told: dict[str, Any] = {"axes": "YX", "Name": name}
            if number == 1:
                told |= {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
                told |= {"PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
            file.write(plane(number + 1), metadata=told)
    return path


def value(image: ai.ImageInput) -> int:
    return int(image.read("YX", {}).max())


@pytest.mark.usefixtures("limit")
def test_the_image_that_was_taken_is_said(positions: Path) -> None:
    image = ai.open_image(positions)
    assert value(image) == 1
    assert "holds 3 images (0 'left', 1 'middle', 2 'right')" in image.assumed[0]
    assert "--scene" in image.assumed[0]
    assert (image.pixel_size, image.unit) == ((1.0, 1.0), None)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("scene", [1, "1", "middle"])
def test_another_scene_has_its_own_pixels_and_size(
    scene: int | str, positions: Path
) -> None:
    image = ai.open_image(positions, scene=scene)
    assert value(image) == 2
    assert (image.pixel_size, image.unit) == ((0.5, 0.5), "micrometer")
    assert not image.assumed


@pytest.mark.parametrize("scene", [3, "top", "-1"])
def test_a_scene_that_is_not_there_is_answered_with_those_that_are(
    scene: int | str, positions: Path
) -> None:
    with pytest.raises(ai.ImageError, match="1 'middle', 2 'right'; choose one"):
        ai.open_image(positions, scene=scene)


def test_a_file_of_one_image_has_no_other_scene(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", plane(1))
    np.save(tmp_path / "a.npy", plane(1))
    for name in ("a.tif", "a.npy"):
        assert value(ai.open_image(tmp_path / name, scene=0)) == 1
        with pytest.raises(ai.ImageError, match="one image; leave out --scene"):
            ai.open_image(tmp_path / name, scene=1)


@pytest.mark.usefixtures("limit")
def test_pages_of_several_sizes_are_several_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, plane(1), metadata=None)
    tifffile.imwrite(path, np.full((9, 7), 2, np.uint8), append=True, metadata=None)
    assert "holds 2 images (0, 1)" in ai.open_image(path).assumed[0]
    assert ai.open_image(path, scene=1).shape == (9, 7)


# -- zarr ------------------------------------------------------------------------------


def _image(group: Any, number: int) -> None:
    group.create_array("0", data=plane(number))
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    step = {"type": "scale", "scale": [0.5, 0.25]}
    level = {"path": "0", "coordinateTransformations": [step]}
    told = [{"axes": axes, "datasets": [level], "version": "0.4"}]
    if group.metadata.zarr_format == 3:
        group.attrs["ome"] = {"multiscales": told, "version": "0.5"}
    else:
        group.attrs["multiscales"] = told


def _told(group: Any, **attributes: Any) -> None:
    if group.metadata.zarr_format == 3:
        group.attrs["ome"] = attributes
    else:
        group.attrs.update(attributes)


@pytest.fixture(params=[2, 3])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """As bioformats2raw writes it: an image below each number."""
    path = tmp_path / "slide.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=request.param)
    _told(root, **{"bioformats2raw.layout": 3})
    for number in (0, 1):
        _image(root.create_group(str(number)), number + 1)
    return path


@pytest.fixture(params=[2, 3])
def plate(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "plate.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=request.param)
    wells = [{"path": "A/1"}, {"path": "B/2"}]
    _told(root, plate={"wells": wells, "version": "0.4"})
    for number, well in enumerate(wells):
        group = root.require_group(well["path"])
        _told(group, well={"images": [{"path": "0"}, {"path": "1"}]})
        for field in (0, 1):
            _image(group.create_group(str(field)), 10 * number + field + 1)
    return path


def test_a_container_says_what_it_holds_and_gives_it_by_path(container: Path) -> None:
    image = ai.open_image(container)
    assert value(image) == 1
    assert "holds 2 images (0, 1): the first was taken" in image.assumed[0]
    for found in (
        ai.open_image(container / "1"),
        ai.open_image(container, scene="1"),
    ):
        assert (value(found), found.pixel_size) == (2, (0.5, 0.25))
        assert found.unit == "micrometer"
    assert ai.open_image(container / "1").name == "slide_1"


def test_a_plate_names_its_fields_and_gives_them_by_path(plate: Path) -> None:
    with pytest.raises(ai.ImageError, match=r"4 fields.*'A/1/0'.*'B/2/1'"):
        ai.open_image(plate)
    assert value(ai.open_image(plate / "B" / "2" / "1")) == 12
    assert value(ai.open_image(plate, scene="A/1/1")) == 2
    assert value(ai.open_image(plate, scene=2)) == 11
    well = ai.open_image(plate / "B" / "2")
    assert value(well) == 11
    assert "holds 2 images" in well.assumed[0]


def test_a_plate_is_a_batch_of_its_fields(plate: Path) -> None:
    fields = [plate / well / field for well in ("A/1", "B/2") for field in "01"]
    assert expand([str(plate)]) == fields
    assert expand([str(plate / "B/2")]) == fields[2:]
    assert expand([str(plate)], scene="A/1/0") == [plate]


def test_results_of_fields_have_names_of_their_own(
    plate: Path, tmp_path: Path, run_cli: Run, make_model: Callable[..., Path]
) -> None:
    code, out, _ = run_cli(
        "predict", make_model(), plate, "-o", tmp_path / "o", "--json"
    )
    assert code == 0
    assert len(out.splitlines()) == 4
    written = {path.name for path in (tmp_path / "o").glob("*.labels.tif")}
    assert "plate_B_2_1.labels.tif" in written
    assert len(written) == 4


def test_arrays_of_zarr_3_name_their_axes(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(
        str(path), data=np.zeros((2, 5, 6), np.uint8), dimension_names=["c", "y", "x"]
    )
    assert ai.open_image(path).axes == "CYX"


def test_the_oldest_images_have_five_axes_and_names_of_channels(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=np.zeros((1, 2, 3, 5, 6), np.uint8))
    group.attrs["multiscales"] = [{"datasets": [{"path": "0"}], "version": "0.1"}]
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    image = ai.open_image(tmp_path / "a.zarr")
    assert (image.axes, image.channel_names) == ("TCZYX", ("DAPI", "GFP"))
    assert (image.unit, image.unsized) == (None, "")


# -- the command line ------------------------------------------------------------------


def test_the_scene_of_a_command_is_in_its_recipe(
    positions: Path, tmp_path: Path, run_cli: Run, make_model: Callable[..., Path]
) -> None:
    folder = tmp_path / "o"
    first = ("predict", make_model(), positions, "--json", "-o", folder)
    told = json.loads(run_cli(*first)[1])["assumed"]
    assert any("holds 3 images" in sentence for sentence in told)
    told = json.loads(run_cli(*first, "--scene", "middle")[1])["assumed"]
    assert not any("holds 3 images" in sentence for sentence in told)
    recipe = folder / "dish.ome.recipe.yaml"
    assert ai.Recipe.load(recipe).predict.scene == "middle"
    run = ("run", recipe, positions, "--json", "-o", tmp_path / "again")
    assert run_cli(*run)[0] == 0
    size = ai.open_image(tmp_path / "again" / "dish.ome.labels.tif").pixel_size
    assert size == (0.5, 0.5)
    assert run_cli(*run, "--scene", "2")[0] == 0
    code, _, err = run_cli(*run, "--scene", "nowhere")
    assert code == 1
    assert "There is no scene 'nowhere'" in err
