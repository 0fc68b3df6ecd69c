"""What is one through a stack has one number, in the table and in files."""

from __future__ import annotations

import csv
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from conftest import ROOT
from numpy.typing import NDArray

import napari_imagec_ai as ai
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.results.measure import measure
from napari_imagec_ai.results.objects import Objects

Labels = NDArray[np.int32]


def found_in(stack: Labels, axes: str = "TYX", **about: object) -> Objects:
    """Objects of label planes; equal numbers in two planes mean nothing."""
    planes, tables, labels = [], [], np.zeros(stack.shape, np.int32)
    first = 0
    for index in np.ndindex(stack.shape[:-2]):
        numbers = np.unique(stack[index])
        fresh = np.searchsorted(numbers[numbers > 0], stack[index]) + 1
        fresh = np.where(stack[index] > 0, fresh, 0).astype(np.int32)
        count = int(fresh.max(initial=0))
        tables.append(measure(fresh, count, {}))
        planes += [index] * count
        labels[index] = np.where(fresh > 0, fresh + first, 0)
        first += count
    columns = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
    boxes = [columns.pop(f"box_{axis}{end}") for end in "01" for axis in "yx"]
    space = sum(axis in "ZYX" for axis in axes)
    return Objects(
        frame=Frame(axes, stack.shape, (0.5,) * space, "micrometer", **about),  # type: ignore[arg-type]
        id=np.arange(1, first + 1, dtype=np.int32),
        class_id=np.zeros(first, np.int32),
        confidence=np.full(first, 0.9, np.float32),
        boxes=np.stack(boxes, axis=1).astype(np.float32),
        classes=("nucleus",),
        label_image=labels,
        features=columns,
        planes=np.array(planes, np.int32).reshape(first, -1),
    )


def discs(places: dict[int, tuple[float, float]], radius: float = 6) -> Labels:
    """One plane of discs, by number."""
    rows, columns = np.indices((60, 80))
    plane = np.zeros((60, 80), np.int32)
    for number, (y, x) in places.items():
        plane[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    return plane


def film(times: list[dict[int, tuple[float, float]]]) -> Labels:
    return np.stack([discs(places) for places in times])


def tracks_by_truth(objects: Objects, stack: Labels) -> dict[int, set[int]]:
    """Tracks of each true object."""
    seen: dict[int, set[int]] = {}
    labels = objects.as_labels()
    for identity, track in zip(objects.id, objects.features["track"], strict=True):
        (true,) = np.unique(stack[labels == identity])
        seen.setdefault(int(true), set()).add(int(track))
    return seen


@pytest.mark.parametrize(
    "how", [ai.Linking(), ai.Linking(max_distance=6)], ids=["overlap", "distance"]
)
def test_moving_objects_keep_their_numbers(how: ai.Linking) -> None:
    times = [{1: (15, 10 + 3 * t), 2: (40, 60 - 4 * t)} for t in range(6)]
    del times[3][2]  # missed once
    stack = film(times)
    followed = ai.link(found_in(stack), how)
    seen = tracks_by_truth(followed, stack)
    assert all(len(tracks) == 1 for tracks in seen.values())
    assert seen[1] != seen[2]
    strict = ai.link(found_in(stack), how.model_copy(update={"max_gap": 0}))
    assert len(tracks_by_truth(strict, stack)[2]) == 2


def test_what_divides_is_told() -> None:
    times = [{1: (30, 40)}, {1: (30, 40)}, {2: (30, 34), 3: (30, 47)}]
    stack = film([*times, {2: (29, 30), 3: (30, 51)}])
    followed = ai.link(found_in(stack), ai.Linking(divisions=True, min_overlap=0.2))
    assert followed.features["track"].tolist() == [1, 1, 2, 3, 2, 3]
    assert followed.features["parent_track"].tolist() == [0, 0, 1, 1, 1, 1]


def test_classes_and_other_axes_are_followed_each_for_itself() -> None:
    plane = discs({1: (20, 20)})
    stack = np.stack([np.stack([plane, plane]), np.stack([plane, plane])])
    objects = found_in(stack, "TZYX")
    times = ai.link(objects, ai.Linking())
    assert times.features["track"].tolist() == [1, 2, 1, 2]
    depth = ai.link(objects, ai.Linking(along="depth"))
    assert depth.features["track"].tolist() == [1, 1, 2, 2]


def test_planes_of_a_volume_become_volumes() -> None:
    rows, columns = np.indices((60, 80))
    ball = lambda z: (rows - 30) ** 2 + (columns - 30) ** 2 <= 100 - (z - 10) ** 2  # noqa: E731
    stack = np.stack([ball(z).astype(np.int32) for z in range(21)])
    stack[:, 50:55, 60:70] = 2
    image = found_in(stack, "ZYX")
    volumes = ai.link(image, ai.Linking(along="depth", volumes=True))
    assert len(volumes) == 2
    assert volumes.space == "ZYX"
    truth = [(stack == n).sum() for n in (1, 2)]
    assert sorted(volumes.features["area"]) == sorted(truth)
    assert sorted(volumes.features["area_micrometer3"]) == sorted(
        0.125 * np.array(truth)
    )
    assert np.array_equal(np.asarray(volumes.as_labels()) > 0, stack > 0)
    ball_row = int(np.argmax(volumes.features["area"]))
    assert volumes.features["centroid_z"][ball_row] == pytest.approx(10)
    assert volumes.features["planes_found"].tolist() == [21, 21]


def test_where_there_is_nothing_to_follow_along_it_is_said() -> None:
    objects = found_in(film([{1: (20, 20)}]))
    with pytest.raises(ai.DecodeError, match="Expected planes along Z"):
        ai.link(objects, ai.Linking(along="depth"))
    with pytest.raises(ai.DecodeError, match="follow them through depth"):
        ai.link(objects, ai.Linking(volumes=True))
    assert ai.link(objects).features["track"].tolist() == [1]
    assert len(ai.link(objects[:0])) == 0


def test_tracks_are_in_files(tmp_path: Path) -> None:
    stack = film([{1: (15, 10 + 3 * t), 2: (40, 60)} for t in range(4)])
    followed = ai.link(found_in(stack, interval=2.0))
    with ai.write(followed, tmp_path / "a.objects.csv").open() as file:
        assert {row["track"] for row in csv.DictReader(file)} == {"1", "2"}
    with ai.write(followed, tmp_path / "a.tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["objects"] for row in rows] == ["4", "4"]
    assert float(rows[0]["path_micrometer"]) == pytest.approx(4.5, abs=0.1)
    assert float(rows[0]["duration_second"]) == 6
    assert (rows[0]["first_t"], rows[0]["last_t"]) == ("0", "3")
    labels = tifffile.imread(ai.write(followed, tmp_path / "a.tracks.tif"))
    assert np.array_equal(labels, stack)
    with pytest.raises(ai.ImagecAIError, match="not followed"):
        ai.write(found_in(stack), tmp_path / "b.tracks.csv")


def test_a_recipe_and_flags_follow(tmp_path: Path, run_cli) -> None:  # type: ignore[no-untyped-def]
    image = iio.imread(ROOT / "src/napari_imagec_ai/data/nuclei.tif")[:128, :128]
    film = np.stack([np.roll(image, 2 * t, 1) for t in range(3)])
    tifffile.imwrite(tmp_path / "film.tif", film, imagej=True, metadata={"axes": "TYX"})
    words = ["predict", "nuclei-unet", tmp_path / "film.tif", "-o", tmp_path / "out"]
    code, _, err = run_cli(*words, "--follow", "time", "--export", "csv,tracks")
    assert code == 0, err
    with (tmp_path / "out/film.tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(row["objects"] == "3" for row in rows) > len(rows) / 2
    code, _, err = run_cli(*words, "--max-distance", "5")
    assert (code, "--follow time" in err) == (1, True)
    code, _, err = run_cli(*words, "--follow", "depth", "--overwrite")
    assert (code, "Expected planes along Z" in err) == (1, True)


def test_a_recipe_remembers(tmp_path: Path) -> None:
    chosen = ai.ClassMap(linking=ai.Linking(along="depth", max_gap=2))
    again = ai.ClassMap.model_validate_json(chosen.model_dump_json())
    assert again == chosen
    objects = found_in(film([{1: (20, 20)}] * 2))
    with pytest.raises(ai.DecodeError, match="along Z"):
        ai.classify(objects, chosen)
    through = ai.classify(objects, ai.ClassMap(linking=ai.Linking()))
    assert through.features["track"].tolist() == [1, 1]
