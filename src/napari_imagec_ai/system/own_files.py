"""Which files this software wrote: nothing else is ever replaced unasked.

A file is ours while its bytes are those that were written; one that somebody changed
since is theirs. What the bytes were is noted before a file takes its place: in the
user's data folder, for a batch beside its results, and for a run in the recipe that
lies there, so that it is known on other machines, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.system.contents import sha256_of_all
from napari_imagec_ai.system.own_data import own_data

BATCH = ".imagec-ai-batch"
"""Folder beside the results of a batch, for its notes."""

_HEAD = 1 << 16
"""Bytes at the beginning that are looked at before all are."""

_LONGEST = 1 << 24
"""Bytes of notes in the user's folder, of which the older half then goes."""

_MARK = re.compile(rb"\b\d+-[0-9a-f]{16}-[0-9a-f]{64}\b")

_SEAL = re.compile(rb"# As it was written: sha256 ([0-9a-f]{64})\s*\Z")
_SEAL_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be replaced while something is written.

    Attributes
    ----------
    overwrite : bool
        Files that this software did not write, too; a person said so.
    sources : tuple of Path
        What the run reads: never replaced, whoever says so.
    in_batch : bool
        Whether notes are kept beside the files as well.
    before : tuple of str
        Names of what an earlier run of the batch wrote into its folder: where it is no
        longer as it was, it is put aside and not lost.
    aside : list of Path
        Filled in: where it lies now.
    marks : dict
        Filled in: the mark of each file that was written, by its name.
    """

    overwrite: bool = False
    sources: tuple[Path, ...] = ()
    in_batch: bool = False
    before: tuple[str, ...] = ()
    aside: list[Path] = field(default_factory=list, compare=False)
    marks: dict[str, str] = field(default_factory=dict, compare=False)


_PERMIT: ContextVar[Permit | None] = ContextVar("permit", default=None)


@contextlib.contextmanager
def permitted(
    overwrite: bool = False,
    sources: Iterable[Path] = (),
    in_batch: bool = False,
    before: Iterable[str] = (),
) -> Iterator[Permit]:
    """What is written inside goes by this permit, and by those around it."""
    around = _PERMIT.get() or Permit()
    permit = Permit(
        around.overwrite or overwrite,
        (*around.sources, *sources),
        around.in_batch or in_batch,
        (*around.before, *before),
        around.aside,
        around.marks,
    )
    token = _PERMIT.set(permit)
    try:
        yield permit
    finally:
        _PERMIT.reset(token)


def check(paths: Sequence[Path]) -> None:
    """Find out, before anything is written, whether these may be written.

    Raises
    ------
    ImagecAIError
        If one is a source of the run, or is there and was not written by this software.
    """
    permit = _PERMIT.get() or Permit()
    sources = _Sources(permit.sources)
    for path in paths:
        sources.check(path)
    if permit.overwrite:
        return
    there = [path for path in paths if os.path.lexists(path)]
    theirs = [p for p in there if p.name not in permit.before and not is_ours(p)]
    if theirs:
        more = len(theirs) - 1
        others = f", as {_counted(more)}" if more else ""
        raise ImagecAIError(
            f"'{theirs[0]}' is there already, and is not as this software wrote "
            f"it{others}; choose another folder or name, or say --overwrite "
            "(in Python overwrite=True)."
        )


def _counted(more: int) -> str:
    return "is another file" if more == 1 else f"are {more} other files"


def put_aside(path: Path) -> None:
    """Keep what lies where a file of an earlier run did, and is not as it was."""
    permit = _PERMIT.get()
    if permit is None or permit.overwrite or path.name not in permit.before:
        return
    if not os.path.lexists(path) or is_ours(path) or _is_empty(path):
        return
    places = path.parent / BATCH / "changed"
    places.mkdir(parents=True, exist_ok=True)
    number = 1
    while os.path.lexists(place := places / f"{number}-{path.name}"):
        number += 1
    path.rename(place)
    permit.aside.append(place)


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


class _Sources:
    """What a run reads, however it is called."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = {path.resolve() for path in paths}
        self._folders = {path for path in self._paths if path.is_dir()}
        self._above = {above for path in self._paths for above in path.parents}
        self._same: set[tuple[int, int]] | None = None

    def check(self, path: Path) -> None:
        where = path.resolve()
        if where in self._paths or self._is_one(path):
            raise ImagecAIError(
                f"'{path}' is what the run reads, and is never replaced; choose "
                "another folder for the results."
            )
        # A folder such as an OME-Zarr, of which one image is run.
        if where in self._above and path.suffix.lower() == ".zarr":
            raise ImagecAIError(
                f"The run reads an image in '{path}', which is never replaced; choose "
                "another folder for the results."
            )
        if self._folders.intersection(where.parents):
            raise ImagecAIError(
                f"'{path}' would lie in the image that the run reads; choose another "
                "folder for the results."
            )

    def _is_one(self, path: Path) -> bool:
        """Whether it is one by another name, on a disk that does not tell case."""
        try:
            found = path.stat()
        except OSError:
            return False
        if self._same is None:
            self._same = set()
            for source in self._paths:
                with contextlib.suppress(OSError):
                    told = source.stat()
                    self._same.add((told.st_dev, told.st_ino))
        return (found.st_dev, found.st_ino) in self._same


# -- marks -----------------------------------------------------------------------------


def is_ours(path: Path) -> bool:
    """Whether a file or folder is as this software wrote it."""
    try:
        return _has_seal(path) or _known_mark(path)
    except OSError:
        return False


def note(path: Path, content: Path) -> None:
    """Note what a file is about to hold.

    Parameters
    ----------
    path : Path
        Its final name.
    content : Path
        What will be moved there.
    """
    size, head = _begin(content)
    mark = f"{size}-{head}-{sha256_of_all(content)}"
    permit = _PERMIT.get()
    if permit is not None:
        permit.marks[path.name] = mark
        if permit.in_batch:
            _append(path.parent / BATCH / "written", mark)
    with contextlib.suppress(OSError):  # a home that is closed to us
        _append(_own_notes(), mark)


def seal(text: str) -> str:
    """A text of our own with a last line by which it is known, a comment in YAML."""
    told = hashlib.sha256(text.encode()).hexdigest()
    return f"{text}# As it was written: sha256 {told}\n"


def _has_seal(path: Path) -> bool:
    if path.suffix.lower() not in (".yaml", ".yml") or path.is_dir():
        return False
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(size - _SEAL_LENGTH, 0))
        found = _SEAL.search(stream.read())
        if found is None:
            return False
        stream.seek(0)
        text = stream.read()
    body = text[: text.rindex(b"# As it was written")]
    return hashlib.sha256(body).hexdigest().encode() == found[1]


def _known_mark(path: Path) -> bool:
    size, head = "", ""
    for notes in _notes_on(path):
        known = _NOTES.of(notes)
        if known and not size:
            size = _size(path)
        if size not in known:
            continue
        head = head or _begin(path)[1]
        if head in known[size] and sha256_of_all(path) in known[size][head]:
            return True
    return False


def _notes_on(path: Path) -> Iterator[Path]:
    """Files that may have the mark of this one."""
    yield _own_notes()
    yield path.parent / BATCH / "written"
    yield from recipes_on(path)


def recipes_on(path: Path) -> Iterator[Path]:
    """Where the recipe of the run would lie that wrote a file, if one did."""
    parts = path.name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        yield path.with_name(f"{'.'.join(parts[:count])}.recipe.yaml")


def _own_notes() -> Path:
    return own_data("written")


class _Notes:
    """Marks in files of notes, which are read again when they have changed."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[tuple[int, int], dict[str, dict[str, set[str]]]]]
        self._read = {}

    def of(self, path: Path) -> dict[str, dict[str, set[str]]]:
        """Marks by size, then by beginning."""
        try:
            told = path.stat()
            state = (told.st_size, told.st_mtime_ns)
            before = self._read.get(path)
            if before is not None and before[0] == state:
                return before[1]
            found: dict[str, dict[str, set[str]]] = {}
            for mark in _MARK.findall(path.read_bytes()):
                size, head, whole = mark.decode().split("-")
                found.setdefault(size, {}).setdefault(head, set()).add(whole)
        except OSError:
            return {}
        if len(self._read) > 8:  # recipes of a batch are asked once
            self._read.clear()
        self._read[path] = (state, found)
        return found


_NOTES = _Notes()


def _append(notes: Path, mark: str) -> None:
    notes.parent.mkdir(parents=True, exist_ok=True)
    with notes.open("ab") as stream:
        # One short piece at the end, whole also where several processes write.
        stream.write(f"{mark}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())  # before the file that it is about has a name
        long = stream.tell() > _LONGEST
    if long:
        kept = notes.read_bytes()[-_LONGEST // 2 :]
        fresh = notes.with_name(f".{notes.name}-{os.getpid()}")
        fresh.write_bytes(kept)
        fresh.replace(notes)


def _files(folder: Path) -> list[tuple[str, Path]]:
    return sorted(
        (path.relative_to(folder).as_posix(), path)
        for path in folder.rglob("*")
        if path.is_file()
    )


def _size(path: Path) -> str:
    if path.is_dir():
        return str(sum(part.stat().st_size for _, part in _files(path)))
    return str(path.stat().st_size)


def _begin(path: Path) -> tuple[str, str]:
    """Its size, and what tells most others apart without reading all of it."""
    told = hashlib.sha256()
    if path.is_dir():
        for name, part in _files(path):
            told.update(
                f"{name}\0{part.stat().st_size}\0".encode(errors="surrogatepass")
            )
    else:
        with path.open("rb") as stream:
            told.update(stream.read(_HEAD))
    return _size(path), told.hexdigest()[:16]
