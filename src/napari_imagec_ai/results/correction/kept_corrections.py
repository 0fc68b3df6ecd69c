"""Corrections by hand that stay when objects are found anew.

An object that a person touched is locked as it is. Found anew, an object that lies
mostly where a person worked is the same one again, and is left out; others give way
there. So what was erased stays erased, and what was drawn stays drawn, whatever
threshold moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.results.correction.read_back import read_labels
from napari_imagec_ai.results.correction.side_by_side import beside
from napari_imagec_ai.results.objects import Objects

_MOSTLY = 0.5
"""Share of an object above which it is the one that was corrected there."""


@dataclass(frozen=True, slots=True, eq=False)
class ByHand:
    """What a person corrected of the objects of one class.

    Attributes
    ----------
    kept : Objects
        The corrected objects as they are.
    taken : array of bool
        Pixels of the frame where the person worked: those of the corrected objects, as
        they were and as they are.
    erased : int
        How many objects are gone.
    """

    kept: Objects
    taken: NDArray[np.bool_]
    erased: int

    def __len__(self) -> int:
        return len(self.kept) + self.erased


def noticed(
    shown: Objects,
    now: NDArray[Any],
    name: str,
    before: ByHand | None = None,
    image: ImageInput | None = None,
) -> ByHand | None:
    """What a person corrected since objects were shown.

    Parameters
    ----------
    shown : Objects
        Of one class, as they were shown.
    now : array of int
        The pixels that the person left.
    name : str
        Of the class.
    before : ByHand, optional
        What was corrected before that, and is among ``shown``.
    image : ImageInput, optional
        Intensities of corrected objects are measured in it.

    Returns
    -------
    ByHand or None
        Together with what was corrected before; ``before`` itself where nothing was.
    """
    was = shown.as_labels()
    changed = was != now
    if not changed.any():
        return before
    old = set(np.unique(was[changed]).tolist()) - {0}
    new = set(np.unique(now[changed]).tolist()) - {0}
    taken = changed | _among(was, old)
    touched, gone = old | new, 0
    if before is not None:
        taken |= before.taken
        touched |= set(before.kept.id.tolist())
        gone = before.erased
    own = np.where(_among(now, touched), now, 0)
    taken |= own > 0
    gone += len(old - set(np.unique(own).tolist()))
    kept = _measured(own, shown, name, image)
    return renamed(ByHand(kept, taken, gone), name)


def _measured(
    labels: NDArray[Any], like: Objects, name: str | None, image: ImageInput | None
) -> Objects:
    """Objects of labels; intensities only where the image lets itself be measured."""
    try:
        return read_labels(labels, like, classes=name, image=image)
    except ImagecAIError:
        return read_labels(labels, like, classes=name)


def _among(labels: NDArray[Any], ids: set[int]) -> NDArray[np.bool_]:
    return np.isin(labels, np.fromiter(ids, np.int64, len(ids)))


def laid_over(found: Objects, by_hand: ByHand) -> Objects:
    """Objects that were found anew, with a person's corrections.

    Parameters
    ----------
    found : Objects
        Of one class, with pixels, in the frame of the corrections.
    by_hand : ByHand
        What the person corrected.

    Returns
    -------
    Objects
        Corrected objects keep their ids; a found one that has the same gets another.
    """
    labels = found.as_labels()
    if labels.shape != by_hand.taken.shape:
        return found
    inside = labels[by_hand.taken]
    highest = int(labels.max(initial=0))
    area = np.bincount(labels.ravel(), minlength=highest + 1)
    covered = np.bincount(inside, minlength=highest + 1)
    here, all_of_it = covered[found.id], area[found.id]
    again = here > _MOSTLY * all_of_it
    cut = (here > 0) & ~again
    whole = found[~again & ~cut]
    parts = [by_hand.kept, whole]
    if cut.any():
        rest = np.where(by_hand.taken, 0, labels)
        left = np.where(_among(rest, set(found.id[cut].tolist())), rest, 0)
        parts.insert(1, _measured(left, found[cut], None, None))
    return beside(parts, found)


def joined(one: ByHand, other: ByHand) -> ByHand:
    """Corrections of two classes that are one now; ids of ``one`` stay.

    Of another part of the image, ``other`` counts alone.
    """
    if one.taken.shape != other.taken.shape:
        return other
    kept = beside([one.kept, renamed(other, one.kept.classes[0]).kept], one.kept)
    return ByHand(kept, one.taken | other.taken, one.erased + other.erased)


def renamed(by_hand: ByHand, name: str) -> ByHand:
    """The same corrections, of a class that has another name now."""
    kept = by_hand.kept
    numbers = np.zeros(len(kept), np.int32)
    return replace(by_hand, kept=replace(kept, classes=(name,), class_id=numbers))
