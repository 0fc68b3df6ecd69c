"""Models of the zoo by their id, from a server on this machine that behaves like it."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from conftest import ROOT

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.library import zoo

NUCLEI = ROOT / "models" / "nuclei-unet"


class Zoo(http.server.BaseHTTPRequestHandler):
    """Serves a folder; ``faults`` says how it fails for a file."""

    folder: ClassVar[Path]
    faults: ClassVar[dict[str, str]]
    asked: ClassVar[list[tuple[str, str, str]]]

    def do_HEAD(self) -> None:
        """Only what a file is."""
        self._answer(head=True)

    def do_GET(self) -> None:
        """A file, or a part of it."""
        self._answer(head=False)

    def _answer(self, head: bool) -> None:
        name = self.path.rpartition("/")[2]
        span = self.headers.get("Range", "")
        self.asked.append((self.command, name, span))
        path = self.folder / name
        fault = self.faults.get(name, "")
        if fault == "moved" and "/moved/" not in self.path:
            self.send_response(302)
            self.send_header("Location", f"/moved/{name}")
            self.end_headers()
            return
        if not path.is_file() or fault == "missing":
            self.send_error(404)
            return
        data = path.read_bytes()
        if fault == "html":
            data = b"<html><body>Please log in</body></html>"
        if fault == "changed":
            data = data[:-1] + bytes([data[-1] ^ 1])
        first = int(span.removeprefix("bytes=").removesuffix("-") or 0)
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        if head:
            return
        if fault == "breaks" and not span:
            self.wfile.write(data[: len(data) // 2])
            return
        if fault == "breaks often":
            self.wfile.write(data[first : first + 300_000])
            return
        if fault == "stumbles":
            asked = [name for method, name, _ in self.asked if method == "GET"]
            self.wfile.write(data[first:] if asked.count(name) > 3 else b"")
            return
        if fault == "always breaks":
            self.wfile.write(data[first : first + 10])
            return
        self.wfile.write(data[first:])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Zoo]]:
    handler = type("Here", (Zoo,), {"folder": NUCLEI, "faults": {}, "asked": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    port = running.server_address[1]
    monkeypatch.setenv(zoo.VARIABLE, f"http://127.0.0.1:{port}/{{id}}/{{file}}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo, "PAUSE", 0.01)
    yield handler
    running.shutdown()
    running.server_close()


def _install(tmp_path: Path) -> int:
    return main(["install", "brave-mouse", "--models", str(tmp_path / "models")])


def test_a_model_is_fetched_by_its_id_and_runs(
    server: type[Zoo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _install(tmp_path) == 0
    said = capsys.readouterr()
    folder = tmp_path / "models" / "brave-mouse"
    assert said.out.strip() == str(folder)
    # Address, licence and size come before the files.
    assert "http://127.0.0.1" in said.err
    assert "licence" in said.err
    assert " MB" in said.err
    model = ai.load_model(folder)
    assert all(result.passed for result in ai.test_model(model))
    rdf = yaml.safe_load((NUCLEI / "rdf.yaml").read_text())
    digest = rdf["weights"]["onnx"]["sha256"]
    found = hashlib.sha256((folder / "weights.onnx").read_bytes()).hexdigest()
    assert found == digest


def test_a_broken_connection_is_taken_up_where_it_broke(
    server: type[Zoo], tmp_path: Path
) -> None:
    server.faults["weights.onnx"] = "breaks"
    assert _install(tmp_path) == 0
    spans = [span for method, name, span in server.asked if name == "weights.onnx"]
    size = (NUCLEI / "weights.onnx").stat().st_size
    assert f"bytes={size // 2}-" in spans
    ai.load_model(tmp_path / "models" / "brave-mouse")


@pytest.mark.parametrize("fault", ["breaks often", "stumbles"])
def test_a_bad_line_is_no_reason_to_give_up(
    fault: str, server: type[Zoo], tmp_path: Path
) -> None:
    server.faults["weights.onnx"] = fault
    assert _install(tmp_path) == 0
    ai.load_model(tmp_path / "models" / "brave-mouse")


def test_redirects_are_followed(server: type[Zoo], tmp_path: Path) -> None:
    server.faults["weights.pt"] = "moved"
    assert _install(tmp_path) == 0


@pytest.mark.parametrize(
    ("file", "fault", "words"),
    [
        ("rdf.yaml", "missing", "404"),
        ("rdf.yaml", "html", "something else"),
        ("weights.onnx", "missing", "404"),
        ("weights.onnx", "changed", "sha256 differs"),
        ("weights.onnx", "html", "sha256 differs"),
        ("weights.onnx", "always breaks", "broke off"),
    ],
)
def test_what_cannot_be_fetched_whole_is_not_installed(
    file: str,
    fault: str,
    words: str,
    server: type[Zoo],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.faults[file] = fault
    assert _install(tmp_path) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert words in said
    assert not (tmp_path / "models" / "brave-mouse").exists()


def test_a_file_of_numbers_beside_the_network_is_compared_too(
    server: type[Zoo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "served"
    shutil.copytree(NUCLEI, served)
    server.folder = served
    numbers = served / "weights.onnx.data"
    numbers.write_bytes(bytes(1000))
    rdf = yaml.safe_load((served / "rdf.yaml").read_text(encoding="utf-8"))
    digest = hashlib.sha256(bytes(1000)).hexdigest()
    rdf["attachments"] = ["weights.onnx.data"]
    rdf["weights"]["onnx"]["external_data"] = {
        "source": "weights.onnx.data",
        "sha256": digest,
    }
    (served / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    server.faults["weights.onnx.data"] = "changed"
    assert _install(tmp_path) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "'weights.onnx.data'" in said
    assert "sha256 differs" in said
    assert not (tmp_path / "models" / "brave-mouse").exists()
    server.faults.clear()
    assert _install(tmp_path) == 0
    there = tmp_path / "models" / "brave-mouse" / "weights.onnx.data"
    assert hashlib.sha256(there.read_bytes()).hexdigest() == digest


def test_a_server_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(zoo.VARIABLE, "http://127.0.0.1:9/{id}/{file}")
    assert _install(tmp_path) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_a_zip_is_never_taken_for_an_id(tmp_path: Path) -> None:
    assert not zoo.is_zoo_id("model.zip")
    assert not zoo.is_zoo_id("../affable-shark")
    assert zoo.is_zoo_id("affable-shark")
