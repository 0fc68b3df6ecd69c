"""Programs that are asked about once, weights that are others, processes that die."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
import yaml
from conftest import finish, onnx_network, torchscript_network
from test_isolation import gone, looping_onnx, looping_torchscript, posix, soon
from test_widget_classes import settle

import napari_imagec_ai as ai
from napari_imagec_ai._napari.widget import ClassifierWidget
from napari_imagec_ai.engines.process import ProcessEngine
from napari_imagec_ai.library import trust
from napari_imagec_ai.model.weights import sha256

MakeModel = Callable[..., Path]
Open = Callable[..., tuple[Any, Any]]
TORCH = {"torchscript": {"source": "w.pt"}}
GREY = np.random.default_rng(0).random((32, 48)).astype(np.float32)


def torch_model(make: MakeModel, name: str = "tiny", **changes: Any) -> ai.Model:
    changes = {"weights": TORCH} | changes
    return ai.load_model(make(name, network=torchscript_network, **changes))


# -- asking once -----------------------------------------------------------------------


def test_a_program_is_asked_about_once_wherever_it_lies(make_model: MakeModel) -> None:
    model = torch_model(make_model)
    asked = trust.question(model)
    assert asked is not None
    assert "'w.pt' of 'Tiny' is a program (TorchScript)" in asked
    trust.remember(model)
    assert trust.question(model) is None  # it is not asked any more
    model.folder.rename(model.folder.parent / "moved")
    moved = ai.load_model(model.folder.parent / "moved")
    assert trust.question(moved) is None
    torchscript_network(moved.folder / "w.pt", "x * 3")
    assert trust.question(ai.load_model(moved.folder)) is not None


def test_what_is_no_program_is_not_asked_about(
    make_model: MakeModel, shared: Path
) -> None:
    both = {"onnx": {"source": "w.onnx"}, **TORCH}
    folder = make_model("both", network=None, weights=both)
    onnx_network(folder / "w.onnx")
    torchscript_network(folder / "w.pt")
    model = ai.load_model(folder)
    assert trust.question(model) is None  # ONNX would run
    assert trust.question(model, "torchscript") is not None
    assert trust.question(model, "magic") is None  # that is told elsewhere
    assert trust.question(ai.load_model(make_model("onnx"))) is None
    bundled = ai.load_model("nuclei-unet")
    assert trust.question(bundled, "torchscript") is None
    broken = ai.load_model(shared / "models" / "unet2d_fixed_shape")
    assert trust.question(broken) is None


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"a": 1}', "\x00"])
def test_a_damaged_note_of_answers_is_no_answer(
    content: str, make_model: MakeModel
) -> None:
    place = Path(platformdirs.user_data_dir()) / "trusted.json"
    place.parent.mkdir(parents=True)
    place.write_text(content)
    model = torch_model(make_model)
    assert trust.question(model) is not None
    trust.remember(model)
    assert trust.question(model) is None


def test_naming_a_model_in_code_or_on_the_command_line_is_an_answer(
    make_model: MakeModel, run_cli: Any, tmp_path: Path
) -> None:
    model = torch_model(make_model)
    found = ai.predict(model, ai.ImageInput(GREY, "YX"))
    np.testing.assert_array_equal(found.maps["probability"][0], GREY)
    np.save(tmp_path / "x.npy", GREY)
    import tifffile

    tifffile.imwrite(tmp_path / "x.tif", GREY)
    code, _, err = run_cli("predict", model.folder, tmp_path / "x.tif", "-o", "out")
    assert (code, err) == (0, "")


def test_the_widget_asks_before_a_program_runs(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = open_widget(GREY, weights=TORCH, network=torchscript_network)
    assert not widget.consent.asking
    widget.run()
    assert widget.consent.asking
    assert "is a program (TorchScript)" in widget.consent.said.value
    assert not widget.running
    widget.consent.no.changed.emit(True)
    assert not widget.consent.asking
    assert not widget.running
    widget.run()
    widget.consent.yes.changed.emit(True)
    assert widget.running
    finish(qtbot, widget)
    assert "thing (dish)" in [layer.name for layer in viewer.layers]
    widget.run()
    assert not widget.consent.asking
    finish(qtbot, widget)
    other = ClassifierWidget(viewer)  # another day
    other.choose("tiny")
    other.run()
    assert other.running
    finish(qtbot, other)
    other.session.close()


def test_a_question_goes_away_with_its_model(qtbot: Any, open_widget: Open) -> None:
    _, widget = open_widget(GREY, weights=TORCH, network=torchscript_network)
    widget.choice.test.changed.emit(True)  # the model's own test runs it, too
    assert widget.consent.asking
    widget.choose("nuclei-unet")
    assert not widget.consent.asking


# -- other weights than those described ------------------------------------------------


OTHER = {"onnx": {"source": "weights.onnx", "sha256": "ab" * 32}}


def test_other_weights_run_only_knowingly_and_the_result_says_so(
    make_model: MakeModel, run_cli: Any, tmp_path: Path
) -> None:
    import tifffile

    model = ai.load_model(make_model(weights=OTHER))
    image = ai.ImageInput(GREY, "YX")
    with pytest.raises(ai.ModelError, match=r"expected sha256 abab.*verify=False"):
        ai.predict(model, image)
    found = ai.predict(model, image, verify=False)
    found_hash = sha256(model.folder / "weights.onnx")[:12]
    (said,) = (s for s in found.assumed if "sha256" in s)
    assert found_hash in said
    assert "run knowingly" in said
    tifffile.imwrite(tmp_path / "x.tif", GREY)
    given = ("predict", model.folder, tmp_path / "x.tif", "-o", "out")
    code, _, err = run_cli(*given)
    assert code == 1
    assert "--unverified" in err
    code, out, _ = run_cli(*given, "--unverified")
    assert code == 0
    assert "run knowingly" in out
    recipe = yaml.safe_load(Path("out/x.recipe.yaml").read_text())
    assert recipe["predict"]["verify"] is False


def test_the_widget_runs_other_weights_after_a_question(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(GREY, weights=OTHER)
    widget.run()
    finish(qtbot, widget)
    assert "is not the file that the description means" in widget.status.value
    assert [layer.name for layer in viewer.layers] == ["dish"]
    assert widget.consent.asking
    widget.consent.yes.changed.emit(True)
    finish(qtbot, widget)
    assert "thing (dish)" in [layer.name for layer in viewer.layers]
    assert "run knowingly" in widget.status.value


# -- napari lives on -------------------------------------------------------------------


def opened(qtbot: Any, widget: Any) -> ProcessEngine:
    """The engine of a widget's run, as soon as it is there."""
    settle(qtbot, lambda: widget.session._engine is not None)
    engine = widget.session._engine[1]
    assert isinstance(engine, ProcessEngine)
    return engine


@posix
def test_napari_and_its_layers_outlive_a_network_that_crashes(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEC_AI_ISOLATED", "1")
    viewer, widget = open_widget(GREY + 2, network=looping_onnx)
    drawn = viewer.add_labels(np.eye(32, 48, dtype=np.uint8), name="by hand")
    viewer.add_image(GREY, name="other")
    widget.image.value = viewer.layers["dish"]
    widget.run()
    engine = opened(qtbot, widget)
    killer = soon(engine, lambda: os.kill(engine.pid, signal.SIGSEGV))
    finish(qtbot, widget)
    killer.join()
    assert "network died" in widget.status.value
    assert "(SIGSEGV" in widget.status.value
    assert [layer.name for layer in viewer.layers] == ["dish", "by hand", "other"]
    assert drawn.data.sum() == 32
    widget.image.value = viewer.layers["other"]
    widget.run()
    finish(qtbot, widget)
    assert "thing (other)" in [layer.name for layer in viewer.layers]


def test_cancel_ends_a_network_that_hangs(
    qtbot: Any, open_widget: Open, make_model: MakeModel
) -> None:
    viewer, widget = open_widget(GREY + 2, network=looping_torchscript, weights=TORCH)
    trust.remember(widget.session.model)
    widget.run()
    engine = opened(qtbot, widget)
    pid = engine.pid
    soon(engine, lambda: None).join()
    widget.cancel()
    finish(qtbot, widget)
    assert widget.status.value.startswith("Cancelled")
    assert gone(pid)
    assert widget.run_button.enabled
    assert [layer.name for layer in viewer.layers] == ["dish"]
