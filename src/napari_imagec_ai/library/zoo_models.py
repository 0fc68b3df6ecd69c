"""Reads which models the BioImage Model Zoo has: only when a person asks for it."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library import web
from napari_imagec_ai.library.zoo import ID, sizes, telling, wanted_files
from napari_imagec_ai.library.zoo_outlook import Outlook, outlook
from napari_imagec_ai.system.progress import Progress

ADDRESS = (
    "https://hypha.aicell.io/bioimage-io/artifacts/bioimage.io/children"
    "?limit=10000&filters=%7B%22type%22%3A%22model%22%7D"
)
"""Where the zoo lists its models, each with what its description says."""

VARIABLE = "IMAGEC_AI_ZOO_LIST"
"""Environment variable that names another list, such as a mirror's."""

_MOST_LIST = 64 << 20
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ZooModel:
    """One model of the zoo, as the list tells.

    Attributes
    ----------
    id : str
        Such as ``affable-shark``.
    name, description, license : str
        As its description has them.
    outlook : Outlook
        Whether it will run here.
    words : str
        What a search looks at, in small letters.
    rdf : mapping
        Its description.
    """

    id: str
    name: str
    description: str
    license: str
    outlook: Outlook
    words: str = field(repr=False)
    rdf: Mapping[str, Any] = field(repr=False)

    def fits(self, words: str) -> bool:
        """Whether all words that a person searches for are in its description."""
        return all(word in self.words for word in words.lower().split())

    def as_values(self) -> dict[str, str]:
        """What ``imagec-ai zoo --json`` says of it."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "license": self.license,
            "runs": self.outlook.way,
            "why": self.outlook.why,
        }


def list_address() -> str:
    """Where the list is."""
    return os.environ.get(VARIABLE) or ADDRESS


def reading_zoo() -> Generator[Progress, None, list[ZooModel]]:
    """Read which models there are, by name.

    Yields
    ------
    Progress
        Again and again while the server is waited for; whoever stops leaves nothing.

    Raises
    ------
    ModelError
        If the server cannot be reached or sends something else.
    """
    address = list_address()
    asking = Progress(0, 0, f"Asking {address}")
    yield asking
    source = yield from telling(web.read_small(address, _MOST_LIST), asking)
    found = {}
    for zoo_id, rdf in _models_in(source, address):
        found[zoo_id] = _model(zoo_id, rdf)
        yield Progress(0, 0, "Reading the list")
    return sorted(found.values(), key=lambda model: model.name.lower())


def asking_size(model: ZooModel) -> Generator[Progress, None, str]:
    """How large all its files are, in words, as far as the server tells."""
    step = Progress(0, 0, "Asking how large it is")
    yield step
    found = yield from sizes(model.id, list(wanted_files(model.rdf)), step)
    known = [size for size in found if size]
    if not known:
        return "not told by the server"
    least = "" if len(known) == len(found) else "at least "
    return f"{least}{sum(known) / 1e6:.1f} MB"


def _models_in(source: bytes, address: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Ids and descriptions of a list."""
    refused = ModelError(
        f"Expected the zoo's list of models at {address}, found something else; try "
        "again later, or install a model by its id (imagec-ai install affable-shark)."
    )
    try:
        held = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise refused from error
    if isinstance(held, Mapping):  # a page of it, with a count beside
        held = held.get("items", held.get("children"))
    if not isinstance(held, Sequence) or isinstance(held, str):
        raise refused
    for item in held:
        if not isinstance(item, Mapping) or item.get("type", "model") != "model":
            continue
        zoo_id = str(item.get("alias") or item.get("id") or "").rpartition("/")[2]
        rdf = item.get("manifest")
        if ID.fullmatch(zoo_id):
            yield zoo_id, rdf if isinstance(rdf, Mapping) else {}


def _model(zoo_id: str, rdf: Mapping[str, Any]) -> ZooModel:
    name = _line(rdf.get("name")) or zoo_id
    description, license_ = _line(rdf.get("description")), _line(rdf.get("license"))
    tags = rdf.get("tags")
    parts = [zoo_id, name, description, *(tags if isinstance(tags, list) else [])]
    authors = rdf.get("authors")
    for author in authors if isinstance(authors, list) else []:
        parts.append(author.get("name") if isinstance(author, Mapping) else author)
    words = " ".join(str(part) for part in parts).lower()
    return ZooModel(zoo_id, name, description, license_, outlook(rdf), words, rdf)


def _line(value: Any) -> str:
    """Words of a stranger on one line, and not too many of them."""
    words = " ".join(str(value or "").split())
    plain = "".join(letter for letter in words if letter.isprintable())
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}..."
