"""Networks that other software saved become model folders that give the same."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.engines.opening_weights import open_file
from napari_imagec_ai.library.convert.cellpose_file import read_cellpose
from napari_imagec_ai.library.convert.rebuilt import Rebuilt, write_weights
from napari_imagec_ai.library.convert.stardist_folder import read_stardist
from napari_imagec_ai.library.convert.torch_file import read_state

DATA = ROOT / "tests" / "data"

with np.load(DATA / "convert_stardist.npz") as file:
    STARDIST = dict(file)
with np.load(DATA / "convert_cellpose.npz") as file:
    CELLPOSE = dict(file)


def _cases(values: dict[str, Any]) -> list[str]:
    return sorted({name.partition("/")[0] for name in values})


def _stardist(name: str, folder: Path) -> Path:
    folder.mkdir()
    for file in ("config.json", "weights_best.h5"):
        (folder / file).write_bytes(STARDIST[f"{name}/{file}"].tobytes())
    thresholds = {"prob": 0.55, "nms": 0.35}
    (folder / "thresholds.json").write_text(json.dumps(thresholds))
    return folder


def _cellpose(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(CELLPOSE[f"{name}/file"].tobytes())
    return path


def _both_engines(rebuilt: Rebuilt, x: Any, folder: Path) -> list[Any]:
    """What the written files give, each in its runtime."""
    found = []
    for framework, path in write_weights(rebuilt, folder, lambda _: None).items():
        engine = open_file(framework, path, "cpu")
        found.append(engine.run([x])[0])
        engine.close()
    return found


@pytest.mark.parametrize("name", _cases(STARDIST))
def test_a_stardist_network_gives_what_stardist_gave(name: str, tmp_path: Path) -> None:
    rebuilt = read_stardist(_stardist(name, tmp_path / "source"))
    image = STARDIST[f"{name}/x"]
    dims = rebuilt.module.dims
    planes = image[None] if image.ndim == dims else np.moveaxis(image, -1, 0)
    x = np.ascontiguousarray(planes[None])
    outputs = [STARDIST[f"{name}/prob"][..., None], STARDIST[f"{name}/dist"]]
    if f"{name}/classes" in STARDIST:
        outputs.append(STARDIST[f"{name}/classes"])
    expected = np.moveaxis(np.concatenate(outputs, -1), -1, 0)
    for found in _both_engines(rebuilt, x, tmp_path):
        np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", _cases(CELLPOSE))
def test_a_cellpose_network_gives_what_cellpose_gave(name: str, tmp_path: Path) -> None:
    path = _cellpose(name, tmp_path)
    rebuilt = read_cellpose(path, read_state(path))
    for found in _both_engines(rebuilt, CELLPOSE[f"{name}/x"], tmp_path):
        np.testing.assert_allclose(found, CELLPOSE[f"{name}/y"], rtol=1e-4, atol=1e-4)


def test_sizes_that_the_description_allows_run(tmp_path: Path) -> None:
    rebuilt = read_stardist(_stardist("grid_4_norm", tmp_path / "source"))
    spans = rebuilt.network.spans
    shape = (1, 1, spans["y"].least + spans["y"].step, spans["x"].least)
    for found in _both_engines(rebuilt, np.zeros(shape, np.float32), tmp_path):
        assert found.shape[-2:] == (shape[2] // 4, shape[3] // 4)


def test_a_stardist_folder_becomes_a_model_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _stardist("colour_classes", tmp_path / "my stardist")
    assert main(["convert", str(source), "-o", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tmp_path / "out")
    model = ai.load_model(tmp_path / "out")
    assert model.kind == "stardist"
    assert model.classes == ("class 1", "class 2")
    assert set(model.runnable) == {"onnx", "torchscript"}
    own = model.hints["napari_imagec_ai"]
    assert (own["prob_threshold"], own["nms_threshold"]) == (0.55, 0.35)
    assert own["converted_from"]["kind"] == "StarDist"
    assert len(own["converted_from"]["sha256"]) == 64
    assert all(result.passed for result in ai.test_model(model))
    image = ai.ImageInput(np.random.default_rng(0).random((70, 90, 3)), "YXC")
    raw = ai.predict(model, image)
    assert raw.frame.shape == (70, 90)
    ai.decode(raw)


def test_the_weights_in_a_stardist_folder_mean_the_folder(tmp_path: Path) -> None:
    source = _stardist("colour_classes", tmp_path / "my stardist")
    (weights,) = source.glob("weights_*.h5")
    assert ai.convert_model(weights, tmp_path / "out").model.kind == "stardist"


def test_a_cellpose_file_becomes_a_model_that_takes_grey_images(tmp_path: Path) -> None:
    made = ai.convert_model(_cellpose("cyto_like", tmp_path), tmp_path / "out")
    assert made.model.kind == "cellpose"
    assert made.model.hints["napari_imagec_ai"]["object_size"] == 30
    grey = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    raw = ai.predict(made.model, ai.ImageInput(grey, "YX"))
    assert any("zeros" in sentence for sentence in raw.assumed)
    twice = ai.ImageInput(np.stack([grey, np.zeros_like(grey)]), "CYX")
    other = ai.predict(made.model, twice)
    assert np.array_equal(raw.maps["output"], other.maps["output"])


def test_a_folder_that_wraps_cellpose_needs_neither_its_code_nor_trust(
    tmp_path: Path,
) -> None:
    """The zoo's Cellpose models are all of Cellpose, around one of its networks."""
    source = tmp_path / "source"
    source.mkdir()
    weights = _cellpose("cyto_like", source)
    space = [{"type": "space", "id": axis, "size": 64} for axis in "yx"]
    channel = {"type": "channel", "channel_names": ["grey"]}
    rdf = {
        "format_version": "0.5.6",
        "type": "model",
        "id": "famous-mouse",
        "name": "CellPose(nuclei)",
        "authors": [{"name": "A. Person"}],
        "license": "BSD-3-Clause",
        "cite": [{"text": "A paper", "doi": "10.1000/x"}],
        "inputs": [{"id": "input", "axes": [{"type": "batch"}, channel, *space]}],
        "outputs": [{"id": "masks", "axes": [{"type": "batch"}, *space]}],
        "weights": {
            "pytorch_state_dict": {
                "source": weights.name,
                "pytorch_version": "2.6.0",
                "architecture": {
                    "source": "model.py",
                    "callable": "CellPoseWrapper",
                    "kwargs": {"model_type": "nuclei"},
                },
            }
        },
    }
    (source / "model.py").write_text("raise SystemExit('it ran')\n")
    (source / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    made = ai.convert_model(source, tmp_path / "out")
    assert made.model.kind == "cellpose"
    assert made.model.classes == ("nucleus",)
    assert (made.model.name, made.model.license) == (rdf["name"], rdf["license"])
    assert any("labels of Cellpose" in sentence for sentence in made.assumed)
    written = yaml.safe_load((tmp_path / "out" / "rdf.yaml").read_text())
    assert written["parent"] == {"id": "famous-mouse"}
    assert (written["authors"], written["cite"]) == (rdf["authors"], rdf["cite"])
    assert all(result.passed for result in ai.test_model(made.model))


class _Whole:
    """Something that a file must not hold."""

    def __reduce__(self) -> Any:
        return (print, ("executed",))


def _half_folder(folder: Path) -> Path:
    source = _stardist("plain", folder / "half")
    (source / "weights_best.h5").unlink()
    return source


def _no_configuration(folder: Path) -> Path:
    source = _stardist("plain", folder / "half")
    (source / "config.json").unlink()
    return source


def _other_weights(folder: Path) -> Path:
    source = _stardist("plain", folder / "mixed")
    data = STARDIST["grid_4_norm/weights_best.h5"].tobytes()
    (source / "weights_best.h5").write_bytes(data)
    return source


def _other_rays(folder: Path) -> Path:
    source = _stardist("plain", folder / "mixed")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"n_rays": 32}))
    return source


def _cut_off(folder: Path) -> Path:
    source = _stardist("plain", folder / "cut")
    data = (source / "weights_best.h5").read_bytes()
    (source / "weights_best.h5").write_bytes(data[: len(data) // 2])
    return source


def _foreign_hdf5(folder: Path) -> Path:
    source = _stardist("plain", folder / "foreign")
    with h5py.File(source / "weights_best.h5", "w") as file:
        file["data"] = np.zeros(3)
    return source


def _pickled(folder: Path) -> Path:
    path = folder / "whole.pt"
    torch.save(_Whole(), path)
    return path


def _old_pickle(folder: Path) -> Path:
    path = folder / "cyto"
    path.write_bytes(pickle.dumps(_Whole()))
    return path


def _half_state(folder: Path) -> Path:
    path = _cellpose("cyto_like", folder)
    state = torch.load(path, weights_only=True)
    del state["upsample.up.res_up_0.conv.conv_1.full.weight"]
    torch.save(state, folder / "half_cyto")
    return folder / "half_cyto"


def _sam(folder: Path) -> Path:
    path = folder / "cpsam"
    torch.save({"encoder.patch_embed.proj.weight": torch.zeros(2, 3)}, path)
    return path


def _nameless_state(folder: Path) -> Path:
    path = folder / "unet.pth"
    torch.save({"conv.weight": torch.zeros(2, 3)}, path)
    return path


def _text(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("nothing")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_half_folder, ("weights_best.h5", "found none", "whole folder")),
        (_no_configuration, ("config.json", "found none", "whole folder")),
        (_other_weights, ("another configuration",)),
        (_other_rays, ("32 rays", "found 8")),
        (_cut_off, ("weights_best.h5", "copy it again")),
        (_foreign_hdf5, ("HDF5 of another kind",)),
        (_pickled, ("whole pickled program", "state_dict")),
        (_old_pickle, ("whole pickled program", "state_dict")),
        (_half_state, ("upsample.up.res_up_0.conv.conv_1.full.weight",)),
        (_sam, ("Cellpose-SAM",)),
        (_nameless_state, ("not the network",)),
        (_text, ("StarDist folder", "notes.txt")),
    ],
)
def test_what_cannot_be_converted_is_said_in_a_sentence(
    make: Any,
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(["convert", str(make(tmp_path)), "-o", str(out)]) == 1
    said = capsys.readouterr()
    assert said.out == ""  # nothing was executed that prints
    assert said.err.count("\n") == 1
    for word in words:
        assert word in said.err
    assert not out.exists()


def test_a_conversion_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    def stop(sentence: str) -> None:
        if sentence.startswith("Testing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ai.convert_model(_cellpose("beside", tmp_path), tmp_path / "out", progress=stop)
    assert not (tmp_path / "out").exists()


def test_an_archive_of_torch_export_becomes_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="PyTorch's exporter to ONNX needs it")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(4, 1, 1),
        torch.nn.Sigmoid(),
    ).eval()
    x = torch.rand(1, 1, 64, 64)
    free = torch.export.Dim.AUTO
    program = torch.export.export(network, (x,), dynamic_shapes=({2: free, 3: free},))
    torch.export.save(program, tmp_path / "net.pt2")
    made = ai.convert_model(tmp_path / "net.pt2", tmp_path / "out")
    assert any("foreground" in sentence for sentence in made.assumed)
    engine = open_file("onnx", tmp_path / "out" / "weights.onnx", "cpu")
    found = engine.run([x.numpy()])[0]
    engine.close()
    with torch.no_grad():
        np.testing.assert_allclose(found, network(x).numpy(), atol=1e-5)
