"""The widget's part for doing it again: recipes, scripts, many images."""

from __future__ import annotations

from magicgui.widgets import PushButton

from napari_imagec_ai._napari.controls import Fold, MenuItem, menu_button, put, row


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
        copying, menu = menu_button("Copy ▾", "What does the same outside of napari.")
        self.python = MenuItem(
            menu,
            "Copy as Python",
            "A script that does the same, for a notebook.",
            "copy_python",
        )
        self.command = MenuItem(
            menu,
            "Copy as command",
            "A line that does the same, for a terminal.",
            "copy_command",
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
        results = row(self.save_result, self.open_result, self.batch)
        settings = row(self.save, self.load)
        put(settings, 2, copying)
        super().__init__(
            "Save, go on, batch",
            [results, settings],
            tooltip="Results to go on with, recipes, scripts, and many images at once.",
        )
