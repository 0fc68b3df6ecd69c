"""The form of the dock widget, by mouse, wheel and keys, in a real window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish, onnx_network
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter
from test_widget_classes import settle

from napari_imagec_ai._napari.form import MODEL, RESULTS, TUNE
from napari_imagec_ai._napari.keys import in_order
from napari_imagec_ai._napari.tune.class_rows import MANY
from napari_imagec_ai._napari.widget import ClassifierWidget

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def scene() -> np.ndarray:
    """Four discs, each fainter than the one before."""
    values = np.array([0.02, 0.98, 0.88, 0.78, 0.68], np.float32)
    labels = discs((96, 96), [(25, 25), (25, 70), (70, 25), (70, 70)], (12,) * 4)
    return np.asarray(gaussian_filter(values[labels], 1), np.float32)


def of_classes(*names: str, decoder: str = "semantic") -> dict[str, Any]:
    """A model whose every map is its input, with these classes."""
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": list(names)}]
    size = {"tensor_id": "raw"}
    axes += [
        {"type": "space", "id": axis, "size": size | {"axis_id": axis}, "halo": 4}
        for axis in "yx"
    ]
    return {
        "network": partial(onnx_network, channels=len(names), expression="channels"),
        "outputs": [{"id": "probability", "axes": axes}],
        "config": {"napari_imagec_ai": {"decoder": decoder, "classes": list(names)}},
    }


def ran(qtbot: Any, open_widget: Open, image: Any, **changes: Any) -> Any:
    viewer, widget = open_widget(image, show=True, **changes)
    qtbot.mouseClick(widget.run_button.native, LEFT)
    finish(qtbot, widget)
    return viewer, widget


def turn(control: Any, by: int = -120) -> None:
    """Turn the mouse wheel over a control."""
    here = QPointF(control.rect().center())
    there = QPointF(control.mapToGlobal(control.rect().center()))
    buttons, keys = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    phase = Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(
        here, there, QPoint(), QPoint(0, by), buttons, keys, phase, False
    )
    QApplication.sendEvent(control, event)


# -- tabs ------------------------------------------------------------------------------


def test_a_run_brings_what_is_tuned_to_the_front(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = open_widget(scene, show=True)
    assert widget.form.front == MODEL
    qtbot.mouseClick(widget.run_button.native, LEFT)
    finish(qtbot, widget)
    assert widget.form.front == TUNE
    assert widget.class_threshold.native.isVisible()
    bar = widget.form.tabs.tabBar()
    for tab in (MODEL, TUNE, RESULTS):
        qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(tab).center())
        assert widget.form.front == tab
        for always in (widget.run_button, widget.cancel_button, widget.status):
            assert always.native.isVisible()


def test_the_tab_and_the_model_are_there_again_the_next_time(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    widget.choose("nuclei-unet")
    bar = widget.form.tabs.tabBar()
    qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(RESULTS).center())
    second = ClassifierWidget(viewer)
    viewer.window.add_dock_widget(second, name="another")
    assert second.entry.path.name == "nuclei-unet"
    assert second.form.front == RESULTS


def test_four_classes_are_tuned_on_a_laptop_without_scrolling(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True, **of_classes(*"abcd"))
    window = viewer.window._qt_window
    window.resize(1366, 700)  # what a window's frame and a task bar leave
    dock = widget.native.parent()
    window.resizeDocks([dock], [360], Qt.Orientation.Horizontal)
    widget.run()
    finish(qtbot, widget)
    for tab in (MODEL, TUNE, RESULTS):
        widget.form.front = tab
        area = widget.form.tabs.currentWidget()
        bar = area.verticalScrollBar()
        qtbot.wait(300)  # a page that was never shown is laid out late
        qtbot.waitUntil(lambda one=bar: one.maximum() == 0, timeout=30_000)
    assert dock.width() <= 370


def test_export_is_in_sight_in_a_low_window_and_all_formats_in_a_high_one(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene, show=True)
    window = viewer.window._qt_window
    widget.form.front = RESULTS
    form, area = widget.export_section, widget.form.tabs.currentWidget()
    bar, heights = area.verticalScrollBar(), {}
    for height in (1000, 700):
        window.resize(1366, height)
        form.say("Wrote more files than there is room for in one line. " * 2)
        widget.say("A sentence that is longer than the status has lines for. " * 9)
        qtbot.wait(500)
        heights[height] = form.list.height()
        qtbot.wait(300)
        assert form.list.height() == heights[height]  # it came to rest
        go = form.go.native
        foot = go.mapTo(area.viewport(), go.rect().bottomLeft()).y()
        assert foot <= area.viewport().height()
        assert bar.maximum() == 0 or height == 700
    assert heights[1000] > 2 * heights[700]
    status = widget.status.native
    assert status.height() > status.parent().height()  # the rest is scrolled to


# -- wheel and keys --------------------------------------------------------------------


def test_the_wheel_scrolls_and_changes_only_what_has_the_focus(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    controls = (
        widget.model,
        widget.decoder,
        widget.source.region.where,
        widget.assumptions.normalize,
        widget.assumptions.scale,
        widget.assumptions.class_count,
    )
    before = [control.value for control in controls]
    for control in controls:
        turn(control.native)
    assert [control.value for control in controls] == before
    turn(widget.thresholds.rows[1].handle)
    assert widget.class_threshold.value == 0.5
    assert widget.session.prediction is not None
    # What is made later is guarded, too.
    row = widget.classes[0]
    qtbot.mouseClick(row.fold, LEFT)
    qtbot.mouseClick(row.add.native, LEFT)
    qtbot.waitUntil(row.filters[0].feature.native.isVisible, timeout=30_000)
    feature = row.filters[0].feature
    chosen = feature.value
    turn(feature.native)
    assert feature.value == chosen
    handle = widget.thresholds.rows[1].handle
    viewer.window._qt_window.activateWindow()
    handle.setFocus()
    qtbot.waitUntil(handle.hasFocus, timeout=30_000)
    turn(handle)
    assert 0.4 <= widget.class_threshold.value < 0.5


def test_typing_in_the_search_keeps_the_model_and_what_it_found(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    widget.form.front = MODEL
    qtbot.keyClicks(widget.choice.search.native, "yolo")
    assert widget.entry.path.name == "tiny"
    assert "match" in widget.choice.found.value
    qtbot.keyClicks(widget.choice.search.native, "<zzz>")
    assert "No model matches" in widget.choice.found.value
    widget.class_threshold.value = 0.95
    settle(qtbot, lambda: "0 of 4 objects" in widget.status.value)
    qtbot.keyClicks(widget.model.native, "bn")  # letters choose nothing
    assert widget.entry.path.name == "tiny"


def test_each_step_of_a_slider_can_be_seen_and_undone(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    row = widget.thresholds.rows[1]
    beside = QPoint(int(row.handle.width() * 0.9), row.handle.height() // 2)
    qtbot.mouseClick(row.handle, LEFT, pos=beside)
    values = [widget.class_threshold.value]
    for key in (Qt.Key.Key_PageUp, Qt.Key.Key_Right, Qt.Key.Key_Up):
        qtbot.keyClick(row.handle, key)
        values.append(widget.class_threshold.value)
    assert np.allclose(values, [0.6, 0.7, 0.71, 0.72], atol=1e-4)
    assert row.line.value == "0.72"
    for value in (0.71, 0.7, 0.6, 0.5):
        qtbot.mouseClick(widget.thresholds.undo.native, LEFT)
        assert widget.class_threshold.value == pytest.approx(value, abs=1e-4)
    assert not widget.thresholds.undo.enabled


def test_the_tab_key_goes_as_the_eye_does(open_widget: Open, qtbot: Any) -> None:
    viewer, widget = open_widget(show=True)
    order = [
        widget.form.tabs.tabBar(),
        widget.choice.search.native,
        widget.model.native,
        widget.decoder.native,
        widget.image.native,
        widget.assumptions.button,
        widget.cancel_button.native,
        widget.thresholds.rows[0].handle,
        widget.thresholds.rows[1].line.native,
        widget.classes[0].keep.native,
        widget.classes[0].fold,
        widget.layer_options.outlines.native,
        widget.repeat.batch.native,
    ]
    widget.cancel_button.enabled = True
    stops = [one for _, one in widget.form.native._stops()]
    places = [stops.index(one) for one in order]
    assert places == sorted(places)
    window = viewer.window._qt_window
    widget.choice.search.native.setFocus()
    for _ in stops:
        if window.focusWidget() is widget.classes[0].keep.native:
            break
        qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
    assert window.focusWidget() is widget.classes[0].keep.native
    assert widget.form.front == TUNE
    for _ in stops:
        if window.focusWidget() is widget.model.native:
            break
        qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Backtab)
    assert widget.form.front == MODEL
    assert in_order(widget.form.bar.native)


# -- names -----------------------------------------------------------------------------


def test_names_are_shown_as_they_are(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    name = "CD4 & <b>CD8</b>"
    viewer, widget = open_widget(
        scene, show=True, config={"napari_imagec_ai": {"classes": [name]}}
    )
    viewer.add_image(scene, name="A & B")
    assert widget.classes[0].keep.native.text() == "CD4 && <b>CD8</b>"
    assert "&lt;b&gt;" in widget.classes[0].target.native.toolTip()
    assert "A && B" in [box.native.text() for box in widget.source.measured.boxes] or (
        widget.image.value.name == "A & B"
    )
    widget.image.value = viewer.layers["dish"]
    assert [box.native.text() for box in widget.source.measured.boxes] == ["A && B"]
    widget.say("a < b & c")
    assert widget.status.native.text() == "a &lt; b &amp; c"
    widget.say("b & c")
    assert widget.status.native.text() == "b & c"


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (("cell", "cell"), ["cell", "cell 2"]),
        (("cell", ""), ["cell", "class 2"]),
        (("a\nb", "a"), ["a\nb", "a"]),
    ],
)
def test_doubled_and_empty_names_of_classes_run(
    qtbot: Any,
    open_widget: Open,
    scene: np.ndarray,
    names: tuple[str, ...],
    called: list[str],
) -> None:
    _, widget = ran(qtbot, open_widget, scene, **of_classes(*names))
    assert widget.status.value.startswith("4 of 4 objects kept (dish, Tiny)")
    sources = [row.source for row in widget.classes.rows]
    assert sources == called
    shown = [row.keep.native.text() for row in widget.classes.rows]
    assert all(words and "\n" not in words for words in shown)


# -- many classes ----------------------------------------------------------------------


def test_of_many_classes_those_found_come_first(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    names = tuple(f"class {i}" for i in range(80))
    viewer, widget = ran(qtbot, open_widget, scene, **of_classes(*names))
    found = widget.objects().counts()
    kept = [name for name, count in found.items() if count]
    assert len(viewer.layers) == 1 + 2 * len(kept)
    rows = [row for row in widget.classes.rows if row.native.isVisible()]
    assert len(rows) <= MANY
    at = {row.source: row.native.y() for row in rows}
    assert min(at, key=lambda name: at[name]) in kept
    assert widget.classes.search.native.isVisible()
    qtbot.keyClicks(widget.classes.search.native, "class 77")
    rows = [row for row in widget.classes.rows if row.native.isVisible()]
    assert [row.source for row in rows] == ["class 77"]
    widget.classes.search.native.clear()
    assert kept[0] in [
        row.source for row in widget.classes.rows if row.native.isVisible()
    ]


# -- the status ------------------------------------------------------------------------


def test_the_status_is_about_what_is_chosen(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    assert "4 of 4 objects kept (dish, Tiny)" in widget.status.value
    viewer.add_image(np.full((64, 64), np.nan, np.float32), name="broken")
    assert "dish" not in widget.status.value
    widget.run()
    finish(qtbot, widget)
    assert "broken" in widget.status.value
    viewer.layers.selection.active = viewer.layers["dish"]
    assert "broken" not in widget.status.value
    widget.choose("nuclei-unet")
    assert "Tiny" not in widget.status.value


def test_a_click_on_filters_shows_and_counts_them(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    _, widget = ran(qtbot, open_widget, scene)
    row = widget.classes[0]
    assert row.fold.text() == "Filters..."
    qtbot.mouseClick(row.fold, LEFT)
    assert row.add.native.isVisible()
    qtbot.mouseClick(row.add.native, LEFT)
    assert row.fold.text() == "Filters (1)"
    line = row.filters[0]
    qtbot.waitUntil(line.leave_out.native.isVisible, timeout=30_000)
    qtbot.wait(50)
    qtbot.mouseClick(line.leave_out.native, LEFT, pos=QPoint(8, 12))
    assert not line.becomes.enabled
    settle(qtbot, lambda: row.number.value == "0")
    assert row.rule().filters[0].becomes is None


# -- the size of objects ---------------------------------------------------------------


def test_the_size_of_objects_is_asked_where_a_model_knows_sizes(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    config = {"decoder": "unet", "classes": ["thing"], "object_size": [8, 60]}
    _, widget = open_widget(scene, show=True, config={"napari_imagec_ai": config})
    form = widget.feeding.object_size
    assert form.offered
    assert form.how.native.isVisibleTo(widget.image_section.native)
    assert "8 to 60 pixels" in form.how.tooltip
    assert widget.recipe().predict.object_size is None
    form.how.value = "told"
    form.diameter.value = 24
    assert form.diameter.native.isVisibleTo(form.native)
    widget.form.front = TUNE  # it is asked wherever the person looks
    assert widget.recipe().predict.object_size == 24
    widget.run()
    finish(qtbot, widget)
    assert widget.session.prediction is not None, widget.status.value
    widget.choose("cells-yolov5seg")
    assert not form.how.native.isVisibleTo(widget.image_section.native)


def test_what_others_drew_comes_first_to_find_thresholds_by(
    open_widget: Open, qtbot: Any, scene: np.ndarray
) -> None:
    viewer, widget = ran(qtbot, open_widget, scene)
    viewer.add_labels(np.ones((96, 96), np.int32), name="mine")
    words = [
        widget.calibration.drawn.native.itemText(i)
        for i in range(widget.calibration.drawn.native.count())
    ]
    assert words[0] == "mine"
    assert words[1] == "thing (dish) - a result of this software"
