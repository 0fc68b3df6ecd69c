"""How well a model finds what people found.

    python -m benchmarks.accuracy --data FOLDER [--model NAME] [--kind KIND]
        [--names FILE] [--limit N] [--out FOLDER] [--object-size PIXELS] [--curve]

Prints the figures, and writes a table over the images and pictures of the worst.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import napari_imagec_ai as ai
from benchmarks.accuracy import report
from benchmarks.accuracy.calibration import fitted_curve
from benchmarks.accuracy.data import read_folder
from benchmarks.accuracy.evaluate import evaluate
from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.run.size.asked import size_from_text


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("--data", type=Path, required=True, help="images with truth")
    parser.add_argument("--model", default="nuclei-unet", help="name or folder")
    parser.add_argument("--kind", help="only images of this kind, or of this set")
    parser.add_argument("--names", type=Path, help="a file of names, one a line")
    parser.add_argument("--limit", type=int, help="only the first of them")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--object-size", default=None)
    parser.add_argument("--out", type=Path, help="for the table and the pictures")
    parser.add_argument("--worst", type=int, default=8, help="number of pictures")
    parser.add_argument(
        "--curve", action="store_true", help="fit the confidence to the shares, too"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate; gives the exit code."""
    told = _arguments(argv)
    try:
        names = told.names.read_text("utf-8").split() if told.names else None
        truths = read_folder(told.data, told.kind, names)[: told.limit]
        options = {}
        if told.object_size is not None:
            options["object_size"] = size_from_text(told.object_size)
        rows = evaluate(ai.load_model(told.model), truths, told.engine, **options)
    except ImagecAIError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(report.summary(rows)))
    print("\n".join(["", *report.curve(rows)]))
    if told.curve:
        confidence = np.concatenate([row.confidence for row in rows])
        right = np.concatenate([row.right for row in rows])
        print(json.dumps(fitted_curve(confidence, right)))
    if told.out is not None:
        told.out.mkdir(parents=True, exist_ok=True)
        report.write_table(rows, told.out / "images.csv")
        report.write_pictures(rows, told.out, told.worst)
    return 0


if __name__ == "__main__":
    sys.exit(main())
