"""A warm process that forks one which writes, over and over: to be killed at it.

It reads a folder's name from its standard input and answers with the number of a fork
that writes every format there, again and again.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any


def write_all_of(objects: Any, prediction: Any, package: Path, folder: Path) -> None:
    """Write all formats, a prediction, a recipe and a model folder."""
    from napari_imagec_ai.export.writing import fitting, write_all
    from napari_imagec_ai.library.folders import install
    from napari_imagec_ai.system import whole_files

    for word in fitting(objects):
        write_all(objects, folder, "image", [word], prediction.image, "version: 1\n")
    prediction.save(folder / "image.prediction.npz")

    def text(path: Path) -> None:
        path.write_text("whole\n" * 100_000)

    whole_files.replace_whole(folder / "image.recipe.yaml", text)
    install(package, folder / "models")


def die_halfway(number: str) -> None:
    """End this process when it has written half of its n-th file; empty: never."""
    from napari_imagec_ai.system import whole_files

    if not number:
        return
    replace_whole, begun = whole_files.replace_whole, []

    def dying(path: Path, write: Callable[[Path], None], **given: Any) -> Path:
        def half(place: Path) -> None:
            write(place)
            begun.append(path)
            if len(begun) == int(number):
                os.truncate(place, place.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        return replace_whole(path, half, **given)

    whole_files.replace_whole = dying


def main(prediction: Path, package: Path) -> None:
    """Serve until the input ends."""
    import napari_imagec_ai as ai
    from napari_imagec_ai.image.samples import sample_image
    from napari_imagec_ai.results.prediction import Prediction

    raw = Prediction.load(prediction)
    object.__setattr__(raw, "image", sample_image())
    found = ai.classify(ai.decode(raw))
    # As if they were followed, so that every format takes them.
    objects = replace(found, features={**found.features, "track": found.id})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that die
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            folder, turn = Path(line.strip().partition("|")[0]), 0
            die_halfway(line.strip().partition("|")[2])
            while True:
                place = folder if turn == 0 else folder / f"again{turn}"
                write_all_of(objects, raw, package, place)
                turn += 1
        print(child, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
