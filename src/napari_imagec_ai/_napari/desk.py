"""What the parts of the dock widget may ask of each other, and nothing more.

Each part owns a section of the form and what its controls do. What concerns several
parts, such as another model, goes through the desk, which tells those whom it concerns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from napari_imagec_ai.decoders.decoder import Settings
from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.results.class_map import ClassMap
from napari_imagec_ai.run.settings import RunSettings

if TYPE_CHECKING:
    import napari

    from napari_imagec_ai._napari.layers.live import Live

State = tuple[Session, Settings, ClassMap]
"""What is tuned, and how."""


class Desk(Protocol):
    """What a part knows of the widget that it is a part of."""

    viewer: napari.viewer.Viewer

    @property
    def native(self) -> Any:
        """The Qt widget, to put dialogs over."""

    @property
    def session(self) -> Session | None:
        """The chosen model, and what it gave; None: there is none that can run."""

    @property
    def running(self) -> bool:
        """Whether a run is under way."""

    def say(self, *sentences: str, bad: bool = False) -> None:
        """Show sentences in the status; those about a failure stand out."""

    def state(self) -> State | None:
        """What is tuned and how; None, and the reason is said, where that cannot be."""

    def reason(self) -> str:
        """Why it cannot run; empty where it can."""

    def check(self) -> str:
        """Enable Run, or say why it cannot run; gives the reason."""

    def run(self) -> None:
        """Run the network on what is chosen now."""

    def tune(self) -> None:
        """Decode and classify again what was predicted."""

    def tune_soon(self) -> None:
        """Tune in a moment, together with what changes until then."""

    def model_chosen(self) -> None:
        """The person chose another model, or none that can run."""

    def result_gone(self) -> None:
        """The person took the layers of the tuned result away."""

    def model_left(self) -> None:
        """What was shown of the model before is no longer tuned."""

    def session_begun(self) -> None:
        """Show what can be tuned of a model, and how it is read."""

    def recipe(self) -> Recipe | None:
        """What would make again what is shown; None, and the reason is said."""

    def opened(self, live: Live) -> None:
        """A saved result is tuned from here on."""

    def classes_told(self, names: tuple[str, ...] | None) -> bool:
        """Take classes that the person told; gives whether no run is needed for it."""

    def begin(self, decoder: str | None, predict: RunSettings) -> Session | None:
        """Begin anew with the chosen model, as a recipe says."""
