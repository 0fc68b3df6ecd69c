"""The layers of one run, kept up to date: Labels and Shapes by class, or images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_imagec_ai._napari.layers import drawing, from_napari, lazy_labels
from napari_imagec_ai._napari.layers.changes import OurChanges
from napari_imagec_ai._napari.layers.draw_kinds import Drawn
from napari_imagec_ai._napari.layers.drawing import ShapeKind
from napari_imagec_ai._napari.layers.drawn_layers import (
    Drawings,
    Table,
    retitle,
    style_drawn,
    title,
)
from napari_imagec_ai._napari.layers.edits import Edits
from napari_imagec_ai._napari.layers.from_napari import COLOURS, Source, Style
from napari_imagec_ai._napari.layers.marks import CORRECTED, METADATA, PLACE
from napari_imagec_ai._napari.layers.track_layers import TrackLayers
from napari_imagec_ai._napari.turns import Turns
from napari_imagec_ai.image.region import Cut, Region
from napari_imagec_ai.results.correction import safe_copy
from napari_imagec_ai.results.correction.followed_names import followed
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.linking.assign_tracks import TRACK
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.part_to_whole import in_part, in_whole

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from napari_imagec_ai.results.class_map import ClassMap
    from napari_imagec_ai.results.correction.kept_corrections import ByHand


MANY = 250
"""Tables and outlines of more objects than these follow class by class."""


def _nothing() -> None:
    """Nobody is told."""


class ResultLayers:
    """Layers that show the objects of one source.

    Layers that are there are updated in place. What a person changed in them stays (see
    :class:`Edits`), and outlines that a person took away stay away until asked for.

    Parameters
    ----------
    viewer : ViewerModel
        Where layers are added.
    source : Source
        The image layer that they lie on.
    edited : callable, optional
        Called when the person changed something in a layer.
    emptied : callable, optional
        Called when the person took the last layer away.

    Attributes
    ----------
    into_new : bool
        Whether what is found anew goes into new layers where the person changed the
        ones before, which then stay as they are.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source: Source,
        edited: Callable[[], None] = _nothing,
        emptied: Callable[[], None] = _nothing,
    ) -> None:
        self.viewer = viewer
        self.source = source
        self.into_new = False
        self.styles: dict[str, Style] = {}
        self.hand = OurChanges()
        self.edits = Edits(self.hand, source.image, edited)
        self._drawings = Drawings(viewer, source, self.edits)
        self._emptied = emptied
        self._labels: dict[str, Labels] = {}
        self._ways = TrackLayers(viewer, source)
        self._tracks: dict[str, dict[int, int]] = {}
        self._images: dict[str, Image] = {}
        self._place: dict[str, list[int]] = {}
        self._found: Objects | None = None
        self.named: dict[tuple[str, str], str] = {}
        self._turns = Turns()
        viewer.layers.events.removed.connect(self._removed)

    def corrected(self, objects: Objects, class_map: ClassMap) -> Objects:
        """Objects as they were found, with what the person corrected of them.

        ``class_map`` is what their classes come from: one that has another name now,
        also after a time without any objects, keeps its layers and corrections.
        """
        with self.hand.working():
            self.edits.look()
            self._follow_names(class_map.named)
            self._found = here = self._here(objects)
            if self.into_new:
                self._part_with(
                    name
                    for name in objects.classes
                    if self.edits.would_change(
                        name, here[here.class_id == _of(here, name)]
                    )
                )
            changed = self.edits.corrected(here)
        if changed is here:
            return objects
        begin = self.source.corner
        if not begin:
            return changed
        return in_whole(changed, Cut(Region(box={}), objects.frame, begin))

    def move_to(self, source: Source) -> None:
        """Lay everything where the image is now."""
        self.source = source
        self._drawings.source = self._ways.source = source
        self.edits.image = source.image
        place = from_napari.placed(source, self._place.get("origin", ()))
        with self.hand.working():
            mine = [*self._labels.values(), *self._drawings.layers().values()]
            for layer in [*mine, *self._ways.layers().values()]:
                for part, value in place.items():
                    setattr(layer, part, value)

    def take_corrections(self, path: Path) -> bool:
        """Take over corrections that lie in a file; gives whether there are some."""
        if self._found is None:
            return False
        with self.hand.working():
            self.edits.look()
            corrections = safe_copy.bring(path, self._found, self.named)
            self.edits.take(corrections)
        return bool(corrections)

    def drop_corrections(self) -> dict[str, ByHand]:
        """Forget what the person corrected, and give it: what is found counts again."""
        with self.hand.working():
            self.edits.look()
            dropped = dict(self.edits.by_hand)
            self.edits.drop(list(dropped))
        return dropped

    def show(
        self, objects: Objects, outlines: bool = True, by_turns: bool = False
    ) -> list[str]:
        """Bring all layers up to date.

        Parameters
        ----------
        objects : Objects
            Classified and :meth:`corrected`; one set of layers for each class.
        outlines : bool
            Bring outlines, boxes and points up to date, too; they take longer than the
            Labels.
        by_turns : bool
            Whether tables and outlines of many objects may follow a little later, class
            by class, so that the window answers in between.

        Returns
        -------
        list of str
            Sentences for the person: what was not shown, and why.
        """
        with self.hand.working():
            return self._show(objects, outlines, by_turns and len(objects) > MANY)

    def _show(self, objects: Objects, outlines: bool, by_turns: bool) -> list[str]:
        self._turns.stop()  # what is left of an earlier result
        self._retire(objects.classes)
        later: list[Callable[[], None]] = []
        self._place = {
            "shape": list(objects.frame.shape),
            "origin": list(objects.frame.origin),
            "corner": list(self.source.corner or (0,) * len(objects.frame.axes)),
        }
        objects, notes = self._here(objects), []
        found = self._found if self._found is not None else objects
        active = set(self.viewer.layers.selection)
        for i, name in enumerate(objects.classes):
            mine = objects[objects.class_id == i]
            if not len(mine) and not self._has(name):
                continue  # a network of 80 classes finds a few of them
            style = self.styles.setdefault(name, Style(COLOURS[i % len(COLOURS)]))
            if objects.has_pixels:
                own = found[found.class_id == _of(found, name)]
                notes += self._show_labels(name, own, mine, style)
            self._follow(name, mine, style)
            table = cache(partial(from_napari.feature_table, mine, self.source))
            if outlines:
                notes += self._drawings.prepare(name, mine, style)
                self._ways.show(name, mine)
                later.append(partial(self._drawings.draw, name, mine, table))
            if outlines or not by_turns:
                later.append(partial(self._tabulate, name, table))
        self._select(active)
        if by_turns:
            self._turns.begin(map(self._ours, later))
        else:
            for step in later:
                step()
        return notes

    def _ours(self, step: Callable[[], None]) -> Callable[[], None]:
        """The same, by our hand."""

        def do() -> None:
            with self.hand.working():
                step()

        return do

    def _tabulate(self, name: str, table: Table) -> None:
        """Give the Labels of a class their table."""
        layer, corrected = self._labels.get(name), self.edits.ids(name)
        if layer is not None and layer in self.viewer.layers:
            layer.features = drawing.label_table(table(), corrected)

    def _follow(self, name: str, mine: Objects, style: Style) -> None:
        """Objects that are followed keep their colour from plane to plane."""
        tracks = mine.features.get(TRACK)
        numbers = [] if tracks is None else tracks.tolist()
        before = self._tracks.get(name, {})
        now = self._tracks[name] = dict(zip(mine.id.tolist(), numbers, strict=False))
        if now != before and self.drawn.fill == drawing.EACH and name in self._labels:
            self._fill(name, style.colour)

    @property
    def drawn(self) -> Drawn:
        """What the person wants to see beside pixels."""
        return self._drawings.drawn

    @drawn.setter
    def drawn(self, drawn: Drawn) -> None:
        if drawn != self._drawings.drawn:  # asked for anew
            self._drawings.bring_back()
        before, self._drawings.drawn = self._drawings.drawn, drawn
        if before.fill != drawn.fill:
            for name in self._labels:
                self._fill(name, self.styles.get(name, Style(COLOURS[0])).colour)

    def _fill(self, name: str, colour: str) -> None:
        """Let the objects of a class look as the person wants them."""
        layer = self._labels[name]
        if layer in self.viewer.layers:
            with self.hand.working():
                tracks = self._tracks.get(name)
                drawing.style_labels(layer, colour, self.drawn.fill, tracks)

    def bring_back(self) -> None:
        """Draw again what the person took away."""
        self._drawings.bring_back()

    def _has(self, name: str) -> bool:
        """Whether a class has a layer already."""
        return name in self._labels or self._drawings.has(name)

    def _here(self, objects: Objects) -> Objects:
        """Objects in pixels of the part that was run: large layers take memory."""
        begin = self.source.corner
        if not begin:
            return objects
        sizes = dict(zip(objects.frame.axes, objects.frame.shape, strict=True))
        image = self.source.image
        sizes |= {axis: image.size(axis) for axis in objects.space}
        return in_part(objects, begin, [sizes[axis] for axis in objects.frame.axes])

    def _select(self, layers: set[Layer]) -> None:
        """New layers must not take the selection: the image stays the active layer."""
        kept = layers & set(self.viewer.layers)
        if kept:
            self.viewer.layers.selection = kept

    def show_images(self, images: Images) -> None:
        """Show computed images, in the layers of earlier ones where they fit."""
        with self.hand.working():
            self._show_images(images)

    def _show_images(self, images: Images) -> None:
        active = set(self.viewer.layers.selection)
        for output in images.maps:
            for data, arguments in from_napari.image_layers(
                self.source, images, output
            ):
                name = arguments["name"]
                layer = self._images.get(name)
                if layer is not None and layer in self.viewer.layers:
                    self.viewer.layers.remove(layer)
                mark: dict[str, Any] = {METADATA: {}}  # no image to run on
                made = self.viewer.add_image(data, metadata=mark, **arguments)
                self._images[name] = made
        self._select(active)

    def note(self, recipe: dict[str, Any]) -> None:
        """Write the recipe and the place into the metadata of every layer."""
        told = {METADATA: recipe, PLACE: self._place}
        for layer in self.all_layers:
            layer.metadata = {**layer.metadata, **told}
        for name, labels in self._labels.items():
            corrected = self.edits.by_hand.get(name)
            labels.metadata[CORRECTED] = 0 if corrected is None else len(corrected)

    def restyle(self, styles: Mapping[str, Style]) -> None:
        """Give classes other colours, show them or hide them.

        What the person set in napari's own list stays, unless it is this that changes.
        """
        before, self.styles = self.styles, dict(styles)
        mine: list[tuple[ShapeKind | None, str, Layer]] = [
            (None, name, labels) for name, labels in self._labels.items()
        ]
        drawn = self._drawings.layers()
        mine += [(kind, name, one) for (kind, name), one in drawn.items()]
        with self.hand.working():
            for kind, name, layer in mine:
                if name not in styles or layer not in self.viewer.layers:
                    continue
                was, now = before.get(name), styles[name]
                if was is None or was.colour != now.colour:
                    style_drawn(kind, layer, now.colour, self.drawn.fill)
                if was is None or was.visible != now.visible:
                    layer.visible = now.visible

    def _show_labels(
        self, name: str, found: Objects, mine: Objects, style: Style
    ) -> list[str]:
        layer, lazy = self._labels.get(name), lazy_labels.is_lazy(mine)
        if layer is not None and lazy != lazy_labels.is_shown_lazily(layer):
            self.edits.leave(layer)
            self._remove(layer)
        if layer is not None and layer in self.viewer.layers:
            edited = self.edits.is_edited(name)
            before = self.edits.shown(name)
            if drawing.update_labels(layer, mine, edited, before):
                self.edits.forget_history(name)
                self.edits.settle(name, found, mine)
            elif not self.edits.is_found(name, found):
                self.edits.settle(name, found, mine)
            from_napari.move(layer, self.source, mine.frame.origin)
            return []
        self._labels[name] = self.viewer.add_labels(
            lazy_labels.data_of(mine) if lazy else drawing.label_data(mine),
            multiscale=lazy,
            name=title(self.source, name),
            colormap=drawing.one_colour(style.colour),
            opacity=0.35,
            visible=style.visible,
            **from_napari.placed(self.source, mine.frame.origin),
        )
        if self.drawn.fill != drawing.ONE:
            self._fill(name, style.colour)
        if not lazy:
            self.edits.watch(name, self._labels[name])
            self.edits.settle(name, found, mine)
        return [lazy_labels.note(name, mine)] if lazy else []

    def _retire(self, wanted: tuple[str, ...]) -> None:
        """Take away the layers of classes and kinds that are no longer wanted."""
        for name in [name for name in self._labels if name not in wanted]:
            self._remove(self._labels.pop(name))
        self._drawings.retire(wanted)
        self._ways.retire(wanted)

    def _remove(self, layer: Layer) -> None:
        self.edits.leave(layer)
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def _removed(self, event: Any) -> None:
        """The person took a layer away."""
        if self.hand.ours:
            return
        layer = event.value
        self.edits.look()
        self.edits.leave(layer)
        self._drawings.removed(layer)
        for known in (self._labels, self._images):
            for name in [name for name, one in known.items() if one == layer]:
                del known[name]
        if not self.all_layers:
            self._emptied()

    def _follow_names(self, now: Mapping[tuple[str, str], str]) -> None:
        """A class that has another name now keeps its layers and its corrections."""
        found = followed(self.named, now, self._is_known)
        self.named = found.named
        if found.joined:  # their layers go first: others may take over their names
            gone = {old for old, _ in found.joined}
            known = {*self._labels, *(name for _, name in self._drawings.layers())}
            self._retire(tuple(known - gone))
        self.edits.follow(found)
        names = found.renamed
        if not names:
            return
        self._drawings.rename(names)
        mine = ((labels, "", old) for old, labels in self._labels.items())
        retitle(self.source, mine, names)
        self._labels = {names.get(n, n): one for n, one in self._labels.items()}

    def _is_known(self, name: str) -> bool:
        return self._has(name) or name in self.edits.by_hand

    def _part_with(self, classes: Iterable[str]) -> None:
        """Leave the layers of classes to the person, as they are."""
        for name in list(classes):
            mine: list[Layer] = [self._labels.pop(name)] if name in self._labels else []
            mine += self._drawings.part_with(name)
            for layer in mine:
                self.edits.leave(layer)
                layer.name = f"{layer.name}, corrected"
            self.edits.drop([name])

    def clear(self) -> None:
        """Take all layers away but those that the person corrected."""
        with self.hand.working():
            self.edits.look()
            self._part_with(list(self.edits.by_hand))
            for image in self._images.values():
                self._remove(image)
            self._images = {}
            self._retire(())
        self.stop()

    @property
    def drawing(self) -> bool:
        """Whether tables are being written or outlines drawn, a few at a time."""
        return self._drawings.busy or self._turns.busy

    def tell(
        self, edited: Callable[[], None], emptied: Callable[[], None] = _nothing
    ) -> None:
        """From now on, these are told what the person does; see above."""
        self.edits.told, self._emptied = edited, emptied

    def rest(self) -> None:
        """Draw nothing more and tell nobody, but go on noticing what is done."""
        self._turns.stop()
        self._drawings.stop()
        self.tell(_nothing)

    def stop(self) -> None:
        """Draw and notice nothing any more."""
        self._turns.stop()
        self._drawings.stop()
        self.edits.stop()
        self.viewer.layers.events.removed.disconnect(self._removed)

    @property
    def label_layers(self) -> list[Labels]:
        """The Labels that are still in the viewer."""
        return [one for one in self._labels.values() if one in self.viewer.layers]

    def drawn_layers(self) -> list[Layer]:
        """One drawn layer of each class that is still in the viewer."""
        found: dict[str, Layer] = {}
        for (_, name), layer in self._drawings.layers().items():
            found.setdefault(name, layer)
        return list(found.values())

    @property
    def all_layers(self) -> list[Layer]:
        """All layers that are still in the viewer; Labels before what is drawn."""
        mine: list[Layer] = []
        drawn = self._drawings.layers()
        for name, labels in self._labels.items():
            mine.append(labels)
            mine += [one for (_, of), one in drawn.items() if of == name]
        mine += [one for one in drawn.values() if one not in mine]
        mine += [*self._ways.layers().values(), *self._images.values()]
        return [layer for layer in mine if layer in self.viewer.layers]


def _of(objects: Objects, name: str) -> int:
    """Number of a class; -1 where there is none of that name."""
    return objects.classes.index(name) if name in objects.classes else -1
