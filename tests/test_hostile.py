"""Hostile input: each class of failure that trying faults has found, kept small."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pytest
import yaml
from conftest import ROOT, description, torchscript_network
from faults import mutants
from faults.promises import PROMISES

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.registry import guess_decoder
from napari_imagec_ai.errors import DecodeError, EngineError, ImageError, ModelError
from napari_imagec_ai.image.image_input import Frame
from napari_imagec_ai.library.folders import install, load_model
from napari_imagec_ai.model.description import Step
from napari_imagec_ai.model.steps.steps import make_transform
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.results.correction.read_back import read_labels, read_outlines
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.system.safe_yaml import read_yaml

FRAME = Frame("YX", (20, 24), (0.5, 0.5), "micrometer", "cells")
SQUARE = np.array([[2.0, 2.0], [2.0, 9.0], [9.0, 9.0], [9.0, 2.0]])


def test_a_hurried_run_of_all_faults_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "faults", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"NAPARI_CONFIG": str(tmp_path / "settings.yaml")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 0 |" in done.stdout


def test_every_class_of_faults_has_a_guard_that_is_missed() -> None:
    words = {mutant.word for mutant in mutants.ALL.values()}
    # A batch that is killed is tried at each of its moments by power cuts.
    assert words == set(faults.ALL) - {"batches"}
    promises = {mutant.promise for mutant in mutants.ALL.values()} - {""}
    assert promises == {promise.__name__ for promise in PROMISES}


@pytest.mark.parametrize("name", ["in place", "sync", "external data"])
def test_a_guard_that_is_taken_away_is_missed(name: str) -> None:
    command = [sys.executable, "-m", "faults", "--mutants", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| none |" not in done.stdout


# -- descriptions ----------------------------------------------------------------------


def _bomb(form: str) -> str:
    lines = ["l0: &l0 {a: 1}"]
    for n in range(1, 12):
        lines.append(f"l{n}: &l{n} " + form.format(", ".join([f"*l{n - 1}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_bomb("[{}]"), "counting aliases"),
        (_bomb("{{<<: [{}]}}"), "counting aliases"),
        ("a: &a [*a]", "refers to itself"),
        ("a: &a {<<: *a}", "refers to itself"),
        ("a: " + "[" * 5000, "nested deeper|line 1 is no YAML"),
        ("a: " + "1:" * 5000 + "1", "a number of"),
        ("a: 0x" + "f" * 5000, "a number of"),
        ("a: !!int nine", "not what its tag says"),
        ("a: !!timestamp soon", "not what its tag says"),
        (
            "a: !!python/object/apply:os.system [id]",
            "line 1 has a tag that is not read",
        ),
        ("# " + "x" * (1 << 20), "at most"),
    ],
    ids=lambda value: value[:24],
)
def test_yaml_that_would_fill_the_memory_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_yaml(text.encode())


def test_aliases_that_people_use_are_followed() -> None:
    text = b"a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]\n"
    assert read_yaml(text) == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": [{"x": 1}, {"x": 1}],
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": ["x"] * 999}, "describes a"),
        ({"inputs": [{"axes": "y" * 999}]}, "999 axes"),
        ({"inputs": [{"axes": "yx", "shape": [1 << 39, 8]}]}, "from 0 to 65536"),
    ],
    ids=["type", "axes", "size"],
)
def test_an_absurd_description_is_refused_in_a_short_sentence(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "rdf.yaml").write_text(yaml.safe_dump(description(**change)))
    with pytest.raises(ModelError, match=words) as caught:
        load_model(tmp_path)
    assert len(str(caught.value)) < 300


def test_a_range_of_endless_numbers_is_no_range(
    make_model: Callable[..., Path],
) -> None:
    inputs = description()["inputs"]
    inputs[0]["data"] = {"type": "float32", "range": [0, 10**400]}
    model = load_model(make_model(inputs=inputs))
    assert model.inputs[0].data_range == (0.0, None)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"min_percentile": -1}, "from 0 to 100 for 'min_percentile', found -1"),
        ({"max_percentile": 130}, "from 0 to 100 for 'max_percentile', found 130"),
        ({"min_percentile": 99, "max_percentile": 1}, "found 99 and 1"),
        ({"axes": ["channel", "z", "y"]}, "works along 'z'"),
    ],
)
def test_steps_that_cannot_be_meant_are_a_problem_of_the_model(
    kwargs: dict[str, Any], words: str, make_model: Callable[..., Path]
) -> None:
    inputs = description()["inputs"]
    inputs[0]["preprocessing"] = [{"id": "scale_range", "kwargs": kwargs}]
    model = load_model(make_model(inputs=inputs))
    assert not model.usable
    assert words in str(model.problem)


def test_percentiles_that_cannot_be_are_refused_when_they_are_fitted() -> None:
    pixels = np.zeros((1, 4, 4), np.float32)
    with pytest.raises(ModelError, match="from 0 to 100"):
        make_transform([Step("scale_range", {"max_percentile": 101})], pixels, "cyx")
    with pytest.raises(ModelError, match="lowest value below the highest"):
        make_transform([Step("clip", {"min": 2, "max": 1})], pixels, "cyx")


def test_a_bomb_in_a_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(_bomb("{{<<: [{}]}}"))
    with pytest.raises(ai.ImagecAIError, match="not a recipe"):
        Recipe.load(tmp_path / "recipe.yaml")


# -- weights ---------------------------------------------------------------------------


def _torch_model(make_model: Callable[..., Path], expression: str) -> Any:
    return load_model(
        make_model(
            network=lambda path: torchscript_network(path, f"x -> {expression}"),
            weights={"torchscript": {"source": "weights.pt"}},
        )
    )


@pytest.mark.parametrize(
    "expression",
    ["x.to_sparse()", "torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)"],
    ids=["sparse", "quantized"],
)
def test_tensors_that_are_no_arrays_are_told(
    expression: str, make_model: Callable[..., Path]
) -> None:
    model = _torch_model(make_model, expression)
    image = ai.ImageInput(np.ones((32, 32), np.float32), "YX")
    with pytest.raises(EngineError, match="no plain array of numbers"):
        ai.predict(model, image)


def test_a_window_beyond_the_memory_is_told(make_model: Callable[..., Path]) -> None:
    inputs = description()["inputs"]
    for axis in inputs[0]["axes"][2:]:
        axis["size"] = {"min": 1 << 16, "step": 1 << 16}
    inputs[0]["axes"][1]["channel_names"] = [str(n) for n in range(1000)]
    model = load_model(make_model(inputs=inputs))
    image = ai.ImageInput(np.ones((1000, 8, 8), np.float32), "CYX")
    with pytest.raises(ai.ImagecAIError, match="memory"):
        ai.predict(model, image)


# -- images ----------------------------------------------------------------------------


def test_rows_of_several_lengths_are_no_image() -> None:
    with pytest.raises(ImageError, match="rows of one length"):
        ai.ImageInput([[1, 2], [3]], "YX")


def test_pixels_that_turn_out_to_be_damaged_are_told(tmp_path: Path) -> None:
    import zarr

    place = tmp_path / "a.zarr"
    zarr.create_array(place, data=np.ones((20, 20), np.uint8), chunks=(10, 10))
    (place / "c" / "1" / "1").write_bytes(b"no chunk")
    image = ai.open_image(place)
    with pytest.raises(ImageError, match="may be damaged"):
        image.read("YX", {})


# -- packages and stored predictions ---------------------------------------------------


def _package(path: Path, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("rdf.yaml", yaml.safe_dump(description()) * 9)
    return path.read_bytes()


def test_names_in_a_zip_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    data = bytearray(_package(path))
    at = data.index(b"PK\1\2")
    data[at + 9] |= 8  # says UTF-8
    data[at + 46] = 0xFF
    path.write_bytes(data)
    with pytest.raises(ModelError, match="cannot be unpacked"):
        install(path, tmp_path / "models")


def test_a_damaged_lzma_zip_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    data = bytearray(_package(path, zipfile.ZIP_LZMA))
    data[60:120] = b"\xff" * 60
    path.write_bytes(data)
    with pytest.raises(ModelError, match="cannot be unpacked"):
        install(path, tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


@pytest.fixture
def stored(make_model: Callable[..., Path], tmp_path: Path) -> Path:
    """A prediction of a map in a file."""
    image = ai.ImageInput(np.ones((32, 32), np.float32), "YX")
    ai.predict(load_model(make_model()), image).save(tmp_path / "a.npz")
    return tmp_path / "a.npz"


def _changed(
    path: Path, change: Callable[[dict[str, Any]], None], **arrays: Any
) -> None:
    with np.load(path) as file:
        content = dict(file)
    meta = json.loads(content["meta"].tobytes())
    change(meta)
    content["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(path, **{**content, **arrays})


@pytest.mark.parametrize(
    ("change", "arrays", "words"),
    [
        (lambda m: m["frame"].update(pixel_size=[0, 1]), {}, "its pixel size"),
        (lambda m: m["frame"].update(shape=[32, "x"]), {}, "not a saved prediction"),
        (lambda m: m["frame"].update(axes="QX"), {}, "its axes"),
        (lambda m: m.update(space="ZYX"), {}, "its axes"),
        (lambda m: m.update(outputs=["other"]), {}, "the map 'other'"),
        (lambda m: None, {"map0": np.zeros((3, 3), np.float32)}, "the map"),
        (lambda m: None, {"map0": np.zeros((1, 32, 32), "U3")}, "the map"),
    ],
)
def test_a_stored_prediction_that_lies_is_refused(
    change: Any, arrays: dict[str, Any], words: str, stored: Path
) -> None:
    _changed(stored, change, **arrays)
    with pytest.raises(ImageError, match=words) as caught:
        Prediction.load(stored)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["<f2", ">f8", "longdouble"])
def test_a_stored_map_of_other_precision_decodes(dtype: str, stored: Path) -> None:
    values = np.zeros((1, 32, 32), dtype)
    values[0, 4:12, 4:20] = 1
    _changed(stored, lambda m: None, map0=values)
    assert len(ai.decode(Prediction.load(stored))) == 1


def test_a_setting_that_cannot_be_is_told_with_the_models_name(
    make_model: Callable[..., Path],
) -> None:
    model = load_model(
        make_model(config={"napari_imagec_ai": {"min_size": {"source": 5}}})
    )
    decoder = guess_decoder(model)
    assert decoder is not None
    with pytest.raises(DecodeError, match=r"'min_size' cannot be \{'source': 5\}"):
        decoder.defaults(model)


def test_a_stored_prediction_that_is_not_there_is_told_so(
    run_cli: Callable[..., tuple[int, str, str]],
) -> None:
    code, _, told = run_cli("decode", "none.npz", "-o", "results")
    assert code == 1
    assert "There is no file 'none.npz'" in told


def test_scores_of_a_network_without_any_are_told_so(stored: Path) -> None:
    from napari_imagec_ai.decoders.decoding import run_decoder
    from napari_imagec_ai.decoders.registry import get_decoder

    decoder = get_decoder("scores")
    with pytest.raises(DecodeError, match="gives none; choose another decoder"):
        run_decoder(decoder, Prediction.load(stored), decoder.settings())


# -- corrections -----------------------------------------------------------------------


def test_ids_that_are_none_become_new_ones() -> None:
    rings = [SQUARE, SQUARE + 9, SQUARE + 1, SQUARE + 3]
    ids: list[Any] = ["seven", float("inf"), 2**63, 3]
    objects = read_outlines(rings, FRAME, ids=ids)
    assert sorted(objects.id.tolist()) == [3, 4, 5, 6]


def test_the_highest_id_leaves_room_for_new_ones() -> None:
    stack = Frame("ZYX", (2, 20, 24), (1.0, 0.5, 0.5))
    labels = np.zeros((2, 20, 24), np.int64)
    labels[:, 3:6, 3:6] = 2**31 - 1  # in both planes
    assert sorted(read_labels(labels, stack).id.tolist()) == [1, 2**31 - 1]
    found = read_outlines([SQUARE, SQUARE + 9], FRAME, ids=[2**31 - 1, 0])
    assert sorted(found.id.tolist()) == [1, 2**31 - 1]


@pytest.mark.parametrize(
    "ring",
    [SQUARE * np.nan, SQUARE * 1e30, [[1, 2], [3]], "outline", SQUARE * 1j],
    ids=["nan", "far", "ragged", "text", "complex"],
)
def test_points_that_are_no_places_are_told(ring: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="draw that outline anew"):
            read_outlines([SQUARE, ring], FRAME)


def test_an_id_just_too_high_for_float32_is_told() -> None:
    labels = np.zeros(FRAME.shape, np.float32)
    labels[3, 3] = 2**31
    with pytest.raises(ImageError, match="no labels"):
        read_labels(labels, FRAME)


def test_a_picture_as_bytes_is_no_stored_prediction(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    with pytest.raises(ImageError, match="not a saved prediction"):
        Prediction.load(tmp_path / "a.npz")
