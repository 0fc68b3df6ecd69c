"""What a person reads in a terminal, and is asked there."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING

from napari_imagec_ai.errors import ImagecAIError, shown

if TYPE_CHECKING:
    from napari_imagec_ai.model.description import Model
    from napari_imagec_ai.recipes.recipe import Recipe


class _Shown(logging.Formatter):
    """Warnings hold names, too."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(record.getMessage())


def prepare() -> None:
    """Let names of all kinds be printed, and warnings as sentences."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may be bytes that are no text
            stream.reconfigure(errors="backslashreplace")
    last = logging.lastResort  # what is used where nobody has said another way
    if last is not None:
        last.setFormatter(_Shown())


def say(line: object) -> None:
    """Print a line; names in it come from files of strangers."""
    sys.stdout.write(f"{shown(str(line))}\n")


def ask_before(recipe: Recipe, trust_it: bool) -> None:
    """Ask whether a program runs that a recipe names, and nobody here has named yet.

    Parameters
    ----------
    recipe : Recipe
        It may come from elsewhere.
    trust_it : bool
        Whether the answer was given already.

    Raises
    ------
    ImagecAIError
        If the answer is no, or there is nobody to ask.
    """
    from napari_imagec_ai.library import trust  # takes time, and most ask nothing

    model = recipe.open_model()
    chosen = (recipe.predict.engine, recipe.predict.device)
    asked = trust.question(model, *chosen)
    if asked is None:
        return
    if not trust_it and sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write(f"imagec-ai: {shown(asked)} [y/N] ")
        sys.stderr.flush()
        trust_it = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not trust_it:
        raise ImagecAIError(f"{asked} Then say --trust.")
    trust.remember(model, *chosen)


def remember_named(model: Model, engine: str, device: str = "auto") -> None:
    """Who names a model trusts it: recipes of it are not asked about."""
    from napari_imagec_ai.library import trust

    if trust.question(model, engine, device) is not None:
        trust.remember(model, engine, device)
