"""Finds a Python of the person's own that has what ours lacks, such as TensorFlow.

Nothing of it is imported here: it runs in processes of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_imagec_ai.errors import ModelError

VARIABLE = "IMAGEC_AI_PYTHON"
"""Environment variable that names it, where nobody does (``--python``)."""

_SECONDS = 60

_ASK = (
    "import importlib.util, json, sys; "
    "missing = [n for n in sys.argv[1:] if importlib.util.find_spec(n) is None]; "
    "print(json.dumps([missing, [sys.prefix, sys.base_prefix], sys.path]))"
)


@dataclass(frozen=True, slots=True)
class OtherPython:
    """A Python and where it has its modules.

    Attributes
    ----------
    program : Path
        What is started.
    missing : tuple of str
        Packages that were asked for, and that it does not have.
    places : tuple of Path
        Folders that it needs to run.
    """

    program: Path
    missing: tuple[str, ...]
    places: tuple[Path, ...]


_preferred: str | None = None


def prefer_python(place: str | None) -> None:
    """Look here first from now on, where nobody names another; None: no longer."""
    global _preferred
    _preferred = place


def find_python(
    packages: Sequence[str], named: str | Path | None = None
) -> OtherPython | None:
    """The Python that a person named, else the usual one, else ours; None: no such.

    Parameters
    ----------
    packages : sequence of str
        Names of modules that it must have.
    named : path, optional
        Its program, or the folder of its environment; by default that of
        :func:`prefer_python`, of :data:`VARIABLE`, and then ours.

    Raises
    ------
    ModelError
        If the one that was named is no Python, or lacks something.
    """
    if not named:
        usual = filter(None, (_preferred, os.environ.get(VARIABLE)))
        programs = [_program(Path(place).expanduser()) for place in usual]
        asked = (ask(place, packages) for place in (*programs, Path(sys.executable)))
        return next((one for one in asked if one and not one.missing), None)
    program = _program(Path(named).expanduser())
    found = ask(program, packages)
    if found is None:
        raise ModelError(
            f"Expected a Python program at '{named}', found something else; name the "
            "python of the environment that has "
            f"{' and '.join(packages)} (--python)."
        )
    if found.missing:
        raise ModelError(
            f"Expected {' and '.join(packages)} in the Python '{named}', found no "
            f"{' and no '.join(found.missing)}; install it there ({program} -m pip "
            f"install {' '.join(found.missing)}), or name another (--python)."
        )
    return found


def _program(place: Path) -> Path:
    """The program of an environment, where its folder was named."""
    inside = ("bin/python", "Scripts/python.exe", "python.exe")
    if place.is_dir():
        place = next((place / p for p in inside if (place / p).is_file()), place)
    # Not the file that a link leads to: an environment is known by its own folder.
    return Path(os.path.realpath(place.parent)) / place.name


def ask(program: Path, packages: Sequence[str]) -> OtherPython | None:
    """What a Python has; None where it is none."""
    try:
        done = subprocess.run(
            [program, "-I", "-c", _ASK, *packages],
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
        missing, prefixes, paths = json.loads(done.stdout)
    except (OSError, ValueError, TypeError, subprocess.SubprocessError):
        return None
    places = [program.parent, *map(Path, (*prefixes, *paths))]
    there = tuple(place for place in dict.fromkeys(places) if place.exists())
    return OtherPython(program, tuple(missing), there)
