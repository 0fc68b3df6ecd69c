"""Asks a server for files: the only file that goes online, when a person says so.

A server may say nothing for a long time. It is waited for in a thread of its own, so
that whoever asked can leave at any moment. Proxies are taken from the environment
(``https_proxy``), as usual.
"""

from __future__ import annotations

import http.client
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.system.version import version

SECONDS = 30.0
"""How long a server may say nothing."""

PULSE = 0.1
"""Seconds after which whoever waits is told so, and may leave."""

TRIES = 4
"""How often in a row a connection may break off without having brought anything."""

PAUSE = 0.5
"""Seconds before the second of such tries; each later one waits twice as long."""

_CHUNK = 1 << 18
_AHEAD = 16
"""Chunks that may arrive before they are asked for."""

_T = TypeVar("_T")
Waiting = Generator[int, None, _T]
"""Says every now and then how many bytes are here; may be left at any time."""


class NotThereError(ModelError):
    """The server has no such file, and asking again changes nothing."""


@dataclass(frozen=True, slots=True)
class _Head:
    """What a server says of a file before it comes."""

    continued: bool
    length: int | None


def read_small(address: str, most: int) -> Waiting[bytes]:
    """A file as bytes.

    Parameters
    ----------
    address : str
        Where it is.
    most : int
        Bytes that it may have.

    Raises
    ------
    ModelError
        If it is not there, longer, or the connection does not hold.
    """
    found = bytearray()
    with _Talk(address) as talk:
        head = yield from talk.head()
        while chunk := (yield from talk.chunk(len(found))):
            found += chunk
            if len(found) > most:
                raise ModelError(
                    f"Expected at most {most >> 20} MB at {address}, found more; check "
                    "the address."
                )
            yield len(found)
    if head.length is not None and len(found) < head.length:
        raise _broke_off(address)
    return bytes(found)


def size_of(address: str) -> Waiting[int | None]:
    """Bytes of a file; None where the server does not tell."""
    try:
        with _Talk(address, method="HEAD") as talk:
            head = yield from talk.head()
            return head.length or None
    except ModelError:
        return None  # the file itself is asked for next


def fetch(address: str, path: Path, digest: str | None) -> Waiting[None]:
    """Fetch one file; what is there of it already is kept, also of an earlier time.

    Parameters
    ----------
    address, path
        From where to where; until all is here, ``.part`` stands behind its name.
    digest : str, optional
        Its sha256, which is compared.

    Raises
    ------
    ModelError
        If it is not there or another file, or the connection does not hold.
    """
    if path.is_file() and digest and sha256(path) == digest:
        return
    part = path.with_name(f"{path.name}.part")
    in_vain = 0
    while True:
        before = _bytes_of(part)
        try:
            yield from _continue(address, part)
            break
        except NotThereError:
            raise
        except ModelError:
            # A large file over a bad line breaks often and still arrives; only a
            # server that brings next to nothing is given up.
            in_vain = 0 if _bytes_of(part) >= before + _CHUNK else in_vain + 1
            if in_vain == TRIES:
                raise
            if in_vain:
                yield from _rest(PAUSE * 2 ** (in_vain - 1), _bytes_of(part))
    if digest and sha256(part) != digest:
        part.unlink()
        raise ModelError(
            f"'{path.name}' from {address} is not the file that the description means "
            "(sha256 differs); nothing was installed. Try again later."
        )
    part.replace(path)


def _continue(address: str, part: Path) -> Waiting[None]:
    """Fetch what is missing; raises if not all of it is there then."""
    first = _bytes_of(part)
    with _Talk(address, first) as talk:
        head = yield from talk.head(first)
        first = first if head.continued else 0
        with part.open("ab" if head.continued else "wb") as file:
            while chunk := (yield from talk.chunk(file.tell())):
                file.write(chunk)
                yield file.tell()
    if head.length is not None and _bytes_of(part) < first + head.length:
        raise _broke_off(address)


def _rest(seconds: float, arrived: int) -> Waiting[None]:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, PULSE))
        yield arrived


def _bytes_of(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


class _Talk:
    """One question to a server, and what it answers, piece by piece.

    Parameters
    ----------
    address : str
        Of the file.
    first : int
        Bytes of it that are here already.
    method : str
        ``GET``, or ``HEAD`` for what it is alone.
    """

    def __init__(self, address: str, first: int = 0, method: str = "GET") -> None:
        self._address = address
        self._said: queue.Queue[_Head | bytes | Exception] = queue.Queue(_AHEAD)
        self._left = threading.Event()
        headers = {"User-Agent": f"napari-imagec-ai/{version()}"}
        if first:
            headers["Range"] = f"bytes={first}-"
        asked = urllib.request.Request(address, headers=headers, method=method)
        # A daemon: a program that ends does not wait for a server that says nothing.
        threading.Thread(target=self._listen, args=(asked,), daemon=True).start()

    def __enter__(self) -> _Talk:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()

    def head(self, arrived: int = 0) -> Waiting[_Head]:
        """What the server says before the file comes."""
        found = yield from self._next(arrived)
        assert isinstance(found, _Head)
        return found

    def chunk(self, arrived: int) -> Waiting[bytes]:
        """What comes next; empty at the end."""
        found = yield from self._next(arrived)
        assert isinstance(found, bytes)
        return found

    def _next(self, arrived: int) -> Waiting[_Head | bytes]:
        while True:
            try:
                found = self._said.get(timeout=PULSE)
                break
            except queue.Empty:
                yield arrived
        if isinstance(found, Exception):
            raise _in_words(self._address, found) from found
        return found

    def _listen(self, asked: urllib.request.Request) -> None:
        """Hand on what the server says; ends when nobody wants it any more."""
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
                self._hand_on(_Head(answer.status == 206, _length(answer)))
                # Not `read`: what came before a connection is reset would be lost.
                while not self._left.is_set() and (chunk := answer.read1(_CHUNK)):
                    self._hand_on(chunk)
            self._hand_on(b"")
        except Exception as error:  # noqa: BLE001 - said in the thread that waits
            self._hand_on(error)

    def _hand_on(self, what: _Head | bytes | Exception) -> None:
        while not self._left.is_set():
            try:
                self._said.put(what, timeout=PULSE)
                return
            except queue.Full:
                continue


def _length(answer: Any) -> int | None:
    told = answer.headers.get("Content-Length") or ""
    return int(told) if told.isdecimal() else None


def _in_words(address: str, error: Exception) -> ModelError:
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 404:
            return NotThereError(
                f"Expected a file at {address}, found none (404); check the id on "
                "bioimage.io."
            )
        return ModelError(
            f"The zoo's server answered {error.code} for {address}; try again later."
        )
    if not isinstance(error, OSError | http.client.HTTPException | ValueError):
        raise error
    reason = getattr(error, "reason", None) or error
    return ModelError(
        f"Could not reach {address} ({reason}); check the connection and the proxy "
        "(https_proxy), or download the package with a browser and install the zip."
    )


def _broke_off(address: str) -> ModelError:
    return ModelError(
        f"The connection to {address} broke off; try again, and what is here already "
        "will be kept."
    )
