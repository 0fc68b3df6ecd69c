"""A ``best.pt`` of YOLO training, exported by the exporter that the person has.

Such a file is a pickled program. It is opened by Ultralytics' own software alone, in a
process of its own (:mod:`.sandbox`), if the person says so; that software is no part of
this one.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.conversion import Conversion, Tick
from napari_imagec_ai.library.convert.other_python import ask, find_python
from napari_imagec_ai.library.convert.sandbox import (
    guards,
    run_alone,
)
from napari_imagec_ai.library.convert.torch_file import packages_in
from napari_imagec_ai.library.package.description import Rdf, describe
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.model.weights import sha256

_EXPORT = (
    "import sys; from ultralytics import YOLO; YOLO(sys.argv[1]).export(format='onnx')"
)

_CHECKED = (
    "Ultralytics' own exporter wrote the network; it was run, and not compared with "
    "the training's file."
)


@dataclass(frozen=True, slots=True)
class Exporter:
    """What makes ONNX of a checkpoint.

    Attributes
    ----------
    command : tuple of str
        It is started with, and the file's name behind.
    places : tuple of Path
        Folders that it needs.
    """

    command: tuple[str, ...]
    places: tuple[Path, ...]


def is_yolo_checkpoint(path: Path) -> bool:
    """Whether YOLO training saved the file; nothing of it is executed to find out."""
    return bool({"ultralytics", "models"} & packages_in(path))


def read_yolo_checkpoint(
    path: Path,
    name: str,
    scratch: Path,
    trust_code: bool,
    python: str | Path | None,
    tick: Tick,
) -> Conversion:
    """Have a checkpoint exported, and describe what comes back.

    Parameters
    ----------
    path : Path
        The checkpoint.
    name : str
        What the model will be called.
    scratch : Path
        An empty folder.
    trust_code : bool
        Whether the file may be opened, which executes it.
    python : path, optional
        A Python that has ``ultralytics``.
    tick : callable
        Gets a sentence before each step; may raise to stop.

    Raises
    ------
    ModelError
        If there is no exporter, it may not run, or it gives no ONNX.
    """
    if "ultralytics" not in packages_in(path):
        raise ModelError(
            f"'{path.name}' is a YOLOv5 training's own file, a pickled program; export "
            "it where it was trained: python export.py --weights "
            f"{path.name} --include onnx, then 'imagec-ai package' the ONNX file."
        )
    exporter = _exporter(python)
    if exporter is None:
        raise ModelError(
            f"'{path.name}' is a YOLO training's own file, a pickled program; "
            f"{_by_hand(path)}. Or name the python that has ultralytics (--python, or "
            "Preferences > Plugin Preferences in napari)."
        )
    if not trust_code:
        raise ModelError(
            f"'{path.name}' is a YOLO training's own file, a pickled program: "
            f"{exporter.command[0]} executes it once to write ONNX; if you trust the "
            f"file, say so (--trust-code), or {_by_hand(path)}."
        )
    onnx = scratch / "weights.onnx"
    onnx.write_bytes(_exported(path, exporter, tick))
    source = {"kind": "YOLO", "file": path.name, "sha256": sha256(path)}

    def describe_it(weights: Path, engine: Engine) -> Rdf:
        rdf = describe(weights, engine, Facts(name=name))
        rdf["config"]["napari_imagec_ai"]["converted_from"] = source
        return rdf

    return Conversion({"onnx": onnx}, describe_it, (_CHECKED, guards()))


def _by_hand(path: Path) -> str:
    return (
        f"export it in the environment that trained it: yolo export model={path.name} "
        f"format=onnx, then 'imagec-ai package {path.stem}.onnx'"
    )


def _exporter(named: str | Path | None) -> Exporter | None:
    """By the Python that was named, the command ``yolo``, or our own Python."""
    yolo = shutil.which("yolo")
    if yolo is not None and not named:
        return Exporter((yolo, "export", "format=onnx", "model="), _places(Path(yolo)))
    found = find_python(["ultralytics"], named)
    if found is None:
        return None
    return Exporter((str(found.program), "-I", "-c", _EXPORT, ""), found.places)


def _places(command: Path) -> tuple[Path, ...]:
    """Folders that a command needs: its environment, and its Python's."""
    prefix = command.resolve().parent.parent
    # Not all of it: it may be ~/.local, where other things of a person lie, too.
    inside = ("bin", "lib", "lib64", "Lib", "Scripts", "pyvenv.cfg")
    places = [command.parent, *(prefix / name for name in inside)]
    with command.open("rb") as file:
        first = file.readline(1000).decode(errors="replace").split()
    if first and first[0].startswith("#!") and "python" in first[0]:
        python = ask(Path(first[0][2:]), [])
        places += python.places if python is not None else ()
    return tuple(places)


def _exported(path: Path, exporter: Exporter, tick: Tick) -> bytes:
    tick("Exporting with ultralytics")
    script = resources("napari_imagec_ai.library.convert") / "yolo_alone.py"
    job = {"path": str(path.resolve()), "command": exporter.command}
    try:
        answer = run_alone(
            script.read_text(encoding="utf-8"),
            json.dumps(job).encode(),
            [path.resolve(), *exporter.places],
            lambda: tick("Exporting with ultralytics"),
        )
    except ModelError as error:
        reason = str(error).rstrip(".")
        raise ModelError(f"{reason}; {_by_hand(path)}.") from error
    if not answer:
        raise ModelError(
            f"Expected ONNX of '{path.name}', but {exporter.command[0]} wrote none; "
            f"{_by_hand(path)}."
        )
    return answer
