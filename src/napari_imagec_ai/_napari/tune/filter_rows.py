"""The widget's rows for filters: conditions on an object, and the class they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, LineEdit

from napari_imagec_ai._napari.controls import put, row, tool
from napari_imagec_ai.errors import DecodeError
from napari_imagec_ai.image.units import length
from napari_imagec_ai.results.filters import Filter

USUAL = ("area", "circularity", "mean_intensity", "touches_edge", "confidence")
"""Features to choose from while nothing was run yet."""


def feature_words(name: str) -> str:
    """A column of the table in words, such as 'area (µm²)'."""
    for start in ("area", "volume"):
        unit = name.removeprefix(f"{start}_")
        if unit != name and unit[-1:] in "23":
            known = length(unit[:-1])
            symbol = unit[:-1] if known is None else known.symbol
            return f"{start} ({symbol}{'²' if unit.endswith('2') else '³'})"
    words = name.replace("_", " ")
    return f"{words} (pixels)" if name in ("area", "perimeter") else words


def limit(words: str, missing: float) -> float:
    """A typed limit; blank is none.

    Raises
    ------
    DecodeError
        If it is no number.
    """
    try:
        number = float(words.replace(",", ".")) if words.strip() else missing
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise DecodeError(
            f"Expected a number as the limit of a filter, found '{words}'; leave it "
            "blank for no limit."
        )
    return number


class FilterRow(Container):  # type: ignore[type-arg]
    """One filter: a feature, min, max, and the class of the objects that match it.

    Parameters
    ----------
    filter_ : Filter
        What it says to begin with.
    features : callable
        Gives the columns to choose from.
    changed : callable
        Called when the person changes it.
    """

    def __init__(
        self,
        filter_: Filter,
        features: Callable[[], Sequence[str]],
        changed: Callable[[], None],
    ) -> None:
        self._features = features
        self._wanted = filter_.feature
        self.feature = ComboBox(
            choices=self._choices,
            value=filter_.feature,
            name="feature",
            tooltip="The column of the table that this filter looks at.",
        )
        self.low = _edit("low", filter_.minimum, "min", "At least this; blank: any.")
        self.high = _edit("high", filter_.maximum, "max", "At most this; blank: any.")
        self.becomes = LineEdit(
            value=filter_.becomes or "",
            name="becomes",
            tooltip="Class of the objects that match this filter; blank: the class "
            "named above.",
        )
        self.becomes.native.setPlaceholderText("becomes: as above")
        self.leave_out = CheckBox(
            value=filter_.becomes is None,
            text="leave out",
            name="leave_out",
            tooltip="Objects that match this filter are left out.",
        )
        self.becomes.enabled = filter_.becomes is not None
        self.head = row(self.feature)
        self._then = row(self.becomes, self.leave_out)
        super().__init__(
            widgets=[self.head, row(self.low, self.high), self._then],
            labels=False,
            name="filter",
        )
        self.margins = (0, 0, 0, 4)
        self._changed = changed
        self.leave_out.changed.connect(lambda _: self._left_out())
        self.feature.changed.connect(lambda _: changed())
        for line in (self.low, self.high, self.becomes):
            line.native.editingFinished.connect(changed)

    def _left_out(self) -> None:
        self.becomes.enabled = not self.leave_out.value
        self._changed()

    def _choices(self, _widget: Any = None) -> list[tuple[str, str]]:
        listed = list(dict.fromkeys([*self._features(), self._wanted]))
        return [(feature_words(name), name) for name in listed]

    def filter_(self) -> Filter:
        """What the row says.

        Raises
        ------
        DecodeError
            If a limit is no number.
        """
        return Filter(
            feature=self.feature.value,
            minimum=limit(str(self.low.value), -math.inf),
            maximum=limit(str(self.high.value), math.inf),
            becomes=None if self.leave_out.value else str(self.becomes.value).strip(),
        )


class FilterRows(Container):  # type: ignore[type-arg]
    """An ordered list of filters.

    Parameters
    ----------
    features : callable
        Gives the columns to choose from.
    changed : callable
        Called when the person changes it.
    """

    def __init__(
        self, features: Callable[[], Sequence[str]], changed: Callable[[], None]
    ) -> None:
        super().__init__(labels=False, name="filters")
        self.margins = (0, 0, 0, 0)
        self._features, self._notify = features, changed

    def set_filters(self, filters: Sequence[Filter]) -> None:
        """Show these filters."""
        self.clear()
        for filter_ in filters:
            self._add(filter_)

    def add(self) -> None:
        """Add a filter that every object meets."""
        self._add(Filter(feature=self._features()[0]))
        self._notify()

    def _add(self, filter_: Filter) -> None:
        line = FilterRow(filter_, self._features, self._notify)
        up = tool("▲", "Ask this filter earlier", lambda: self._raise(line))
        gone = tool("✕", "Take this filter away", lambda: self._remove(line))
        put(line.head, 1, up)
        put(line.head, 2, gone)
        self.append(line)

    def _raise(self, line: FilterRow) -> None:
        position = list(self).index(line)
        if position:
            filters = list(self.filters())
            filters.insert(position - 1, filters.pop(position))
            self.set_filters(filters)
            self._notify()

    def _remove(self, line: FilterRow) -> None:
        self.remove(line)
        self._notify()

    def filters(self) -> tuple[Filter, ...]:
        """What the rows say, in order.

        Raises
        ------
        DecodeError
            If a limit is no number.
        """
        return tuple(line.filter_() for line in self if isinstance(line, FilterRow))


def _edit(name: str, value: float, hint: str, tooltip: str) -> LineEdit:
    shown = f"{value:g}" if math.isfinite(value) else ""
    line = LineEdit(value=shown, name=name, tooltip=tooltip)
    line.native.setPlaceholderText(hint)
    return line
