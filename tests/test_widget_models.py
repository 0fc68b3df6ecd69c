"""The dock widget with models of other kinds: what they take and what they give."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description, discs, finish, torchscript_network
from napari.layers import Image
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter
from test_widget import setting
from test_widget_lasting import another

import napari_imagec_ai as ai
from napari_imagec_ai._napari import chosen_before
from napari_imagec_ai._napari.form import TUNE
from napari_imagec_ai._napari.model import model_choice
from napari_imagec_ai.decoders.registry import get_decoder
from napari_imagec_ai.results.filters import Filter

Open = Callable[..., tuple[Any, Any]]
RNG = np.random.default_rng(7)
GREY, OTHER = RNG.random((2, 64, 48)).astype(np.float32)
TORCH = {"torchscript": {"source": "weights.pt"}}


def made(kind: str, returns: str = "tensor", **changes: Any) -> dict[str, Any]:
    """A description and a network that gives an expression of its inputs."""
    rdf = description(
        weights=TORCH, config={"napari_imagec_ai": {"kind": kind}}, **changes
    )
    return rdf | {"network": partial(torchscript_network, returns=returns)}


def run(qtbot: Any, widget: Any) -> None:
    assert widget.run_button.enabled, widget.status.value
    start(widget)
    finish(qtbot, widget)


def start(widget: Any) -> None:
    """Run, and trust the network, which is a program."""
    widget.run()
    if widget.consent.asking:
        widget.consent.yes.changed.emit(True)


def results(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if layer.name.endswith("(dish)")]


def test_a_computed_image_lies_on_the_image(qtbot: Any, open_widget: Open) -> None:
    twice = "torch.nn.functional.interpolate(x, scale_factor=2.0)"
    rdf = made("image", twice)
    for axis in rdf["outputs"][0]["axes"][2:]:
        axis["scale"] = 0.5  # twice as many pixels
    viewer, widget = open_widget(GREY, **rdf)
    viewer.layers["dish"].rotate = 30
    viewer.layers["dish"].translate = (5, 7)
    run(qtbot, widget)
    (layer,) = results(viewer)
    assert isinstance(layer, Image)
    np.testing.assert_array_equal(layer.data, GREY.repeat(2, 0).repeat(2, 1))
    # The corners of the first pixel are the image's.
    for point in ((0, 0), (64, 48)):
        there = layer.data_to_world(np.multiply(point, 2) - 0.5)
        expected = viewer.layers["dish"].data_to_world(np.subtract(point, 0.5))
        np.testing.assert_allclose(there, expected, atol=1e-6)
    run(qtbot, widget)
    assert len(results(viewer)) == 1


def test_a_few_channels_are_layers_and_many_are_an_axis(
    qtbot: Any, open_widget: Open
) -> None:
    rdf = made("image", "torch.cat([x] * 2, 1)")
    rdf["outputs"][0]["axes"][1]["channel_names"] = ["red", "blue"]
    viewer, widget = open_widget(GREY, **rdf)
    run(qtbot, widget)
    titles = [layer.name for layer in results(viewer)]
    assert titles == ["red - probability (dish)", "blue - probability (dish)"]


def test_many_channels_share_a_layer(qtbot: Any, open_widget: Open) -> None:
    rdf = made("image", "torch.cat([x] * 9, 1)")
    names = [f"channel{n}" for n in range(9)]
    rdf["outputs"][0]["axes"][1]["channel_names"] = names
    viewer, widget = open_widget(GREY, **rdf)
    run(qtbot, widget)
    (layer,) = results(viewer)
    assert layer.data.shape == (9, 64, 48)
    np.testing.assert_allclose(layer.scale, (1, 0.5, 0.5))


def test_scores_are_listed_with_the_names_of_classes(
    qtbot: Any, open_widget: Open
) -> None:
    rdf = made("scores", "torch.stack([x.mean(), 1 - x.mean()])[None]")
    channel = {"type": "channel", "channel_names": ["alive", "dead"]}
    rdf["outputs"] = [{"id": "state", "axes": [{"type": "batch"}, channel]}]
    _, widget = open_widget(np.full((64, 48), 0.25, np.float32), **rdf)
    run(qtbot, widget)
    text = widget.scores.value
    assert text.index("dead: 0.75") < text.index("alive: 0.25")


def test_each_input_takes_a_layer(qtbot: Any, open_widget: Open) -> None:
    rdf = made("image", "a, b, n -> a + 2 * b + n[:, :, None, None]")
    second = rdf["inputs"][0] | {"id": "mask"}
    channel = {"type": "channel", "channel_names": ["offset"]}
    numbers = {"id": "number", "axes": [{"type": "batch"}, channel]}
    rdf["inputs"] = [rdf["inputs"][0], second, numbers]
    viewer, widget = open_widget(GREY, **rdf)
    viewer.add_image(OTHER, name="other")
    widget.image.value = viewer.layers["dish"]
    layer, number = widget.source.others
    layer.value = viewer.layers["other"]
    assert "number" in widget.status.value
    assert not widget.run_button.enabled
    number.value = "0.5"
    run(qtbot, widget)
    (found,) = results(viewer)
    np.testing.assert_allclose(found.data, GREY + 2 * OTHER + 0.5, rtol=1e-5)


def test_channels_come_from_layers(qtbot: Any, open_widget: Open) -> None:
    weights = "torch.tensor([1.0, 10.0])[None, :, None, None]"
    rdf = made("image", f"(x * {weights}).sum(1, keepdim=True)")
    rdf["inputs"][0]["axes"][1]["channel_names"] = ["cell", "nucleus"]
    viewer, widget = open_widget(GREY, **rdf)
    viewer.add_image(OTHER, name="other", scale=(0.5, 0.5))
    widget.image.value = viewer.layers["dish"]
    assert not widget.run_button.enabled
    cell, nucleus = widget.channels
    assert (cell.label, nucleus.label) == ("cell", "nucleus")
    cell.value = ("other", 0)
    assert "nucleus" in widget.status.value
    nucleus.value = ("dish", 0)
    run(qtbot, widget)
    np.testing.assert_allclose(results(viewer)[0].data, OTHER + 10 * GREY, rtol=1e-5)
    cell.value = ("", -1)
    run(qtbot, widget)
    np.testing.assert_allclose(results(viewer)[0].data, 10 * GREY, rtol=1e-5)
    viewer.layers["other"].scale = (1, 1)
    cell.value = ("other", 0)
    assert not widget.run_button.enabled
    assert "another pixel size" in widget.status.value


def test_a_layer_that_is_not_fed_can_be_measured_and_filtered_by(
    qtbot: Any, open_widget: Open
) -> None:
    labels = discs((64, 64), [(16, 16), (16, 48), (48, 32)], (9, 9, 9))
    image = gaussian_filter((labels > 0) * 0.96 + 0.02, 1).astype(np.float32)
    green = np.where(labels == 2, 700.0, 5.0).astype(np.float32)
    viewer, widget = open_widget(image)
    viewer.add_image(green, name="GFP", scale=(0.5, 0.5))
    viewer.layers.selection = {viewer.layers["dish"]}
    measured = widget.source.measured
    assert [box.text for box in measured.boxes] == ["GFP"]
    measured.boxes[0].value = True
    start(widget)
    finish(qtbot, widget)
    assert "'GFP' is mean intensity GFP" in measured.said.value
    found = widget.objects().features
    assert found["mean_intensity"].max() < 1
    assert sorted(found["mean_intensity_GFP"] > 300) == [False, False, True]
    rows = widget.classes[0]
    rows.filters.set_filters([Filter(feature="mean_intensity_GFP", minimum=300.0)])
    widget.tune()
    qtbot.waitUntil(lambda: rows.number.value == "1", timeout=30_000)
    assert "GFP" in widget.source.beyond_a_file()
    viewer.layers.remove("GFP")
    assert len(measured.boxes) == 0
    assert widget.run_button.enabled


def test_channels_that_are_not_fed_are_measured_too(
    qtbot: Any, open_widget: Open
) -> None:
    labels = discs((64, 64), [(20, 20), (44, 44)], (9, 9))
    image = gaussian_filter((labels > 0) * 0.96 + 0.02, 1).astype(np.float32)
    stains = np.stack([labels * 100.0, image, labels * 7.0]).astype(np.float32)
    _, widget = open_widget(stains)
    widget.axes.value = "CYX"
    widget.channels[0].value = ("dish", 1)
    start(widget)
    finish(qtbot, widget)
    found = widget.objects().features
    names = [name for name in found if name.startswith("mean_intensity")]
    assert names == ["mean_intensity", "mean_intensity_0", "mean_intensity_2"]
    np.testing.assert_allclose(found["mean_intensity_0"], [90, 180], rtol=0.2)
    np.testing.assert_allclose(
        found["mean_intensity_2"], found["mean_intensity_0"] * 0.07, rtol=1e-4
    )


def test_some_planes_of_a_stack_keep_their_place(qtbot: Any, open_widget: Open) -> None:
    stack = RNG.random((6, 64, 48)).astype(np.float32)
    viewer, widget = open_widget(stack, **made("image"))
    widget.planes.value = "these planes"
    widget.source.span.value = "from 2"
    assert "Expected planes such as Z=2-5" in widget.status.value
    assert not widget.run_button.enabled
    widget.source.span.value = "2-4"
    run(qtbot, widget)
    (layer,) = results(viewer)
    np.testing.assert_array_equal(layer.data, stack[2:5])
    image = viewer.layers["dish"]
    np.testing.assert_allclose(
        layer.data_to_world((0, 0, 0)), image.data_to_world((2, 0, 0))
    )


def test_a_coarse_level_is_fed_and_lies_on_the_fine_one(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(**made("image"))
    pyramid = [GREY.repeat(2, 0).repeat(2, 1), GREY]
    viewer.add_image(pyramid, name="dish", multiscale=True, scale=(3, 3))
    assert widget.source.level.max == 1
    widget.source.level.value = 1
    run(qtbot, widget)
    (layer,) = results(viewer)
    np.testing.assert_array_equal(layer.data, GREY)
    np.testing.assert_allclose(layer.scale, (6, 6))
    corner = layer.data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(corner, (-1.5, -1.5))


def test_an_output_of_unknown_meaning_is_asked_for_and_kept(
    qtbot: Any, open_widget: Open
) -> None:
    viewer, widget = open_widget(GREY, **made("unknown"))
    assert not widget.run_button.enabled
    assert "choose it under 'Read output as'" in widget.status.value
    widget.decoder.value = "image"
    run(qtbot, widget)
    assert len(results(viewer)) == 1
    # The network need not run again to read the output in another way.
    widget.decoder.value = "unet"
    qtbot.waitUntil(lambda: len(viewer.layers) > 2, timeout=30_000)
    second = another(viewer)
    assert second.decoder.value == "unet"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_choice_of_channels_is_kept_with_the_model(
    theme: str, qtbot: Any, open_widget: Open
) -> None:
    rdf = made("foreground_boundary", "torch.cat([1 - x, x], 1)")
    rdf["outputs"][0]["axes"][1]["channel_names"] = ["channel0", "channel1"]
    viewer, widget = open_widget(GREY, **rdf)
    viewer.theme = theme
    setting(widget, "foreground").value = 1
    setting(widget, "boundary").value = -1
    kept: Any = chosen_before.settings_for(get_decoder("unet"), widget.session.model)
    assert (kept.foreground, kept.boundary) == (1, -1)


def test_a_model_with_a_borrowed_name_says_so_before_it_runs(
    open_widget: Open,
) -> None:
    _, widget = open_widget(GREY, name=ai.load_model("nuclei-unet").name)
    said = html.unescape(widget.choice.card.value)
    assert "bears the name of 'nuclei-unet'" in said
    widget.choose("blood-yolov5")
    assert "bears the name" not in widget.choice.card.value


def test_a_person_who_chose_nothing_begins_with_a_model_that_was_measured(
    make_napari_viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model_choice.remembered, "recall", lambda _: None)
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-imagec-ai", "AI classifier"
    )
    assert widget.choice.entry.path.name == "nuclei-unet"
    said = html.unescape(widget.choice.card.value)
    assert "For bright objects on dark, in grey, 10 to 48 pixels across" in said
    assert "Measured: mean AP 0." in said
    listed = [name for name, _ in widget.choice._choices()]
    assert listed.index("Nuclei U-Net") < listed.index("Cell detector")


@pytest.mark.parametrize(
    "told",
    [
        {"measured": ["<b>"], "domain": 3},
        {"measured": "<script>" * 100, "object_size": "large"},
    ],
)
def test_a_card_says_nothing_of_what_a_description_tells_wrongly(
    open_widget: Open, told: dict[str, Any]
) -> None:
    _, widget = open_widget(GREY, config={"napari_imagec_ai": told})
    said = widget.choice.card.value
    assert "For " not in said
    assert "<script>" not in said
    assert len(said) < 2000


def test_a_demonstration_chooses_nothing_for_the_next_time(open_widget: Open) -> None:
    _, widget = open_widget(GREY)
    with model_choice.remembered.paused():
        widget.choose("blood-yolov5")
    assert "blood-yolov5" not in model_choice.remembered.recall("model")
    widget.choose("nuclei-unet")
    widget.choose("blood-yolov5")
    assert "blood-yolov5" in model_choice.remembered.recall("model")


def test_boxes_without_masks_have_no_mask_threshold(open_widget: Open) -> None:
    _, widget = open_widget(GREY, show=True)

    def moves_masks(model: str) -> bool:
        widget.choose(model)
        widget.form.front = TUNE
        QApplication.processEvents()
        return bool(widget.thresholds.rows[0].native.isVisible())

    assert moves_masks("cells-yolov5seg")
    assert not moves_masks("blood-yolov5")
    assert moves_masks("nuclei-unet")
