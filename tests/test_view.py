"""The part of a result that is looked at: its objects are those of the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description, discs
from scenes import maps, prediction, scattered
from scipy.ndimage import gaussian_filter

import napari_imagec_ai as ai
from napari_imagec_ai.decoders import in_blocks
from napari_imagec_ai.decoders.registry import (
    choose_decoder,
    get_decoder,
)
from napari_imagec_ai.decoders.visible_part import View

MakeModel = Callable[..., Path]
BOX = ((130, 300), (150, 420))


@pytest.fixture(autouse=True)
def _small_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(in_blocks.OVERLAP, 2, 48)


@pytest.fixture
def raw(make_model: MakeModel) -> ai.Prediction:
    """Discs in the second of two planes, with two channels of grey values."""
    rdf = description()
    rdf["outputs"][0]["axes"][1]["channel_names"] = ["foreground"]
    model = ai.load_model(make_model(**rdf))
    rng = np.random.default_rng(7)
    truth = np.zeros((400, 560), np.int32)
    centres = [(y, x) for y in range(20, 400, 40) for x in range(20, 560, 40)]
    centres = [
        (y + a, x + b)
        for (y, x), (a, b) in zip(
            centres, rng.uniform(-3, 3, (len(centres), 2)), strict=True
        )
    ]
    truth = discs(truth.shape, centres, rng.uniform(6, 15, len(centres)))
    soft = gaussian_filter((truth > 0).astype(np.float32), 1)
    data = np.stack([np.zeros_like(soft), soft])[:, None].repeat(2, axis=1)
    data[:, 0] = rng.random(data[:, 0].shape)
    image = ai.ImageInput(data, "TCYX", pixel_size=(0.5, 0.5), unit="micrometer")
    return ai.predict(model, image, channels=[1])


def view_of(raw: ai.Prediction, **how: Any) -> tuple[View[Any], Any]:
    decoder = choose_decoder(raw.model)
    return View(raw, decoder, BOX, **how), decoder.defaults(raw.model)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_objects_in_a_view_are_those_of_the_whole(
    threshold: float, raw: ai.Prediction
) -> None:
    view, settings = view_of(raw, index=(1,))
    settings = settings.model_copy(update={"mask_threshold": threshold})
    whole = ai.decode(raw, settings)
    found = view.decode(settings)
    (y0, y1), (x0, x1) = BOX
    there = whole.as_labels()[1, y0:y1, x0:x1]
    ids = np.unique(there)[1:]
    assert len(found) == len(ids) > 20
    # Pixel by pixel, and row by row.
    pairs = np.unique(np.stack([there.ravel(), found.as_labels().ravel()]), axis=1)
    assert pairs.shape[1] == len(ids) + 1
    other = dict(pairs.T.tolist())
    assert found.frame.origin == (y0, x0)
    row = {int(n): i for i, n in enumerate(found.id)}
    rows = [row[other[n]] for n in ids.tolist()]
    np.testing.assert_array_equal(found.planes[:, 0], 1)
    np.testing.assert_allclose(found.boxes[rows], whole.boxes[ids - 1])
    np.testing.assert_allclose(found.confidence[rows], whole.confidence[ids - 1])
    assert set(found.features) == set(whole.features)
    for name, column in whole.features.items():
        np.testing.assert_allclose(
            found.features[name][rows], column[ids - 1], rtol=1e-4, err_msg=name
        )


# Edges that fade put each object at a level of its own, which coarse pixels blur.
@pytest.mark.parametrize(
    ("fading", "least"), [(False, 0.99), (True, 0.96)], ids=["steep", "fading"]
)
def test_from_far_away_they_are_nearly_the_same(
    fading: bool, least: float, raw: ai.Prediction
) -> None:
    if not fading:
        (name, soft), *_ = raw.maps.items()
        edges = np.where(soft >= 0.5, 0.95 + 0.04 * soft, 0.02 * soft)
        raw = replace(raw, maps={name: edges.astype(np.float32)})
    view, settings = view_of(raw, index=(1,), step=3)
    found, whole = view.decode(settings), ai.decode(raw, settings)
    (y0, y1), (x0, x1) = view.box
    assert (y0, x0) == (129, 150)
    near = whole.as_labels()[1, y0:y1:3, x0:x1:3]
    assert found.as_labels().shape == near.shape
    assert found.frame.pixel_size == (1.5, 1.5)
    assert np.mean((near > 0) == (found.as_labels() > 0)) > least
    assert abs(len(found) - (len(np.unique(near)) - 1)) <= 2
    size = np.median(whole.features["area"][np.unique(near)[1:] - 1])
    assert np.median(found.features["area"]) == pytest.approx(size, rel=0.15)
    assert np.median(found.features["area_micrometer2"]) == (
        pytest.approx(size / 4, rel=0.15)
    )


def test_what_the_whole_decides_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = scattered(3, (200, 200), 9)
    values = maps(truth, "foreground", logits=True)
    values[:, 100:] = 0.25  # which could be probabilities
    raw = prediction(values, "foreground", classes=["thing"])
    decoder = choose_decoder(raw.model)
    settings = decoder.defaults(raw.model)
    view = View(raw, decoder, ((150, 200), (0, 200)))
    assert len(view.decode(settings)) == 1  # all of it, after the sigmoid
    asked: list[int] = []
    settle = decoder.settle
    assert settle is not None

    def counted(*given: Any) -> Any:
        asked.append(1)
        return settle(*given)

    object.__setattr__(decoder, "settle", counted)
    try:
        view = View(raw, decoder, ((0, 90), (0, 200)))
        for threshold in (0.3, 0.5, 0.7):
            moved = settings.model_copy(update={"mask_threshold": threshold})
            assert len(view.decode(moved)) > 3
    finally:
        object.__setattr__(decoder, "settle", settle)
    assert len(asked) == 1


def test_a_view_beside_the_result_is_refused(raw: ai.Prediction) -> None:
    decoder = choose_decoder(raw.model)
    with pytest.raises(ai.DecodeError, match="No pixel of the result"):
        View(raw, decoder, ((400, 500), (0, 10)), (1,))
    with pytest.raises(ai.DecodeError, match="decode the whole"):
        View(raw, get_decoder("image"), BOX, (1,))
