"""The widget's rows for classes: what becomes of each class of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magicgui.widgets import Container, Label

from napari_imagec_ai._napari.controls import column, row, text
from napari_imagec_ai._napari.layers.layers import COLOURS, Style
from napari_imagec_ai._napari.tune.class_row import ClassRow, Look
from napari_imagec_ai._napari.tune.filter_rows import USUAL
from napari_imagec_ai.results.classes import ClassMap


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
        self.rows = column(labels=False, name="rows")
        self.made = column(labels=False, name="made")
        self.merged = text("merged")
        super().__init__(
            labels=False, name="classes", widgets=[self.rows, self.made, self.merged]
        )
        self.margins = (0, 0, 0, 0)
        self._changed, self._styled = changed, styled
        self._features: tuple[str, ...] = USUAL
        self._looks: dict[str, Look] = {}
        self._counts: dict[str, Label] = {}
        self.merged.visible = False

    def __getitem__(self, key: Any) -> Any:
        """A row by its number."""
        return self.rows[key] if isinstance(key, int) else super().__getitem__(key)

    def set_classes(self, names: Sequence[str]) -> None:
        """Make a row for each class of a model; names that stay keep their rows."""
        if [line.source for line in self._lines] == list(names):
            return
        self.rows.clear()
        for i, name in enumerate(names):
            colour = COLOURS[i % len(COLOURS)]
            line = ClassRow(name, colour, self.features, self._notify, self._styled)
            self.rows.append(line)
        self._tell()

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
        return ClassMap(rules=rules, class_threshold=class_threshold)

    def set_map(self, class_map: ClassMap) -> None:
        """Show these rules; tells nobody."""
        rules = {rule.source: rule for rule in class_map.rules}
        for line in self._lines:
            if line.source in rules:
                line.set_rule(rules[line.source])
        self._tell()

    def styles(self) -> dict[str, Style]:
        """Colour and visibility of each of the person's classes."""
        looks = {line.named: line.look for line in reversed(self._lines)}
        looks = self._looks | looks
        return {name: Style(look.colour, look.is_shown) for name, look in looks.items()}

    def show_counts(self, counts: Mapping[str, int]) -> None:
        """Show how many objects each class has."""
        named = {line.named for line in self._lines if line.keep.value}
        self._show_made([name for name in counts if name not in named])
        for line in self._lines:
            kept = line.keep.value
            line.number.value = str(counts.get(line.named, 0)) if kept else "-"
        for name, label in self._counts.items():
            label.value = str(counts.get(name, 0))

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
            f"{' and '.join(several)} become one class, '{name}'."
            for name, several in sources.items()
            if len(several) > 1
        ]
        self.merged.value = " ".join(words)
        self.merged.visible = bool(words)
