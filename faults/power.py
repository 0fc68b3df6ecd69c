"""The power goes: whatever was not synced is gone, and names may have outlived bytes.

A batch, an install and a save are done once while every sync and move is watched. From
what was on the disk at each of these moments two disks are made: one that forgot all
that was not synced, and one that kept the names but not the bytes, as journals of file
systems do. On both the work is done again, and must come to the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from faults.fault import Case, Fault, Lost, Make
from faults.networks import describe, write_onnx

Tree = dict[str, bytes | None]
"""What lies in a folder: the bytes of files, None for folders."""


@dataclass(slots=True)
class Watched:
    """A folder, and what a disk has of it for sure.

    Attributes
    ----------
    folder : Path
        Where all happens.
    bytes_of : dict
        Content at its last sync, by the number of a file in the system.
    names_in : dict
        Names at its last sync and what they stand for, by the number of a folder.
    moments : list of (str, Tree)
        What would be there, and when.
    """

    folder: Path
    bytes_of: dict[int, bytes] = field(default_factory=dict)
    names_in: dict[int, dict[str, int]] = field(default_factory=dict)
    kinds: dict[int, bool] = field(default_factory=dict)
    moments: list[tuple[str, Tree]] = field(default_factory=list)

    def begin(self) -> None:
        """What lies there at first is on the disk for sure."""
        for place, _, names in os.walk(self.folder):
            self._sync_folder(Path(place))
            for name in names:
                self._sync_file(Path(place, name))

    def synced(self, handle: int) -> None:
        """A file or folder was synced."""
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if path.is_relative_to(self.folder):
            self._sync_folder(path) if path.is_dir() else self._sync_file(path)

    def note(self, when: str) -> None:
        """Remember what both disks would have now."""
        self.moments.append((f"{when}, nothing else", self._sure()))
        self.moments.append((f"{when}, names without bytes", self._names_only()))

    def _sync_folder(self, path: Path) -> None:
        found = {entry.name: entry.inode() for entry in os.scandir(path)}
        number = path.stat().st_ino
        self.names_in[number], self.kinds[number] = found, True

    def _sync_file(self, path: Path) -> None:
        self.bytes_of[path.stat().st_ino] = path.read_bytes()

    def _sure(self) -> Tree:
        tree: Tree = {}

        def walk(number: int, prefix: str) -> None:
            for name, inner in self.names_in[number].items():
                if inner in self.names_in:
                    tree[prefix + name] = None
                    walk(inner, f"{prefix}{name}/")
                else:
                    tree[prefix + name] = self.bytes_of.get(inner, b"")

        walk(self.folder.stat().st_ino, "")
        return tree

    def _names_only(self) -> Tree:
        tree: Tree = {}
        for path in sorted(self.folder.rglob("*")):
            about = path.lstat()
            name = path.relative_to(self.folder).as_posix()
            if stat.S_ISDIR(about.st_mode):
                tree[name] = None
            else:
                tree[name] = self.bytes_of.get(about.st_ino, b"")
        return tree


@contextlib.contextmanager
def watching(folder: Path) -> Iterator[Watched]:
    """Watch a folder, and note each sync and each move."""
    watched = Watched(folder)
    watched.begin()
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def synced(handle: int) -> None:
        watched.note("before a sync")
        fsync(handle)
        watched.synced(handle)

    def moved(function: Callable[..., None]) -> Callable[..., None]:
        def move(source: Any, target: Any, **given: Any) -> None:
            function(source, target, **given)
            if Path(target).is_relative_to(folder):
                watched.note(f"after '{Path(target).name}' got its name")

        return move

    os.fsync, os.replace, os.rename = synced, moved(replace), moved(rename)
    try:
        yield watched
    finally:
        os.fsync, os.replace, os.rename = fsync, replace, rename
    watched.note("at the end")


def put(tree: Tree, folder: Path) -> None:
    """Make a folder that holds this."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in sorted(tree.items()):
        if content is None:
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def seen(folder: Path) -> dict[str, bytes]:
    """What a person sees: all files, but those whose names begin with a dot."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = path.read_bytes()
    return found


# -- what is done ----------------------------------------------------------------------


def _batch(inputs: Path) -> Callable[[Path], None]:
    import napari_imagec_ai as ai
    from napari_imagec_ai.recipes.batch.run_batch import Batch, run_batch
    from napari_imagec_ai.recipes.recipe import Recipe, describe_model

    recipe = Recipe(model=describe_model(ai.load_model(inputs / "tiny")))
    images = [inputs / f"{number}.npy" for number in range(3)]

    def work(folder: Path) -> None:
        batch = Batch(recipe, folder / "out", ["labels", "csv"], summary=True)
        for outcome in run_batch(batch, images):
            if outcome.problem:
                raise Lost(outcome.problem)

    return work


def _install(inputs: Path) -> Callable[[Path], None]:
    from napari_imagec_ai.errors import ModelError
    from napari_imagec_ai.library.folders import install, load_model

    def work(folder: Path) -> None:
        try:
            install(inputs / "tiny.zip", folder)
        except ModelError as error:
            if "is there already" not in str(error):
                raise
            load_model(folder / "tiny")

    return work


def _save(inputs: Path) -> Callable[[Path], None]:
    from napari_imagec_ai.recipes.recipe import Recipe
    from napari_imagec_ai.system import whole_files

    recipe = Recipe.load(inputs / "recipe.yaml")

    def work(folder: Path) -> None:
        for number in range(4):
            recipe.save(folder / f"{number}.yaml")

        def write(place: Path) -> None:
            (place / "zarr.json").write_text("{}")  # a store, which may be replaced
            for name in ("a", "b"):
                (place / name).mkdir()
                (place / name / "values").write_bytes(name.encode() * 999)

        whole_files.replace_folder(folder / "it.zarr", write)

    return work


WORKS = {"a batch": _batch, "an install": _install, "a save": _save}


def prepare(folder: Path) -> Make:
    """Do all once, and keep what a disk had at each moment."""
    inputs = folder / "inputs"
    inputs.mkdir()
    _write_inputs(inputs)
    place = folder / "disk"
    found: list[tuple[str, str, Tree]] = []
    whole: dict[str, dict[str, bytes]] = {}
    works = {name: make(inputs) for name, make in WORKS.items()}
    for name, work in works.items():
        put({}, place)
        with watching(place) as watched:
            work(place)
        whole[name] = seen(place)
        found += [(name, when, tree) for when, tree in watched.moments]

    def make(chance: random.Random) -> Case:
        name, when, tree = chance.choice(found)

        def run() -> None:
            put(tree, place)
            for path, content in seen(place).items():
                if content != whole[name].get(path):
                    raise Lost(f"'{path}' is not what was written: {content[:40]!r}")
            works[name](place)
            again = seen(place)
            wrong = [p for p in whole[name] if again.get(p) != whole[name][p]]
            if wrong:
                raise Lost(f"done again, these are others: {wrong}")

        return Case(f"{name}: {when}", run)

    return make


def _write_inputs(inputs: Path) -> None:
    import napari_imagec_ai as ai
    from napari_imagec_ai.recipes.recipe import Recipe, describe_model

    tiny = inputs / "tiny"
    tiny.mkdir()
    write_onnx(tiny / "weights.onnx")
    (tiny / "rdf.yaml").write_text(yaml.safe_dump(describe(), sort_keys=False))
    with zipfile.ZipFile(inputs / "tiny.zip", "w") as archive:
        for path in sorted(tiny.iterdir()):
            archive.write(path, path.name)
    rng = np.random.default_rng(0)
    for number in range(3):
        np.save(inputs / f"{number}.npy", rng.random((40, 48), np.float32))
    recipe = Recipe(model=describe_model(ai.load_model(tiny)))
    (inputs / "recipe.yaml").write_text(recipe.text())


POWER = Fault("power cuts", prepare, count=200, quick=24, seconds=30)
