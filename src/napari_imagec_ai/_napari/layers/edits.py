"""What a person changes in the layers of a result is noticed, and stays.

Pixels are the truth: an outline that is moved, drawn or deleted changes the Labels
layer, and everything else follows from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_imagec_ai._napari.layers import lazy_labels
from napari_imagec_ai._napari.layers.outlines_to_pixels import redrawn
from napari_imagec_ai.results.correction.kept_corrections import (
    ByHand,
    joined,
    laid_over,
    noticed,
    renamed,
)
from napari_imagec_ai.results.correction.side_by_side import beside

if TYPE_CHECKING:
    from napari.layers import Labels, Layer, Shapes

    from napari_imagec_ai._napari.layers.changes import OurChanges
    from napari_imagec_ai.image.image_input import ImageInput
    from napari_imagec_ai.results.correction.followed_names import Followed
    from napari_imagec_ai.results.objects import Objects

_DONE = ("added", "removed", "changed")
"""What napari calls a change of shapes that is over."""


class Edits:
    """The corrections in the layers of one result, by class.

    Parameters
    ----------
    changes : OurChanges
        Tells our changes from the person's.
    image : ImageInput
        Intensities of corrected objects are measured in it.
    told : callable
        Called when the person changed something.
    """

    def __init__(
        self,
        changes: OurChanges,
        image: ImageInput,
        told: Callable[[], None] | None = None,
    ) -> None:
        self._changes, self.image = changes, image
        self.told = told or (lambda: None)
        self._watched: dict[str, _LabelsWatch] = {}
        self._outlines: dict[str, _OutlinesWatch] = {}
        self._found: dict[str, Objects] = {}
        self._shown: dict[str, Objects] = {}
        self._settled: dict[str, ByHand] = {}
        self.by_hand: dict[str, ByHand] = {}

    # -- what the person does ----------------------------------------------------------

    def watch(self, name: str, layer: Labels) -> None:
        """Notice what is painted in the Labels of a class."""
        if name not in self._watched or self._watched[name].layer != layer:
            self._watched[name] = _LabelsWatch(layer, self._changes, self._told)

    def watch_outlines(self, name: str, layer: Shapes, objects: Objects) -> None:
        """Notice what becomes of the outlines of a class, as they are drawn now."""
        known = self._outlines.get(name)
        if known is None or known.layer != layer:
            self._outlines[name] = known = _OutlinesWatch(
                layer, self._changes, lambda: self._draw(name)
            )
        known.remember(objects)

    def leave(self, layer: Layer) -> None:
        """Notice nothing of a layer any more."""
        both: tuple[dict[str, Any], ...] = (self._watched, self._outlines)
        for watches in both:
            for name in [n for n, one in watches.items() if one.layer == layer]:
                watches.pop(name).stop()

    def stop(self) -> None:
        """Notice nothing any more."""
        for labels in self._watched.values():
            labels.stop()
        for outlines in self._outlines.values():
            outlines.stop()
        self._watched, self._outlines = {}, {}
        self.told = lambda: None

    def _told(self) -> None:
        self.told()

    def _draw(self, name: str) -> None:
        """Take over into the pixels what the person did to the outlines of a class."""
        watch, labels = self._outlines[name], self._watched.get(name)
        shown = self._shown.get(name)
        if labels is None or shown is None or labels.layer.multiscale:
            return
        pixels = np.asarray(labels.layer.data)
        change = redrawn(watch.layer, watch.known(), shown.frame, pixels, watch.highest)
        if change is None:
            return
        with self._changes.working():
            labels.layer.data = change.pixels
            labels.changed = True
            labels.forget_history()
            labels.painted = True
            change.renumber(watch.layer)
        watch.ids, watch.rings = change.ids, change.rings
        watch.own |= change.own
        watch.highest = max((watch.highest, *change.ids))
        self.told()

    @property
    def changed(self) -> bool:
        """Whether the person changed something since it was looked at."""
        return any(watch.changed for watch in self._watched.values())

    # -- what stays --------------------------------------------------------------------

    def look(self) -> None:
        """See what the person changed until now."""
        for name, watch in self._watched.items():
            if not watch.changed or name not in self._shown:
                continue
            watch.changed = False
            found = noticed(
                self._shown[name],
                np.asarray(watch.layer.data),
                name,
                self._settled.get(name),
                self.image,
            )
            if found is None:
                self.by_hand.pop(name, None)
            else:
                self.by_hand[name] = found

    def corrected(self, objects: Objects) -> Objects:
        """Objects as they were found, with what the person corrected."""
        self.look()
        if not any(name in objects.classes for name in self.by_hand):
            return objects
        if not objects.has_pixels or lazy_labels.is_lazy(objects):
            return objects
        parts = []
        for i, name in enumerate(objects.classes):
            mine = objects[objects.class_id == i]
            by_hand = self.by_hand.get(name)
            parts.append(mine if by_hand is None else laid_over(mine, by_hand))
        return beside(parts, objects)

    def settle(self, name: str, found: Objects, shown: Objects) -> None:
        """Take note of what is shown of a class from now on.

        What the person did until then is settled.
        """
        self._found[name], self._shown[name] = found, shown
        if name in self.by_hand:
            self._settled[name] = self.by_hand[name]
        else:
            self._settled.pop(name, None)

    def is_found(self, name: str, found: Objects) -> bool:
        """Whether these are the objects that were found when it was settled."""
        return name in self._found and self._found[name].is_same(found)

    def shown(self, name: str) -> Objects | None:
        """What the Labels of a class show but for what a person did since."""
        return self._shown.get(name)

    def is_edited(self, name: str) -> bool:
        """Whether a person changed something of a class."""
        watch = self._watched.get(name)
        return name in self.by_hand or (watch is not None and watch.painted)

    def own_outlines(self, name: str) -> dict[int, tuple[Any, str]]:
        """Outlines that the person drew, as long as they enclose their pixels."""
        watch, labels = self._outlines.get(name), self._watched.get(name)
        if watch is None or labels is None or not watch.own:
            return {}
        pixels = np.asarray(labels.layer.data)
        watch.own = {
            n: drawn
            for n, drawn in watch.own.items()
            if int((pixels == n).sum()) == drawn[2]
        }
        return {n: (ring, kind) for n, (ring, kind, _) in watch.own.items()}

    def would_change(self, name: str, found: Objects) -> bool:
        """Whether other objects were found of a corrected class than are shown."""
        return name in self.by_hand and not self.is_found(name, found)

    def forget_history(self, name: str) -> None:
        """Let napari's undo paste no pixels of an earlier result."""
        if name in self._watched:
            self._watched[name].forget_history()

    def follow(self, found: Followed) -> None:
        """Classes have other names now, or belong to one that was there before."""
        gone = [(self.by_hand.get(old), new) for old, new in found.joined]
        # Away first: another class may have the name of one of these from now on.
        self.drop(old for old, _ in found.joined)
        if found.renamed:
            self._rename(found.renamed)
        for one, new in gone:
            if one is not None:
                kept = self.by_hand.get(new)
                both = one if kept is None else joined(kept, one)
                self.by_hand[new] = renamed(both, new)
                self._found.pop(new, None)

    def _rename(self, names: Mapping[str, str]) -> None:
        for known in (self._watched, self._outlines, self._found, self._shown):
            _rename(known, names)
        for corrections in (self.by_hand, self._settled):
            _rename(corrections, names)
            for name in names.values():
                if name in corrections:
                    corrections[name] = renamed(corrections[name], name)
        for name, watch in self._outlines.items():
            watch.told = _named(self._draw, name)

    def take(self, corrections: Mapping[str, ByHand]) -> None:
        """Take over corrections of an earlier time; those made since count before."""
        self.by_hand = {**corrections, **self.by_hand}
        self._found = {}

    def drop(self, names: Iterable[str]) -> None:
        """Forget the corrections of classes: what is found counts again."""
        for name in names:
            for known in (self.by_hand, self._settled, self._found, self._shown):
                known.pop(name, None)

    def count(self) -> int:
        """How many objects the person corrected or erased."""
        return sum(len(one) for one in self.by_hand.values())

    def ids(self, name: str) -> set[int]:
        """Ids of the corrected objects of a class."""
        by_hand = self.by_hand.get(name)
        return set() if by_hand is None else set(by_hand.kept.id.tolist())


def _rename(known: dict[str, Any], names: Mapping[str, str]) -> None:
    moved = {names.get(name, name): value for name, value in known.items()}
    known.clear()
    known.update(moved)


def _named(draw: Callable[[str], None], name: str) -> Callable[[], None]:
    return lambda: draw(name)


class _LabelsWatch:
    """Notices that a Labels layer was painted on."""

    def __init__(
        self, layer: Labels, changes: OurChanges, told: Callable[[], None]
    ) -> None:
        self.layer, self._changes, self._told = layer, changes, told
        self.changed = self.painted = False
        self._events = (layer.events.paint, layer.events.set_data, layer.events.data)
        layer.events.paint.connect(self._painted)
        # Undo and pixels set from outside tell of themselves by being drawn again.
        layer.events.set_data.connect(self._drawn)
        layer.events.data.connect(self._painted)

    def stop(self) -> None:
        self.layer.events.paint.disconnect(self._painted)
        self.layer.events.set_data.disconnect(self._drawn)
        self.layer.events.data.disconnect(self._painted)

    def _painted(self, event: Any = None) -> None:
        if not self._changes.ours:
            self.changed = self.painted = True
            self._told()

    def _drawn(self, event: Any = None) -> None:
        if self._changes.ours:
            return
        self.changed = True
        if self.painted:
            self._told()

    def forget_history(self) -> None:
        """Napari forgets what it would undo in a layer that is not to be edited."""
        if not self.painted:
            return
        self.painted = False
        mode = self.layer.mode
        self.layer.editable = False
        self.layer.editable = True
        self.layer.mode = mode


class _OutlinesWatch:
    """Notices what a person does to outlines."""

    def __init__(
        self, layer: Shapes, changes: OurChanges, told: Callable[[], None]
    ) -> None:
        self.layer, self._changes, self.told = layer, changes, told
        self.ids: list[int] = []
        self.rings: list[Any] = []
        self.own: dict[int, tuple[Any, str, int]] = {}
        self.highest = 0
        layer.events.data.connect(self._changed)

    def stop(self) -> None:
        self.layer.events.data.disconnect(self._changed)

    def remember(self, objects: Objects) -> None:
        """These are drawn now."""
        self.ids = objects.id.tolist()
        self.highest = max((self.highest, *self.ids))
        self.rings = [np.array(ring) for ring in self.layer.data]

    def known(self) -> dict[int, Any]:
        """Corners of each outline, by id, as they were drawn."""
        return dict(zip(self.ids, self.rings, strict=True))

    def _changed(self, event: Any) -> None:
        action = str(getattr(event.action, "value", event.action)).lower()
        if not self._changes.ours and action in _DONE:
            self.told()
