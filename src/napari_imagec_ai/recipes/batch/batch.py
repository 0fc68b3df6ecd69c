"""What a batch is: what is to be done to each image, and what became of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_imagec_ai.recipes.recipe import Recipe
from napari_imagec_ai.run.in_blocks.run_in_blocks import ABOVE


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be done to each image.

    Attributes
    ----------
    recipe : Recipe
        What to do.
    folder : Path
        Where files go.
    exports : sequence of str or None
        Words of the formats; None: all that fit.
    axes : str or None
        Of the images, instead of what the files say.
    beside : mapping
        What goes to other inputs of the network.
    save_prediction : bool
        Write the raw output, too.
    resumable : bool
        Write down what is done, and leave out what was done before.
    again : bool
        Do images again that are done.
    summary : bool
        Write tables over all images and a contact sheet when the batch has ended.
    in_blocks : bool
        Run large images in shares, which are kept until the image is done.
    split_above : int
        Pixels of an image above which it is large.
    scratch : Path or None
        Where shares go until then; all workers see it. None: beside the results.
    overwrite : bool
        Replace also files that this software did not write; never the images.
    sources : tuple of Path
        What is read beside the images and must stay, such as a person's recipe.
    state : str
        What the model's files are; filled in when the batch begins.
    """

    recipe: Recipe
    folder: Path
    exports: Sequence[str] | None = None
    axes: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    save_prediction: bool = False
    resumable: bool = True
    again: bool = False
    summary: bool = False
    in_blocks: bool = True
    split_above: int = ABOVE
    scratch: Path | None = None
    overwrite: bool = False
    sources: tuple[Path, ...] = ()
    state: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image: a report, or the problem in words.

    ``before``: it was done in an earlier run, and not again.
    """

    image: Path
    report: dict[str, Any] | None = None
    problem: str = ""
    before: bool = False
