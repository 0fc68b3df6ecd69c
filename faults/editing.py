"""A process that tunes a corrected result over and over: to be killed at it.

It reads a file's name from its standard input and answers with the number of a fork
that corrects, finds anew with other thresholds, lays the corrections over, and keeps a
copy of them in that file, again and again.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np


def corrected(turn: int) -> tuple[object, dict[str, object]]:
    """Objects at one of several thresholds, and the corrections of a person."""
    from napari_imagec_ai.image.image_input import Frame
    from napari_imagec_ai.results.correction.kept_corrections import laid_over, noticed
    from napari_imagec_ai.results.correction.read_back import read_labels

    labels = np.zeros((256, 256), np.int32)
    size = 20 + turn % 8
    for n in range(16):
        y, x = 10 + 60 * (n // 4), 10 + 60 * (n % 4)
        labels[y : y + size, x : x + size] = n + 1
    found = read_labels(labels, Frame("YX", (256, 256), (1.0, 1.0)), classes="thing")
    now = found.as_labels()
    now[now == 3] = 0
    now[120:124, 50:58] = 99
    by_hand = noticed(found, now, "thing")
    assert by_hand is not None
    return laid_over(found, by_hand), {"thing": by_hand}


def main() -> None:
    """Serve until the input ends."""
    from faults.mutants import apply
    from napari_imagec_ai.results.correction.safe_copy import keep

    apply()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that die
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            path, turn = Path(line.strip()), 0
            while True:
                _, corrections = corrected(turn)
                keep(path, corrections)  # type: ignore[arg-type]
                turn += 1
        print(child, flush=True)


if __name__ == "__main__":
    main()
