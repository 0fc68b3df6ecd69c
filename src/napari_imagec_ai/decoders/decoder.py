"""What a decoder is: a record of functions, without a state, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.system.error_words import problem_of

OF_MODEL = "of_model"
"""Mark of a setting, in ``json_schema_extra``: it says what the model's output means,
and a person's choice of it is kept with the model."""


class Settings(BaseModel):
    """Base of every decoder's settings: frozen, hashable, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def channel_number(default: int, description: str, least: int = -1) -> Any:
    """A setting that counts channels of the model's output, or names one by its number.

    Parameters
    ----------
    default, least : int
        Where -1 is allowed, it means that there is none.
    description : str
        What the channel holds.
    """
    return Field(
        default,
        ge=least,
        le=1023,
        description=description,
        json_schema_extra={OF_MODEL: True},
    )


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Decoder(Generic[S]):
    """How one family of networks is decoded.

    Attributes
    ----------
    name : str
        The word for it in recipes and on the command line.
    title : str
        The word for it in the widget.
    settings : type of Settings
        What a person may set; makes the form, the flags and the recipe.
    decode : callable
        Turns a prediction into objects, images or scores. Pure.
    defaults : callable
        The settings to begin with, for instance thresholds from the description.
    recognises : callable
        Whether a model is of this family, from its description.
    gives : type
        What comes out: Objects, Images or Scores.
    settle : callable or None
        Settings for the parts of a prediction, in which is chosen what depends on the
        whole of it, and a sentence on what had to be assumed; None: nothing does.
    layers : callable or None
        Settings for each of several layers of objects that may lie over each other;
        None: there is one.
    together : callable or None
        Makes one result of those of the layers.
    follow : callable or None
        While a setting moves: objects that are nearly those of a full decoding, in a
        fraction of its time, from the settings and objects of the last full one; gives
        None where it cannot.
    """

    name: str
    title: str
    settings: type[S]
    decode: Callable[[Prediction, S], Result]
    defaults: Callable[[Model], S]
    recognises: Callable[[Model], bool]
    gives: type = Objects
    settle: Callable[[Prediction, S], tuple[S, str]] | None = None
    layers: Callable[[Prediction, S], Sequence[S]] | None = None
    together: Callable[[Prediction, Sequence[Objects]], Objects] | None = None
    follow: Callable[[Prediction, S, S, Objects], Objects | None] | None = None


def settings_with(settings: S, changes: Mapping[str, Any]) -> S:
    """Settings with some of them changed, checked.

    Raises
    ------
    DecodeError
        If a name is unknown or a value is out of range.
    """
    try:
        return type(settings).model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise DecodeError(
            f"'{name}' cannot be {problem['input']!r:.60}: {problem_of(problem)}."
        ) from error


def as_described(settings: S, model: Model) -> S:
    """Settings, changed as ``config.napari_imagec_ai`` of a description says.

    Raises
    ------
    DecodeError
        If a value there cannot be used.
    """
    own = model.settings
    named = {name: own[name] for name in type(settings).model_fields if name in own}
    try:
        return settings_with(settings, named)
    except DecodeError as error:
        raise DecodeError(f"In the description of '{model.name}': {error}") from error
