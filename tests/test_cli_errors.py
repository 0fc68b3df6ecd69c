"""What a person gets wrong on the command line, told in one sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import ROOT
from scenes import maps, pairs

from napari_imagec_ai.cli import main

PREDICT = "predict {model} {image} -o out"

WRONG = {
    "no command": "",
    "unknown command": "segment",
    "unknown flag": f"{PREDICT} --gpu",
    "no output": "predict {model} {image}",
    "no image there": "predict {model} none.tif -o out",
    "a folder as image": "predict {model} {model} -o out",
    "text as image": "predict {model} text.txt -o out",
    "torn image": "predict {model} torn.tif -o out",
    "no model there": "predict none {image} -o out",
    "text as model": "predict text.txt {image} -o out",
    "mask threshold 2": f"{PREDICT} --mask-threshold 2",
    "mask threshold nan": f"{PREDICT} --mask-threshold nan",
    "mask threshold word": f"{PREDICT} --mask-threshold high",
    "class threshold -1": f"{PREDICT} --class-threshold -1",
    "unknown decoder": f"{PREDICT} --decoder onet",
    "unknown export": f"{PREDICT} --export csv,docx",
    "unknown engine": f"{PREDICT} --engine keras",
    "engine without weights": f"{PREDICT} --engine torchscript",
    "unknown device": f"{PREDICT} --device toaster",
    "channel word": f"{PREDICT} --channels red",
    "percentile words": f"{PREDICT} --percentiles low,high",
    "one percentile": f"{PREDICT} --percentiles 5",
    "percentiles upside down": f"{PREDICT} --percentiles 99,1",
    "too much overlap": f"{PREDICT} --overlap 2",
    "channel that is not there": f"{PREDICT} --channels 4",
    "axes of other length": f"{PREDICT} --axes TZYX",
    "axes that are none": f"{PREDICT} --axes QW",
    "two images of one name": "predict {model} {image} sub/scene.tif -o out",
    "output is a file": "predict {model} {image} -o text.txt",
    "no prediction there": "decode none.npz -o out",
    "text as prediction": "decode text.txt -o out",
    "array as prediction": "decode array.npy -o out",
    "other archive as prediction": "decode other.npz -o out",
    "no recipe there": "run none.yaml {image} -o out",
    "text as recipe": "run text.txt {image} -o out",
    "later recipe": "run later.yaml {image} -o out",
    "no zip there": "install none.zip --models m",
    "text as zip": "install text.txt --models m",
    "test without tensors": "test {model}",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files that are not what they are taken for."""
    place = tmp_path / "cwd"
    (place / "sub").mkdir(parents=True)
    monkeypatch.chdir(place)
    image = maps(pairs(), "foreground")[0]
    tifffile.imwrite(place / "scene.tif", image)
    tifffile.imwrite(place / "sub" / "scene.tif", image)
    (place / "torn.tif").write_bytes((place / "scene.tif").read_bytes()[:300])
    (place / "text.txt").write_text("hello")
    np.save(place / "array.npy", image)
    np.savez(place / "other.npz", image=image)
    (place / "later.yaml").write_text("version: 99\nmodel: {name: x}\n")
    return place


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_what_a_person_gets_wrong_is_told_in_one_line(
    words: str,
    place: Path,
    make_model: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = make_model()
    argv = words.format(model=model, image=place / "scene.tif").split()
    code = main(argv)
    captured = capsys.readouterr()
    assert code == 1
    assert captured.out == ""
    assert captured.err.startswith("imagec-ai: ")
    assert captured.err.count("\n") == 1
    assert captured.err.rstrip().endswith(".")


LEADS_ON = {
    "": "imagec-ai --help",
    "predict nuclei-unet scene.tif": "say it with -o",
    "predict nuclei_unet scene.tif -o out": "did you mean 'nuclei-unet'?",
    "predict scene.tif nuclei-unet -o out": "name the model first",
    "predict nuclei-unet empty -o out": "name files, or a folder that holds them (TIFF",
    "predict nuclei-unet . -o out": "name these, as 'sub'",
    "predict nuclei-unet text.txt -o out": "save it as TIFF",
    "predict nuclei-unet scene.tif -o text.txt": "found the file 'text.txt'; choose",
    "predict unet.onnx scene.tif -o out": "imagec-ai package unet.onnx --decoder unet",
    "run nuclei-unet scene.tif -o out": "lies beside each result",
    "run scene.tif sub -o out": "comes before the images",
    "run sub scene.tif -o out": "lies beside each result",
    "package unet.onnx": "say it with --decoder: unet",
    "package {models}/nuclei-unet": "run it as it is",
    "package {models}/nuclei-unet/rdf.yaml": "run it as it is",
    "package sub": "name the file of weights in it",
    "package scene.tif": "and this with --image",
    "package none.onnx": "check the name",
    "package text.txt": "'imagec-ai convert text.txt'",
    "install unet.onnx": "'imagec-ai package unet.onnx'",
    "install {models}/nuclei-unet": "runs as it is",
    "install sub": "name the package in it",
}
"""What newcomers type, and what the answer says to do."""


@pytest.mark.parametrize("words", LEADS_ON)
def test_the_answer_to_a_newcomer_s_mistake_leads_on(
    words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = ROOT / "models" / "nuclei-unet" / "weights.onnx"
    (place / "unet.onnx").symlink_to(network)
    (place / "empty").mkdir()
    if words.startswith("predict nuclei-unet . "):
        (place / "scene.tif").unlink()
        (place / "torn.tif").unlink()
        (place / "array.npy").unlink()
    assert main(words.format(models=ROOT / "models").split()) == 1
    told = capsys.readouterr().err
    assert LEADS_ON[words] in told
    assert told.count("\n") == 1


@pytest.mark.usefixtures("place")
def test_nobody_is_told_to_load_a_stranger_s_pickle(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["decode", "text.txt", "-o", "out"]) == 1
    assert "pickle" not in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_a_run_that_cannot_begin_leaves_no_files(
    make_model: Callable[..., Path],
) -> None:
    argv = ["predict", str(make_model()), "scene.tif", "-o", "out"]
    assert main([*argv, "--export", "docx"]) == 1
    assert not Path("out").exists()


def test_a_bug_is_called_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("napari_imagec_ai.library.folders.find_models", fail)
    code = main(["models"])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert "ZeroDivisionError" in captured.err
    assert captured.err.endswith("this is a bug; please report it.\n")


@pytest.mark.usefixtures("place")
def test_a_missing_folder_of_models_is_in_the_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "nowhere"]) == 0
    assert "There is no folder 'nowhere'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "code"), [(["--version"], 0), (["models", "--gpu"], 1)]
)
def test_the_exit_code_reaches_the_shell(argv: list[str], code: int) -> None:
    command = [sys.executable, "-m", "napari_imagec_ai.cli", *argv]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == code
    assert bool(ended.stdout) is (code == 0)
    assert bool(ended.stderr) is (code == 1)
