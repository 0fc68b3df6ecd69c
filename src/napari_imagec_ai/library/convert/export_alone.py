"""Writes an archive of ``torch.export`` as ONNX, in a process of its own.

This file is run as a script by :mod:`.exported_program`, never imported by the package:
reading such an archive unpickles parts of it. What it answers is an ONNX file.
"""

from __future__ import annotations

import io
import os
import sys
import warnings

PATHS = os.environ.get("IMAGEC_AI_PATHS", "").split(os.pathsep)
sys.path += [path for path in PATHS if path not in sys.path]


def main() -> None:
    """Read the archive, export, answer."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    import torch

    data = sys.stdin.buffer.read()
    program = torch.export.load(io.BytesIO(data))
    made = torch.onnx.export(program, dynamo=True, opset_version=18, verbose=False)
    if made is None:
        raise SystemExit("PyTorch's exporter gave nothing")
    with answer:
        answer.write(made.model_proto.SerializeToString())


if __name__ == "__main__":
    main()
