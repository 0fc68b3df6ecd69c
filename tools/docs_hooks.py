"""What the documentation site takes from the package itself: the help of commands."""

from __future__ import annotations

import argparse
import os
from typing import Any

MARK = "<!-- the help of every command -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of every command in the place of the mark."""
    return markdown.replace(MARK, commands()) if MARK in markdown else markdown


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
