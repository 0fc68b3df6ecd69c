"""A server on this machine that behaves like the BioImage Model Zoo's."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from conftest import ROOT

from napari_imagec_ai.library import web, zoo, zoo_models

NUCLEI = ROOT / "models" / "nuclei-unet"
LIST = "list.json"

_OTHERS: dict[str, dict[str, Any]] = {
    "calm-otter": {
        "name": "Otter membranes",
        "weights": {
            "pytorch_state_dict": {
                "source": "weights.pt",
                "architecture": {"source": "unet.py", "callable": "UNet"},
            }
        },
    },
    "keen-wren": {
        "name": "Wren",
        "weights": {"keras_hdf5": {"source": "weights.h5"}},
    },
    "dull-moth": {
        "name": "Moth prompts",
        "weights": {
            "pytorch_state_dict": {
                "source": "weights.pt",
                "architecture": {"source": "s.py", "callable": "PredictorAdaptor"},
            }
        },
    },
}


def _list() -> bytes:
    """What the zoo says of its models."""
    nuclei = yaml.safe_load((NUCLEI / "rdf.yaml").read_text(encoding="utf-8"))
    nuclei["license"] = "CC0-1.0"
    found = {"brave-mouse": nuclei}
    for zoo_id, changes in _OTHERS.items():
        found[zoo_id] = nuclei | {"description": "Others.", "tags": []} | changes
    items = [
        {"id": f"bioimage-io/{zoo_id}", "type": "model", "manifest": rdf}
        for zoo_id, rdf in found.items()
    ]
    items.append({"id": "bioimage-io/grey-gull", "type": "model"})
    items.append({"id": "bioimage-io/some-cells", "type": "dataset", "manifest": {}})
    items.append({"id": "bioimage-io/..", "type": "model", "manifest": nuclei})
    return json.dumps(items, default=str).encode()


class Zoo(http.server.BaseHTTPRequestHandler):
    """Serves a folder; ``faults`` says how it fails for a file."""

    folder: ClassVar[Path]
    faults: ClassVar[dict[str, str]]
    asked: ClassVar[list[tuple[str, str, str]]]
    silence: ClassVar[threading.Event]

    def do_HEAD(self) -> None:
        """Only what a file is."""
        self._answer(head=True)

    def do_GET(self) -> None:
        """A file, or a part of it."""
        self._answer(head=False)

    def _answer(self, head: bool) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        span = self.headers.get("Range", "")
        self.asked.append((self.command, name, span))
        path = self.folder / name
        fault = self.faults.get(name, "")
        if fault == "moved" and "/moved/" not in self.path:
            self.send_response(302)
            self.send_header("Location", f"/moved/{name}")
            self.end_headers()
            return
        if fault == "silent":
            self.silence.wait(20)
            return
        there = name == LIST or path.is_file()
        if not there or fault == "missing":
            self.send_error(404)
            return
        data = _list() if name == LIST else path.read_bytes()
        if fault == "html":
            data = b"<html><body>Please log in</body></html>"
        if fault == "changed":
            data = data[:-1] + bytes([data[-1] ^ 1])
        first = int(span.removeprefix("bytes=").removesuffix("-") or 0)
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        if not head:
            self.wfile.write(data[first : self._end(name, first, len(data))])
        if not head and fault == "stalls":
            self.wfile.flush()
            self.silence.wait(20)

    def _end(self, name: str, first: int, size: int) -> int:
        """How much of a file is sent before the connection ends."""
        asked = [name for method, name, _ in self.asked if method == "GET"]
        return {
            "breaks": size if first else size // 2,
            "stalls": max(first, size // 2),
            "breaks often": first + 300_000,
            "stumbles": size if asked.count(name) > 3 else first,
            "always breaks": first + 10,
        }.get(self.faults.get(name, ""), size)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Zoo]]:
    """The server, where the zoo is looked for."""
    silence = threading.Event()
    parts = {"folder": NUCLEI, "faults": {}, "asked": [], "silence": silence}
    handler = type("Here", (Zoo,), parts)
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{running.server_address[1]}"
    monkeypatch.setenv(zoo.VARIABLE, f"{here}/{{id}}/{{file}}")
    monkeypatch.setenv(zoo_models.VARIABLE, f"{here}/{LIST}?limit=10000")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(web, "PAUSE", 0.01)
    yield handler
    silence.set()
    running.shutdown()
    running.server_close()
