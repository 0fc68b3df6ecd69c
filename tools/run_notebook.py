"""Runs docs/notebooks/first_run.ipynb and stores what its cells give.

It needs IPython, and no kernel: cells run here, in a folder that is thrown away.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

NOTEBOOK = (
    Path(__file__).resolve().parents[1] / "docs" / "notebooks" / "first_run.ipynb"
)

KEPT = ("text/plain", "text/html", "image/jpeg")


def main() -> None:
    """Run all code cells in order; stops at the first that fails."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    shell = InteractiveShell.instance()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        code = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        for number, cell in enumerate(code, start=1):
            cell["execution_count"] = number
            cell["outputs"] = _outputs(shell, "".join(cell["source"]), number)
        os.chdir(NOTEBOOK.parent)
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    NOTEBOOK.write_text(f"{text}\n", encoding="utf-8")


def _outputs(shell: InteractiveShell, source: str, number: int) -> list[dict[str, Any]]:
    with capture_output() as captured:
        result = shell.run_cell(source)
    result.raise_error()
    shown = "".join(captured.stdout.split(f"Out[{number}]:")[:1]).rstrip()
    outputs: list[dict[str, Any]] = []
    for given in captured.outputs:
        data = {kind: text for kind, text in given.data.items() if kind in KEPT}
        outputs.append(_result(data, number))
    if result.result is not None and not captured.outputs:
        data, _ = shell.display_formatter.format(result.result)
        outputs.append(_result(_small(data), number))
        shown = ""
    if shown:
        outputs.insert(
            0, {"name": "stdout", "output_type": "stream", "text": f"{shown}\n"}
        )
    return outputs


def _result(data: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "data": data,
        "execution_count": number,
        "metadata": {},
        "output_type": "execute_result",
    }


def _small(data: dict[str, Any]) -> dict[str, Any]:
    """Pictures as JPEG, which are a fifth as large in a repository."""
    kept = {kind: text for kind, text in data.items() if kind in KEPT}
    if "image/png" in data:
        picture = Image.open(io.BytesIO(data["image/png"]))
        stream = io.BytesIO()
        picture.convert("RGB").save(stream, "JPEG", quality=85)
        kept["image/jpeg"] = base64.b64encode(stream.getvalue()).decode("ascii")
    return kept


if __name__ == "__main__":
    main()
