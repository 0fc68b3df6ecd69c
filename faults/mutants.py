"""Guards taken away on purpose: a search that does not notice it proves nothing.

``python -m faults --mutants`` runs the quick cases once without each guard, and fails
if one goes unnoticed.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

WHICH = "FAULTS_MUTANT"
"""Environment variable: the mutant that processes of a search have to be."""

_HOUSE = "napari_imagec_ai"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard, and the class of faults whose quick cases notice that it is gone."""

    guard: str
    word: str
    take_away: Callable[[], None]
    promise: str = ""

    def cases(self, quick: int) -> tuple[int, int]:
        """The first of the quick cases that look for it, and the one after the last."""
        from faults.promises import PROMISES

        if not self.promise:
            return 0, quick
        number = [one.__name__ for one in PROMISES].index(self.promise)
        return number, number + 1


def _set(place: str, instead: Any) -> Callable[[], None]:
    """Put something in the place of a name, such as ``system.whole_files:sync``."""

    def take_away() -> None:
        module, _, name = place.partition(":")
        target: Any = import_module(f"{_HOUSE}.{module}")
        *above, last = name.split(".")
        for part in above:
            target = getattr(target, part)
        if not hasattr(target, last):
            raise RuntimeError(f"There is no '{place}' any more; mend this mutant.")
        setattr(target, last, instead)

    return take_away


def _all(*changes: Callable[[], None]) -> Callable[[], None]:
    def take_away() -> None:
        for change in changes:
            change()

    return take_away


def _nothing(*_: Any, **__: Any) -> None:
    return None


@contextlib.contextmanager
def _unguarded(*_: Any) -> Any:
    yield


def _in_place(path: Path, write: Callable[[Path], None], **_: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    return path


def _in_place_by_halves(path: Path, write: Callable[[Path], None], **_: Any) -> Path:
    """In place, on a disk so slow that something ends it in between."""
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    time.sleep(0.3)
    path.write_bytes(whole)
    return path


def _by_size_and_time(path: Path) -> str:
    about = path.stat()
    return f"{about.st_size:032x}{about.st_mtime_ns:032x}"


def _raw(sentence: str, cause: BaseException) -> BaseException:
    return cause


def _read_yaml(source: bytes) -> Any:
    import yaml

    return yaml.safe_load(source)


def _named_by_bytes(source: bytes) -> list[str]:
    if b"\x0a\x08location" not in source:
        return []
    return ["w.bin"]


def _mapped(path: Path) -> Any:
    import numpy as np

    return np.load(path, "r")


def _started_here(module: str, environ: Any = None, **options: Any) -> Any:
    import subprocess

    code = f"from {module} import main; main()"
    places = os.pathsep.join(p for p in sys.path if p)
    given = os.environ.get("PYTHONPATH", "")
    made = {**os.environ, **(environ or {}), "PYTHONPATH": f"{given}:{places}"}
    return subprocess.Popen([sys.executable, "-c", code], env=made, **options)


def _with_a_door() -> None:
    import socket

    from napari_imagec_ai.recipes.batch import workers

    enter, doors = workers.Workers.__enter__, []

    def open_one(self: Any) -> Any:
        doors.append(socket.create_server(("", 0)))
        return enter(self)

    workers.Workers.__enter__ = open_one  # type: ignore[method-assign]


def _never_greeted(self: Any, process: Any) -> None:
    process.stdout.readline()


def _as_int32(ids: Any, name: str) -> Any:
    import numpy as np

    return ids.astype(np.int32)


def _step(step: Any, where: str) -> Any:
    from napari_imagec_ai.model.description import Step

    return Step(step.get("id") or step["name"], step.get("kwargs") or {})


def _first_channels(spec: Any, image: Any, wanted: Any) -> Any:
    return tuple(range(image.size("C"))), False, ()


def _pydantic_free(cls: Any, path: Any) -> Any:
    import yaml

    return cls.model_validate(yaml.safe_load(Path(path).read_bytes()))


ALL: dict[str, Mutant] = {
    "in place": Mutant(
        "files are written beside their place and moved",
        "promises",
        _set("system.whole_files:replace_whole", _in_place),
        "whole_or_not_at_all",
    ),
    "corrections in place": Mutant(
        "corrections by hand are kept beside their place and moved",
        "edits",
        _set("system.whole_files:replace_whole", _in_place_by_halves),
    ),
    "in place, killed": Mutant(
        "the same, where the process is killed",
        "exports",
        _set("system.whole_files:replace_whole", _in_place),
    ),
    "in place, batch": Mutant(
        "the same, where a batch loses power",
        "power",
        _set("system.whole_files:replace_whole", _in_place),
    ),
    "sync": Mutant(
        "bytes are on the disk before they have a name",
        "power",
        _all(
            _set("system.whole_files:sync", _nothing),
            _set("system.whole_files:sync_all", _nothing),
        ),
    ),
    "places": Mutant(
        "what this software did not write is not replaced",
        "places",
        _set("system.own_files:check", _nothing),
    ),
    "sweep": Mutant(
        "what a killed process began is taken away",
        "promises",
        _set("system.whole_files:sweep", _nothing),
        "what_was_begun_is_taken_away",
    ),
    "content of results": Mutant(
        "results of a batch are known by their content",
        "promises",
        _set("recipes.batch.done_notes:_content", lambda path: []),
        "done_means_whole",
    ),
    "content of packages": Mutant(
        "packages are known by their content",
        "promises",
        _all(
            _set("library.zips:sha256", _by_size_and_time),
            _set("library.zips:_is_whole", lambda folder, _: folder.is_dir()),
        ),
        "packages_by_content",
    ),
    "caches": Mutant(
        "what was unpacked is compared with the package",
        "promises",
        _set("library.zips:_is_whole", lambda folder, _: folder.is_dir()),
        "damaged_caches_are_rebuilt",
    ),
    "content of programs": Mutant(
        "trusted programs are known by their content",
        "promises",
        _set("library.trust:sha256", _by_size_and_time),
        "changed_programs_are_asked_about",
    ),
    "turns": Mutant(
        "processes that remember something take turns",
        "promises",
        _set("model.learned:turn", _unguarded),
        "both_are_kept",
    ),
    "external data": Mutant(
        "files that a network names lie in its folder",
        "promises",
        _set("engines.onnx_external_data:external_files", lambda *_: []),
        "files_only_from_inside",
    ),
    "bytes of names": Mutant(
        "names are found by parsing, not by their bytes",
        "promises",
        _set("engines.onnx_external_data:named_files", _named_by_bytes),
        "no_name_is_hidden",
    ),
    "sha256": Mutant(
        "weights are compared with the description's sha256",
        "promises",
        _set("engines.opening_weights:verify_hash", _nothing),
        "other_weights",
    ),
    "pickles": Mutant(
        "a pickle is told from a network",
        "promises",
        _set("model.weights:_torchscript_problem", _nothing),
        "no_pickles",
    ),
    "packages": Mutant(
        "packages stay inside their folder",
        "promises",
        _set("library.zips:_check_members", _nothing),
        "packages_stay_inside",
    ),
    "packages, wicked": Mutant(
        "the same, with wicked packages",
        "zips",
        _set("library.zips:_BROKEN", ()),
    ),
    "bombs": Mutant(
        "values of YAML are counted before they are made",
        "promises",
        _set("system.safe_yaml:_measure", _nothing),
        "no_bombs",
    ),
    "pipes": Mutant(
        "pipes and devices are not read",
        "promises",
        _set("recipes.recipe:read_small", lambda path, _: path.read_bytes()),
        "no_endless_files",
    ),
    "shrinking": Mutant(
        "large images are read, not mapped",
        "promises",
        _set("image.opening_files:array_in", _mapped),
        "shrinking_images",
    ),
    "names": Mutant(
        "names cannot look like sentences of ours",
        "promises",
        _set("errors:shown", str),
        "names_cannot_speak",
    ),
    "safe path": Mutant(
        "processes look for no modules where they stand",
        "promises",
        _set("system.child_process:start", _started_here),
        "nothing_here_is_run",
    ),
    "ports": Mutant(
        "workers wait at no port", "promises", _with_a_door, "nobody_listens"
    ),
    "greeting": Mutant(
        "a worker says that it is there",
        "promises",
        _set("recipes.batch.workers:_Hand._greet", _never_greeted),
        "workers_that_do_not_come",
    ),
    "relative entries": Mutant(
        "nor where PYTHONPATH says so",
        "promises",
        _set("system.child_process:safe_environ", lambda: dict(os.environ)),
        "nothing_here_is_run_by_environment",
    ),
    "consent": Mutant(
        "recipes that name a program ask",
        "promises",
        _set("recipes.terminal:ask_before", _nothing),
        "programs_are_asked_about",
    ),
    "borrowed names": Mutant(
        "a model with a borrowed name says so",
        "promises",
        _set("library.folders:shadowed", lambda *_: ""),
        "borrowed_names",
    ),
    "scratch": Mutant(
        "a folder that cannot be used is told",
        "promises",
        _set("system.scratch:explain_scratch", _unguarded),
        "closed_scratch",
    ),
    "memory": Mutant(
        "memory that is not enough for objects is told",
        "promises",
        _set("decoders.decoding:enough_memory", _unguarded),
        "memory_for_objects",
    ),
    "descriptions": Mutant(
        "a description that is no YAML is told",
        "descriptions",
        _set("model.rdf:read_yaml", _read_yaml),
    ),
    "steps": Mutant(
        "steps of a description are looked at before they are read",
        "described",
        _set("model.rdf:_step", _step),
    ),
    "onnx": Mutant(
        "what ONNX Runtime raises is told",
        "onnx",
        _set("engines.onnx:runtime_error", _raw),
    ),
    "onnx-apart": Mutant(
        "the same in a process of its own",
        "onnx-apart",
        _set("engines.process:_as_raised", lambda name, text: KeyError(text)),
    ),
    "torchscript": Mutant(
        "what PyTorch raises is told",
        "torchscript",
        _set("engines.process:_as_raised", lambda name, text: KeyError(text)),
    ),
    "torchscript-here": Mutant(
        "the same in this process",
        "torchscript-here",
        _set("engines.torchscript:runtime_error", _raw),
    ),
    "arrays": Mutant(
        "pixels that are no numbers are told",
        "arrays",
        _set("image.image_input:ImageInput._check_pixels", _nothing),
    ),
    "layers": Mutant(
        "channels of layers that do not fit are told",
        "layers",
        _all(
            _set("run.feed.feed:match_channels", _first_channels),
            _set("engines.onnx:_check_shape", _nothing),
            _set("engines.onnx:runtime_error", _raw),
        ),
    ),
    "images": Mutant(
        "images that cannot be read are told",
        "imagefiles",
        _set("image.opening_files:cannot_be_read", lambda *_: ""),
    ),
    "recipes": Mutant(
        "recipes that are none are told",
        "recipes",
        _set("recipes.recipe:Recipe.load", classmethod(_pydantic_free)),
    ),
    "corrections": Mutant(
        "labels that came back are whole numbers",
        "corrections",
        _set("results.correction.labels:as_ids", _as_int32),
    ),
    "predictions": Mutant(
        "stored predictions are checked",
        "predictions",
        _set("results.prediction_file:check_prediction", _nothing),
    ),
}
"""By name; each class of faults has one at least."""


def apply() -> None:
    """Be the mutant that the environment names, if it names one."""
    name = os.environ.get(WHICH, "")
    if name:
        ALL[name].take_away()


if __name__ == "__main__":
    # A program of the package, as the mutant: for processes that a search starts.
    apply()
    sys.argv[:] = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__")
