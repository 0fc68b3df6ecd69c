"""Many objects: thresholds choose among what is drawn, and the window answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import CountingEngine, discs, finish
from napari.layers import Labels
from scenes import maps, pairs, prediction
from test_widget_classes import settle

import napari_imagec_ai as ai
from napari_imagec_ai._napari.layers import drawing, result_layers, traced
from napari_imagec_ai._napari.turns import Turns
from napari_imagec_ai.recipes import session
from napari_imagec_ai.results.objects import Objects

Open = Callable[..., tuple[Any, Any]]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """300 discs, each a little surer than the one before."""
    monkeypatch.setattr(session, "open_engine", lambda *a, **k: CountingEngine())
    centres = [(y, x) for y in range(10, 310, 20) for x in range(10, 410, 20)]
    labels = discs((310, 410), centres, (6,) * len(centres))
    sure = np.linspace(0.55, 0.99, len(centres) + 1, dtype=np.float32)
    sure[0] = 0
    return sure[labels]


def agreed(viewer: Any) -> set[int]:
    """Ids in pixels, table and outlines, which are the same."""
    labels, outlines = (
        viewer.layers["thing (dish)"],
        viewer.layers["thing outlines (dish)"],
    )
    ids = set(np.unique(labels.data).tolist()) - {0}
    assert set(labels.features["index"]) == ids
    assert set(outlines.features["index"]) == ids
    assert len(outlines.data) == len(ids)
    for n, ring in zip(outlines.features["index"], outlines.data, strict=True):
        y, x = np.round(ring.mean(axis=0)).astype(int)
        assert labels.data[y, x] == n
    return ids


def test_pixels_table_and_outlines_agree_when_the_hand_rests(
    qtbot: Any, open_widget: Open, scene: np.ndarray
) -> None:
    viewer, widget = open_widget(scene)
    widget.run()
    finish(qtbot, widget)
    every = agreed(viewer)
    assert len(every) == 300 > result_layers.MANY
    counts = []
    for threshold in (0.6, 0.56, 0.58, 0.55, 0.9, 0.5):
        widget.class_threshold.value = threshold
        settle(qtbot, lambda: not widget.tuning.busy)
        qtbot.wait(300)
        settle(qtbot, lambda: not widget.tuning.busy and not widget.results.drawing)
        counts.append(len(agreed(viewer)))
        named = widget.status.value.split(" ")[0]
        assert int(named) == counts[-1]
    assert len(set(counts[:5])) == 5
    assert counts[-1] == 300


@pytest.fixture
def found() -> Objects:
    made = ai.decode(prediction(maps(pairs(), "foreground")))
    assert isinstance(made, Objects)
    return made


def test_what_comes_and_goes_is_drawn_as_the_whole_would_be(found: Objects) -> None:
    first, last = found[1:], found[:-1]
    layer = Labels(drawing.label_data(first))
    drawing.update_labels(layer, last, before=first)
    np.testing.assert_array_equal(layer.data, drawing.label_data(last))
    drawing.update_labels(layer, found[:0], before=last)
    assert not layer.data.any()
    # Another decoding has other pixels, though its numbers are the same.
    moved = np.roll(np.asarray(found.label_image), 1, axis=1)
    other = replace(found, label_image=moved)
    drawing.update_labels(layer, other, before=found)
    np.testing.assert_array_equal(layer.data, drawing.label_data(other))


def test_outlines_that_were_traced_before_are_the_same(found: Objects) -> None:
    for rows in (slice(0, 2), slice(None), slice(1, 3)):
        mine = found[rows]
        for ring, expected in zip(
            traced.polygons(mine), mine.as_polygons(), strict=True
        ):
            np.testing.assert_array_equal(ring, expected)


def test_a_step_that_fails_holds_up_no_other(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError("one layer")

    turns = Turns()
    turns.begin([lambda: done.append("outdated")])
    with qtbot.capture_exceptions() as errors:
        turns.begin([fail, lambda: done.append("next")])
        qtbot.waitUntil(lambda: not turns.busy)
    assert done == ["next"]
    assert [str(error[1]) for error in errors] == ["one layer"]
    turns.begin([lambda: done.append("too late")])
    turns.stop()
    qtbot.wait(50)
    assert done == ["next"]
