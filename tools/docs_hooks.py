"""What the documentation site takes from the package itself, and what is checked of it.

A list that does not follow an empty line, or whose steps are parted by a block that is
not indented, loses points in HTML without a word: the points of each page are counted.
"""

from __future__ import annotations

import argparse
import os
import re
from typing import Any

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?:^|\n\n)(?: {4}.*\n)+")
_POINT = re.compile(r"^ *(?:[*+-]|\d+\.) +\S", re.MULTILINE)
_ROLE = re.compile(r":(?:class|func|meth|data|attr|mod):<code>~?([\w.]+)</code>")
"""How docstrings refer to each other, which this site would show letter by letter."""

COMMANDS = "<!-- the help of every command -->"
SETTINGS = "<!-- every setting of a run -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of every command, and every setting, in the place of their marks."""
    for mark, text in ((COMMANDS, commands), (SETTINGS, settings)):
        if mark in markdown:
            markdown = markdown.replace(mark, text())
    return markdown


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """See that each point of each list has become one; show names as names."""
    written = _FENCE.sub("", page.markdown)
    if not re.search(r"^ {0,3}(?:[*+-]|\d+\.) ", written, re.MULTILINE):
        written = _CODE.sub("\n", written)
    points, shown = len(_POINT.findall(written)), html.count("<li>")
    if shown < points:
        raise ValueError(
            f"'{page.file.src_path}' has {points} points in lists, its HTML {shown}: "
            "put an empty line before each list, and indent what lies between points."
        )
    numbered = _numbers(written)
    if html.count("<ol>") > numbered:
        raise ValueError(
            f"'{page.file.src_path}' has {numbered} numbered lists, its HTML "
            f"{html.count('<ol>')}: indent what lies between the points of one."
        )
    return _ROLE.sub(lambda role: f"<code>{_short(role[1])}</code>", html)


def _short(name: str) -> str:
    """A name of Python as a reader types it: those of the package's face begin so."""
    above, _, last = name.rpartition(".")
    return f"ai.{last}" if above == "napari_imagec_ai" else last


def _numbers(markdown: str) -> int:
    """How many numbered lists begin."""
    return len(re.findall(r"^ *1\. ", markdown, re.MULTILINE))


def settings() -> str:
    """A table of the settings of a run."""
    from napari_imagec_ai.run.settings import OF_FILES, RunSettings

    rows = ["| setting | usual | what it does |", "| --- | --- | --- |"]
    for name, field in RunSettings.model_fields.items():
        what = (field.description or "").replace("|", "\\|")
        note = " Of image files only." if name in OF_FILES else ""
        rows.append(f"| `{name}` | `{field.default!r}` | {what}{note} |")
    return "\n".join(rows)


def commands() -> str:
    """A section for each command, with what ``--help`` prints."""
    os.environ["COLUMNS"] = "80"
    from napari_imagec_ai.recipes.flags import parser

    (found,) = (
        action
        for action in parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    helps = {choice.dest: choice.help for choice in found._choices_actions}
    parts = [
        f"## {name}\n\n{helps[name]}.\n\n```text\n{command.format_help()}```\n"
        for name, command in found.choices.items()
    ]
    return "\n".join(parts)
