"""Results that are no objects: images and scores, in Python and as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import description, torchscript_network

import napari_imagec_ai as ai
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.scores import Scores

Run = Callable[..., tuple[int, str, str]]
MakeModel = Callable[..., Path]
GREY = np.random.default_rng(2).random((48, 64)).astype(np.float32)
TORCH = {"torchscript": {"source": "weights.pt"}}


def made(make: MakeModel, kind: str, returns: str, **changes: Any) -> Path:
    config = {"napari_imagec_ai": {"kind": kind}}
    network = partial(torchscript_network, returns=returns)
    return make("it", network=network, weights=TORCH, config=config, **changes)


@pytest.fixture
def twice(make_model: MakeModel) -> Path:
    """Gives the image at twice the size, and its negative as it is."""
    rdf = description()
    fine, same = rdf["outputs"][0], description()["outputs"][0]
    fine |= {"id": "fine image"}
    for axis in fine["axes"][2:]:
        axis["scale"] = 0.5
    outputs = [fine, same | {"id": "negative"}]
    returns = "(torch.nn.functional.interpolate(x, scale_factor=2.0), -x)"
    return made(make_model, "image", returns, outputs=outputs)


def picture(folder: Path, data: Any = GREY, axes: str = "YX") -> Path:
    path = folder / "cells.tif"
    metadata = {"axes": axes, "unit": "um"}
    tifffile.imwrite(path, data, metadata=metadata, resolution=(2, 2), imagej=True)
    return path


def test_each_output_is_an_image_at_its_own_scale(twice: Path) -> None:
    image = ai.ImageInput(GREY, "YX", pixel_size=(0.5, 0.5), unit="micrometer")
    found = ai.decode(ai.predict(ai.load_model(twice), image))
    assert isinstance(found, Images)
    assert list(found.maps) == ["fine image", "negative"]
    np.testing.assert_array_equal(
        found.maps["fine image"][0], GREY.repeat(2, 0).repeat(2, 1)
    )
    assert found.frame_of("fine image").pixel_size == (0.25, 0.25)
    assert found.frame_of("fine image").shape == (96, 128)
    assert found.first_pixel("fine image") == (-0.25, -0.25)
    assert found.first_pixel("negative") == (0, 0)
    # what follows in the corridor takes it as it is
    assert ai.classify(found, class_threshold=0.9) is found


def test_images_are_written_for_fiji(twice: Path, tmp_path: Path, run_cli: Run) -> None:
    stack = np.stack([GREY, GREY * 2, GREY * 3])
    path = picture(tmp_path, stack, "ZYX")
    code, out, _ = run_cli("predict", twice, path, "-o", "out", "--json")
    assert code == 0
    report = json.loads(out)
    assert (report["decoder"], report["objects"], report["classes"]) == ("image", 0, {})
    names = [Path(file).name for file in report["files"]]
    assert names == [
        "cells.fine_image.tif",
        "cells.negative.tif",
        "cells.recipe.yaml",
    ]
    with tifffile.TiffFile(report["files"][0]) as file:
        assert file.is_imagej
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), stack.repeat(2, 1).repeat(2, 2))
    again = ai.open_image(report["files"][0])
    assert (again.pixel_size, again.unit) == ((1.0, 0.25, 0.25), "micrometer")
    again = ai.open_image(report["files"][1])
    assert again.pixel_size == (1.0, 0.5, 0.5)
    # The recipe makes the same files again.
    code, *_ = run_cli("run", report["files"][2], path, "-o", "again")
    assert code == 0
    assert Path("again/cells.negative.tif").is_file()


def test_one_output_can_be_asked_for(twice: Path, tmp_path: Path, run_cli: Run) -> None:
    path = picture(tmp_path)
    image = ai.ImageInput(GREY, "YX")
    found = ai.decode(ai.predict(ai.load_model(twice), image))
    assert isinstance(found, Images)
    with pytest.raises(ai.ImagecAIError, match=r"one image .* found fine image, neg"):
        ai.write(found, tmp_path / "it.tif")
    ai.write(found["negative"], tmp_path / "it.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "it.tif"), -GREY)
    with pytest.raises(ai.ImagecAIError, match=r"expected one of \.tif"):
        ai.write(found["negative"], tmp_path / "it.csv")
    code, _, err = run_cli("predict", twice, path, "-o", "out", "--decoder", "scores")
    assert code == 1
    assert "gives none" in err


@pytest.fixture
def judge(make_model: MakeModel) -> Path:
    """Gives how bright the image is, and how dark."""
    channel = {"type": "channel", "channel_names": ["bright", "dark"]}
    outputs = [
        {"id": "judgement", "axes": [{"type": "batch"}, channel]},
        {"id": "features", "axes": [{"type": "batch"}, {"type": "channel", "size": 3}]},
    ]
    returns = "(torch.stack([x.mean(), 1 - x.mean()])[None], torch.zeros([1, 3]))"
    return made(make_model, "scores", returns, outputs=outputs)


def test_scores_carry_the_names_of_classes(
    judge: Path, tmp_path: Path, run_cli: Run
) -> None:
    found = ai.decode(ai.predict(ai.load_model(judge), ai.ImageInput(GREY, "YX")))
    assert isinstance(found, Scores)
    assert found.classes == ("bright", "dark")
    mean = float(GREY.mean())
    np.testing.assert_allclose(found.values, [mean, 1 - mean], rtol=1e-5)
    code, out, _ = run_cli("predict", judge, picture(tmp_path), "-o", "out", "--json")
    report = json.loads(out)
    assert (code, report["decoder"]) == (0, "scores")
    with open(report["files"][0], newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert Path(report["files"][0]).name == "cells.scores.csv"
    assert [row["class"] for row in rows] == ["bright", "dark"]
    assert float(rows[0]["score"]) == pytest.approx(mean, rel=1e-5)


def test_each_plane_and_the_whole_of_a_large_image_is_scored(judge: Path) -> None:
    stack = np.stack([GREY, GREY / 2])
    model = ai.load_model(judge)
    found = ai.decode(ai.predict(model, ai.ImageInput(stack, "TYX"), tile=32))
    assert isinstance(found, Scores)
    assert (found.planes, found.values.shape) == ("T", (2, 2))
    np.testing.assert_allclose(found.values[:, 0], stack.mean((1, 2)), rtol=0.02)


def test_a_saved_prediction_keeps_its_scores(judge: Path, tmp_path: Path) -> None:
    raw = ai.predict(ai.load_model(judge), ai.ImageInput(GREY, "YX"))
    raw.save(tmp_path / "it.npz")
    again = ai.decode(ai.Prediction.load(tmp_path / "it.npz"))
    assert isinstance(again, Scores)
    np.testing.assert_array_equal(again.values, ai.decode(raw).values)


# -- grey values -----------------------------------------------------------------------


def raw_of(make: MakeModel, declared: Any = None) -> ai.Model:
    rdf = description()
    if declared:
        rdf["inputs"][0]["data"] = {"type": "float32", "range": declared}
    return ai.load_model(made(make, "image", "x", inputs=rdf["inputs"]))


WIDE = (GREY * 40_000 + 1000).astype(np.uint16)


@pytest.mark.parametrize(
    ("how", "declared", "low", "high"),
    [
        ("range", None, 0, 1),
        ("range", [-1, 1], -1, 1),
        ("type", None, WIDE.min() / 65535, WIDE.max() / 65535),
    ],
)
def test_grey_values_are_brought_to_scale_where_asked(
    how: Any, declared: Any, low: float, high: float, make_model: MakeModel
) -> None:
    image = ai.ImageInput(WIDE, "YX")
    found = ai.predict(raw_of(make_model, declared), image, normalize=how, tile=32)
    values = found.maps["probability"]
    np.testing.assert_allclose([values.min(), values.max()], [low, high], atol=1e-4)
    assert not any("normalize" in sentence for sentence in found.assumed)


@pytest.mark.parametrize(
    ("data", "declared", "told"),
    [
        (WIDE, None, "no normalization and the image has"),
        (WIDE, [0, 1], "made for grey values from 0 to 1"),
        (GREY, [0, 1], ""),
        (GREY, [0, 255], "made for grey values from 0 to 255"),
        ((GREY * 255).astype(np.uint8), None, ""),
    ],
)
def test_grey_values_of_another_world_are_noticed(
    data: np.ndarray, declared: Any, told: str, make_model: MakeModel
) -> None:
    found = ai.predict(raw_of(make_model, declared), ai.ImageInput(data, "YX"))
    said = [sentence for sentence in found.assumed if "normaliz" in sentence]
    assert len(said) == bool(told)
    assert told in "".join(said)
