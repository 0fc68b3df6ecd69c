"""Objects that are followed through a stack, in the dock widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from conftest import discs, finish
from napari.layers import Tracks
from scipy.ndimage import gaussian_filter

Open = Callable[..., tuple[Any, Any]]


def film() -> np.ndarray:
    """Two discs that move, and one that stands."""
    times = []
    for t in range(4):
        centres = [(20, 20 + 3 * t), (50, 70 - 4 * t), (75, 20)]
        times.append(discs((96, 96), centres, (9, 9, 9)) > 0)
    return np.stack(
        [gaussian_filter(0.97 * one.astype(np.float32), 1) for one in times]
    )


def run_on_film(qtbot: Any, open_widget: Open, first: str) -> tuple[Any, Any]:
    viewer, widget = open_widget()
    viewer.add_image(film(), name="film", axis_labels=(first, "y", "x"))
    viewer.layers.selection.active = viewer.layers["film"]
    widget.run()
    finish(qtbot, widget)
    return viewer, widget


def settled(qtbot: Any, check: Callable[[], bool]) -> None:
    qtbot.waitUntil(check, timeout=30_000)


def test_a_film_gets_tracks(qtbot: Any, open_widget: Open) -> None:
    viewer, widget = run_on_film(qtbot, open_widget, "t")
    following = widget.classes.following
    assert following.how.choices == ("no", "through time")
    labels = widget.results.label_layers[0]
    assert "track" not in labels.features
    following.how.value = "through time"
    settled(qtbot, lambda: "track" in labels.features)
    settled(qtbot, lambda: any(isinstance(one, Tracks) for one in viewer.layers))
    (ways,) = (one for one in viewer.layers if isinstance(one, Tracks))
    assert sorted(set(labels.features["track"])) == [1, 2, 3]
    assert len(ways.data) == 12
    for number in (1, 2, 3):
        places = ways.data[ways.data[:, 0] == number]
        assert places[:, 1].tolist() == [0, 1, 2, 3]
        assert np.abs(np.diff(places[:, 3])).max() < 5
    # What is one has one colour.
    widget.layer_options.fill.value = "colour for each object"
    settled(qtbot, lambda: len(labels.colormap.color_dict) > 10)
    colours = labels.colormap.color_dict
    table = labels.features
    for _, rows in table.groupby("track"):
        assert len({tuple(np.round(colours[n], 3)) for n in rows["index"]}) == 1
    # Another threshold is followed, undo brings the choice back.
    widget.class_threshold.value = 0.99
    settled(qtbot, lambda: len(ways.data) < 12 or ways not in viewer.layers)
    widget.class_threshold.value = 0.5
    settled(qtbot, lambda: len(labels.features) == 12)
    following.how.value = "no"
    settled(qtbot, lambda: "track" not in labels.features)
    settled(qtbot, lambda: not any(isinstance(one, Tracks) for one in viewer.layers))


def test_a_stack_becomes_volumes(qtbot: Any, open_widget: Open) -> None:
    _, widget = run_on_film(qtbot, open_widget, "z")
    following = widget.classes.following
    assert following.how.choices == ("no", "through depth", "as volumes")
    following.how.value = "as volumes"
    labels = widget.results.label_layers[0]
    settled(qtbot, lambda: len(labels.features) == 3)
    assert sorted(np.unique(labels.data)) == [0, 1, 2, 3]
    assert "planes_found" in labels.features
    recipe = widget.recipe()
    assert recipe.classes.linking.volumes
    following.how.value = "no"
    settled(qtbot, lambda: len(labels.features) == 12)


def test_one_plane_offers_nothing_to_follow(qtbot: Any, open_widget: Open) -> None:
    _, widget = open_widget(film()[0])
    widget.run()
    finish(qtbot, widget)
    assert not widget.classes.following.visible
    assert widget.classes.following.linking() is None
