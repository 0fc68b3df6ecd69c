"""Fetches a model of the BioImage Model Zoo by its id: only when a person asks for it.

Every file is compared with the description's sha256; what was fetched before a
connection broke, or a person stopped it, is not fetched again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library import web
from napari_imagec_ai.library.folders import install_folder, user_models
from napari_imagec_ai.model.rdf import parse_rdf
from napari_imagec_ai.system.own_data import own_cache
from napari_imagec_ai.system.progress import Progress
from napari_imagec_ai.system.safe_yaml import read_yaml

PATTERN = "https://hypha.aicell.io/bioimage-io/artifacts/{id}/files/{file}"
"""Where the zoo keeps a file of a model."""

VARIABLE = "IMAGEC_AI_ZOO"
"""Environment variable that names another pattern, such as a mirror's."""

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
"""What models are called, such as ``affable-shark``."""

_DESCRIPTION = "rdf.yaml"
_MOST_DESCRIPTION = 4 << 20

Tick = Callable[[str], None]
"""Gets a sentence before each step; may raise to stop."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file of a model."""

    name: str
    sha256: str | None


def is_zoo_id(text: str) -> bool:
    """Whether a text may be a model's id in the zoo, such as ``affable-shark``."""
    return ID.fullmatch(text) is not None and not Path(text).exists()


def install_from_zoo(
    zoo_id: str, folder: str | Path | None = None, tick: Tick | None = None
) -> Path:
    """Fetch a model and install it.

    Parameters
    ----------
    zoo_id : str
        Such as ``affable-shark``.
    folder : path, optional
        The models folder; the person's own by default.
    tick : callable, optional
        Gets a sentence before each step: the address, licence and size first.

    Returns
    -------
    Path
        The new model folder.

    Raises
    ------
    ModelError
        If there is no such model, a file is not the one described, or the connection
        does not hold.
    """
    made: Path = drained(installing(zoo_id, folder), tick)
    return made


def drained(steps: Generator[Progress, None, Any], tick: Tick | None = None) -> Any:
    """What steps end with; each of their sentences is told once."""
    said = ""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        if tick is not None and step.message != said:
            said = step.message
            tick(said)


def installing(
    zoo_id: str, folder: str | Path | None = None
) -> Generator[Progress, None, Path]:
    """Like :func:`install_from_zoo`, step by step.

    Yields
    ------
    Progress
        Bytes fetched and to fetch (0: unknown), and a sentence. Whoever stops here
        leaves nothing half-written, and the next time goes on from there.
    """
    target = _target(zoo_id, folder)
    address = address_of(zoo_id, _DESCRIPTION)
    asking = Progress(0, 0, f"Asking {address}")
    yield asking
    source = yield from telling(web.read_small(address, _MOST_DESCRIPTION), asking)
    rdf = _checked(zoo_id, source)
    wanted = list(wanted_files(rdf))
    place = own_cache("zoo") / f"{zoo_id}-{hashlib.sha256(source).hexdigest()[:16]}"
    place.mkdir(parents=True, exist_ok=True)
    known = yield from sizes(zoo_id, wanted, asking)
    total = sum(size for size in known if size)
    yield Progress(
        0,
        total,
        f"{rdf.get('name', zoo_id)}: licence {rdf.get('license') or 'not named'}, "
        f"{len(wanted)} files, {total / 1e6:.1f} MB",
    )
    before = 0
    for file in wanted:
        fetched = web.fetch(
            address_of(zoo_id, file.name), place / file.name, file.sha256
        )
        for here in fetched:
            yield _fetching(file, before, here, total)
        before += (place / file.name).stat().st_size
    (place / _DESCRIPTION).write_bytes(source)
    yield Progress(before, total, "Installing")
    made = install_folder(place, target)
    shutil.rmtree(place, ignore_errors=True)
    return made


def _target(zoo_id: str, folder: str | Path | None) -> Path:
    if not ID.fullmatch(zoo_id):
        raise ModelError(
            f"Expected a model's id such as 'affable-shark', found '{zoo_id}'; the id "
            "stands on its page in the zoo."
        )
    target = Path(folder or user_models()) / zoo_id
    if target.exists():
        raise ModelError(
            f"'{target}' is there already; remove it first to install it again."
        )
    return target


def _fetching(file: Wanted, before: int, here: int, total: int) -> Progress:
    done = before + here
    of = f" of {total / 1e6:.1f}" if total >= done else ""
    return Progress(done, total, f"Fetching {file.name}: {done / 1e6:.1f}{of} MB")


def telling(
    waiting: web.Waiting[Any], step: Progress
) -> Generator[Progress, None, Any]:
    """What is waited for; the step is told again meanwhile."""
    while True:
        try:
            next(waiting)
        except StopIteration as end:
            return end.value
        yield step


def sizes(
    zoo_id: str, wanted: list[Wanted], step: Progress
) -> Generator[Progress, None, list[int | None]]:
    """Bytes of each file, as far as the server tells."""
    found: list[int | None] = []
    for file in wanted:
        asked = web.size_of(address_of(zoo_id, file.name))
        found.append((yield from telling(asked, step)))
    return found


def address_of(zoo_id: str, file: str) -> str:
    """Where a file of a model is."""
    pattern = os.environ.get(VARIABLE) or PATTERN
    return pattern.format(id=quote(zoo_id), file=quote(file))


def _checked(zoo_id: str, source: bytes) -> Mapping[str, Any]:
    """The description, if it is one."""
    refused = ModelError(
        f"Expected the description of '{zoo_id}', but the zoo's server sent something "
        "else; try again later, or download the package from bioimage.io."
    )
    try:
        rdf = read_yaml(source)
        parse_rdf(source, Path(_DESCRIPTION))
    except (ValueError, ModelError) as error:
        raise refused from error
    if not isinstance(rdf, Mapping) or not isinstance(rdf.get("weights"), Mapping):
        raise refused
    return rdf


def wanted_files(rdf: Mapping[str, Any]) -> Iterator[Wanted]:
    """Files that a description names, each once."""
    found: dict[str, str | None] = {}
    for name, digest in _named(rdf):
        # Older descriptions name files by address; the zoo holds them by name.
        short = name.rpartition("/")[2]
        if short not in ("", ".", "..", _DESCRIPTION) and "\\" not in short:
            found[short] = found.get(short) or digest
    for short, digest in found.items():
        yield Wanted(short, digest)


def _named(part: Any) -> Iterator[tuple[str, str | None]]:
    if isinstance(part, Mapping):
        source = part.get("source")
        if isinstance(source, str):
            digest = part.get("sha256")
            yield source, str(digest).lower() if digest else None
        for key, value in part.items():
            if key in ("covers", "test_inputs", "test_outputs", "documentation"):
                for name in value if isinstance(value, list) else [value]:
                    if isinstance(name, str) and "." in name.rpartition("/")[2]:
                        yield name, None
            if key not in ("config", "cite", "authors", "maintainers", "packaged_by"):
                yield from _named(value)
    elif isinstance(part, list):
        for value in part:
            yield from _named(value)
