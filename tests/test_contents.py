"""Done means whole: files are known by their content, and notes lose nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import tifffile
import zarr
from conftest import ROOT, onnx_network, torchscript_network

import napari_imagec_ai as ai
from napari_imagec_ai._napari import remembered
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.library import trust
from napari_imagec_ai.library.folders import install
from napari_imagec_ai.model import learned
from napari_imagec_ai.recipes.batch.run_batch import Batch, run_batch
from napari_imagec_ai.recipes.recipe import Recipe, describe_model
from napari_imagec_ai.system import contents, whole_files

MakeModel = Callable[..., Path]


def same_time(path: Path, content: bytes) -> None:
    """Other content of the same size and time."""
    about = path.stat()
    assert len(content) == about.st_size
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = contents.sha256(path)
    same_time(path, b"two")
    assert contents.sha256(path) != first
    folder = contents.sha256_of_all(tmp_path)
    path.rename(tmp_path / "b")
    assert contents.sha256_of_all(tmp_path) != folder


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_large_image_is_known_by_blocks_of_it(kind: str, tmp_path: Path) -> None:
    block, blocks, most = 1 << 20, 8, 4 << 20
    image = tmp_path / "image"
    parts = [image] if kind == "file" else [image / "a", image / "b"]
    parts[0].parent.mkdir(exist_ok=True)
    for part in parts:
        part.write_bytes(bytes(block * blocks // len(parts)))
    first = contents.sha256_of_samples(image, most)
    # Two blocks side by side: one of them is read, wherever they lie.
    for part in parts:
        for start in range(0, part.stat().st_size - block, block):
            before = part.read_bytes()
            end = start + 2 * block
            same_time(part, before[:start] + b"1" * 2 * block + before[end:])
            assert contents.sha256_of_samples(image, most) != first
            part.write_bytes(before)
    assert contents.sha256_of_samples(image, most) == first
    # What is small is read whole.
    whole = contents.sha256_of_samples(image, block * blocks)
    parts[-1].write_bytes(parts[-1].read_bytes()[:-1] + b"1")
    assert contents.sha256_of_samples(image, block * blocks) != whole


@pytest.fixture
def plate(tmp_path: Path) -> tuple[Batch, list[Path]]:
    pixels = np.asarray(sample_image().data)[:96, :96]
    images = [tmp_path / f"{number}.tif" for number in range(3)]
    for number, image in enumerate(images):
        tifffile.imwrite(image, np.roll(pixels, 20 * number, 0))
    recipe = Recipe(model=describe_model(ai.load_model(ROOT / "models/nuclei-unet")))
    return Batch(recipe, tmp_path / "out", ["csv"], summary=True), images


def results(batch: Batch) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in batch.folder.glob("[!.]*")}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-10]),
        lambda path: same_time(path, path.read_bytes()[::-1]),
        lambda path: path.unlink(),
    ],
    ids=["emptied", "cut", "of other bytes", "gone"],
)
def test_a_result_that_is_not_as_it_was_is_made_again(
    plate: tuple[Batch, list[Path]], damage: Callable[[Path], None]
) -> None:
    batch, images = plate
    list(run_batch(batch, images))
    before = results(batch)
    damage(batch.folder / "1.objects.csv")
    again = list(run_batch(batch, images))
    assert [o.image.stem for o in again if not o.before] == ["1"]
    assert results(batch) == before


def test_an_image_of_the_same_size_and_time_is_another(
    plate: tuple[Batch, list[Path]],
) -> None:
    batch, images = plate
    list(run_batch(batch, images))
    same_time(images[0], images[1].read_bytes())
    again = list(run_batch(batch, images))
    assert [o.image.stem for o in again if not o.before] == ["0"]
    found = results(batch)
    assert found["0.objects.csv"] == found["1.objects.csv"]


def test_a_zarr_image_of_the_same_size_and_time_is_another(
    plate: tuple[Batch, list[Path]],
) -> None:
    batch, images = plate
    image = images[0].with_suffix(".zarr")
    pixels = tifffile.imread(images[0])
    zarr.create_array(image, data=pixels, chunks=(48, 48), compressors=None)
    list(run_batch(batch, [image]))
    assert [o.before for o in run_batch(batch, [image])] == [True]
    chunks = [part for part in image.rglob("*") if part.is_file()]
    largest = max(chunks, key=lambda part: part.stat().st_size)
    same_time(largest, bytes(largest.stat().st_size))
    assert [o.before for o in run_batch(batch, [image])] == [False]


def zipped(path: Path, folder: Path, note: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("rdf.yaml", "weights.onnx"):
            archive.write(folder / name, name)
        archive.writestr("note.txt", note)
    return path


def test_another_package_of_the_same_size_and_time_is_not_the_first(
    tmp_path: Path, make_model: MakeModel
) -> None:
    folder = make_model(network=onnx_network)
    package = zipped(tmp_path / "model.zip", folder, "one")
    first = ai.load_model(package).folder
    other = zipped(tmp_path / "other.zip", folder, "two")
    same_time(package, other.read_bytes())
    assert (first / "note.txt").read_text() == "one"
    assert (ai.load_model(package).folder / "note.txt").read_text() == "two"


@pytest.mark.parametrize("damage", ["cut", "other", "gone", "more"])
def test_a_damaged_cache_is_rebuilt(
    tmp_path: Path, make_model: MakeModel, damage: str
) -> None:
    folder = make_model(network=onnx_network)
    package = zipped(tmp_path / "model.zip", folder, "one")
    weights = ai.load_model(package).folder / "weights.onnx"
    whole = weights.read_bytes()
    if damage == "cut":
        weights.write_bytes(whole[:-1])
    elif damage == "other":
        same_time(weights, whole[::-1])
    elif damage == "gone":
        weights.unlink()
    else:
        (weights.parent / "w.bin").write_bytes(b"planted")
    model = ai.load_model(package)
    assert (model.folder / "weights.onnx").read_bytes() == whole
    assert len(list(model.folder.iterdir())) == 3


def test_a_program_that_was_changed_is_asked_about_again(
    make_model: MakeModel,
) -> None:
    rdf = {"weights": {"torchscript": {"source": "w.pt"}}}
    model = ai.load_model(make_model(network=torchscript_network, **rdf))
    trust.remember(model)
    assert trust.question(model) is None
    path = model.folder / "w.pt"
    same_time(path, path.read_bytes()[::-1])
    assert trust.question_of_file("torchscript", path) is not None


WRITERS = """
import sys
from pathlib import Path
import platformdirs
platformdirs.user_data_dir = lambda *_: sys.argv[4]
import napari_imagec_ai as ai
from napari_imagec_ai.library import trust
from napari_imagec_ai._napari import remembered
from napari_imagec_ai.model import learned
model = ai.load_model(sys.argv[1])
for number in range(40):
    learned.keep(model, f"{sys.argv[2]} {number}", {"a": number})
    path = Path(sys.argv[3], f"{sys.argv[2]}-{number}.pt")
    path.write_text(path.name)
    trust.remember_file(path)
    remembered.keep(f"{sys.argv[2]} {number}", "a")
"""


def test_what_two_processes_remember_at_once_is_all_kept(
    tmp_path: Path, make_model: MakeModel
) -> None:
    folder = make_model(network=onnx_network)
    home = platformdirs.user_data_dir("napari-imagec-ai", False)
    command = [sys.executable, "-c", WRITERS, folder]
    running = [subprocess.Popen([*command, name, tmp_path, home]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    model = ai.load_model(folder)
    for name in ("a", "b"):
        for number in range(40):
            assert learned.recall(model, f"{name} {number}") == {"a": number}
            assert remembered.recall(f"{name} {number}") == "a"
            path = tmp_path / f"{name}-{number}.pt"
            assert trust.question_of_file("torchscript", path) is None


@pytest.mark.parametrize("kind", [".installing", ".unpacking", ".writing"])
def test_what_a_killed_process_left_is_taken_away_by_the_next(
    tmp_path: Path, make_model: MakeModel, kind: str
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    left = whole_files.begun(kind).replace(str(os.getpid()), str(gone.pid)) + "x"
    models = tmp_path / "models"
    cache = Path(platformdirs.user_cache_dir("napari-imagec-ai", False)) / "zips"
    for place in (models, cache, tmp_path / "out"):
        (place / left).mkdir(parents=True)
        (place / left / "weights.onnx").touch()
    package = zipped(tmp_path / "a.zip", make_model(network=onnx_network), "one")
    ai.load_model(package)
    install(package, models)
    whole_files.replace_text(tmp_path / "out" / "a.txt", "a")
    for place in (models, cache, tmp_path / "out"):
        assert [path.name for path in place.iterdir() if path.name == left] == []
