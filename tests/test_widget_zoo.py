"""A model of the zoo is searched for and installed in a real window."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from test_widget_classes import settle
from zoo_server import LIST, NUCLEI, Zoo, serving

from napari_imagec_ai.library import folders
from napari_imagec_ai.library.folders import user_models

Open = Callable[..., tuple[Any, Any]]
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Zoo]]:
    with serving(monkeypatch, tmp_path) as handler:
        yield handler


def opened(qtbot: Any, open_widget: Open, listed: bool = True) -> tuple[Any, Any]:
    """The dock widget, and the dialog with its list."""
    _, widget = open_widget(show=True)
    widget.choice.zoo.native.trigger()
    dialog = widget.model_actions.zoo
    assert dialog.isVisible()
    if listed:
        click(qtbot, dialog.ask)
        settle(qtbot, lambda: dialog.list.count() > 0)
    return widget, dialog


def click(qtbot: Any, button: Any) -> None:
    qtbot.mouseClick(button.native, LEFT)


def choose(dialog: Any, zoo_id: str) -> None:
    ids = [
        dialog.list.item(n).data(Qt.ItemDataRole.UserRole)
        for n in range(dialog.list.count())
    ]
    dialog.list.setCurrentRow(ids.index(zoo_id))


def test_a_model_is_found_installed_and_chosen(
    qtbot: Any, open_widget: Open, server: type[Zoo]
) -> None:
    widget, dialog = opened(qtbot, open_widget, listed=False)
    qtbot.keyClicks(dialog.search.native, "nuclei")
    assert not server.asked  # nothing goes online before a button is pressed
    assert "127.0.0.1" in dialog.online.value
    assert not dialog.install.enabled
    click(qtbot, dialog.ask)
    settle(qtbot, lambda: dialog.list.count() == 1)
    assert "1 of 5 models" in dialog.said.value
    choose(dialog, "brave-mouse")
    settle(qtbot, lambda: " MB." in dialog.details.value)
    assert "Size: at least" not in dialog.details.value
    assert "Licence: CC0-1.0" in dialog.details.value
    assert "Runs as it is" in dialog.details.value
    assert not [name for method, name, _ in server.asked if method == "GET"][1:]
    click(qtbot, dialog.install)
    settle(qtbot, lambda: "Installed" in dialog.said.value)
    assert widget.entry.path.name == "brave-mouse"
    assert widget.entry.problem is None
    settle(qtbot, lambda: dialog.install.text == "Use it")
    widget.model.value = [e.path.name for e in widget.entries].index("tiny")
    click(qtbot, dialog.install)
    assert widget.entry.path.name == "brave-mouse"


def test_what_does_not_run_says_why_and_what_is_converted_is_offered(
    qtbot: Any, open_widget: Open, server: type[Zoo], tmp_path: Path
) -> None:
    widget, dialog = opened(qtbot, open_widget)
    choose(dialog, "dull-moth")
    assert "clicked at" in dialog.details.value
    assert not dialog.install.enabled
    choose(dialog, "calm-otter")  # its code is not there
    settle(qtbot, lambda: "Size: at least" in dialog.details.value)
    choose(dialog, "grey-gull")
    assert dialog.install.enabled  # its description is read first
    served = tmp_path / "served"
    served.mkdir()
    rdf = (NUCLEI / "rdf.yaml").read_text(encoding="utf-8")
    begin, end = rdf.index("\nweights:"), rdf.index("\nconfig:")
    keras = "\nweights:\n  keras_hdf5:\n    source: weights.h5"
    (served / "rdf.yaml").write_text(rdf[:begin] + keras + rdf[end:], encoding="utf-8")
    for path in NUCLEI.iterdir():
        if path.name != "rdf.yaml" and path.is_file():
            (served / path.name).write_bytes(path.read_bytes())
    (served / "weights.h5").write_bytes(b"no weights")
    server.folder = served
    choose(dialog, "keen-wren")
    click(qtbot, dialog.install)
    settle(qtbot, lambda: "Installed" in dialog.said.value)
    assert widget.entry.path.name == "keen-wren"
    assert "converted once" in widget.consent.said.value
    widget.consent.yes.changed.emit(True)
    settle(qtbot, lambda: "Keras" in widget.status.value)
    assert (user_models() / "keen-wren").is_dir()


def test_a_download_is_cancelled_and_goes_on_from_there(
    qtbot: Any, open_widget: Open, server: type[Zoo]
) -> None:
    server.faults["weights.onnx"] = "stalls"
    widget, dialog = opened(qtbot, open_widget)
    choose(dialog, "brave-mouse")
    click(qtbot, dialog.install)
    half = (NUCLEI / "weights.onnx").stat().st_size // 2
    settle(qtbot, lambda: bool(parts()) and parts()[0].stat().st_size >= half)
    assert dialog.progress.visible
    began = time.monotonic()
    click(qtbot, dialog.cancel)
    settle(qtbot, lambda: "goes on from there" in dialog.said.value)
    assert time.monotonic() - began < 15  # and not when the server deigns to speak
    assert not (user_models() / "brave-mouse").exists()
    server.faults.clear()
    click(qtbot, dialog.install)
    settle(qtbot, lambda: "Installed" in dialog.said.value)
    assert ("GET", "weights.onnx", f"bytes={half}-") in server.asked
    assert widget.entry.path.name == "brave-mouse"


def parts() -> list[Path]:
    """Files that are fetched at the moment."""
    return sorted(folders.own_data("models").parents[1].rglob("weights.onnx.part"))


def test_the_window_goes_while_the_server_is_silent(
    qtbot: Any, open_widget: Open, server: type[Zoo]
) -> None:
    server.faults["weights.onnx"] = "stalls"
    widget, dialog = opened(qtbot, open_widget)
    choose(dialog, "brave-mouse")
    click(qtbot, dialog.install)
    settle(qtbot, lambda: bool(parts()))
    dialog.reject()
    assert not dialog.isVisible()
    widget.choice.zoo.native.trigger()
    assert dialog.isVisible()
    assert "goes on from there" in dialog.said.value
    click(qtbot, dialog.install)
    qtbot.wait(300)
    widget.native.parent().close()
    assert not (user_models() / "brave-mouse").exists()


@pytest.mark.parametrize(
    ("file", "fault", "words"),
    [
        (LIST, "missing", "404"),
        (LIST, "html", "list of models"),
        (LIST, "always breaks", "broke off"),
        ("rdf.yaml", "html", "something else"),
        ("weights.onnx", "changed", "sha256 differs"),
        ("weights.onnx", "missing", "404"),
        ("weights.onnx", "always breaks", "broke off"),
    ],
)
def test_a_fault_is_a_sentence_in_the_dialog(
    file: str,
    fault: str,
    words: str,
    qtbot: Any,
    open_widget: Open,
    server: type[Zoo],
) -> None:
    server.faults[file] = fault
    _, dialog = opened(qtbot, open_widget, listed=file != LIST)
    if file == LIST:
        click(qtbot, dialog.ask)
    else:
        choose(dialog, "brave-mouse")
        click(qtbot, dialog.install)
    settle(qtbot, lambda: words in dialog.said.value)
    settle(qtbot, lambda: dialog.ask.enabled)
    assert not dialog.cancel.visible
    assert not (user_models() / "brave-mouse").exists()
    assert threading.active_count() < 40


def test_moved_files_are_followed(
    qtbot: Any, open_widget: Open, server: type[Zoo]
) -> None:
    server.faults |= {LIST: "moved", "weights.onnx": "moved"}
    widget, dialog = opened(qtbot, open_widget)
    choose(dialog, "brave-mouse")
    click(qtbot, dialog.install)
    settle(qtbot, lambda: "Installed" in dialog.said.value)
    assert widget.entry.path.name == "brave-mouse"
