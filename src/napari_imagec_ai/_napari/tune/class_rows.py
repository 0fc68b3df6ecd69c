"""The widget's rows for classes: what becomes of each class of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magicgui.widgets import Container, Label, LineEdit

from napari_imagec_ai._napari.controls import column, row, text
from napari_imagec_ai._napari.layers.from_napari import COLOURS, Style
from napari_imagec_ai._napari.tune.class_row import NO_NAME, ClassRow, Look, spread
from napari_imagec_ai._napari.tune.filter_rows import USUAL
from napari_imagec_ai._napari.tune.linking_form import Following
from napari_imagec_ai.results.class_map import ClassMap

MANY = 12
"""More classes than these are searched: rows stand for those that were found."""

_HEADS = (
    ("show", "Colour and visibility of the layers."),
    ("use / class", "Which classes of the model are used."),
    ("my name", "What you call them."),
    ("n", "How many objects are kept."),
    ("", ""),
)


class ClassRows(Container):  # type: ignore[type-arg]
    """A row for each class of the model, and one for each that filters make.

    Parameters
    ----------
    changed : callable
        Called when the person changes what objects become.
    styled : callable
        Called when the person changes what they look like.
    """

    def __init__(self, changed: Callable[[], None], styled: Callable[[], None]) -> None:
        self.search = LineEdit(
            name="search_classes", tooltip="Classes whose names have these letters."
        )
        self.search.native.setPlaceholderText("search classes")
        self.search.native.setClearButtonEnabled(True)
        self.search.native.setAccessibleName("Search classes")
        self.heads = _heads()
        self.rows = column(labels=False, name="rows")
        self.more = text("more_classes")
        self.made = column(labels=False, name="made")
        self.merged = text("merged")
        self.following = Following(changed)
        parts = [self.search, self.heads, self.rows, self.more, self.made, self.merged]
        parts.append(self.following)
        super().__init__(labels=False, name="classes", widgets=parts)
        self.margins = (0, 0, 0, 0)
        self._changed, self._styled = changed, styled
        self._features: tuple[str, ...] = USUAL
        self._looks: dict[str, Look] = {}
        self._counts: dict[str, Label] = {}
        self._found: Mapping[str, int] = {}
        self._listed: list[ClassRow] = []
        self.merged.visible = self.more.visible = self.search.visible = False
        self.search.changed.connect(lambda _: self._line_up())

    def __getitem__(self, key: Any) -> Any:
        """A row by its number."""
        return self._lines[key] if isinstance(key, int) else super().__getitem__(key)

    def set_classes(self, names: Sequence[str]) -> None:
        """Make a row for each class of a model; names that stay keep their rows.

        Classes of one name are one: nobody could tell them apart.
        """
        names = tuple(dict.fromkeys(names))
        if [line.source for line in self._lines] == list(names):
            return
        self.rows.clear()
        self._found, self._listed = {}, []
        made = []
        for i, name in enumerate(names):
            colour = COLOURS[i % len(COLOURS)]
            made.append(
                ClassRow(name, colour, self.features, self._notify, self._styled)
            )
        self.rows.extend(made)
        with self.search.changed.blocked():
            self.search.value = ""
        self.search.visible = len(made) > MANY
        self._line_up()
        self._tell()

    # -- many classes ------------------------------------------------------------------

    def _line_up(self) -> None:
        """Show the rows that are looked for: of many, the classes found come first."""
        lines = self._lines
        many = len(lines) > MANY
        wanted = self._wanted() if many else lines
        for line in lines:
            line.native.setVisible(line in wanted)
        if many and wanted != self._listed:
            layout = self.rows.native.layout()
            for i, line in enumerate(wanted):
                layout.removeWidget(line.native)
                layout.insertWidget(i, line.native)
        self._listed = wanted
        left = len(lines) - len(wanted)
        self.more.value = f"{left} other classes: search for them." if left else ""
        self.more.visible = bool(left)

    def _wanted(self) -> list[ClassRow]:
        words = str(self.search.value).strip().lower()
        if words:
            fitting = [
                line
                for line in self._lines
                if words in line.source.lower() or words in line.named.lower()
            ]
            return fitting[:MANY]
        counts = self._found
        found = [line for line in self._lines if counts.get(line.named)]
        found.sort(key=lambda line: -counts[line.named])
        changed = [one for one in self._lines if one.is_changed and one not in found]
        others = [one for one in self._lines if one not in (*found, *changed)]
        first = [*found, *changed]
        return [*first, *others[: max(MANY // 2 - len(first), 0)]]

    # -- rules -------------------------------------------------------------------------

    def set_features(self, names: Sequence[str]) -> None:
        """Let filters look at these columns of the table."""
        wanted = tuple(dict.fromkeys(["confidence", *names]))
        if wanted != self._features:
            self._features = wanted
            for line in self._lines:
                for filter_ in line.filters:
                    filter_.reset_choices()

    def features(self) -> Sequence[str]:
        """Columns that filters may look at."""
        return self._features

    @property
    def _lines(self) -> list[ClassRow]:
        return [line for line in self.rows if isinstance(line, ClassRow)]

    def class_map(self, class_threshold: float) -> ClassMap:
        """The rules that the rows say.

        Raises
        ------
        DecodeError
            If a limit of a filter is no number.
        """
        rules = tuple(line.rule() for line in self._lines)
        linking = self.following.linking()
        return ClassMap(rules=rules, class_threshold=class_threshold, linking=linking)

    def set_map(self, class_map: ClassMap) -> None:
        """Show these rules; tells nobody."""
        rules = {rule.source: rule for rule in class_map.rules}
        for line in self._lines:
            if line.source in rules:
                line.set_rule(rules[line.source])
        self.following.set_linking(class_map.linking)
        self._tell()

    def styles(self) -> dict[str, Style]:
        """Colour and visibility of each of the person's classes."""
        looks = {line.named: line.look for line in reversed(self._lines)}
        looks = self._looks | looks
        return {name: Style(look.colour, look.is_shown) for name, look in looks.items()}

    # -- counts ------------------------------------------------------------------------

    def show_counts(self, counts: Mapping[str, int]) -> None:
        """Show how many objects each class has."""
        named = {line.named for line in self._lines if line.keep.value}
        self._show_made([name for name in counts if name not in named])
        for line in self._lines:
            kept = line.keep.value
            line.show_number(str(counts.get(line.named, 0)) if kept else "-")
        for name, label in self._counts.items():
            label.value = str(counts.get(name, 0))
        if len(self._lines) > MANY:
            self._found = dict(counts)
            self._line_up()

    def clear_counts(self) -> None:
        """Show no numbers: there is no result that they would be of."""
        for line in self._lines:
            line.show_number("")
        for label in self._counts.values():
            label.value = ""

    def _show_made(self, names: Sequence[str]) -> None:
        """Rows for classes that only filters give."""
        if list(self._counts) == list(names):
            return
        self.made.clear()
        self._counts, before = {}, self._looks
        self._looks = {}
        for i, name in enumerate(names, start=len(self._lines)):
            colour = COLOURS[i % len(COLOURS)]
            look = Look(
                name, before[name].colour if name in before else colour, self._styled
            )
            self._looks[name], self._counts[name] = look, Label(value="")
            self.made.append(row(look, Label(value=name), self._counts[name]))

    def _notify(self) -> None:
        self._tell()
        self._changed()

    def _tell(self) -> None:
        """Say which classes of the model become one."""
        sources: dict[str, list[str]] = {}
        for line in self._lines:
            if line.keep.value:
                sources.setdefault(line.named, []).append(f"'{line.source}'")
        words = [
            f"{' and '.join(several)} become one class, '{name or NO_NAME}'."
            for name, several in sources.items()
            if len(several) > 1
        ]
        self.merged.value = " ".join(words)
        self.merged.visible = bool(words)


def _heads() -> Any:
    labels = [Label(value=words, tooltip=tip) for words, tip in _HEADS]
    heads = row(*labels)
    spread(heads)
    for label in labels:
        label.native.setStyleSheet("font-size: 10px;")
    return heads
