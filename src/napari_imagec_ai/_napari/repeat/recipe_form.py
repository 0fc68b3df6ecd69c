"""The widget's part for doing it again: recipes, scripts, many images."""

from __future__ import annotations

from magicgui.widgets import PushButton

from napari_imagec_ai._napari.controls import Fold, row


class RecipeForm(Fold):
    """Buttons that keep what was chosen, bring it back, or do it elsewhere."""

    def __init__(self) -> None:
        self.save = PushButton(
            text="Save settings...",
            name="save_recipe",
            tooltip="Write everything that was chosen here into a file, a recipe: "
            "model, channels, thresholds, classes, filters.",
        )
        self.load = PushButton(
            text="Load settings...",
            name="load_recipe",
            tooltip="Choose everything here as a recipe says.",
        )
        self.python = PushButton(
            text="Copy as Python",
            name="copy_python",
            tooltip="A script that does the same, for a notebook.",
        )
        self.command = PushButton(
            text="Copy as command",
            name="copy_command",
            tooltip="A line that does the same, for a terminal.",
        )
        self.batch = PushButton(
            text="Batch...",
            name="batch",
            tooltip="Do the same to a folder of images, while you go on here.",
        )
        self.save_result = PushButton(
            text="Save result...",
            name="save_result",
            tooltip="Keep what the network gave, with everything that was chosen: open "
            "it another day to go on tuning, without another run.",
        )
        self.open_result = PushButton(
            text="Open result...",
            name="open_result",
            tooltip="Go on with a result that was saved, on its image.",
        )
        super().__init__(
            "Batch and recipes",
            [
                row(self.save_result, self.open_result),
                row(self.save, self.load, self.batch),
                row(self.python, self.command),
            ],
            tooltip="Recipes, scripts, and many images at once.",
        )
