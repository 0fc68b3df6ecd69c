"""Classes and filters in the dock widget, changed by clicks and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish
from detectors import SceneEngine, detector_rdf
from detectors import scene as rectangles
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QToolButton
from scipy.ndimage import gaussian_filter

from napari_imagec_ai.recipes import session

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def discs_of_two_sizes() -> np.ndarray:
    """Three large discs and a small one, which touches the edge."""
    centres, radii = [(25, 25), (25, 70), (70, 25), (70, 92)], (12, 12, 12, 7)
    values = np.array([0.02, 0.98, 0.9, 0.7, 0.98], np.float32)
    return np.asarray(
        gaussian_filter(values[discs((96, 96), centres, radii)], 1), np.float32
    )


def opened(qtbot: Any, open_widget: Open, image: np.ndarray, **changes: Any) -> Any:
    """The viewer and the widget after a run, with the first class unfolded."""
    viewer, widget = open_widget(image, show=True, **changes)
    widget.run()
    finish(qtbot, widget)
    qtbot.mouseClick(widget.classes[0].fold, LEFT)
    return viewer, widget


def typed(qtbot: Any, line: Any, words: str) -> None:
    """Type into a line and press Enter."""
    line.native.setFocus()
    line.native.selectAll()
    qtbot.keyClicks(line.native, words)
    qtbot.keyClick(line.native, Qt.Key.Key_Return)


def add_filter(qtbot: Any, row: Any, feature: str) -> Any:
    qtbot.mouseClick(row.add.native, LEFT)
    line = row.filters[len(row.filters) - 1]
    line.feature.value = feature
    return line


def counts(widget: Any) -> dict[str, int]:
    return dict(widget.objects().counts())


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.visible]


def settle(qtbot: Any, check: Callable[[], bool]) -> None:
    qtbot.waitUntil(check, timeout=30_000)


def test_filters_sort_objects_into_classes_live(
    qtbot: Any, open_widget: Open, discs_of_two_sizes: np.ndarray
) -> None:
    viewer, widget = opened(qtbot, open_widget, discs_of_two_sizes)
    row = widget.classes[0]
    assert row.details.native.isVisible()
    line = add_filter(qtbot, row, "area")
    typed(qtbot, line.low, "300")
    settle(qtbot, lambda: row.number.value == "3")
    assert counts(widget) == {"thing": 3}
    typed(qtbot, line.becomes, "large")
    typed(qtbot, row.otherwise, "small")
    settle(qtbot, lambda: "large (dish)" in names(viewer))
    assert counts(widget) == {"thing": 0, "large": 3, "small": 1}
    assert len(np.unique(viewer.layers["large (dish)"].data)) == 1 + 3
    settle(qtbot, lambda: "small outlines (dish)" in names(viewer))
    assert len(viewer.layers["small outlines (dish)"].data) == 1
    # Classes that only filters make have a line with colour and count, too.
    made = {line[1].value: line[2].value for line in widget.classes.made}
    assert made == {"large": "3", "small": "1"}


def test_the_first_filter_that_is_met_counts_and_filters_can_be_moved(
    qtbot: Any, open_widget: Open, discs_of_two_sizes: np.ndarray
) -> None:
    _, widget = opened(qtbot, open_widget, discs_of_two_sizes)
    row = widget.classes[0]
    first = add_filter(qtbot, row, "area")
    typed(qtbot, first.becomes, "any")
    second = add_filter(qtbot, row, "touches_edge")
    typed(qtbot, second.low, "1")
    typed(qtbot, second.becomes, "cut")
    assert counts(widget) == {"thing": 0, "any": 4, "cut": 0}
    up, away = row.filters[1].native.findChildren(QToolButton)
    qtbot.mouseClick(up, LEFT)
    assert [line.feature.value for line in row.filters] == ["touches_edge", "area"]
    assert counts(widget) == {"thing": 0, "cut": 1, "any": 3}
    _, away = row.filters[0].native.findChildren(QToolButton)
    qtbot.mouseClick(away, LEFT)
    assert counts(widget) == {"thing": 0, "any": 4}


def test_an_object_that_must_meet_all_filters(
    qtbot: Any, open_widget: Open, discs_of_two_sizes: np.ndarray
) -> None:
    _, widget = opened(qtbot, open_widget, discs_of_two_sizes)
    row = widget.classes[0]
    typed(qtbot, add_filter(qtbot, row, "area").low, "300")
    typed(qtbot, add_filter(qtbot, row, "confidence").low, "0.8")
    assert counts(widget) == {"thing": 4}  # each meets one of the two
    row.require_all.native.click()
    assert counts(widget) == {"thing": 2}


def test_filters_offer_every_column_of_the_table_with_its_unit(
    qtbot: Any, open_widget: Open, discs_of_two_sizes: np.ndarray
) -> None:
    viewer, widget = open_widget(discs_of_two_sizes)
    viewer.layers["dish"].units = ("um", "um")
    widget.run()
    finish(qtbot, widget)
    row = widget.classes[0]
    line = add_filter(qtbot, row, "area_micrometer2")
    combo = line.feature.native
    shown = {combo.itemText(i) for i in range(combo.count())}
    assert {"area (µm²)", "area (pixels)", "circularity", "mean intensity"} <= shown
    typed(qtbot, line.low, "60")  # the pixels are half a micrometre wide
    settle(qtbot, lambda: row.number.value == "3")


def test_a_limit_that_is_no_number_is_said_and_nothing_changes(
    qtbot: Any, open_widget: Open, discs_of_two_sizes: np.ndarray
) -> None:
    viewer, widget = opened(qtbot, open_widget, discs_of_two_sizes)
    line = add_filter(qtbot, widget.classes[0], "area")
    typed(qtbot, line.low, "many")
    settle(qtbot, lambda: "'many'" in widget.status.value)
    assert len(np.unique(viewer.layers["thing (dish)"].data)) == 1 + 4
    typed(qtbot, line.low, "300")
    settle(qtbot, lambda: widget.classes[0].number.value == "3")


def test_a_handicap_takes_off_what_is_unsure(
    qtbot: Any, open_widget: Open, discs_of_two_sizes: np.ndarray
) -> None:
    _, widget = opened(qtbot, open_widget, discs_of_two_sizes)
    widget.classes[0].handicap.value = 0.3
    settle(qtbot, lambda: widget.classes[0].number.value == "3")


def two_classes(qtbot: Any, open_widget: Open, monkeypatch: Any) -> Any:
    engine = SceneEngine()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: engine)
    picture, _ = rectangles((64, 64), [(4, 6, 20, 30, 0), (36, 40, 60, 52, 1)])
    return opened(qtbot, open_widget, picture, **detector_rdf())


def test_two_classes_of_one_name_are_merged_and_that_is_said(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, widget = two_classes(qtbot, open_widget, monkeypatch)
    assert not widget.classes.merged.visible
    typed(qtbot, widget.classes[1].target, "round")
    assert "'round' and 'rod' become one class" in widget.classes.merged.value
    assert widget.classes.merged.visible
    settle(qtbot, lambda: "rod (dish)" not in names(viewer))
    assert len(np.unique(viewer.layers["round (dish)"].data)) == 1 + 2
    assert [row.number.value for row in widget.classes.rows] == ["2", "2"]


def test_a_class_can_be_left_out_hidden_and_coloured(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, widget = two_classes(qtbot, open_widget, monkeypatch)
    calls = session.open_engine().calls
    layers = ("rod (dish)", "rod outlines (dish)")
    qtbot.mouseClick(widget.classes[1].look.eye, LEFT)
    assert not any(name in names(viewer) for name in layers)
    qtbot.mouseClick(widget.classes[1].look.eye, LEFT)
    assert all(name in names(viewer) for name in layers)
    monkeypatch.setattr(QColorDialog, "getColor", lambda *a: QColor("#123456"))
    qtbot.mouseClick(widget.classes[1].look.swatch, LEFT)
    labels, outlines = (viewer.layers[name] for name in layers)
    expected = np.array([0x12, 0x34, 0x56]) / 255
    np.testing.assert_allclose(labels.colormap.map(2)[:3], expected, atol=0.01)
    np.testing.assert_allclose(outlines.edge_color[0, :3], expected, atol=0.01)
    widget.class_threshold.value = 0.1  # what is drawn again keeps its colour
    settle(qtbot, lambda: len(outlines.data) == 1)
    np.testing.assert_allclose(outlines.edge_color[0, :3], expected, atol=0.01)
    widget.classes[1].keep.native.click()
    settle(qtbot, lambda: "rod (dish)" not in names(viewer))
    assert widget.classes[1].number.value == "-"
    assert session.open_engine().calls == calls
