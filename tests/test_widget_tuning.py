"""Thresholds in the dock widget: typed, undone, reset, calibrated; what was assumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, CountingEngine, discs, finish
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractSlider, QComboBox, QLineEdit
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle, typed
from test_widget_lasting import another

from napari_imagec_ai._napari.form import MODEL
from napari_imagec_ai.recipes import session

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton
CENTRES = [(25, 25), (25, 70), (70, 25), (70, 70)]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> CountingEngine:
    counting = CountingEngine()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: counting)
    return counting


@pytest.fixture
def scene() -> np.ndarray:
    """Four discs, each fainter than the one before."""
    values = np.array([0.02, 0.98, 0.88, 0.78, 0.68], np.float32)
    labels = discs((96, 96), CENTRES, (12,) * 4)
    return np.asarray(gaussian_filter(values[labels], 1), np.float32)


def ran(qtbot: Any, open_widget: Open, image: Any, **changes: Any) -> Any:
    viewer, widget = open_widget(image, show=True, **changes)
    widget.run()
    finish(qtbot, widget)
    return viewer, widget


def shown(widget: Any) -> str:
    return str(widget.classes[0].number.value)


def test_typed_thresholds_are_clamped_with_a_word(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    mask, of_class = widget.thresholds.rows
    typed(qtbot, of_class.line, "0.8")
    settle(qtbot, lambda: shown(widget) == "2")
    assert widget.class_threshold.value == pytest.approx(0.8)
    typed(qtbot, mask.line, "5")
    assert "0.01 to 0.99; 5 became 0.99" in widget.status.value
    assert mask.line.value == "0.99"
    typed(qtbot, of_class.line, "half")
    assert "'half' is no number" in widget.status.value
    assert of_class.line.value == "0.8"


def test_two_settings_of_sureness_are_told_apart(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = open_widget(scene)
    assert widget.class_threshold.label == "Minimum confidence"
    assert "Noise below" not in widget.class_threshold.tooltip
    widget.choose("nuclei-unet")  # leaves out what it is less sure of than 0.42
    noise = widget.settings["min_confidence"]
    assert noise.label == "Noise below"
    assert "are not among those found" in noise.tooltip
    assert "down to 'Noise below'" in widget.class_threshold.tooltip
    labels = [control.label or control.text for control in widget.settings]
    assert not any("onfidence" in label for label in labels)
    words = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for label in ("Minimum confidence", "Noise below", "Smallest object (pixels)"):
        assert f"| **{label}** |" in words


def test_the_histogram_shows_what_counts_and_takes_a_click(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = open_widget(scene, show=True)
    histogram = widget.thresholds.histogram
    assert not histogram.isVisible()
    widget.run()
    finish(qtbot, widget)
    assert histogram.isVisible()
    assert sum(bar > 0 for bar in histogram.bars) == 4
    at = QPoint(round(0.8 * (histogram.width() - 1)), 5)
    qtbot.mouseClick(histogram, LEFT, pos=at)
    settle(qtbot, lambda: shown(widget) == "2")
    assert histogram.threshold == pytest.approx(0.8, abs=0.02)
    picture = histogram.grab().toImage()
    colours = {
        picture.pixelColor(x, picture.height() - 4).name()
        for x in range(picture.width())
    }
    assert histogram.accent() in colours
    assert len(colours) >= 3  # background, what counts, what does not


def test_settings_are_undone_redone_and_reset(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    calls = engine.calls
    buttons = widget.thresholds
    assert not buttons.undo.enabled
    typed(qtbot, buttons.rows[1].line, "0.7")
    settle(qtbot, lambda: buttons.undo.enabled and shown(widget) == "3")
    typed(qtbot, widget.classes[0].target, "cell")
    settle(qtbot, lambda: "cell" in widget.objects().classes)
    typed(qtbot, buttons.rows[0].line, "0.3")
    widget.classes[0].handicap.value = 0.1
    last = str(len(widget.objects()))
    assert last in "12"
    for _ in range(4):
        qtbot.mouseClick(buttons.undo.native, LEFT)
    settle(qtbot, lambda: not buttons.undo.enabled)
    assert widget.classes[0].target.value == "thing"
    assert widget.class_threshold.value == 0.5
    assert shown(widget) == "4"
    for _ in range(4):
        qtbot.mouseClick(buttons.redo.native, LEFT)
    settle(qtbot, lambda: shown(widget) == last)
    assert widget.classes[0].handicap.value == pytest.approx(0.1)
    settle(qtbot, lambda: not buttons.redo.enabled)
    qtbot.mouseClick(buttons.reset.native, LEFT)
    assert (widget.mask_threshold.value, widget.class_threshold.value) == (0.5, 0.5)
    assert engine.calls == calls


def calibrated(qtbot: Any, widget: Any) -> str:
    qtbot.mouseClick(widget.calibration.go.native, LEFT)
    settle(qtbot, lambda: widget.calibration.go.enabled)
    return str(widget.calibration.said.value)


def test_thresholds_are_chosen_by_a_known_count(
    qtbot: Any, open_widget: Open, engine: CountingEngine, scene: np.ndarray
) -> None:
    _, widget = open_widget(scene, show=True)
    qtbot.mouseClick(widget.calibration.button, LEFT)
    assert "Run the network first" in calibrated(qtbot, widget)
    widget.run()
    finish(qtbot, widget)
    calls = engine.calls
    widget.calibration.known.value = 3
    assert "3 objects are kept; as many as there are" in calibrated(qtbot, widget)
    settle(qtbot, lambda: shown(widget) == "3")
    assert engine.calls == calls


def test_thresholds_are_chosen_by_points(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    dish = viewer.layers["dish"]
    dish.rotate, dish.translate = 30, (7, -5)
    widget.run()
    finish(qtbot, widget)
    qtbot.mouseClick(widget.calibration.button, LEFT)
    widget.calibration.by.value = "a Points layer"
    assert "There is no layer" in calibrated(qtbot, widget)
    points = [dish.data_to_world(point) for point in (*CENTRES[:2], (50, 50))]
    viewer.add_points(np.asarray(points), name="mine")
    said = calibrated(qtbot, widget)
    assert "2 objects are kept; F1 is 0.800" in said
    settle(qtbot, lambda: shown(widget) == "2")


def test_thresholds_are_chosen_by_labels(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    viewer.layers["dish"].rotate = 30
    widget.run()
    finish(qtbot, widget)
    truth = discs((96, 96), CENTRES[:3], (12,) * 3)
    # Drawn at twice the resolution.
    fine = viewer.add_labels(truth.repeat(2, 0).repeat(2, 1), name="mine")
    fine.scale = (0.25, 0.25)
    fine.rotate = 30
    fine.translate = viewer.layers["dish"].data_to_world((-0.25, -0.25))
    qtbot.mouseClick(widget.calibration.button, LEFT)
    widget.calibration.by.value = "a Labels layer"
    widget.calibration.drawn.value = fine
    assert "3 objects are kept; F1 is 1.000" in calibrated(qtbot, widget)


def test_what_was_assumed_is_listed(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    section, widget.form.front = widget.assumptions, MODEL
    assert "(1)" in section.title
    assert not section.sentences.native.isVisible()
    qtbot.mouseClick(section.button, LEFT)
    assert section.sentences.native.isVisible()
    for sentence in widget.objects().assumed:
        assert sentence.split("'")[0] in section.sentences.value


def test_how_a_model_is_fed_is_kept_until_it_is_forgotten(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    qtbot.mouseClick(widget.assumptions.button, LEFT)
    chosen = widget.assumptions.normalize.choices[1]
    widget.assumptions.normalize.value = chosen
    widget.assumptions.scale.value = 0.5
    widget.assumptions.halo.value = 12
    widget.assumptions.seams.value = "blend"
    assert "Run again" in widget.status.value
    widget.run()
    finish(qtbot, widget)
    second = another(viewer)
    settings = second.assumptions.settings()
    assert settings["normalize"] == chosen
    assert (settings["scale"], settings["halo"]) == (0.5, (12,))
    assert settings["seams"] == widget.recipe().predict.seams == "blend"
    second.assumptions.button.setChecked(True)
    second.assumptions.forget.native.click()
    settings = second.assumptions.settings()
    assert (settings["scale"], settings["halo"]) == (None, None)
    assert settings["seams"] == "crop"
    assert settings["normalize"] == "as described"


def test_channels_that_were_chosen_are_kept_with_the_model(
    open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(np.stack([scene * 0, scene]))
    widget.axes.value = "CYX"
    widget.channels[0].value = ("dish", 1)
    second = another(viewer)
    second.axes.value = "CYX"
    assert second.channels[0].value == ("dish", 1)
    assert second.run_button.enabled


def test_every_control_says_what_it_is_and_is_reached_by_keys(
    open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = open_widget(scene, show=True)
    for kind in (QAbstractButton, QComboBox, QLineEdit, QAbstractSlider):
        for control in widget.native.findChildren(kind):
            name = control.objectName()
            if name.startswith("qt_") or control.parent().inherits("QAbstractSpinBox"):
                continue
            if not control.isVisible() or control.inherits("QScrollBar"):
                continue
            holder = control if control.toolTip() else control.parent()
            assert holder.toolTip(), (kind.__name__, control.parent())
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, holder.toolTip()


def test_it_can_be_read_at_360_pixels(open_widget: Open, scene: np.ndarray) -> None:
    name = "A network with a name that its authors did not mean to be read on a laptop"
    viewer, widget = open_widget(scene, show=True, name=name)
    viewer.add_image(scene, name=name.replace("network", "picture"))
    sections = (
        widget.choice.about,
        widget.source.measured,
        widget.assumptions,
        widget.calibration,
        widget.layer_options,
        widget.repeat,
    )
    for section in sections:
        section.button.setChecked(True)
    widget.classes[0].fold.setChecked(True)
    for page in (*widget.form.pages, widget.form.bar):
        assert page.native.minimumSizeHint().width() <= 340
    widget.repeat.batch.native.click()
    panel = widget.repeating.panel
    assert panel._body.native.minimumSizeHint().width() <= 340


def test_a_text_is_never_cut(qtbot: Any, open_widget: Open, scene: np.ndarray) -> None:
    _, widget = open_widget(scene, show=True, description="Many words. " * 40)
    widget.choice.about.button.setChecked(True)
    for label in (widget.choice.card.native, widget.choice.details.native):
        qtbot.waitUntil(
            lambda one=label: one.height() >= one.heightForWidth(one.width()) > 0,
            timeout=30_000,
        )


def test_large_results_are_tuned_in_the_background(
    qtbot: Any,
    open_widget: Open,
    engine: CountingEngine,
    scene: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_imagec_ai._napari import tasks

    monkeypatch.setattr(tasks, "is_small", lambda prediction: False)
    viewer, widget = ran(qtbot, open_widget, scene)
    calls = engine.calls
    for threshold in (0.6, 0.7, 0.8):  # the last one counts
        widget.class_threshold.value = threshold
    settle(qtbot, lambda: shown(widget) == "2")
    outlines = viewer.layers["thing outlines (dish)"]
    settle(qtbot, lambda: len(outlines.data) == 2)
    widget.class_threshold.value = 0.5
    widget.choose("nuclei-unet")  # what is still being tuned has nowhere to go
    qtbot.wait(300)
    assert widget.results is None
    assert engine.calls == calls
