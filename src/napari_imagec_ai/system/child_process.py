"""Processes of our own: they find what we find, but nothing in the folder we stand in.

Python looks for modules in the current folder first where a program is given as text
or by its module's name. That folder may be a stranger's: a ``signal.py`` among images
would run with the rights of whoever opens them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[2]
"""Where this package lies, which may be no folder of installed ones."""

_START = (
    "import json, sys; "
    "sys.path += [p for p in json.loads(sys.argv[1]) if p not in sys.path]; "
    "from {module} import main; main()"
)


def start(
    module: str, environ: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start the ``main`` of a module in a process of its own.

    Parameters
    ----------
    module : str
        Its full name.
    environ : mapping, optional
        Variables beside those that are set here.
    **options
        As :class:`subprocess.Popen` takes them.

    Raises
    ------
    OSError
        If the system lets us start none.
    """
    code = _START.format(module=module)
    command = [sys.executable, "-P", "-c", code, json.dumps(_places())]
    return subprocess.Popen(
        command,
        env=safe_environ() | dict(environ or {}),
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        **options,
    )


def safe_environ() -> dict[str, str]:
    """The environment for processes of ours, and for those that they start."""
    made = os.environ | {"PYTHONSAFEPATH": "1"}
    named = made.pop("PYTHONPATH", "")
    # An empty entry, as a colon too many makes it, is the current folder, too.
    kept = [place for place in named.split(os.pathsep) if os.path.isabs(place)]
    return made | ({"PYTHONPATH": os.pathsep.join(kept)} if kept else {})


def _places() -> list[str]:
    """Where modules are found here, but for the folder we stand in.

    They come after the process's own, so that none of them hides a module of Python's.
    """
    here = os.path.realpath(os.curdir)
    kept = [
        place
        for place in sys.path
        if os.path.isabs(place) and os.path.realpath(place) != here
    ]
    return [*kept, str(_PACKAGE)]
