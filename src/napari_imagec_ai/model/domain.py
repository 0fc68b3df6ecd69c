"""What kind of images a network was made for, as far as its description tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.description import Model

Polarity = Literal["bright on dark", "dark on bright"]
Colours = Literal["grey", "colour"]

_SHINES = re.compile(
    r"fluorescen|\bdapi\b|\bhoechst\b|\bconfocal\b|light.?sheet|dsb.?challenge", re.I
)
_ABSORBS = re.compile(
    r"h ?& ?e\b|h.and.e\b|hematoxylin|histolog|histopatholog|bright.?field|stained"
    r"|blood.?smear|giemsa",
    re.I,
)
_COLOURED = re.compile(
    r"h ?& ?e\b|h.and.e\b|hematoxylin|histolog|histopatholog|blood.?smear|giemsa", re.I
)


@dataclass(frozen=True, slots=True)
class Domain:
    """Looks of the images that a network knows.

    Attributes
    ----------
    polarity : str or None
        ``bright on dark`` or ``dark on bright``; None: not told.
    colours : str or None
        ``grey`` or ``colour``; None: not told.
    """

    polarity: Polarity | None = None
    colours: Colours | None = None


def domain_of(model: Model) -> Domain:
    """What the description tells: ``config.napari_imagec_ai.domain``, else its tags.

    Raises
    ------
    ModelError
        If a word in ``domain`` is not one of those known.
    """
    told = model.settings.get("domain")
    if told is None:
        return _from_words(model)
    own = told if isinstance(told, Mapping) else {}
    polarity, colours = own.get("polarity"), own.get("colours")
    if (
        not isinstance(told, Mapping)
        or polarity not in (None, *get_args(Polarity))
        or colours not in (None, *get_args(Colours))
    ):
        raise ModelError(
            f"In the description of '{model.name}': expected 'polarity' (bright on "
            "dark, or dark on bright) and 'colours' (grey or colour) for 'domain', "
            f"found {told!r:.80}."
        )
    return Domain(cast("Polarity | None", polarity), cast("Colours | None", colours))


def _from_words(model: Model) -> Domain:
    """From tags, else from the name; where both are said, nothing is known."""
    for text in (" . ".join(model.tags), model.name):
        shines, absorbs = bool(_SHINES.search(text)), bool(_ABSORBS.search(text))
        if shines != absorbs:
            colours: Colours | None = "grey" if shines else None
            if absorbs and _COLOURED.search(text):
                colours = "colour"
            if shines and (model.inputs and (model.inputs[0].channels or 1) > 1):
                colours = None
            return Domain("bright on dark" if shines else "dark on bright", colours)
    return Domain()
