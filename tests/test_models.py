"""The models that come with the package keep what their folders promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, match_f1

import napari_imagec_ai as ai
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.model.weights import sha256

FOLDERS = sorted(path.parent for path in (ROOT / "models").glob("*/rdf.yaml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_it_reproduces_its_published_output_with_every_engine(folder: Path) -> None:
    results = ai.test_model(ai.load_model(folder))
    assert {result.engine for result in results} == {"onnx", "torchscript"}
    assert all(result.passed for result in results), results


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_its_description_is_valid_by_the_standard(folder: Path) -> None:
    # In a process of its own: the standard's library leaves files open, and the tests
    # here take that for an error.
    script = (
        "import sys; from bioimageio.spec import load_description\n"
        "read = load_description(sys.argv[1], perform_io_checks=True)\n"
        "print(read.validation_summary.status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder / "rdf.yaml")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split()[-1] in ("valid-format", "passed")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_its_files_are_those_described(folder: Path) -> None:
    model = ai.load_model(folder)
    files = [weights.file for weights in model.weights.values()]
    files += [spec.test_tensor for spec in (*model.inputs, *model.outputs)]
    for file in files:
        assert file is not None
        assert file.path is not None
        assert sha256(file.path) == file.sha256


def test_nuclei_of_scenes_that_it_never_saw_are_found() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from synthetic_nuclei import make_scene
    finally:
        sys.path.pop(0)
    model = ai.load_model(ROOT / "models" / "nuclei-unet")
    scores = []
    for seed in (901, 902, 903):
        image, truth = make_scene(
            np.random.default_rng(seed), (384, 384), diameter=32.0, coverage=0.5
        )
        objects = ai.decode(ai.predict(model, ai.ImageInput(image, "YX")))
        scores.append(match_f1(truth, objects.as_labels()))
    assert np.mean(scores) > 0.85, scores


def test_tiles_give_the_same_map_as_one_pass() -> None:
    model = ai.load_model(ROOT / "models" / "nuclei-unet")
    image = sample_image()
    whole = ai.predict(model, image, tile=512, object_size="as described")
    tiled = ai.predict(model, image, tile=256, object_size="as described")
    assert whole.network_calls == 1
    assert tiled.network_calls > 4
    assert np.abs(whole.maps["maps"] - tiled.maps["maps"]).max() < 1e-4


def test_a_stack_is_run_plane_by_plane() -> None:
    model = ai.load_model(ROOT / "models" / "nuclei-unet")
    image = sample_image("nuclei_stack")
    objects = ai.decode(ai.predict(model, image))
    labels = objects.as_labels()
    assert labels.shape == image.shape
    assert all((labels[z] > 0).any() for z in range(len(labels)))
    assert set(objects.planes[:, 0]) == set(range(len(labels)))
