"""What is asked before a program runs, by whatever button, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import finish, torchscript_network

from napari_imagec_ai._napari.model.packaging import PackageDialog
from napari_imagec_ai.library import trust
from napari_imagec_ai.recipes.recipe import Recipe

Open = Callable[..., tuple[Any, Any]]
PROGRAM = {
    "network": torchscript_network,
    "weights": {"torchscript": {"source": "weights.pt"}},
}


@pytest.fixture
def squares() -> np.ndarray:
    image = np.zeros((64, 64), np.float32)
    image[10:20, 10:20] = image[40:50, 30:44] = 1.0
    return image


@pytest.fixture
def asking(open_widget: Open, squares: np.ndarray) -> tuple[Any, Any]:
    """A widget that waits for an answer."""
    viewer, widget = open_widget(squares, show=True, **PROGRAM)
    widget.run_button.native.click()
    return viewer, widget


def test_a_run_that_waits_says_what_to_press(
    qtbot: Any, asking: tuple[Any, Any]
) -> None:
    viewer, widget = asking
    assert "press 'Run it' or 'Not now'" in widget.status.value
    viewer.add_image(np.zeros((32, 32)), name="other")  # nothing that answers
    viewer.layers.selection = {viewer.layers["dish"]}
    assert "press 'Run it' or 'Not now'" in widget.status.value
    widget.consent.no.native.click()
    assert "Not run" in widget.status.value
    assert not widget.consent.native.isVisible()
    assert trust.question(widget.session.model) is not None
    widget.run_button.native.click()
    widget.consent.yes.native.click()
    finish(qtbot, widget)
    assert "2 of 2 objects kept" in widget.status.value
    assert trust.question(widget.session.model) is None


def test_a_question_goes_with_the_engine_that_it_was_about(
    asking: tuple[Any, Any],
) -> None:
    _, widget = asking
    widget.engine.value = "torchscript"
    assert not widget.consent.asking
    assert widget.status.value == "Ready."


def test_a_batch_asks_too(
    qtbot: Any, asking: tuple[Any, Any], squares: np.ndarray, tmp_path: Path
) -> None:
    _, widget = asking
    widget.consent.no.native.click()
    widget.repeat.batch.native.click()
    panel = widget.repeating.panel
    tifffile.imwrite(tmp_path / "one.tif", squares)
    panel.images.value, panel.output.value = str(tmp_path), str(tmp_path / "out")
    panel.run_button.native.click()
    assert not panel.running
    assert "is a program" in panel.consent.said.value
    assert "press 'Run it'" in panel.status.value
    panel.consent.no.native.click()
    assert "Not run" in panel.status.value
    assert not (tmp_path / "out").exists()
    panel.run_button.native.click()
    panel.consent.yes.native.click()
    qtbot.waitUntil(lambda: not panel.running, timeout=30_000)
    assert "1 of 1 images done" in panel.status.value
    assert (tmp_path / "out" / "one.objects.csv").is_file()


def test_weights_of_strangers_are_asked_about_before_they_are_tried(
    qtbot: Any, open_widget: Open, squares: np.ndarray, tmp_path: Path
) -> None:
    _, widget = open_widget(squares)
    weights = torchscript_network(tmp_path / "stranger.pt")
    widget.model_actions.ask_weights(weights)
    dialog = widget.native.findChild(PackageDialog)
    dialog.decoder.value, dialog.classes.value = "unet", "square"
    dialog.buttons.accepted.emit()
    assert "'stranger.pt' is a program" in widget.consent.said.value
    assert "press 'Try it' or 'Not now'" in widget.status.value
    assert not widget.model_actions.busy
    widget.consent.yes.native.click()
    qtbot.waitUntil(lambda: not widget.model_actions.busy, timeout=30_000)
    assert "Made 'stranger'" in widget.status.value
    # The copy in the model folder is the same file: it is not asked about again.
    assert widget.entry.name == "stranger"
    assert trust.question(widget.session.model) is None


def test_weights_that_were_run_knowingly_are_so_in_the_recipe(
    qtbot: Any, open_widget: Open, squares: np.ndarray, tmp_path: Path
) -> None:
    _, widget = open_widget(
        squares, weights={"onnx": {"source": "weights.onnx", "sha256": "0" * 64}}
    )
    widget.run()
    finish(qtbot, widget)
    assert "sha256" in widget.status.value
    assert "press 'Run it'" in widget.status.value
    assert "--unverified" not in widget.status.value
    assert widget.recipe().predict.verify
    widget.consent.yes.native.click()
    finish(qtbot, widget)
    assert "run knowingly" in widget.status.value
    assert "verify=False" in widget.repeating.copy_python()
    widget.repeating.save(tmp_path / "r.yaml")
    assert not Recipe.load(tmp_path / "r.yaml").predict.verify
    widget.repeating.load(tmp_path / "r.yaml")
    assert "not those of the description" in widget.status.value
    widget.run()
    finish(qtbot, widget)
    assert "run knowingly" in widget.status.value


@pytest.mark.parametrize(
    ("word", "apart"), [("always", True), ("never", False), ("auto", False)]
)
def test_a_preference_says_in_which_process_networks_run(
    qtbot: Any,
    open_widget: Open,
    squares: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    apart: bool,
) -> None:
    from napari.settings import get_plugin_settings

    from napari_imagec_ai.engines.process import ProcessEngine

    monkeypatch.delenv("IMAGEC_AI_ISOLATED", raising=False)
    settings = get_plugin_settings("napari-imagec-ai")
    monkeypatch.setattr(settings.engines, "own_process", word)
    _, widget = open_widget(squares)
    widget.run()
    finish(qtbot, widget)
    assert "2 of 2 objects kept" in widget.status.value
    opened = widget.session._engine[1]
    assert isinstance(opened, ProcessEngine) is apart
