"""Classes that a person tells the widget, and what it keeps about a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish
from detectors import detector_rdf
from detectors import scene as rectangles
from scipy.ndimage import gaussian_filter
from test_told_classes import BOXES, Turned
from test_widget_classes import settle
from test_widget_lasting import another

from napari_imagec_ai.recipes import session

Open = Callable[..., tuple[Any, Any]]


def type_names(widget: Any, words: str) -> None:
    widget.assumptions.class_names.value = words
    widget.assumptions.class_names.native.editingFinished.emit()


def sources(widget: Any) -> list[str]:
    return [line.source for line in widget.classes.rows]


def test_a_number_of_classes_by_hand_is_read_so_and_kept(
    qtbot: Any, open_widget: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Turned()
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: engine)
    rdf = detector_rdf("objectness", masks=False)
    rdf["config"] = {"napari_imagec_ai": {"decoder": "yolo"}}
    rdf["outputs"][0]["axes"][2]["size"] = 6
    viewer, widget = open_widget(rectangles((64, 64), BOXES)[0], **rdf)
    widget.run()
    finish(qtbot, widget)
    widget.assumptions.class_count.value = 2
    assert sources(widget) == ["class 1", "class 2"]
    assert "Run again" in widget.status.value
    widget.run()
    finish(qtbot, widget)
    found = widget.objects()
    assert found.boxes.tolist() == [list(box[:4]) for box in BOXES]
    calls = engine.calls
    # Names alone need no run.
    type_names(widget, "round, rod")
    assert sources(widget) == ["round", "rod"]
    settle(qtbot, lambda: "rod outlines (dish)" in [x.name for x in viewer.layers])
    assert widget.objects().counts() == {"round": 1, "rod": 1}
    assert engine.calls == calls
    assert widget.recipe().predict.classes == ("round", "rod")

    second = another(viewer)
    assert sources(second) == ["round", "rod"]
    assert second.assumptions.class_count.value == 2
    assert second.assumptions.class_names.value == "round, rod"
    second.assumptions.button.setChecked(True)
    second.assumptions.forget.native.click()
    assert second.assumptions.classes() is None
    assert sources(another(viewer)) == []


def test_a_name_by_hand_renames_what_a_map_gives(qtbot: Any, open_widget: Open) -> None:
    labels = discs((64, 64), [(20, 20), (44, 44)], (9, 9))
    image = gaussian_filter((labels > 0) * 0.96 + 0.02, 1).astype(np.float32)
    viewer, widget = open_widget(
        image, config={"napari_imagec_ai": {"decoder": "unet"}}
    )
    widget.run()
    finish(qtbot, widget)
    assert "object (dish)" in [layer.name for layer in viewer.layers]
    type_names(widget, "yeast")
    settle(qtbot, lambda: "yeast (dish)" in [layer.name for layer in viewer.layers])
    assert "object (dish)" not in [layer.name for layer in viewer.layers]
    assert widget.objects().counts() == {"yeast": 2}
