"""Which objects count, and what they are called.

The last stage, and the one that follows the hand: the class threshold, a handicap for
each class, filters on any column of the table, and the person's own classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.results.class_map import ClassMap, ClassRule
from napari_imagec_ai.results.linking.assign_tracks import link
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.result import Result


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
        If the threshold is out of range, a filter names an unknown column, or there is
        nothing to follow objects along.
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
    found = replace(objects[kept], class_id=class_id[kept], classes=targets)
    return found if class_map.linking is None else link(found, class_map.linking)


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
