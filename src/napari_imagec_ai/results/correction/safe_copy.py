"""Corrections by hand on disk, until they are let go: a crash costs none of them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_imagec_ai.results.correction.by_hand import ByHand, renamed
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system import whole_files as files


def keep(path: Path, corrections: Mapping[str, ByHand]) -> None:
    """Write corrections, whole or not at all; without any, what lies there goes.

    Parameters
    ----------
    path : Path
        Of the file, in a folder of our own.
    corrections : mapping of str to ByHand
        By class.

    Raises
    ------
    ImagecAIError
        If the file cannot be written.
    """
    if not corrections:
        path.unlink(missing_ok=True)
        return
    arrays: dict[str, Any] = {"classes": np.array(list(corrections))}
    for i, by_hand in enumerate(corrections.values()):
        arrays[f"kept{i}"] = by_hand.kept.as_labels()
        arrays[f"taken{i}"] = by_hand.taken
        arrays[f"erased{i}"] = np.array(by_hand.erased)

    def write(part: Path) -> None:
        with part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    files.replace_whole(path, write, private=True)


def bring(path: Path, like: Objects) -> dict[str, ByHand]:
    """Corrections that lie in a file; none where there are none for these objects.

    Parameters
    ----------
    path : Path
        Of the file.
    like : Objects
        What was found: for the frame, and for classes and confidences of objects that
        are there under the same ids.
    """
    found: dict[str, ByHand] = {}
    if not path.exists() or not zipfile.is_zipfile(path):
        return found
    try:
        with path.open("rb") as stream, np.load(stream) as held:
            for i, name in enumerate(held["classes"].tolist()):
                labels, taken = held[f"kept{i}"], held[f"taken{i}"]
                if labels.shape != like.frame.shape or taken.shape != labels.shape:
                    return {}
                kept = read_labels(labels, like, classes=name)
                by_hand = ByHand(kept, taken.astype(bool), int(held[f"erased{i}"]))
                found[name] = renamed(by_hand, name)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    return found
