"""What was learned or chosen about a model, kept from one session to the next.

One small file for each model, in the user's data folder: model folders may be shared
or read-only, and are never written to. It is found by the description's text, so that
a copy of the model finds it too, and an edited description begins anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.system.own_data import own_data
from napari_imagec_ai.system.taking_turns import turn
from napari_imagec_ai.system.whole_files import replace_text

_log = logging.getLogger(__name__)


def recall(model: Model, topic: str) -> dict[str, Any]:
    """What is known about a topic; empty where that is nothing."""
    found = _read(_place(model)).get(topic)
    return dict(found) if isinstance(found, Mapping) else {}


def keep(
    model: Model, topic: str, what: Mapping[str, Any], *, more: bool = False
) -> None:
    """Remember this about a topic, instead of what was known; empty: forget it.

    What another process remembers meanwhile, about this model too, is not lost. A
    folder that cannot be written to is no error: it is then learned again.

    Parameters
    ----------
    model, topic
        What it is about.
    what : mapping
        Plain values.
    more : bool
        Leave what else was known about the topic.
    """
    place = _place(model)
    with turn(place):
        known = _read(place)
        before = known.pop(topic, None)
        if more and isinstance(before, Mapping):
            what = {**before, **what}
        if what:
            known[topic] = dict(what)
        known["name"] = model.name  # for people who look into the folder
        text = json.dumps(known, indent=1, ensure_ascii=False)
        try:
            replace_text(place, text, private=True)
        except ImagecAIError as error:
            _log.info("nothing is kept about '%s': %s", model.name, error)


def _place(model: Model) -> Path:
    name = hashlib.sha256(model.source).hexdigest()[:24]
    return own_data("kept") / f"{name}.json"


def _read(place: Path) -> dict[str, Any]:
    try:
        known = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
