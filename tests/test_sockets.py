"""No command talks to another machine, nor lets one talk to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from conftest import ROOT

import napari_imagec_ai as ai
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.recipes.recipe import Recipe, describe_model

NUCLEI = ROOT / "models" / "nuclei-unet"

WATCH = """
import os, sys

def hook(event, args):
    if event not in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg",
                     "socket.getaddrinfo", "socket.gethostbyname"):
        return
    family = getattr(args[0], "family", None)
    what = args[0] if family is None else args[-1]
    with open(os.environ["WATCHED"], "a") as log:
        log.write(f"{event} {getattr(family, 'name', '-')} {what!r}\\n")

sys.addaudithook(hook)
"""

HERE = ("'127.", "'::1'", "'localhost'", "b'localhost'")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with all that commands need, and a hook in every Python below."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(WATCH)
    pixels = np.asarray(sample_image().data)[:96, :96]
    for number in range(2):
        tifffile.imwrite(tmp_path / f"{number}.tif", pixels)
    model = ai.load_model(NUCLEI)
    Recipe(model=describe_model(model)).save(tmp_path / "recipe.yaml")
    ai.predict(model, ai.open_image(tmp_path / "0.tif")).save(tmp_path / "0.npz")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        for path in NUCLEI.iterdir():
            archive.write(path, path.name)
    return tmp_path


COMMANDS = [
    "models",
    "test nuclei-unet",
    "predict nuclei-unet 0.tif -o out",
    "predict other.zip 0.tif -o out --engine torchscript",
    "decode 0.npz -o out",
    "run recipe.yaml 0.tif 1.tif -o out --workers 2 --export labels,omezarr,report",
    "install other.zip --models installed",
    f"package {NUCLEI / 'weights.onnx'} -o made --decoder unet",
    "demo -o demo --close",
]


def beyond(log: Path) -> list[str]:
    """What was seen that leads to, or lets in, others than this machine's own."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [
        line
        for line in lines
        if " AF_UNIX " not in line and not any(word in line for word in HERE)
    ]


def run_watched(words: list[str], place: Path) -> tuple[int, str, list[str]]:
    """Run a command; gives its code, what it said, and what it did with sockets."""
    log = place / "watched"
    environ = {
        **os.environ,
        "PYTHONPATH": f"{place / 'hook'}{os.pathsep}{ROOT / 'src'}",
        "WATCHED": str(log),
        "XDG_DATA_HOME": str(place / "data"),
        "XDG_CACHE_HOME": str(place / "cache"),
        "NAPARI_CONFIG": str(place / "settings.yaml"),
    }
    with (place / "said").open("w+") as said:
        process = psutil.Popen(
            words, cwd=place, env=environ, stdout=said, stderr=subprocess.STDOUT
        )
        seen: set[str] = set()
        while process.poll() is None:
            seen |= _open_sockets(process)
            time.sleep(0.05)
        said.seek(0)
        return process.returncode, said.read(), [*beyond(log), *sorted(seen)]


def _open_sockets(process: psutil.Process) -> set[str]:
    """Sockets of native code, too, which no hook of Python sees."""
    found = set()
    try:
        for one in (process, *process.children(recursive=True)):
            for connection in one.net_connections("inet"):
                places = (connection.laddr, connection.raddr)
                if any(p and p.ip not in ("127.0.0.1", "::1") for p in places):
                    found.add(f"{one.name()} {connection}")
    except psutil.Error:  # it has just ended
        pass
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[0])
def test_no_command_leaves_this_machine(command: str, place: Path) -> None:
    words = [sys.executable, "-P", "-m", "napari_imagec_ai.cli", *command.split()]
    code, said, found = run_watched(words, place)
    assert code == 0, said
    assert found == []


def test_the_watch_sees_what_it_is_there_for(place: Path) -> None:
    """Of Python in a process below, and of a port that is open to all."""
    code = (
        "import socket, subprocess, sys, time\n"
        "if len(sys.argv) < 2:\n"
        "    sys.exit(subprocess.run([sys.executable, sys.argv[0], 'x']).returncode)\n"
        "door = socket.socket(); door.bind(('', 0)); door.listen()\n"
        "try: socket.create_connection(('192.0.2.1', 9), 0.2)\n"
        "except OSError: time.sleep(1)\n"
    )
    (place / "loud.py").write_text(code)
    returned, said, found = run_watched([sys.executable, "loud.py"], place)
    assert returned == 0, said
    assert any("192.0.2.1" in line for line in found)
    assert any(line.startswith("socket.bind") for line in found)
    assert any("LISTEN" in line for line in found)
