"""Settings of a run as a caller tells them: checked, and told where they cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.run.settings import OF_FILES, RunSettings
from napari_imagec_ai.system.error_words import problem_of

F = TypeVar("F", bound=Callable[..., Any])


def settings_of(
    told: Mapping[str, Any], settings: RunSettings | None = None
) -> RunSettings:
    """Settings, changed as somebody said.

    Parameters
    ----------
    told : mapping
        Values by the names of fields.
    settings : RunSettings, optional
        Those to change; the usual ones by default.

    Raises
    ------
    ImageError
        If a value cannot be.
    """
    before = settings or RunSettings()
    values = {name: getattr(before, name) for name in RunSettings.model_fields}
    try:
        return RunSettings.model_validate({**values, **told})
    except ValidationError as error:
        raise ImageError(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    """What was expected and what was found, of the first problem."""
    problem = error.errors()[0]
    name, found = str(problem["loc"][0]), problem["input"]
    if problem["type"] == "value_error":
        return f"{problem_of(problem)}."
    expected = _expected(name, problem["type"], problem.get("ctx", {}))
    if not expected:
        return f"'{name}' cannot be {found!r:.60}: {problem_of(problem)}."
    return f"Expected {expected} for '{name}', found {found!r:.60}."


def _expected(name: str, problem: str, limits: Mapping[str, Any]) -> str:
    """What a field takes; empty where pydantic says it better."""
    field = RunSettings.model_fields.get(name)
    if field is None:
        return ""
    if problem == "literal_error":
        return f"one of {', '.join(get_args(field.annotation))}"
    limits = dict(limits)
    words = ("ge", "le", "gt")
    for limit in field.metadata:
        limits |= {word: getattr(limit, word) for word in words if hasattr(limit, word)}
    least, most, above = map(limits.get, words)
    if least is not None:
        return f"numbers from {least:g}" + (f" to {most:g}" if most is not None else "")
    return f"a number above {above:g}" if above is not None else ""


def takes_settings(function: F) -> F:
    """Show the settings among a function's arguments, for whoever asks for its help."""
    shown = inspect.signature(function)
    usual = list(shown.parameters.values())
    fields = RunSettings.model_fields.items()
    usual[-1:] = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default)
        for name, field in fields
        if name not in OF_FILES
    ]
    function.__signature__ = shown.replace(parameters=usual)  # type: ignore[attr-defined]
    return function
