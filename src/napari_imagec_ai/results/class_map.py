"""The person's classes: what becomes of each class of the model, and from when on."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_imagec_ai.results.filters import Filter
from napari_imagec_ai.results.linking.link_settings import Linking


class ClassRule(BaseModel):
    """What becomes of one class of the model.

    With filters, an object takes the class of the first filter that it meets, and
    ``otherwise`` if it meets none. Without, it takes ``becomes``.

    Attributes
    ----------
    source : str
        The model's class.
    becomes : str or None
        The person's class; None: the class is left out.
    otherwise : str or None
        Class of the objects that meet no filter; None: they go.
    handicap : float
        Taken off the confidence before it is compared with the class threshold.
    filters : tuple of Filter
        In order.
    require_all : bool
        An object must meet all filters instead of one of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    becomes: str | None
    otherwise: str | None = None
    handicap: float = Field(0.0, ge=-1.0, le=1.0)
    filters: tuple[Filter, ...] = ()
    require_all: bool = False


class ClassMap(BaseModel):
    """Rules for the classes of a model, the class threshold, and what is followed.

    Attributes
    ----------
    rules : tuple of ClassRule
        One for each class of the model, or none.
    class_threshold : float
        In [0, 1].
    linking : Linking or None
        How the objects that count are followed through a stack; None: each plane is
        for itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[ClassRule, ...] = ()
    class_threshold: float = Field(0.5, ge=0.0, le=1.0)
    linking: Linking | None = None

    @field_validator("rules")
    @classmethod
    def _one_rule_each(cls, rules: tuple[ClassRule, ...]) -> tuple[ClassRule, ...]:
        sources = [rule.source for rule in rules]
        twice = sorted({source for source in sources if sources.count(source) > 1})
        if twice:
            raise ValueError(f"more than one rule for {', '.join(twice)}")
        return rules

    @classmethod
    def identity(cls, classes: Sequence[str], class_threshold: float = 0.5) -> ClassMap:
        """Each class of the model stays what it is."""
        return cls(
            rules=tuple(ClassRule(source=c, becomes=c) for c in dict.fromkeys(classes)),
            class_threshold=class_threshold,
        )

    def of_each_plane(self) -> ClassMap:
        """The same, without following objects from plane to plane."""
        return self.model_copy(update={"linking": None})

    @property
    def named(self) -> dict[tuple[str, str], str]:
        """The person's class at each place that names one: (source, part of a rule)."""
        found: dict[tuple[str, str], str | None] = {}
        for rule in self.rules:
            found[rule.source, "becomes"] = rule.becomes
            found[rule.source, "otherwise"] = rule.otherwise
            for i, one in enumerate(rule.filters):
                found[rule.source, f"filter {i}"] = one.becomes
        return {place: name for place, name in found.items() if name}

    @property
    def targets(self) -> tuple[str, ...]:
        """The person's classes, in the order of the rules, each once."""
        named: list[str | None] = []
        for rule in self.rules:
            if rule.becomes is None:
                continue
            named.append(rule.becomes)
            if not rule.require_all:  # then filters have no classes of their own
                named.extend(f.becomes for f in rule.filters if f.becomes)
            named.append(rule.otherwise if rule.filters else None)
        return tuple(dict.fromkeys(name for name in named if name is not None))
