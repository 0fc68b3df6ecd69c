"""What the widget keeps with a model, and that nobody else reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from conftest import ROOT
from scenes import maps, pairs, prediction

import napari_imagec_ai as ai
from napari_imagec_ai._napari import chosen_before
from napari_imagec_ai.decoders.decoder import settings_with
from napari_imagec_ai.decoders.registry import choose_decoder, get_decoder
from napari_imagec_ai.image.samples import sample_image
from napari_imagec_ai.model import learned
from napari_imagec_ai.recipes.session import Session
from napari_imagec_ai.run.settings import RunSettings

MODEL = ROOT / "models" / "nuclei-unet"

MakeModel = Callable[..., Path]


def test_a_choice_of_the_output_is_kept_with_the_model() -> None:
    made = prediction(maps(pairs(), "foreground"))
    unet = choose_decoder(made.model)
    usual = unet.defaults(made.model)
    chosen = {"output": "probability", "activation": "none", "foreground": 0}
    chosen_before.keep_choice(
        made.model, unet, settings_with(usual, {**chosen, "neck": 0.5})
    )
    assert chosen_before.settings_for(unet, made.model) == settings_with(usual, chosen)


def test_how_a_model_is_fed_is_kept_until_it_is_forgotten(
    make_model: MakeModel,
) -> None:
    model = ai.load_model(make_model())
    assert chosen_before.feed_for(model) == RunSettings()
    chosen = RunSettings(scale=0.5, halo=(8,), channels=(1,), tile=(64,))
    chosen_before.keep_feed(model, chosen)
    # Where it runs and in what tiles belongs to the machine, not to the model.
    assert chosen_before.feed_for(model) == chosen.model_copy(update={"tile": None})
    chosen_before.keep_feed(model, RunSettings(scale=0.5))
    assert chosen_before.feed_for(model) == RunSettings(scale=0.5)
    chosen_before.forget(model)
    assert chosen_before.feed_for(model) == RunSettings()


def test_what_another_version_kept_is_left_out(
    make_model: MakeModel,
) -> None:
    model = ai.load_model(make_model())
    learned.keep(model, "feeding", {"normalize": "by magic"})
    assert chosen_before.feed_for(model) == RunSettings()


def kept_otherwise(model: ai.Model) -> None:
    """As if a person had chosen in the widget that the output is read otherwise."""
    labels = get_decoder("semantic")
    usual = labels.defaults(model)
    chosen_before.keep_choice(model, labels, usual)
    learned.keep(model, "feeding", {"normalize": "range", "scale": 0.5})


def test_python_does_what_the_description_says_whatever_the_widget_kept() -> None:
    made = prediction(maps(pairs(), "foreground"))
    before = ai.decode(made)
    kept_otherwise(made.model)
    assert chosen_before.decoder_for(made.model) is get_decoder("semantic")
    assert choose_decoder(made.model) is get_decoder("unet")
    after = ai.decode(made)
    np.testing.assert_array_equal(after.as_labels(), before.as_labels())
    session = Session(made.model)
    assert session.decoder is get_decoder("unet")
    assert session.defaults == session.decoder.defaults(made.model)


def test_the_command_line_does_what_the_description_says(
    tmp_path: Path, run_cli: Any
) -> None:
    model = ai.load_model(MODEL)
    image = tmp_path / "cells.tif"
    tifffile.imwrite(image, sample_image("nuclei").data[:128, :128])
    asked = ["predict", str(MODEL), str(image), "--json", "--save-prediction"]
    results = []
    for folder in ("before", "after"):
        out = str(tmp_path / folder)
        code, said, problem = run_cli(*asked, "-o", out)
        assert code == 0, problem
        raw = str(tmp_path / folder / "cells.prediction.npz")
        code, again, problem = run_cli("decode", raw, "-o", out, "--json")
        assert code == 0, problem
        results.append([json.loads(line)["decoder"] for line in (said, again)])
        results[-1] += [
            (tmp_path / folder / name).read_bytes()
            for name in ("cells.labels.tif", "cells.objects.csv", "cells.recipe.yaml")
        ]
        kept_otherwise(model)
    assert results[0] == results[1]


def test_the_widget_says_what_it_remembers() -> None:
    made = prediction(maps(pairs(), "foreground"))
    assert chosen_before.sentence(made.model) == ""
    kept_otherwise(made.model)
    said = chosen_before.sentence(made.model)
    assert "output is semantic" in said
    assert "normalize range, scale 0.5" in said
    chosen_before.forget(made.model)
    assert chosen_before.sentence(made.model) == ""


def test_a_model_that_is_chosen_again_comes_with_what_was_chosen(
    open_widget: Any,
) -> None:
    _, widget = open_widget(np.zeros((64, 64), np.float32))
    assert widget.status.value == "Ready."
    chosen_before.keep_feed(widget.session.model, RunSettings(scale=0.5))
    widget.check()
    assert "As you chose before for this model: scale 0.5." in widget.status.value
