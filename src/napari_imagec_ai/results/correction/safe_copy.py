"""Corrections by hand on disk, until they are let go: a crash costs none of them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.results.correction.kept_corrections import ByHand, joined, renamed
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system.whole_files import replace_whole

_NOTHING: Mapping[tuple[str, str], str] = {}

Named = Mapping[tuple[str, str], str]
"""The person's class at each place of a class map that names one."""


def keep(
    path: Path, corrections: Mapping[str, ByHand], named: Named = _NOTHING
) -> None:
    """Write corrections, whole or not at all; without any, what lies there goes.

    Parameters
    ----------
    path : Path
        Of the file, in a folder of our own.
    corrections : mapping of str to ByHand
        By class.
    named : mapping
        Where these classes come from (see :attr:`ClassMap.named`): they may have other
        names when the corrections are brought back.

    Raises
    ------
    ImagecAIError
        If the file cannot be written.
    """
    if not corrections:
        path.unlink(missing_ok=True)
        return
    arrays: dict[str, Any] = {"classes": np.array(list(corrections))}
    arrays["named"] = np.array(json.dumps([[*place, n] for place, n in named.items()]))
    for i, by_hand in enumerate(corrections.values()):
        arrays[f"kept{i}"] = by_hand.kept.as_labels()
        arrays[f"taken{i}"] = by_hand.taken
        arrays[f"erased{i}"] = np.array(by_hand.erased)

    def write(part: Path) -> None:
        with part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    replace_whole(path, write, private=True)


def bring(path: Path, like: Objects, named: Named = _NOTHING) -> dict[str, ByHand]:
    """Corrections that lie in a file; none where there are none for these objects.

    Parameters
    ----------
    path : Path
        Of the file.
    like : Objects
        What was found: for the frame, and for classes and confidences of objects that
        are there under the same ids.
    named : mapping
        Where the classes come from today: corrections of a class that has another name
        now are that one's.
    """
    found: dict[str, ByHand] = {}
    if not path.exists() or not zipfile.is_zipfile(path):
        return found
    try:
        with path.open("rb") as stream, np.load(stream) as held:
            today = _today(held, like.classes, named)
            for i, name in enumerate(held["classes"].tolist()):
                labels, taken = held[f"kept{i}"], held[f"taken{i}"]
                if labels.shape != like.frame.shape or taken.shape != labels.shape:
                    return {}
                kept = read_labels(labels, like, classes=name)
                by_hand = ByHand(kept, taken.astype(bool), int(held[f"erased{i}"]))
                name = today.get(name, name)
                before = found.get(name)
                by_hand = by_hand if before is None else joined(before, by_hand)
                found[name] = renamed(by_hand, name)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return found


def _today(held: Any, classes: tuple[str, ...], named: Named) -> dict[str, str]:
    """Today's names of classes that have others now."""
    told = json.loads(str(held["named"])) if "named" in held else []
    names = {name: named.get((source, part)) for source, part, name in told}
    only = classes[0] if len(classes) == 1 else None
    return {
        name: names.get(name) or only or name
        for name in held["classes"].tolist()
        if name not in classes
    }
