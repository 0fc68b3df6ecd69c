"""Which objects count, and what they are called.

The last stage, and the one that follows the hand: the class threshold, a handicap for
each class, filters on any column of the table, and the person's own classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.result import Result


class Filter(BaseModel):
    """A condition on an object, and the class of those that meet it.

    Attributes
    ----------
    feature : str
        Column of the table, such as ``area``, ``circularity`` or ``confidence``.
    minimum, maximum : float
        The object meets it if its value lies between them, both included.
    becomes : str or None
        Class of the objects that meet it; empty: as the rule says; None: they go.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str
    minimum: float = -math.inf
    maximum: float = math.inf
    becomes: str | None = ""

    def meets(self, objects: Objects) -> NDArray[np.bool_]:
        """Which objects meet the condition.

        Raises
        ------
        DecodeError
            If the table has no such column.
        """
        values = (
            objects.confidence
            if self.feature == "confidence"
            else objects.features.get(self.feature)
        )
        if values is None:
            raise DecodeError(
                f"There is no column '{self.feature}' to filter by; choose one of "
                f"confidence, {', '.join(objects.features)}."
            )
        return np.asarray((values >= self.minimum) & (values <= self.maximum))


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
    """Rules for the classes of a model, and the class threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[ClassRule, ...] = ()
    class_threshold: float = Field(0.5, ge=0.0, le=1.0)

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


@overload
def classify(
    objects: Objects,
    class_map: ClassMap | None = None,
    class_threshold: float | None = None,
) -> Objects: ...


@overload
def classify(
    objects: Result,
    class_map: ClassMap | None = None,
    class_threshold: float | None = None,
) -> Result: ...


def classify(
    objects: Result,
    class_map: ClassMap | None = None,
    class_threshold: float | None = None,
) -> Result:
    """Keep the objects that count, under the names that the person gave.

    Parameters
    ----------
    objects : Objects
        From :func:`napari_imagec_ai.decode`; not changed. Images and scores have no
        objects and come back as they are.
    class_map : ClassMap, optional
        Every class stays what it is by default. A class without a rule stays, too.
    class_threshold : float, optional
        In [0, 1]; instead of the one in ``class_map``.

    Returns
    -------
    Objects
        A subset with the same ids; ``classes`` are the person's.

    Raises
    ------
    DecodeError
        If the threshold is out of range or a filter names an unknown column.
    """
    if not isinstance(objects, Objects):
        return objects
    class_map = class_map or ClassMap.identity(objects.classes)
    threshold = (
        class_map.class_threshold if class_threshold is None else class_threshold
    )
    if not 0 <= threshold <= 1:
        raise DecodeError(
            f"Expected a class threshold from 0 to 1, found {threshold:g}."
        )
    rules = {rule.source: rule for rule in class_map.rules}
    rest = (name for name in objects.classes if name not in rules)
    targets = tuple(dict.fromkeys((*class_map.targets, *rest)))
    number = {name: i for i, name in enumerate(targets)}
    class_id = np.full(len(objects), -1, np.int32)
    for i, name in enumerate(objects.classes):
        mine = objects.class_id == i
        rule = rules.get(name, ClassRule(source=name, becomes=name))
        counts = mine & (objects.confidence - rule.handicap >= threshold)
        for target, rows in _assign(objects, rule, counts):
            class_id[rows] = number[target]
    kept = class_id >= 0
    return replace(objects[kept], class_id=class_id[kept], classes=targets)


def _assign(
    objects: Objects, rule: ClassRule, counts: NDArray[np.bool_]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Classes of the objects of one rule, with the rows that take them."""
    if rule.becomes is None:
        return []
    if not rule.filters:
        return [(rule.becomes, counts)]
    met = [f.meets(objects) & counts for f in rule.filters]
    taken: list[tuple[str | None, NDArray[np.bool_]]] = []
    if rule.require_all:
        left = counts & ~np.logical_and.reduce(met)
        taken.append((rule.becomes, counts & ~left))
    else:
        left = counts
        for condition, rows in zip(rule.filters, met, strict=True):
            target = rule.becomes if condition.becomes == "" else condition.becomes
            taken.append((target, rows & left))
            left = left & ~rows
    taken.append((rule.otherwise, left))
    return [(target, rows) for target, rows in taken if target is not None]
