"""Networks that Keras saved: layers become ONNX, code inside is refused."""

from __future__ import annotations

import importlib.util
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.library.convert import keras_file
from napari_imagec_ai.model.weights import sha256

needs_keras = pytest.mark.skipif(
    importlib.util.find_spec("keras") is None,
    reason="Keras is not installed here (pip install 'napari-imagec-ai[keras]')",
)


# Keras and numpy talk about each other's next versions.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


def _keras() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    return keras


def _unet(
    channels: int = 1, given: int = 1, activation: str = "sigmoid", dims: int = 2
) -> Any:
    """A U-Net as people write them, with most of the layers that they use."""
    keras = _keras()
    layers = keras.layers
    keras.utils.set_random_seed(4)
    conv = getattr(layers, f"Conv{dims}D")
    first = keras.Input((None,) * dims + (given,))
    fine = conv(6, 3, padding="same")(first)
    fine = layers.LeakyReLU()(layers.BatchNormalization()(fine))
    coarse = getattr(layers, f"MaxPooling{dims}D")(2)(fine)
    coarse = layers.Dropout(0.5)(conv(6, 3, padding="same", activation="elu")(coarse))
    up = getattr(layers, f"UpSampling{dims}D")(2)(coarse)
    learned = getattr(layers, f"Conv{dims}DTranspose")(
        4, 2, strides=2, padding="same", activation="relu"
    )(coarse)
    joined = layers.Concatenate()([up, learned, fine])
    return keras.Model(first, conv(channels, 1, activation=activation)(joined))


def _gives(network: Any, values: Any) -> Any:
    return network(values, training=False).detach().cpu().numpy()


@needs_keras
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_keras_network_gives_what_keras_gives(suffix: str, tmp_path: Path) -> None:
    network = _unet()
    network.save(tmp_path / f"net{suffix}")
    made = ai.convert_model(tmp_path / f"net{suffix}", tmp_path / "made")
    assert any("what Keras" in sentence for sentence in made.checked)
    assert [axis.name for axis in made.model.inputs[0].axes] == list("byxc")
    assert all(result.passed for result in ai.test_model(made.model))
    # Another size than any that was tried, taller than wide.
    image = np.random.default_rng(3).random((224, 160)).astype(np.float32)
    raw = ai.predict(made.model, ai.ImageInput(image, "YX"))
    expected = _gives(network, image[None, ..., None])[0, ..., 0]
    (found,) = raw.maps.values()
    np.testing.assert_allclose(np.squeeze(found), expected, atol=1e-4)


@needs_keras
def test_a_keras_network_of_volumes_and_colours_keeps_its_axes(tmp_path: Path) -> None:
    network = _unet(channels=4, given=3, activation="linear", dims=3)
    network.save(tmp_path / "volumes.keras")
    made = ai.convert_model(tmp_path / "volumes.keras", tmp_path / "made")
    assert [axis.name for axis in made.model.inputs[0].axes] == list("bzyxc")
    assert any("shown as an image" in sentence for sentence in made.assumed)
    volume = np.random.default_rng(3).random((3, 8, 64, 96)).astype(np.float32)
    raw = ai.predict(made.model, ai.ImageInput(volume, "CZYX"))
    expected = _gives(network, np.moveaxis(volume, 0, -1)[None])[0]
    (found,) = raw.maps.values()
    np.testing.assert_allclose(found, np.moveaxis(expected, -1, 0), atol=1e-4)


@needs_keras
@pytest.mark.parametrize(
    ("activation", "channels", "decoder"),
    [("softmax", 3, "unet"), ("softmax", 5, "semantic"), ("linear", 1, "image")],
)
def test_what_the_output_means_follows_the_last_activation(
    activation: str, channels: int, decoder: str, tmp_path: Path
) -> None:
    _unet(channels, activation=activation).save(tmp_path / "net.keras")
    made = ai.convert_model(tmp_path / "net.keras", tmp_path / "made")
    rdf = yaml.safe_load((tmp_path / "made" / "rdf.yaml").read_text())
    own = rdf["config"]["napari_imagec_ai"]
    assert own["decoder"] == decoder
    assert own["converted_from"]["sha256"] == sha256(tmp_path / "net.keras")
    assert any("output means" in sentence for sentence in made.assumed)


def _folder(place: Path, shift: float = 0.0, axes: str = "bxyc") -> Path:
    """A model folder of format 0.4 with Keras weights, as older zoo models are."""
    place.mkdir()
    network = _unet()
    network.save(place / "weights.h5")
    x = np.random.default_rng(0).random((1, 64, 96, 1)).astype(np.float32)
    np.save(place / "in.npy", x)
    np.save(place / "out.npy", _gives(network, x) + shift)
    shape = {"min": [1, 32, 32, 1], "step": [0, 16, 16, 0]}
    same = {"reference_tensor": "raw", "scale": [1.0] * 4, "offset": [0.0] * 4}
    common = {"data_type": "float32", "axes": axes}
    rdf = {
        "format_version": "0.4.10",
        "type": "model",
        "name": "Older network",
        "description": "Of Keras.",
        "authors": [{"name": "A. Person"}],
        "license": "MIT",
        "cite": [{"text": "A paper", "doi": "10.1000/x"}],
        "inputs": [common | {"name": "raw", "shape": shape}],
        "outputs": [common | {"name": "probability", "shape": same}],
        "test_inputs": ["in.npy"],
        "test_outputs": ["out.npy"],
        "weights": {
            "keras_hdf5": {
                "source": "weights.h5",
                "sha256": sha256(place / "weights.h5"),
            }
        },
    }
    (place / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
    return place


@needs_keras
def test_a_folder_with_keras_weights_gives_what_was_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _folder(tmp_path / "source")
    argv = ["convert", str(source), "-o", str(tmp_path / "out"), "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert any("test tensors are reproduced" in word for word in told["checked"])
    model = ai.load_model(tmp_path / "out")
    assert [axis.name for axis in model.inputs[0].axes] == list("bxyc")
    assert model.license == "MIT"
    image = np.random.default_rng(3).random((64, 128)).astype(np.float32)
    raw = ai.predict(model, ai.ImageInput(image, "YX"))
    expected = _gives(_unet(), image.T[None, ..., None])[0, ..., 0].T
    (found,) = raw.maps.values()
    np.testing.assert_allclose(np.squeeze(found), expected, atol=1e-4)


@needs_keras
def test_a_folder_that_published_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _folder(tmp_path / "source", shift=0.1)
    argv = ["convert", str(source), "-o", str(tmp_path / "out")]
    assert main(argv) == 1
    assert "0.1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def _config_of(path: Path) -> dict[str, Any]:
    with h5py.File(path, "r") as file:
        found: dict[str, Any] = json.loads(file.attrs["model_config"])
    return found


@needs_keras
def test_a_file_of_keras_2_is_opened(tmp_path: Path) -> None:
    """It wrote groups of transposed convolutions, and shapes under another name."""
    network = _unet()
    path = tmp_path / "old.h5"
    network.save(path)
    config = _config_of(path)
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Conv2DTranspose":
            layer["config"]["groups"] = 1
        if layer["class_name"] == "InputLayer":
            shape = layer["config"].pop("batch_shape")
            layer["config"] |= {"batch_input_shape": shape, "ragged": False}
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.11.0"
    made = ai.convert_model(path, tmp_path / "made")
    assert all(result.passed for result in ai.test_model(made.model))


def _h5(path: Path, layer: dict[str, Any] | None) -> Path:
    """A file of Keras 2 with one layer; with none: weights without a network."""
    with h5py.File(path, "w") as file:
        file.create_group("model_weights")
        if layer is not None:
            layers = {"name": "net", "layers": [layer]}
            told = {"class_name": "Functional", "config": layers}
            file.attrs["model_config"] = json.dumps(told)
    return path


def _keras_3(path: Path, layer: dict[str, Any]) -> Path:
    layers = {"name": "net", "layers": [layer]}
    told = {"module": "keras", "class_name": "Sequential", "config": layers}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(told))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"")
    return path


_LAMBDA = {"class_name": "Lambda", "config": {"name": "mine", "function": ["4wEA"]}}
_HIDDEN = {
    "module": "keras.layers",
    "class_name": "Activation",
    "config": {"activation": {"class_name": "__lambda__", "config": {"value": "4wEA"}}},
}
_CALL = {"module": "os", "class_name": "system", "config": {"command": "true"}}
_OWN = {"class_name": "Custom>Mine", "config": {"name": "mine"}}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: _h5(p / "a.h5", _LAMBDA), ("Lambda 'mine'", "never run")),
        (lambda p: _keras_3(p / "a.keras", _LAMBDA), ("Lambda 'mine'", "never run")),
        (lambda p: _keras_3(p / "a.keras", _HIDDEN), ("__lambda__", "never run")),
        (lambda p: _keras_3(p / "a.keras", _CALL), ("system of os", "imagec-ai pack")),
        (lambda p: _h5(p / "a.h5", _OWN), ("Custom>Mine", "not in the file")),
        (lambda p: _h5(p / "a.h5", None), ("weights alone", "model.save")),
    ],
)
def test_code_and_half_files_are_refused_unopened(
    make: Callable[[Path], Path],
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def opened(*_: object) -> bytes:
        raise AssertionError("it was opened")

    monkeypatch.setattr(keras_file, "run_alone", opened)
    source = make(tmp_path)
    assert main(["convert", str(source), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.count("Expected") == 1
    for word in words:
        assert word in said
    assert not (tmp_path / "out").exists()


def test_without_keras_the_command_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(keras_file, "find_spec", lambda _: None)
    conv = {"class_name": "Conv2D", "config": {"filters": 1, "kernel_size": 1}}
    source = _h5(tmp_path / "net.h5", conv)
    assert main(["convert", str(source), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "napari-imagec-ai[keras]" in said


@needs_keras
def test_layers_that_keras_3_has_not_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "net.h5"
    _unet().save(source)
    told = json.dumps(_config_of(source)).replace('"Dropout"', '"NobodysLayer"')
    with h5py.File(source, "a") as file:
        file.attrs["model_config"] = told
    assert main(["convert", str(source), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "NobodysLayer" in said
    assert "tf2onnx" in said
