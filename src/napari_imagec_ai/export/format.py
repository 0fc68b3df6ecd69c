"""What a format is: a word, a suffix, a function that writes it, and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from napari_imagec_ai.export.pace import Pace
from napari_imagec_ai.image.image_input import Frame, ImageInput
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.outlines import Outline


@dataclass(slots=True, eq=False)
class Beside:
    """What some formats show beside the objects, and what several of them need.

    Attributes
    ----------
    image : ImageInput or None
        The pixels in which the objects were found.
    recipe : str
        The recipe of the run, as text.
    pace : Pace
        Told how far a file is.
    """

    image: ImageInput | None = None
    recipe: str = ""
    pace: Pace = field(default_factory=Pace)
    _traced: list[list[Outline]] | None = field(default=None, repr=False)
    _of: Objects | None = field(default=None, repr=False)

    def outlines(self, objects: Objects) -> list[list[Outline]]:
        """Outlines along the pixels' edges; traced once for all formats of a run."""
        if self._traced is None or self._of is not objects:
            self._traced, self._of = objects.as_outlines(smooth=False), objects
        return self._traced


def always(objects: Objects) -> str:
    """Nothing is lacking."""
    return ""


def nothing(frame: Frame) -> str:
    """Nothing is lost."""
    return ""


def needs_pixels(objects: Objects) -> str:
    """Boxes alone have no pixels."""
    return "" if objects.has_pixels else "these objects have boxes but no pixels"


def needs_planes(objects: Objects) -> str:
    """Volumes have no outlines."""
    flat = objects.boxes.shape[1] == 4
    return "" if flat else "its objects are flat, while volumes have labels"


def needs_one_plane(objects: Objects) -> str:
    """Some formats know of one picture only."""
    more = objects.frame.axes[:-2]
    if not more:
        return ""
    return f"it is for one plane, and these lie along {' and '.join(more)}"


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes
    ----------
    word : str
        Asks for it on the command line.
    title : str
        What people call it.
    suffix : str
        What follows the image's name in the files of a run.
    write : callable
        Writes all objects to a place that nobody looks at yet.
    others : tuple of str
        Other suffixes that mean this format.
    lacks : callable
        Why these objects cannot be written so, as the end of a sentence; empty: they
        can.
    folder : bool
        Whether a folder is written instead of a file.
    also : str
        Name of a file that is written into the same folder.
    loses : callable
        What the format cannot hold of these objects' frame, as a sentence; empty: all.
    """

    word: str
    title: str
    suffix: str
    write: Callable[[Objects, Path, Beside], None]
    others: tuple[str, ...] = ()
    lacks: Callable[[Objects], str] = always
    folder: bool = False
    also: str = ""
    loses: Callable[[Frame], str] = nothing
