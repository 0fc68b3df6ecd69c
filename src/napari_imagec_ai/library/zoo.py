"""Fetches a model of the BioImage Model Zoo by its id: only when a person asks for it.

This is the only file that goes online. Every file is compared with the description's
sha256; what was fetched before a connection broke is not fetched again. Proxies are
taken from the environment (``https_proxy``), as usual.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.folders import install_folder, user_models
from napari_imagec_ai.model.rdf import parse_rdf
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.system.own_data import own_cache
from napari_imagec_ai.system.safe_yaml import read_yaml
from napari_imagec_ai.system.version import version

PATTERN = "https://hypha.aicell.io/bioimage-io/artifacts/{id}/files/{file}"
"""Where the zoo keeps a file of a model."""

VARIABLE = "IMAGEC_AI_ZOO"
"""Environment variable that names another pattern, such as a mirror's."""

SECONDS = 30.0
"""How long a server may say nothing."""

TRIES = 4
"""How often in a row a connection may break off without having brought anything."""

PAUSE = 0.5
"""Seconds before the second of such tries; each later one waits twice as long."""

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_DESCRIPTION = "rdf.yaml"
_MOST_DESCRIPTION = 4 << 20
_CHUNK = 1 << 18

Tick = Callable[[str], None]
"""Gets a sentence before each step; may raise to stop."""


class _NotThereError(ModelError):
    """The server has no such file, and asking again changes nothing."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One file of a model."""

    name: str
    sha256: str | None


def is_zoo_id(text: str) -> bool:
    """Whether a text may be a model's id in the zoo, such as ``affable-shark``."""
    return _ID.fullmatch(text) is not None and not Path(text).exists()


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
    tell = tick or (lambda _: None)
    if not _ID.fullmatch(zoo_id):
        raise ModelError(
            f"Expected a model's id such as 'affable-shark', found '{zoo_id}'; the id "
            "stands on its page in the zoo."
        )
    target = Path(folder or user_models()) / zoo_id
    if target.exists():
        raise ModelError(
            f"'{target}' is there already; remove it first to install it again."
        )
    address = _address(zoo_id, _DESCRIPTION)
    tell(f"Asking {address}")
    source = _description(zoo_id)
    rdf = _checked(zoo_id, source)
    wanted = list(_wanted(rdf))
    place = _cache() / f"{zoo_id}-{_short(source)}"
    place.mkdir(parents=True, exist_ok=True)
    sizes = [_size(_address(zoo_id, file.name)) for file in wanted]
    known = sum(size for size in sizes if size)
    tell(
        f"{rdf.get('name', zoo_id)}: licence {rdf.get('license') or 'not named'}, "
        f"{len(wanted)} files, {known / 1e6:.1f} MB"
    )
    for file in wanted:
        tell(f"Fetching {file.name}")
        _fetch(_address(zoo_id, file.name), place / file.name, file.sha256, tell)
    (place / _DESCRIPTION).write_bytes(source)
    made = install_folder(place, target)
    shutil.rmtree(place, ignore_errors=True)
    return made


def _address(zoo_id: str, file: str) -> str:
    pattern = os.environ.get(VARIABLE) or PATTERN
    return pattern.format(id=quote(zoo_id), file=quote(file))


def _cache() -> Path:
    return own_cache("zoo")


def _short(source: bytes) -> str:
    import hashlib

    return hashlib.sha256(source).hexdigest()[:16]


def _description(zoo_id: str) -> bytes:
    with _open(_address(zoo_id, _DESCRIPTION)) as answer:
        try:
            found: bytes = answer.read(_MOST_DESCRIPTION + 1)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(answer.url, error) from error
    if len(found) > _MOST_DESCRIPTION:
        raise ModelError(
            f"Expected a model's description at {answer.url}, found more than "
            f"{_MOST_DESCRIPTION >> 20} MB; check the id."
        )
    return found


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


def _wanted(rdf: Mapping[str, Any]) -> Iterator[_Wanted]:
    """Files that the description names, each once."""
    found: dict[str, str | None] = {}
    for name, digest in _named(rdf):
        # Older descriptions name files by address; the zoo holds them by name.
        short = name.rpartition("/")[2]
        if short not in ("", ".", "..", _DESCRIPTION) and "\\" not in short:
            found[short] = found.get(short) or digest
    for short, digest in found.items():
        yield _Wanted(short, digest)


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


def _open(address: str, first: int = 0, method: str = "GET") -> Any:
    headers = {"User-Agent": f"napari-imagec-ai/{version()}"}
    if first:
        headers["Range"] = f"bytes={first}-"
    asked = urllib.request.Request(address, headers=headers, method=method)
    try:
        return urllib.request.urlopen(asked, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise _NotThereError(
                f"Expected a file at {address}, found none (404); check the id on "
                "bioimage.io."
            ) from error
        raise ModelError(
            f"The zoo's server answered {error.code} for {address}; try again later."
        ) from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        raise _broken(address, error) from error


def _broken(address: str, error: Exception) -> ModelError:
    reason = getattr(error, "reason", None) or error
    return ModelError(
        f"Could not reach {address} ({reason}); check the connection and the proxy "
        "(https_proxy), or download the package with a browser and install the zip."
    )


def _size(address: str) -> int | None:
    try:
        with _open(address, method="HEAD") as answer:
            return int(answer.headers.get("Content-Length") or 0) or None
    except (ModelError, ValueError):
        return None  # not every server tells; the file itself is asked for next


def _fetch(address: str, path: Path, digest: str | None, tick: Tick) -> None:
    """Fetch one file; what is there of it already is kept."""
    if path.is_file() and digest and sha256(path) == digest:
        return
    part = path.with_name(f"{path.name}.part")
    in_vain = 0
    while True:
        before = _bytes_of(part)
        try:
            _continue(address, part, tick)
            break
        except _NotThereError:
            raise
        except ModelError:
            # A large file over a bad line breaks often and still arrives; only a
            # server that brings next to nothing is given up.
            in_vain = 0 if _bytes_of(part) >= before + _CHUNK else in_vain + 1
            if in_vain == TRIES:
                raise
            if in_vain:
                tick(f"Fetching {path.name}: the connection broke off, trying again")
                time.sleep(PAUSE * 2 ** (in_vain - 1))
    if digest and sha256(part) != digest:
        part.unlink()
        raise ModelError(
            f"'{path.name}' from {address} is not the file that the description means "
            "(sha256 differs); nothing was installed. Try again later."
        )
    part.replace(path)


def _bytes_of(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _continue(address: str, part: Path, tick: Tick) -> None:
    """Fetch what is missing; raises if not all of it is there then."""
    first = _bytes_of(part)
    with _open(address, first) as answer:
        resumed = first and answer.status == 206
        told = answer.headers.get("Content-Length")
        total = int(told) + (first if resumed else 0) if told else None
        try:
            with part.open("ab" if resumed else "wb") as file:
                # Not `read`: what arrived before a connection is reset would be lost.
                while chunk := answer.read1(_CHUNK):
                    tick(f"Fetching {part.stem}: {file.tell() / 1e6:.1f} MB")
                    file.write(chunk)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(address, error) from error
    if total is not None and part.stat().st_size < total:
        raise ModelError(
            f"The connection to {address} broke off; try again, and what is here "
            "already will be kept."
        )
