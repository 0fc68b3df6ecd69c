"""Models of the zoo by their id, from a server on this machine that behaves like it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from zoo_server import LIST, NUCLEI, Zoo, serving

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.library import zoo


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Zoo]]:
    with serving(monkeypatch, tmp_path) as handler:
        yield handler


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


def _zoo(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    assert main(["zoo", *words, "--json"]) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def test_the_zoo_is_listed_with_what_runs(
    server: type[Zoo], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {row["id"]: row for row in _zoo(capsys)}
    assert {zoo_id: row["runs"] for zoo_id, row in found.items()} == {
        "brave-mouse": "as it is",
        "calm-otter": "after converting",
        "dull-moth": "no",
        "grey-gull": "unknown",
        "keen-wren": "after converting",
    }
    assert "micro-sam" in found["dull-moth"]["why"]
    assert found["brave-mouse"]["license"] == "CC0-1.0"
    assert [row["id"] for row in _zoo(capsys, "NUCLEI", "fluorescence")] == [
        "brave-mouse"
    ]
    assert main(["zoo", "otter"]) == 0
    said = capsys.readouterr()
    assert "calm-otter" in said.out
    assert "runs after converting" in said.out
    assert "127.0.0.1" in said.err  # the address, before anything
    assert main(["zoo", "unicorn"]) == 0
    assert "'unicorn'" in capsys.readouterr().err
    assert all(name == LIST for _, name, _ in server.asked)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing", "404"),
        ("html", "list of models"),
        ("always breaks", "broke off"),
    ],
)
def test_a_list_that_is_none_is_refused_in_a_sentence(
    fault: str, words: str, server: type[Zoo], capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults[LIST] = fault
    assert main(["zoo"]) == 1
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_whoever_waits_for_a_silent_server_can_leave(server: type[Zoo]) -> None:
    server.faults["rdf.yaml"] = "silent"
    steps = zoo.installing("brave-mouse")
    for _ in range(3):  # it says so again and again while it waits
        assert next(steps).message.startswith("Asking")
    steps.close()
