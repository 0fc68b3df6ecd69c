"""A monkey at the widget: whatever is done in whatever order, nothing is lost.

Each step is one thing that a person may do. After each, napari lives, nothing raised an
error, what was painted or erased is still so, and Labels, outlines and table agree.
Steps are drawn from fixed seeds; MONKEY_STEPS in the environment sets how many.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import description, discs, finish, onnx_network
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter

Open = Callable[..., tuple[Any, Any]]
STEPS = int(os.environ.get("MONKEY_STEPS", "2000"))
EACH = 100
SIDE = 64
CENTRES = [(16, 16), (16, 48), (48, 16), (48, 48)]


def scene(count: int) -> np.ndarray:
    labels = discs((SIDE, SIDE), CENTRES[:count], (9, 8, 7, 6)[:count])
    values = np.zeros(count + 1, np.float32)
    values[1:] = np.linspace(0.98, 0.7, count)
    return np.asarray(gaussian_filter(values[labels], 1) + 0.01, np.float32)


class Edit:
    """Pixels that the person set, and to what."""

    def __init__(self, image: Any, pixels: np.ndarray, value: int) -> None:
        self.image, self.pixels, self.value = image, pixels, value


class Monkey(RuleBasedStateMachine):
    """The person."""

    def __init__(self, qtbot: Any, viewer: Any, widget: Any, errors: Any) -> None:
        super().__init__()
        self.qtbot, self.viewer, self.widget = qtbot, viewer, widget
        self.errors = errors
        self.edits: list[Edit] = []
        self.names = iter(range(10_000))

    # -- what is there -----------------------------------------------------------------

    def live(self, image: Any) -> Any:
        """The result of the first model on an image."""
        for live in self.widget.showing.known:
            if live.image == image and live.session.model.name == "Tiny":
                return live
        return None

    def labels(self) -> Any:
        """Labels of the tuned result, where it is of the first model."""
        live = self.widget.showing.live
        if live is None or live.session.model.name != "Tiny":
            return None
        found = live.results.label_layers
        return found[0] if found else None

    def calm(self) -> None:
        """Let everything happen that is under way."""
        finish(self.qtbot, self.widget)
        tuner = self.widget.tuning._tuner
        for waiting in (
            tuner._soon,
            self.widget.showing._edited_soon,
            tuner._rest_soon,
        ):
            QApplication.processEvents()
            waiting.flush()
        QApplication.processEvents()

    # -- what a person does ------------------------------------------------------------
    # Any step at any time, so that what is drawn depends on nothing but the seed: one
    # that has nothing to work on does nothing.

    @initialize()
    def begin(self) -> None:
        """An empty window with one image, and a result."""
        self.viewer.dims.ndisplay = 2
        self.viewer.layers.clear()
        self.calm()
        self.viewer.add_image(scene(4), name="first")
        self.viewer.add_image(scene(2), name="second", scale=(2, 2))
        self.widget.choose("tiny")
        for control in (
            self.widget.layer_options.boxes,
            self.widget.layer_options.points,
        ):
            control.value = False
        self.widget.layer_options.outlines.value = True
        self.widget.thresholds.reset.native.click()
        if not self.widget.classes[0].keep.value:
            self.widget.classes[0].keep.native.click()
        self.run()
        self.calm()
        # So that there is something to lose from the first step on.
        self.paint(32, 32)
        self.erase(1)

    @rule()
    def run(self) -> None:
        self.widget.run_button.native.click()

    @rule(y=st.integers(2, SIDE - 3), x=st.integers(2, SIDE - 3))
    def paint(self, y: int, x: int) -> None:
        labels = self.labels()
        if labels is None:
            return
        value = 200 + next(self.names)
        before = labels.data.copy()
        labels.brush_size = 5
        labels.paint((y, x), value)
        self.note(labels.data != before, value)

    @rule(which=st.integers(0, 50))
    def erase(self, which: int) -> None:
        labels = self.labels()
        if labels is None or not labels.data.any():
            return
        ids = np.unique(labels.data)[1:]
        mine = labels.data == ids[which % len(ids)]
        if np.asarray(labels.data).dtype.kind == "u" and mine.any():
            where = tuple(int(n) for n in np.argwhere(mine)[0])
            before = labels.data.copy()
            labels.contiguous = False
            labels.fill(where, 0)
            self.note(labels.data != before, 0)

    def note(self, pixels: np.ndarray, value: int) -> None:
        """Keep in mind what was changed; it covers what was changed before."""
        image = self.widget.showing.live.image
        for edit in self.edits:
            if edit.image == image:
                edit.pixels &= ~pixels
        self.edits.append(Edit(image, pixels, value))

    @rule()
    def undo_the_stroke(self) -> None:
        labels = self.labels()
        if labels is None:
            return
        before = labels.data.copy()
        labels.undo()
        back = labels.data != before
        for edit in self.edits:
            if edit.image == self.widget.showing.live.image:
                edit.pixels &= ~back

    @rule(value=st.floats(0.05, 1), mask=st.booleans())
    def slide(self, value: float, mask: bool) -> None:
        widget = self.widget
        control = widget.mask_threshold if mask else widget.class_threshold
        if control.visible or not mask:
            control.value = min(round(value, 2), control.max)

    @rule()
    def tick(self) -> None:
        self.widget.classes[0].keep.native.click()

    @rule(which=st.sampled_from(["outlines", "boxes", "points"]))
    def draw(self, which: str) -> None:
        getattr(self.widget.layer_options, which).native.click()

    @rule(step=st.sampled_from(["undo", "redo", "reset"]))
    def step(self, step: str) -> None:
        button = getattr(self.widget.thresholds, step).native
        if button.isEnabled():
            button.click()

    @rule(name=st.sampled_from(["thing", "nucleus", "A & B", "x"]))
    def rename_class(self, name: str) -> None:
        field = self.widget.classes[0].target.native
        field.setText(name)
        QTest.keyClick(field, Qt.Key.Key_Return)

    @rule()
    def rename_image(self) -> None:
        layer = self.widget.image.value
        if layer is not None:
            layer.name = f"image {next(self.names)}"

    @rule(which=st.integers(0, 9))
    def choose_layer(self, which: int) -> None:
        layers = self.viewer.layers
        if len(layers):
            layers.selection.active = layers[which % len(layers)]

    @rule(model=st.sampled_from(["tiny", "other"]))
    def choose_model(self, model: str) -> None:
        self.widget.choose(model)

    @rule(words=st.sampled_from(["ti", "oth", "zzz"]))
    def search(self, words: str) -> None:
        field = self.widget.choice.search.native
        QTest.keyClicks(field, words)
        QApplication.processEvents()
        field.clear()

    @rule(which=st.sampled_from(["model", "planes", "class_threshold", "decoder"]))
    def wheel(self, which: str) -> None:
        target = getattr(self.widget, which).native
        middle = target.rect().center()
        event = QWheelEvent(
            QPointF(middle),
            QPointF(target.mapToGlobal(middle)),
            QPoint(),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(target, event)

    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        mine = [layer for layer in self.viewer.layers if "(" in layer.name]
        if mine:
            self.viewer.layers.remove(mine[which % len(mine)])

    @rule()
    def theme(self) -> None:
        self.viewer.theme = "light" if self.viewer.theme == "dark" else "dark"

    @rule()
    def depth(self) -> None:
        self.viewer.dims.ndisplay = 5 - self.viewer.dims.ndisplay

    # -- what has to hold --------------------------------------------------------------

    @invariant()
    def all_is_well(self) -> None:
        self.calm()
        assert not self.errors, self.errors
        self.no_edit_is_lost()
        self.layers_and_table_agree()

    def no_edit_is_lost(self) -> None:
        for edit in list(self.edits):
            live = self.live(edit.image)
            if live is None or not edit.pixels.any():
                self.edits.remove(edit)  # its layers were deleted, or it was covered
                continue
            for labels in live.results.label_layers:
                assert (labels.data[edit.pixels] == edit.value).all()

    def layers_and_table_agree(self) -> None:
        live = self.widget.showing.live
        if live is None:
            return
        drawn = live.results._drawings.layers()
        for name, labels in live.results._labels.items():
            ids = set(np.unique(labels.data).tolist()) - {0}
            assert set(labels.features["index"]) == ids
            outlines = drawn.get(("outlines", name))
            if outlines is not None:
                assert set(outlines.features["index"]) == ids
                assert len(outlines.data) == len(ids)
        table = self.widget.inspector.table
        if table is not None:
            rows = sum(len(one.features) for one in self.widget.inspector._listed())
            assert table._model.rowCount() == rows


@pytest.mark.qt_no_exception_capture
@pytest.mark.parametrize("shown", [True, False], ids=["painted", "hidden"])
def test_nothing_is_lost_whatever_is_done(
    qtbot: Any, open_widget: Open, tmp_path: Path, shown: bool
) -> None:
    # A window that paints is slow: most steps are done in one that does not.
    steps = STEPS // 10 if shown else STEPS - STEPS // 10
    other = tmp_path / "models" / "other"
    viewer, widget = open_widget(show=shown)
    other.mkdir(parents=True)
    (other / "rdf.yaml").write_text(yaml.safe_dump(description(name="Other")))
    onnx_network(other / "weights.onnx")
    widget.refresh_models()
    if shown:
        viewer.window.resize(700, 500)
    widget.inspector.make_table()
    with qtbot.capture_exceptions() as errors:
        run_state_machine_as_test(
            lambda: Monkey(qtbot, viewer, widget, errors),
            settings=settings(
                max_examples=max(1, steps // EACH),
                stateful_step_count=EACH,
                derandomize=True,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
