"""Says in the form's words what other rooms say for the command line.

What went wrong is told with what to do, and that is often a flag. In the window the
flag means nothing: its control is named where there is one, else the advice goes.
"""

from __future__ import annotations

import re

_CONTROLS = {
    "axes": "Axes",
    "channels": "Channels",
    "classes": "Classes",
    "decoder": "Read output as",
    "license": "Licence",
    "object-size": "Object size",
    "output-channels": "Output channels",
    "region": "Region",
    "scale": "Resize image by",
    "scene": "Scene",
}
"""Labels of the controls that do what a flag does."""

_FLAG = r"--(?P<flag>[a-z]+(?:-[a-z]+)*)"

_ELSEWHERE = {"pixel-size": " as the layer's scale"}
"""What is told in napari itself."""

_COMMAND = re.compile(r"\b(?:imagec-ai|python -m) ")
"""A whole command is meant to be typed as it is."""

_ADVICE = [
    re.compile(rf",? or say {_FLAG}[^.;]*"),
    re.compile(rf" \({_FLAG}[^()]*\)"),
    re.compile(rf",? or {_FLAG}(?=\))"),
    re.compile(rf"(?P<before>,? such as ){_FLAG} (?P<value>[\w,]+)"),
    re.compile(rf"(?P<before> with ){_FLAG}(?:, or)?"),
    re.compile(rf"(?P<before>another ){_FLAG}"),
    re.compile(rf" ?{_FLAG}(?: (?P<value>[\w,]+),? or)?"),
]
"""Ways in which a sentence names a flag, the more special ones first."""


def in_form_words(sentence: str) -> str:
    """A sentence without the flags of the command line.

    Parameters
    ----------
    sentence : str
        As an error or a notice of the package says it.

    Returns
    -------
    str
        The same with the labels of controls, where the form has them.
    """
    if "--" not in sentence or _COMMAND.search(sentence):
        return sentence
    for advice in _ADVICE:
        sentence = advice.sub(_named, sentence)
    return sentence


def _named(found: re.Match[str]) -> str:
    """What is said in the place of a flag."""
    parts = found.groupdict()
    control = _CONTROLS.get(parts["flag"])
    before = parts.get("before")
    if before is None or control is None:
        return _ELSEWHERE.get(parts["flag"], "") if before else ""
    if before == "another ":
        return f"another '{control}'"
    value = parts.get("value")
    return f" under '{control}'" + (f", such as {value}" if value else "")
