"""Runs of tiny real networks over images, and what is kept of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    ROOT,
    CountingEngine,
    description,
    onnx_network,
    torchscript_network,
)

import napari_imagec_ai as ai
from napari_imagec_ai.engines.engine import completed
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.run import predicting
from napari_imagec_ai.run.predicting import Progress, predict, predict_iter
from napari_imagec_ai.run.settings import OF_FILES, RunSettings

MakeModel = Callable[..., Path]
RNG = np.random.default_rng(1)
GREY = RNG.random((90, 70)).astype(np.float32)
OTHER = {"format_version": "0.4.10"}


def image(data: Any = GREY, axes: str = "YX", **more: Any) -> ai.ImageInput:
    return ai.ImageInput(data, axes, name="it", **more)


def tensors(axes: str, **output: Any) -> dict[str, Any]:
    """Tensors of format 0.4 that take any multiple of 8."""
    least = [1 if letter in "bc" else 8 for letter in axes]
    step = [0 if letter in "bc" else 8 for letter in axes]
    tensor = {"axes": axes, "shape": {"min": least, "step": step}}
    halo = [0 if letter in "bc" else 2 for letter in axes]
    return OTHER | {
        "inputs": [tensor | {"name": "raw"}],
        "outputs": [tensor | {"name": "probability", "halo": halo} | output],
    }


def steps(*pre: Any, post: Any = ()) -> dict[str, Any]:
    rdf = description()
    rdf["inputs"][0]["preprocessing"] = list(pre)
    rdf["outputs"][0]["postprocessing"] = list(post)
    return {"inputs": rdf["inputs"], "outputs": rdf["outputs"]}


def only_map(found: Prediction) -> np.ndarray:
    return np.asarray(found.maps["probability"])


# -- what comes out --------------------------------------------------------------------


@pytest.mark.parametrize("tile", [None, 32, (48, 64)], ids=str)
@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_a_network_that_gives_its_input_gives_the_image(
    engine: str, tile: Any, make_model: MakeModel
) -> None:
    network = onnx_network if engine == "onnx" else torchscript_network
    folder = make_model(network=network, weights={engine: {"source": "weights"}})
    found = predict(ai.load_model(folder), image(), tile=tile)
    np.testing.assert_array_equal(only_map(found), GREY[None])
    assert (found.engine, found.device) == (engine, "cpu")
    assert (found.network_calls == 1) == (tile is None)
    assert found.network_seconds > 0


@pytest.mark.parametrize("axes", ["bcyx", "bcxy", "byxc", "yx", "byx", "cyx"])
def test_any_order_of_axes_gives_the_image(axes: str, make_model: MakeModel) -> None:
    model = ai.load_model(make_model(**tensors(axes)))
    found = predict(model, image(), engine=CountingEngine(), tile=32)
    np.testing.assert_array_equal(only_map(found), GREY[None])


def test_statistics_do_not_depend_on_the_tiles(make_model: MakeModel) -> None:
    bright = GREY * np.linspace(1, 50, 70, dtype=np.float32)
    step = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"]}}
    model = ai.load_model(make_model(**steps(step)))
    found = only_map(predict(model, image(bright), tile=32))[0]
    wide = bright.astype(float)
    np.testing.assert_allclose(
        found, (wide - wide.mean()) / (wide.std() + 1e-6), rtol=1e-4, atol=1e-5
    )


def test_statistics_by_row_work_in_tiles_too(make_model: MakeModel) -> None:
    step = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "x"]}}
    model = ai.load_model(make_model(**steps(step)))
    found = only_map(predict(model, image(), tile=32))[0]
    wide = GREY.astype(float)
    mean, std = wide.mean(1, keepdims=True), wide.std(1, keepdims=True)
    np.testing.assert_allclose(
        found, (wide - mean) / (std + 1e-6), rtol=1e-3, atol=1e-4
    )


def test_postprocessing_with_statistics_sees_the_whole_map(
    make_model: MakeModel,
) -> None:
    model = ai.load_model(make_model(**steps(post=[{"id": "scale_range"}])))
    found = only_map(predict(model, image(GREY * 7), tile=32))[0]
    np.testing.assert_allclose(found, (GREY - GREY.min()) / np.ptp(GREY), atol=1e-5)


def test_binarisation_is_left_to_the_person(make_model: MakeModel) -> None:
    post = [{"id": "binarize", "kwargs": {"threshold": 0.5}}]
    found = predict(ai.load_model(make_model(**steps(post=post))), image())
    np.testing.assert_array_equal(only_map(found)[0], GREY)


def test_an_output_of_half_the_size_is_stitched_at_half_the_size(
    make_model: MakeModel,
) -> None:
    shape = {"reference_tensor": "raw", "scale": [1, 1, 0.5, 0.5], "offset": [0] * 4}
    folder = make_model(network=None, **tensors("bcyx", shape=shape))
    onnx_network(folder / "weights.onnx", expression="half")
    found = predict(ai.load_model(folder), image(), tile=32)
    np.testing.assert_array_equal(only_map(found)[0], GREY[::2, ::2])


def test_a_stack_under_a_2d_model_gives_a_stack_of_maps(make_model: MakeModel) -> None:
    data = RNG.random((3, 40, 50)).astype(np.float32)
    model = ai.load_model(make_model())
    found = predict(model, image(data, "ZYX", pixel_size=(2, 1, 1)))
    np.testing.assert_array_equal(only_map(found)[:, 0], data)
    assert (found.planes, found.network_calls) == ((3,), 3)
    assert found.frame.pixel_size == (2, 1, 1)


def test_one_plane_of_a_stack_keeps_its_place(make_model: MakeModel) -> None:
    data = RNG.random((5, 40, 50)).astype(np.float32)
    found = predict(ai.load_model(make_model()), image(data, "ZYX"), planes={"Z": 3})
    np.testing.assert_array_equal(only_map(found)[0, 0], data[3])
    assert found.frame.origin == (3, 0, 0)


def test_an_image_smaller_than_the_window_is_padded_and_cut(
    make_model: MakeModel,
) -> None:
    found = predict(ai.load_model(make_model()), image(GREY[:3, :1]))
    np.testing.assert_array_equal(only_map(found)[0], GREY[:3, :1])


def test_the_image_is_not_changed(make_model: MakeModel) -> None:
    data = GREY.copy()
    data[0, 0] = np.nan
    data.flags.writeable = False
    clip = {"id": "clip", "kwargs": {"min": 0.4, "max": 0.5}}
    predict(ai.load_model(make_model(**steps(clip))), image(data))
    np.testing.assert_array_equal(data[1:], GREY[1:])


def test_nan_and_constant_images_are_in_what_was_assumed(make_model: MakeModel) -> None:
    model = ai.load_model(make_model())
    holes = np.where(GREY > 0.9, np.nan, GREY)
    assert "NaN or infinite" in predict(model, image(holes)).assumed[-1]
    flat = predict(model, image(np.full((20, 20), 3)))
    assert "same value (3)" in flat.assumed[-1]


# -- progress --------------------------------------------------------------------------


def test_progress_counts_every_call_of_the_network(
    make_model: MakeModel, counting_engine: CountingEngine
) -> None:
    seen: list[Progress] = []
    model = ai.load_model(make_model())
    predict(model, image(), engine=counting_engine, tile=32, progress=seen.append)
    assert [step.done for step in seen] == list(range(counting_engine.calls + 1))
    assert {step.total for step in seen} == {counting_engine.calls}


def test_closing_a_run_midway_stops_it_and_closes_the_engine(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    engine = CountingEngine()
    monkeypatch.setattr(engine, "close", lambda: closed.append(True))
    monkeypatch.setattr(predicting, "open_engine", lambda *a, **k: completed(engine))
    run = predict_iter(ai.load_model(make_model()), image(), tile=32)
    for _ in range(3):
        next(run)
    run.close()
    # The tile after the two that were taken may have been under way.
    assert engine.calls in (2, 3)
    assert closed == [True]


def test_both_ways_to_predict_show_every_setting() -> None:
    whole = dict(inspect.signature(predict).parameters)
    del whole["progress"]
    assert whole == dict(inspect.signature(predict_iter).parameters)
    shown = whole.keys() - {"model", "image", "settings"}
    assert shown == RunSettings.model_fields.keys() - OF_FILES


def test_settings_are_taken_whole_or_by_name(make_model: MakeModel) -> None:
    model = ai.load_model(make_model())
    by_name = predict(model, image(), tile=32, channels=None)
    whole = predict(model, image(), RunSettings(tile=32))
    changed = predict(
        model, image(), RunSettings(tile=64, halo=0), tile=(32,), halo=None
    )
    assert by_name.network_calls == whole.network_calls == changed.network_calls > 1
    with pytest.raises(TypeError, match="unexpected keyword argument 'tiles'"):
        predict(model, image(), tiles=32)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"tile": 0}, "numbers from 1 for 'tile', found 0"),
        ({"tile": (8, 8, 8)}, "for each of the axes 'YX'"),
        ({"tile": 3.5}, "'tile' cannot be 3.5"),
        ({"halo": -1}, "numbers from 0 for 'halo', found -1"),
        ({"scale": 0.0}, "a scale from 0.01 to 100, found 0"),
        ({"normalize": "magic"}, "one of as described, range.*found 'magic'"),
        ({"seams": "glue"}, "one of crop, blend for 'seams', found 'glue'"),
        ({"memory": 0}, "a number above 0 for 'memory', found 0"),
        ({"overlap": 0.9}, "numbers from 0 to 0.8 for 'overlap', found 0.9"),
        ({"percentiles": (99, 1)}, "the lower first, found"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_before_anything_is_read(
    wrong: dict[str, Any], words: str, make_model: MakeModel
) -> None:
    with pytest.raises(ai.ImageError, match=words):
        predict(ai.load_model(make_model()), image(), **wrong)


# -- what does not fit -----------------------------------------------------------------


def test_a_network_of_two_inputs_asks_for_the_second(shared: Path) -> None:
    model = ai.load_model(shared / "models" / "unet2d_multi_tensor")
    with pytest.raises(ai.ImageError, match=r"takes 2 inputs: .* is missing"):
        predict(model, image())


def test_a_network_with_fewer_outputs_than_described_is_told(
    make_model: MakeModel,
) -> None:
    outputs = description()["outputs"]
    second = [*outputs, outputs[0] | {"id": "more"}]
    with pytest.raises(
        ai.EngineError, match="gave 1 outputs, but the description has 2"
    ):
        predict(ai.load_model(make_model(outputs=second)), image())


def test_an_output_of_another_size_than_described_is_told(
    make_model: MakeModel,
) -> None:
    folder = make_model(network=None)
    onnx_network(folder / "weights.onnx", expression="half")
    with pytest.raises(ai.EngineError, match=r"\(48, 40\) pixels for a window of"):
        predict(ai.load_model(folder), image())


def test_a_network_without_enough_memory_names_a_tile_to_try(
    make_model: MakeModel,
) -> None:
    class Full(CountingEngine):
        def run(self, inputs: Any) -> list[Any]:
            raise ai.EngineError("DefaultCPUAllocator: can't allocate memory: 9 GB")

    with pytest.raises(ai.EngineError, match=r"ran out of memory .* --tile 16,16"):
        predict(ai.load_model(make_model()), image(), engine=Full(), tile=32)


def test_a_fixed_size_in_the_weights_alone_is_told(make_model: MakeModel) -> None:
    folder = make_model(network=None)
    onnx_network(folder / "weights.onnx", shape=(1, 1, 32, 32))
    with pytest.raises(ai.EngineError, match=r"expects the shape \[1, 1, 32, 32\]"):
        predict(ai.load_model(folder), image())


def test_tile_sizes_are_one_for_each_axis(make_model: MakeModel) -> None:
    with pytest.raises(ai.ImageError, match="tile size for each of the axes 'YX'"):
        predict(ai.load_model(make_model()), image(), tile=(32, 32, 32))


# -- files -----------------------------------------------------------------------------


def test_a_saved_run_comes_back_whole_and_decodes_the_same(
    make_model: MakeModel, tmp_path: Path
) -> None:
    data = np.zeros((40, 50), np.float32)
    data[5:15, 5:15] = data[25:35, 30:45] = 0.9
    taken = image(data, pixel_size=(0.5, 0.25), unit="micrometer")
    before = predict(ai.load_model(make_model()), taken)
    before.save(tmp_path / "run.npz")
    after = Prediction.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(only_map(after), only_map(before))
    assert after.frame == before.frame
    for name in ("engine", "device", "network_calls", "assumed", "channels", "space"):
        assert getattr(after, name) == getattr(before, name)
    assert after.model.kind == before.model.kind
    labels = ai.decode(after).as_labels()
    np.testing.assert_array_equal(labels, ai.decode(before).as_labels())
    assert labels.max() == 2


@pytest.mark.parametrize(
    ("name", "objects", "first"),
    [("maps", 5, 0), ("region", 5, 100), ("windows", 11, 0)],
)
def test_runs_that_earlier_versions_saved_are_read(
    name: str, objects: int, first: int
) -> None:
    before = Prediction.load(ROOT / "tests" / "data" / "predictions" / f"{name}.npz")
    found = ai.decode(before)
    assert isinstance(found, ai.Objects)
    assert len(found) == objects
    assert int(found.boxes.min()) == first


def test_a_run_that_another_machine_saved_decodes_the_same(
    make_model: MakeModel, tmp_path: Path
) -> None:
    data = np.zeros((40, 50), np.float32)
    data[5:15, 5:15] = 0.9
    before = predict(ai.load_model(make_model()), image(data))
    before.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as stored:
        arrays = dict(stored)
    arrays["map0"] = arrays["map0"].astype(arrays["map0"].dtype.newbyteorder(">"))
    np.savez(tmp_path / "other.npz", **arrays)
    after = Prediction.load(tmp_path / "other.npz")
    labels = ai.decode(after).as_labels()
    np.testing.assert_array_equal(labels, ai.decode(before).as_labels())
    assert labels.max() == 1


@pytest.mark.parametrize("how", ["text", "array", "half", "locked", "gone", "other"])
def test_a_file_that_is_no_saved_run_is_told(
    how: str, make_model: MakeModel, tmp_path: Path
) -> None:
    path = tmp_path / "run.npz"
    predict(ai.load_model(make_model()), image()).save(path)
    if how == "text":
        path.write_text("hello")
    elif how == "array":
        with path.open("wb") as stream:
            np.save(stream, GREY)
    elif how == "half":
        path.write_bytes(path.read_bytes()[:500])
    elif how == "locked":  # the flag of an entry that needs a password
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
    elif how == "gone":
        path.unlink()
    else:
        np.savez(path, a=GREY)
    with pytest.raises(
        ai.ImagecAIError, match=r"not a saved prediction|There is no file"
    ):
        Prediction.load(path)


def test_saving_where_nothing_can_be_written_is_told(
    make_model: MakeModel, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    found = predict(ai.load_model(make_model()), image())
    with pytest.raises(ai.ImagecAIError, match="Could not write"):
        found.save(tmp_path / "file" / "run.npz")


def test_a_bar_is_shown_where_it_is_asked_for(
    make_model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = ai.load_model(make_model())
    image = ai.ImageInput(np.ones((64, 64), np.float32), "YX")
    ai.predict(model, image, tile=32, progress=True)
    assert "100%" in capsys.readouterr().err
    ai.predict(model, image, tile=32, progress=False)
    assert capsys.readouterr().err == ""


def test_tiles_that_a_network_does_not_take_are_told(
    make_model: Callable[..., Path],
) -> None:
    rdf = description()
    for tensor in (*rdf["inputs"], *rdf["outputs"]):
        for axis in tensor["axes"][2:]:
            axis["size"] = 64
    fixed = ai.load_model(make_model("fixed", **rdf))
    pixels = np.zeros((200, 150), np.float32)
    said = "Tiles of 256 x 256 pixels were asked for"
    found = ai.predict(
        fixed, ai.ImageInput(pixels, "YX"), engine=CountingEngine(), tile=256
    )
    assert any(said in sentence and "64 x 64" in sentence for sentence in found.assumed)
    for size, image in ((64, pixels), (256, pixels[:50, :50])):
        given = ai.ImageInput(image, "YX")
        found = ai.predict(fixed, given, engine=CountingEngine(), tile=size)
        assert not any("asked for" in sentence for sentence in found.assumed)


def test_tiles_of_a_detector_are_its_windows() -> None:
    model = ai.load_model("blood-yolov5")
    pixels = np.full((900, 900, 3), 220, np.uint8)
    found = ai.predict(model, ai.ImageInput(pixels, axes="YXC"), tile=1024)
    assert any("Tiles of 1024 x 1024" in sentence for sentence in found.assumed)


def test_what_is_no_model_or_no_image_is_told_with_the_call_that_makes_one(
    tmp_path: Path,
) -> None:
    image: Any = ai.ImageInput(np.zeros((8, 8), np.float32), "YX")
    name: Any = "nuclei-unet"
    with pytest.raises(ai.ModelError, match=r"found 'nuclei-unet'; .*load_model"):
        ai.predict(name, image)
    with pytest.raises(ai.ModelError, match="found ImageInput"):
        ai.predict(image, image)
    with pytest.raises(ai.ImageError, match=r"found the folder .* one of its images"):
        ai.open_image(tmp_path)
