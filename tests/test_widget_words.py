"""What the dock widget says and remembers, without a window."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_imagec_ai._napari.background import words
from napari_imagec_ai._napari.demo import run_demo
from napari_imagec_ai._napari.model.card import GIVES, GROUPS, OTHER
from napari_imagec_ai._napari.tune.filter_rows import feature_words
from napari_imagec_ai._napari.tune.history import History
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.system.progress import Progress


@pytest.mark.parametrize(
    ("progress", "seconds", "before", "expected"),
    [
        (Progress(0, 12, "onnx on cpu"), 0, 0, "0 of 12 tiles done."),
        (Progress(3, 12, "tiles"), 6, 0, "3 of 12 tiles done, about 18 s left."),
        (Progress(6, 12, "tiles"), 6, 3, "6 of 12 tiles done, about 12 s left."),
        (Progress(10, 100, "tiles"), 60, 0, "10 of 100 tiles done, about 9 min left."),
        (Progress(1, 100, "tiles"), 100, 0, "1 of 100 tiles done, about 2.8 h left."),
        (Progress(12, 12, "tiles"), 6, 0, "12 of 12 tiles done."),
        (Progress(0, 1, "measuring how far"), 0, 0, "Measuring how far..."),
    ],
    ids=["start", "seconds", "later start", "minutes", "hours", "end", "before"],
)
def test_progress_is_told_with_the_time_left(
    progress: Progress, seconds: float, before: int, expected: str
) -> None:
    assert words(progress, seconds, before) == expected


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(0, 25))
def test_what_is_undone_can_be_redone(values: list[int], steps: int) -> None:
    history: History[int] = History()
    for value in values:
        history.add(value)
    back = [value for _ in range(steps) if (value := history.undo()) is not None]
    forth = [value for _ in range(steps) if (value := history.redo()) is not None]
    assert len(back) == len(forth)
    assert not back or forth[-1] == values[-1]
    assert not history.can_redo


def test_a_new_value_ends_what_was_undone() -> None:
    history: History[str] = History()
    for value in "abc":
        history.add(value)
    assert (history.undo(), history.undo(), history.undo()) == ("b", "a", None)
    history.add("d")
    assert history.redo() is None
    assert history.undo() == "a"


def test_columns_are_named_with_their_units() -> None:
    assert feature_words("area_micrometer2") == "area (µm²)"
    assert feature_words("area_nanometer3") == "area (nm³)"
    assert feature_words("area") == "area (pixels)"
    assert feature_words("mean_intensity_2") == "mean intensity 2"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 is of Linux")
@pytest.mark.parametrize("display", ["", ":7391", "localhost:7391.0", "unix:7391"])
def test_a_display_that_nobody_is_behind_is_none(
    display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImagecAIError, match=r"There is no display.*install xvfb"):
        run_demo(tmp_path)


def test_every_kind_of_model_has_its_group() -> None:
    grouped = [kind for kinds in GROUPS.values() for kind in kinds]
    assert len(grouped) == len(set(grouped))
    assert set(GIVES) - set(grouped) <= {"unknown", "promptable"}
    assert OTHER not in GROUPS
