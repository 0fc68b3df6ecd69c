"""Corrections are on disk while they are made, and come back after a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import discs, finish
from scipy.ndimage import gaussian_filter
from test_by_hand import A, B, found
from test_widget_classes import settle, typed

from napari_imagec_ai._napari.layers.corrections_row import DISCARDED
from napari_imagec_ai.results.correction.kept_corrections import laid_over, noticed
from napari_imagec_ai.results.correction.safe_copy import bring, keep

Open = Callable[..., tuple[Any, Any]]
CENTRES = [(25, 25), (25, 70), (70, 25)]


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    shown = found(A, B)
    now = shown.as_labels()
    now[now == 1] = 0
    now[30:36, 40:46] = 7
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    path = tmp_path / "copies" / "one.npz"
    keep(path, {"thing": by_hand})
    again = bring(path, found(A, B))["thing"]
    assert len(again) == len(by_hand)
    after = laid_over(found(A, B), again)
    np.testing.assert_array_equal(after.as_labels(), now)
    keep(path, {})
    assert not path.exists()
    assert bring(path, shown) == {}


@pytest.mark.parametrize("size", [0, 10, 200])
def test_half_a_copy_is_none(tmp_path: Path, size: int) -> None:
    shown = found(A, B)
    now = shown.as_labels()
    now[30:36, 40:46] = 7
    by_hand = noticed(shown, now, "thing")
    assert by_hand is not None
    path = tmp_path / "one.npz"
    keep(path, {"thing": by_hand})
    path.write_bytes(path.read_bytes()[:size])
    assert bring(path, shown) == {}


def test_corrections_are_offered_when_the_image_runs_again(
    qtbot: Any, open_widget: Open
) -> None:
    labels = discs((96, 96), CENTRES, (12, 11, 10))
    image = np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)
    viewer, widget = open_widget(image)
    widget.run()
    finish(qtbot, widget)
    painted = viewer.layers["thing (dish)"]
    painted.brush_size = 6
    painted.paint((50, 48), 99)
    mine = painted.data == 99
    row = widget.showing.corrections
    settle(qtbot, lambda: row.said.value.startswith("1 object"))
    safe = widget.showing._safe
    settle(qtbot, lambda: safe._run is None and safe.is_there(widget.showing.live))
    viewer.layers.clear()  # as if napari had ended
    viewer.add_image(image.copy(), name="dish")
    widget.run()
    finish(qtbot, widget)
    assert "corrected before" in row.said.value
    assert not (viewer.layers["thing (dish)"].data == 99).any()
    row.back.native.click()
    settle(qtbot, lambda: (viewer.layers["thing (dish)"].data[mine] == 99).all())
    assert row.said.value.startswith("1 object")
    row.drop.native.click()
    settle(qtbot, lambda: not (viewer.layers["thing (dish)"].data == 99).any())
    settle(qtbot, lambda: not safe.is_there(widget.showing.live))
    assert row.said.value == DISCARDED
    row.back.native.click()  # a slip of the hand costs nothing
    settle(qtbot, lambda: (viewer.layers["thing (dish)"].data[mine] == 99).all())
    settle(qtbot, lambda: safe.is_there(widget.showing.live))


def test_corrections_come_back_to_a_class_that_has_another_name(
    qtbot: Any, open_widget: Open
) -> None:
    labels = discs((96, 96), CENTRES, (12, 11, 10))
    image = np.asarray(gaussian_filter((labels > 0) * 0.96 + 0.02, 1), np.float32)
    viewer, widget = open_widget(image)
    typed(qtbot, widget.classes[0].target, "my cells")
    widget.run()
    finish(qtbot, widget)
    painted = viewer.layers["my cells (dish)"]
    painted.paint((50, 48), 99)
    mine = painted.data == 99
    painted.fill((25, 25), 0)
    safe, row = widget.showing._safe, widget.showing.corrections
    settle(qtbot, lambda: row.said.value.startswith("2 object"))
    settle(qtbot, lambda: safe._run is None and safe.is_there(widget.showing.live))
    viewer.layers.clear()
    typed(qtbot, widget.classes[0].target, "thing")
    viewer.add_image(image.copy(), name="dish")
    widget.run()
    finish(qtbot, widget)
    row.back.native.click()
    layer = viewer.layers["thing (dish)"]
    settle(qtbot, lambda: (layer.data[mine] == 99).all())
    assert not layer.data[25, 25]


def test_names_of_today_are_found_by_the_class_of_the_model(tmp_path: Path) -> None:
    shown = found(A, B)
    now = shown.as_labels()
    now[30:36, 40:46] = 7
    by_hand = noticed(shown, now, "mine")
    assert by_hand is not None
    path, place = tmp_path / "one.npz", ("thing", "becomes")
    keep(path, {"mine": by_hand}, {place: "mine"})
    two = replace(shown, classes=("thing", "other"))
    assert list(bring(path, two, {place: "other"})) == ["other"]
    assert list(bring(path, two)) == ["mine"]
    one = replace(shown, classes=("only",))
    assert list(bring(path, one)) == ["only"]
