"""Files of results: what other programs read in them, and that none is half written."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scenes import drawn, maps, prediction, scattered

import napari_imagec_ai as ai
from napari_imagec_ai import files
from napari_imagec_ai.objects import Objects

SIZES, UNIT = (0.5, 0.25), "micrometer"


@pytest.fixture(scope="module")
def four() -> Objects:
    truth = scattered(5, (90, 110), 4)
    image = ai.ImageInput(truth.astype(np.float32), "YX")
    return ai.decode(
        prediction(maps(truth, "foreground"), pixel_size=SIZES, unit=UNIT, image=image)
    )


@pytest.fixture(scope="module")
def stack() -> Objects:
    planes = [scattered(i, (64, 72), 2) for i in range(3)]
    values = np.stack([maps(plane, "foreground") for plane in planes])
    return ai.decode(
        prediction(values, axes="ZYX", pixel_size=(0.5, 0.5, 0.5), unit=UNIT)
    )


# -- the table -------------------------------------------------------------------------


def test_the_table_begins_with_the_columns_that_were_promised(
    tmp_path: Path, four: Objects
) -> None:
    path = ai.write(four, tmp_path / "a.csv")
    header = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert header[:10] == [
        "id",
        "class",
        "confidence",
        "area",
        "centroid_y",
        "centroid_x",
        "box_y0",
        "box_x0",
        "box_y1",
        "box_x1",
    ]
    assert set(header[10:]) == set(four.features) - {*header[:10]}


def test_volumes_have_three_centroids_and_six_sides(tmp_path: Path) -> None:
    volume = discs((8, 32, 32), [(4, 16, 16)], [8], spacing=(2, 1, 1))
    found = ai.decode(prediction(maps(volume, "foreground"), axes="ZYX", space="ZYX"))
    columns = pd.read_csv(ai.write(found, tmp_path / "a.csv"))
    assert list(columns)[4:13] == [
        *("centroid_z", "centroid_y", "centroid_x"),
        *("box_z0", "box_y0", "box_x0", "box_z1", "box_y1", "box_x1"),
    ]


def test_pandas_reads_the_values_back(tmp_path: Path, four: Objects) -> None:
    columns = pd.read_csv(ai.write(four, tmp_path / "a.csv"))
    assert columns["id"].tolist() == four.id.tolist()
    assert columns["class"].tolist() == ["thing"] * 4
    np.testing.assert_array_equal(columns.filter(like="box_"), four.boxes)
    for name, values in {"confidence": four.confidence, **four.features}.items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-6)


def test_planes_have_a_column(tmp_path: Path, stack: Objects) -> None:
    columns = pd.read_csv(ai.write(stack, tmp_path / "a.csv"))
    assert columns["z"].tolist() == [0, 0, 1, 1, 2, 2]


def test_large_areas_are_written_to_the_pixel(tmp_path: Path, four: Objects) -> None:
    large = Objects(
        **{f: getattr(four, f) for f in ("frame", "id", "class_id", "confidence")},
        boxes=four.boxes,
        classes=four.classes,
        features={"area": np.array([123456789.0, 1, 2, 3])},
    )
    columns = pd.read_csv(ai.write(large, tmp_path / "a.csv"))
    assert columns["area"][0] == 123456789


def test_names_with_commas_and_umlauts_survive(tmp_path: Path, four: Objects) -> None:
    name = 'Kerne, "groß"'
    chosen = ai.ClassMap(rules=(ai.ClassRule(source="thing", becomes=name),))
    path = ai.write(ai.classify(four, chosen), tmp_path / "a.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        assert {row["class"] for row in csv.DictReader(stream)} == {name}


# -- labels ----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["four", "stack"])
def test_labels_keep_axes_type_and_values(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    objects = request.getfixturevalue(which)
    with tifffile.TiffFile(ai.write(objects, tmp_path / "a.labels.tif")) as file:
        series = file.series[0]
        assert (series.axes, series.dtype) == (objects.frame.axes, np.int32)
        np.testing.assert_array_equal(series.asarray(), objects.as_labels())


@pytest.mark.parametrize("which", ["four", "stack"])
def test_labels_open_as_an_image_with_the_pixel_size_of_the_source(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    objects = request.getfixturevalue(which)
    image = ai.open_image(ai.write(objects, tmp_path / "a.labels.tif"))
    assert (image.axes, image.unit) == (objects.frame.axes, UNIT)
    assert image.pixel_size == pytest.approx(objects.frame.pixel_size)
    np.testing.assert_array_equal(image.data, objects.as_labels())


def test_the_resolution_tags_tell_the_pixel_size(tmp_path: Path, four: Objects) -> None:
    with tifffile.TiffFile(ai.write(four, tmp_path / "a.tif")) as file:
        tags = file.pages[0].tags
        found = [np.divide(*tags[f"{a}Resolution"].value[::-1]) for a in "YX"]
    assert found == pytest.approx(SIZES)


@settings(deadline=None, max_examples=25)
@given(
    labels=hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.sampled_from([0, 1, 2, 70_000, 2_000_000]),
    )
)
def test_any_labels_come_back(
    labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = ai.write(drawn(labels), tmp_path_factory.mktemp("any") / "a.tif")
    np.testing.assert_array_equal(tifffile.imread(path).reshape(labels.shape), labels)


# -- whole or not at all ---------------------------------------------------------------

NAMES = pytest.mark.parametrize("name", ["a.tif", "a.csv", "a.geojson"])


@NAMES
def test_no_objects_make_a_file_too(name: str, tmp_path: Path, four: Objects) -> None:
    path = ai.write(four[np.zeros(4, bool)], tmp_path / name)
    if name == "a.tif":
        assert not tifffile.imread(path).any()
    elif name == "a.csv":
        assert list(pd.read_csv(path)) == list(pd.read_csv(ai.write(four, path)))
    else:
        assert json.loads(path.read_text())["features"] == []


@NAMES
def test_an_existing_file_is_replaced(name: str, tmp_path: Path, four: Objects) -> None:
    path = tmp_path / name
    ai.write(four[:1], path)
    before = path.read_bytes()
    ai.write(four, path)
    assert path.read_bytes() != before
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("a bug")])
def test_a_writer_that_fails_midway_leaves_the_old_file(
    error: Exception, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail(place: Path) -> None:
        place.write_text("ne")
        raise error

    with pytest.raises((ai.ImagecAIError, RuntimeError)):
        files.replace_whole(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_new_file_has_the_rights_of_any_new_file(
    tmp_path: Path, four: Objects
) -> None:
    (tmp_path / "plain").touch()
    path = ai.write(four, tmp_path / "a.csv")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_missing_folders_are_made(tmp_path: Path, four: Objects) -> None:
    assert ai.write(four, tmp_path / "new" / "one" / "a.csv").is_file()


def test_a_folder_that_cannot_be_is_told_in_words(
    tmp_path: Path, four: Objects
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ai.ImagecAIError, match=r"Could not write .*a\.csv"):
        ai.write(four, tmp_path / "file" / "a.csv")


def test_a_folder_of_that_name_is_told_in_words(tmp_path: Path, four: Objects) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ai.ImagecAIError, match=r"Could not write"):
        ai.write(four, tmp_path / "a.csv")
    assert os.listdir(tmp_path) == ["a.csv"]


def test_an_unknown_format_is_refused_with_the_known_ones(
    tmp_path: Path, four: Objects
) -> None:
    with pytest.raises(ai.ImagecAIError, match=r"a\.docx.*\.tif.*\.csv"):
        ai.write(four, tmp_path / "a.docx")
