"""What the documentation site takes from the package itself: the help of commands."""

from __future__ import annotations

import argparse
import os
from typing import Any

COMMANDS = "<!-- the help of every command -->"
SETTINGS = "<!-- every setting of a run -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of every command, and every setting, in the place of their marks."""
    for mark, text in ((COMMANDS, commands), (SETTINGS, settings)):
        if mark in markdown:
            markdown = markdown.replace(mark, text())
    return markdown


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
