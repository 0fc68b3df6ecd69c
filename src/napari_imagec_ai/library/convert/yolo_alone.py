"""Has a YOLO checkpoint exported by a command, in a process of its own.

This file is run as a script by :mod:`.yolo_checkpoint`, never imported by the package:
the command executes what is in the checkpoint. What it answers is the ONNX file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Copy the checkpoint, export it, answer."""
    answer = os.fdopen(os.dup(1), "wb")
    job = json.loads(sys.stdin.buffer.read())
    with tempfile.TemporaryDirectory() as place, answer:
        folder = Path(place)
        shutil.copyfile(job["path"], folder / "best.pt")  # it writes beside it
        *command, last = job["command"]
        done = subprocess.run(
            [*command, f"{last}best.pt"],
            cwd=folder,
            env=os.environ
            | {
                "YOLO_CONFIG_DIR": place,
                "YOLO_AUTOINSTALL": "false",
                "YOLO_OFFLINE": "true",
                "MPLCONFIGDIR": place,
                "CUDA_VISIBLE_DEVICES": "",
            },
            stdin=subprocess.DEVNULL,
            stdout=2,  # what it says is no answer
            check=False,
        )
        for written in sorted(folder.glob("*.onnx")):
            answer.write(written.read_bytes())
            break
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
