"""napari lives through all that may be done to layers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SCRIPT = Path(__file__).with_name("window_switches.py")


def test_no_switch_ends_the_program(
    tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    folder = make_model("tiny")
    folder.parent.rename(tmp_path / "models")
    own = {
        "NAPARI_CONFIG": str(tmp_path / "napari.yaml"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(SCRIPT)],
        cwd=tmp_path,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    told = "\n".join(
        line for line in done.stderr.splitlines() if "Extension modules" not in line
    )
    assert done.returncode == 0, told[-3000:]
    assert "survived" in done.stdout
    assert "Traceback" not in told, told[-3000:]
