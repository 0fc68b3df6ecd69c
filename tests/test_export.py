"""Files of results: what other programs read in them, and that none is half written."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import ROOT, discs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scenes import drawn, maps, prediction, scattered

import napari_imagec_ai as ai
from napari_imagec_ai.export import writing
from napari_imagec_ai.export.writing import EXPORTS
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system import whole_files

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
    in_units = {"centroid_y_micrometer", "centroid_x_micrometer"}
    assert set(header[10:]) == set(four.features) - {*header[:10]} | in_units


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
        assert tags["ResolutionUnit"].value == 1  # none: not inches
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


@pytest.fixture
def tracked(four: Objects) -> Objects:
    """Objects that every format takes."""
    return replace(four, features={**four.features, "track": four.id})


NAMES = pytest.mark.parametrize("name", ["a.tif", "a.csv", "a.geojson"])
SUFFIXES = pytest.mark.parametrize("suffix", EXPORTS.values(), ids=EXPORTS)


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


@SUFFIXES
def test_every_format_is_replaced_whole(
    suffix: str, tmp_path: Path, tracked: Objects
) -> None:
    path = tmp_path / "Größe 1" / f"a b{suffix}"
    ai.write(tracked[:1], path)
    before = _bytes(path)
    ai.write(tracked, path)
    assert _bytes(path) != before
    ai.write(tracked[:0], path)
    assert set(os.listdir(path.parent)) <= {path.name, "data.yaml"}


def _bytes(path: Path) -> bytes:
    """What is in a file, or in all files of a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return b"".join(file.read_bytes() for file in files if file.is_file())


KILLED = """
import os, sys
from pathlib import Path
from napari_imagec_ai import export
from napari_imagec_ai.system import whole_files
sys.path.insert(0, {tests!r})
from scenes import drawn
objects = drawn([[1, 1, 0], [0, 2, 2]])
path = Path({path!r})
if {before}:
    export.write(objects[:1], path)
{last_step} = lambda *_: os._exit(9)
export.write(objects, path)
"""


@pytest.mark.parametrize(
    ("name", "last_step"),
    [("a.objects.csv", "Path.replace"), ("a.ome.zarr", "whole_files._exchanged")],
)
@pytest.mark.parametrize("before", [False, True])
def test_a_run_that_is_killed_leaves_no_half_of_a_file(
    name: str, last_step: str, before: bool, tmp_path: Path
) -> None:
    path = tmp_path / name
    tests = str(Path(__file__).parent)
    script = KILLED.format(
        tests=tests, path=str(path), before=before, last_step=last_step
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert path.exists() is before
    if before:
        whole = ai.write(drawn([[1, 1, 0], [0, 2, 2]])[:1], tmp_path / "x" / name)
        assert _bytes(path) == _bytes(whole)


@SUFFIXES
def test_a_full_disk_is_told_and_leaves_nothing(
    suffix: str, tmp_path: Path, tracked: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ai.ImagecAIError, match=r"No space left.*or make room"):
        ai.write(tracked, tmp_path / f"a{suffix}")
    assert os.listdir(tmp_path) == []


@SUFFIXES
def test_a_folder_without_permission_is_told(
    suffix: str, tmp_path: Path, tracked: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", forbidden)
    monkeypatch.setattr("tempfile.mkdtemp", forbidden)
    with pytest.raises(ai.ImagecAIError, match=r"Could not write .*Permission denied"):
        ai.write(tracked, tmp_path / f"a{suffix}")


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
        whole_files.replace_whole(path, fail)
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
    with pytest.raises(ai.ImagecAIError, match=r"a\.docx.*\.tif.*\.csv") as caught:
        ai.write(four, tmp_path / "a.docx")
    for known in (".ome.tif", ".zarr", ".parquet", ".coco.json", ".zip", ".png"):
        assert known in str(caught.value)
    assert os.listdir(tmp_path) == []


# -- which formats fit -----------------------------------------------------------------


def test_the_longest_suffix_picks_the_format() -> None:
    words = {
        name: writing.format_of(Path(name)).word
        for name in (
            "a.TIF",
            "a.ome.tif",
            "a.b.imagej.tif",
            "a.labels.tif",
            "RoiSet.zip",
        )
    }
    assert list(words.values()) == ["labels", "ometiff", "imagej", "labels", "rois"]


def test_a_run_writes_the_usual_files_and_others_when_asked(
    tmp_path: Path, four: Objects
) -> None:
    usual = writing.write_all(four, tmp_path, "a")
    assert [p.name for p in usual] == ["a.labels.tif", "a.objects.csv", "a.geojson"]
    asked = writing.write_all(four, tmp_path, "a", ["rois", "rois", "coco"])
    assert [path.name for path in asked] == ["a.rois.zip", "a.coco.json"]


def test_what_fits_depends_on_the_objects(four: Objects, stack: Objects) -> None:
    every = set(EXPORTS) - {"tracks", "tracklabels"}
    assert set(writing.fitting(four)) == every
    followed = ai.link(stack, ai.Linking(along="depth"))
    assert set(writing.fitting(followed)) == set(EXPORTS) - {"yolo"}
    assert set(writing.fitting(stack)) == every - {"yolo"}
    boxes = replace(four, label_image=None)
    pixels = {"labels", "ometiff", "imagej", "omezarr"}
    assert set(writing.fitting(boxes)) == every - pixels
    volume = discs((8, 32, 32), [(4, 16, 16)], [8], spacing=(2, 1, 1))
    found = ai.decode(prediction(maps(volume, "foreground"), axes="ZYX", space="ZYX"))
    assert set(writing.fitting(found)) == every - {"geojson", "coco", "yolo"}


def test_nothing_is_written_if_one_word_does_not_fit(
    tmp_path: Path, stack: Objects
) -> None:
    with pytest.raises(
        ai.ImagecAIError, match=r"YOLO labels.*one plane.*along Z.*fits is labels, csv"
    ):
        writing.write_all(stack, tmp_path, "a", ["labels", "yolo"])
    with pytest.raises(ai.ImagecAIError, match=r"no export 'docx'.*labels.*report"):
        writing.write_all(stack, tmp_path, "a", ["labels", "docx"])
    assert os.listdir(tmp_path) == []


def test_the_description_of_the_formats_names_all_of_them() -> None:
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    for word, suffix in EXPORTS.items():
        assert f"| `{word}` | `STEM{suffix}` |" in text
