"""What the dock widget remembers from one session of napari to the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.system.own_data import own_data
from napari_imagec_ai.system.taking_turns import turn
from napari_imagec_ai.system.whole_files import replace_text

_log = logging.getLogger(__name__)


def recall(name: str) -> str:
    """What was kept under a name; empty: nothing."""
    found = _read().get(name)
    return found if isinstance(found, str) else ""


_paused: list[bool] = []


@contextmanager
def paused() -> Iterator[None]:
    """Remember nothing meanwhile: it is no person who chooses."""
    _paused.append(True)
    try:
        yield
    finally:
        _paused.pop()


def keep(name: str, what: str) -> None:
    """Remember this; a folder that cannot be written to is no error."""
    if _paused or recall(name) == what:
        return
    with turn(_place()):  # another window may remember something, too
        known = _read() | {name: what}
        text = json.dumps(known, indent=1, ensure_ascii=False)
        try:
            replace_text(_place(), text, private=True)
        except ImagecAIError as error:
            _log.info("nothing is remembered of the form: %s", error)


def _place() -> Path:
    return own_data("form.json")


def _read() -> dict[str, object]:
    try:
        known = json.loads(_place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
