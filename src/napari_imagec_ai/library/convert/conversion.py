"""What a converter found in a source: weights that run, and their description."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.library.convert.rebuilt import (
    TOLERANCE,
    Rebuilt,
    difference,
    run,
    write_weights,
)
from napari_imagec_ai.library.package.model_folder import (
    Describe,
    Packaged,
    make_folder,
)

Tick = Callable[[str], None]
"""Gets a sentence before each step; may raise to stop."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Everything that a model folder is made of.

    Attributes
    ----------
    paths : mapping of str to Path
        Weights by format.
    describe : callable
        Gives the content of ``rdf.yaml``.
    checked, said : tuple of str
        Sentences: what was compared, and what was not told by the source.
    """

    paths: Mapping[str, Path]
    describe: Describe
    checked: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    def make(self, target: Path, image: ImageInput | None, replace: bool) -> Packaged:
        """Write the model folder."""
        made = make_folder(target, self.paths, self.describe, image, replace=replace)
        assumed = (*self.said, *made.assumed)
        return dataclasses.replace(made, checked=self.checked, assumed=assumed)


def conversion_of(rebuilt: Rebuilt, scratch: Path, tick: Tick) -> Conversion:
    """Write a rebuilt network, and compare it with what the original gave."""
    checked = "The source holds no outputs of the original to compare with."
    if rebuilt.expected is not None:
        given, expected = rebuilt.expected
        off = difference(run(rebuilt.module, given), expected)
        word = "equals" if off <= TOLERANCE else "DIFFERS from"
        checked = f"The network {word} the original's outputs (by {off:.1g} at most)."
    paths = write_weights(rebuilt, scratch, tick)
    return Conversion(paths, rebuilt.describe, (checked,), rebuilt.said)
